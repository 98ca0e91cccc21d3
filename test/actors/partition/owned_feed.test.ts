/** The reads of the parts beside a partition's owner, and whether they reach the log. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { ReadResult } from "../../../actors/log/log.ts";
import { OwnedFeed } from "../../../actors/partition/owned_feed.ts";
import { epoch, offset, position } from "../../../protocols/position.ts";
import { type BatchOptions, dense, partition, recordsOf } from "../../conformance/log/log_batches.ts";

const READ_ALL = 1 << 30;

/** Replaces binary values by plain arrays, so that views of different kinds compare equal. */
function plainly(result: ReadResult): unknown {
  if (result.kind !== "records") return result;
  return result.batches.map(({ events, rejected, ...rest }) => ({
    ...rest,
    events: Array.from(events),
    rejected: Array.from(rejected ?? []),
  }));
}

/** An owned partition, with a count of the reads of its log. */
async function owned() {
  const log = createMemoryLog();
  const chains = { dedupeWindowMs: 60_000, producersMax: 10 };
  const claim = await log.claim(partition(), { leaderEpoch: 1, tableVersion: 1 }, epoch(1), { tier: "memory", chains });
  const reads = { count: 0 };
  const read = log.read.bind(log);
  log.read = (...request) => {
    reads.count += 1;
    return read(...request);
  };
  const failed: unknown[] = [];
  const advanced: string[] = [];
  const feed = new OwnedFeed(log, claim, {
    nowMs: () => 0,
    onDoubt: (error) => failed.push(error),
    onAdvance: (channel, endOffset) => advanced.push(`${channel} ${endOffset}`),
    onBounds() {},
  });
  const at = (last: number | undefined) => (last === undefined ? undefined : position(claim.ownership.epoch, last));
  return {
    feed,
    log,
    reads,
    advanced,
    async append(from: number, count: number, options?: BatchOptions): Promise<void> {
      const batch = dense("p", from, count, options);
      const { outcomes, endOffset } = await log.append(claim.ownership, { channel: "records", batches: [batch] });
      const [outcome] = outcomes;
      if (outcome?.kind !== "written") throw new Error(`the log answered ${outcome?.kind}`);
      feed.advanceRecords([{ batch, ...outcome }], endOffset);
    },
    /** Writes a batch to the log without acknowledging it. */
    async write(from: number, count: number): Promise<void> {
      await log.append(claim.ownership, { channel: "records", batches: [dense("p", from, count)] });
    },
    async trim(before: number): Promise<void> {
      feed.trimmed("records", await log.trim(claim.ownership, "records", offset(before)));
    },
    /** The answers of the log and of the feed to one read. */
    async bothAfter(last: number | undefined) {
      const committedOffset = feed.committedOffset("records");
      const request = { channel: "records", after: at(last), committedOffset, bytesMax: READ_ALL } as const;
      return [plainly(await feed.read("records", at(last), READ_ALL)), plainly(await read(partition(), request))];
    },
    async readAfter(last: number | undefined): Promise<string> {
      const result = await feed.read("records", at(last), READ_ALL);
      return result.kind === "records" ? recordsOf(result.batches).join(" ") : result.kind;
    },
  };
}

test("a reader that follows the partition is answered from the cache, as the log would answer", async () => {
  const { feed, reads, append, bothAfter } = await owned();
  feed.onAdvance("records", () => undefined);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await append(0, 2, { appendedAtMs: 1_234 });
  await append(2, 3, { rejected: [1], extra: { traceparent } });
  for (const last of [undefined, 1]) {
    const [served, stored] = await bothAfter(last);
    assert.equal(served, stored);
  }
  assert.is(reads.count, 0);
});

test("while records are on their way to the log, no later time counts as settled", async () => {
  const { feed, append } = await owned();
  feed.appending(-5);
  assert.is(feed.settledMs(), -5);
  await append(0, 1);
  assert.is(feed.settledMs(), 0, "the clock's time");
});

test("without a reader nothing is cached: a later reader reads the log, and then the cache", async () => {
  const { feed, reads, append, readAfter } = await owned();
  const first = feed.onAdvance("records", () => undefined);
  await append(0, 2);
  first.stop();
  await append(2, 2);
  feed.onAdvance("records", () => undefined);
  assert.is((await readAfter(1)).split(" ").length, 2);
  assert.is(reads.count, 1);
  await append(4, 2);
  await append(6, 2);
  assert.is((await readAfter(5)).split(" ").length, 2);
  assert.is(reads.count, 1);
});

test("a reader behind the retained records is answered trimmed, although its record was in the cache", async () => {
  const { feed, append, trim, readAfter } = await owned();
  feed.onAdvance("records", () => undefined);
  for (const from of [0, 2, 4]) await append(from, 2);
  await trim(4);
  assert.is(await readAfter(1), "trimmed");
  assert.is((await readAfter(3)).split(" ").length, 2);
});

test("the feed does not keep checkpoints of an append that was not written (E13)", async () => {
  const { feed, log } = await owned();
  const channel = "outbox/count";
  const checkpoints = (text: string) => new Map([["progress", new TextEncoder().encode(text)]]);
  const held = () => new TextDecoder().decode(feed.readCheckpoint("progress"));
  await feed.openChain(channel, "pipeline/count", 1);
  const batch = (from: number) => dense("pipeline/count", from, 1);
  await feed.append({ channel, batches: [batch(0)], checkpoints: checkpoints("one") });
  const { outcomes } = await feed.append({ channel, batches: [batch(5)], checkpoints: checkpoints("six") });
  assert.is(outcomes[0]?.kind, "gap");
  assert.is(held(), "one");
  assert.equal(feed.readCheckpoint("progress"), (await log.readCheckpoints(partition())).get("progress"));
  await feed.append({ channel, batches: [batch(0)], checkpoints: checkpoints("again") });
  assert.is(held(), "again", "a duplicate stores them");
});

test("an append moves the ends of its attached batches' channels, and tells their readers", async () => {
  const { feed, advanced } = await owned();
  const told: string[] = [];
  feed.onAdvance("state/count", () => told.push("state/count"));
  const attached = [
    { channel: "state/count", batch: dense("state", 0, 3) },
    { channel: "state/other", batch: dense("state", 0, 1) },
  ] as const;
  await feed.append({ channel: "outbox/count", batches: [dense("count", 0, 1)], attached });
  assert.equal([feed.committedOffset("state/count"), feed.committedOffset("state/other")], [3, 1]);
  assert.equal(feed.bounds("state/count").epochs, [{ epoch: feed.epoch, firstOffset: offset(0) }]);
  assert.equal(told, ["state/count"]);
  assert.equal(advanced, ["outbox/count 1", "state/count 3", "state/other 1"]);
  const read = await feed.read("state/count", undefined, READ_ALL);
  assert.is(read.kind === "records" && recordsOf(read.batches).length, 3);
  await feed.trim("state/count", offset(3));
  assert.equal([feed.bounds("state/count").firstOffset, feed.committedOffset("state/count")], [3, 3]);
});

test("the answer to a trim does not commit records that were written meanwhile (E10)", async () => {
  const { feed, append, write, trim, readAfter } = await owned();
  await append(0, 2);
  await append(2, 2);
  await write(4, 2);
  await trim(2);
  const { firstOffset, endOffset } = feed.bounds("records");
  assert.equal([firstOffset, endOffset], [2, 4]);
  assert.is((await readAfter(1)).split(" ").length, 2);
  const fresh = await owned();
  await fresh.write(0, 2);
  await fresh.trim(0);
  assert.equal([fresh.feed.bounds("records").epochs, fresh.feed.committedOffset("records")], [[], 0]);
});

test("readers that decode share the values of batches in the cache, and a batch read from the log is the reader's own", async () => {
  const { feed, append } = await owned();
  const batches = async (last: number | undefined) => {
    const result = await feed.read("records", last === undefined ? undefined : position(feed.epoch, last), READ_ALL);
    return result.kind === "records" ? result.batches : [];
  };
  await append(0, 2);
  const readers = [0, 1].map(() => feed.onAdvance("records", () => undefined, "values"));
  feed.onAdvance("records", () => undefined); // a subscriber that passes bytes on
  await append(2, 2);
  await append(4, 2);
  const [first, second, third] = [await batches(3), await batches(3), await batches(3)].map(([batch]) =>
    batch === undefined ? undefined : feed.decode("records", batch),
  );
  assert.is(first, second);
  assert.is(first?.isShared, true, "outputs of steps are worth keeping");
  assert.is.not(second, third, "both readers have taken the batch");
  const ofLog = await batches(undefined);
  assert.is.not(feed.decode("records", ofLog[0]!), feed.decode("records", ofLog[0]!));
  readers[0]?.stop();
  await append(6, 2);
  const alone = await batches(5);
  assert.is.not(feed.decode("records", alone[0]!), feed.decode("records", alone[0]!));
});

test("outputs of a pipeline are read from the cache, as the log would answer", async () => {
  const { feed, log, reads } = await owned();
  const channel = "outbox/count";
  await feed.openChain(channel, "pipeline/count", 1);
  feed.onAdvance(channel, () => undefined, "values");
  await feed.append({ channel, batches: [dense("pipeline/count", 0, 2)] });
  await feed.append({ channel, batches: [dense("pipeline/count", 2, 3)] });
  const served = plainly(await feed.read(channel, undefined, READ_ALL));
  assert.is(reads.count, 0);
  const request = {
    channel,
    after: undefined,
    committedOffset: feed.committedOffset(channel),
    bytesMax: READ_ALL,
  } as const;
  assert.equal(served, plainly(await log.read(partition(), request)));
});

test("after a write that failed nothing is written and no checkpoint is read, until the owner has claimed again (E8)", async () => {
  const { feed, log } = await owned();
  const channel = "outbox/count";
  await feed.openChain(channel, "pipeline/count", 1);
  const append = log.append.bind(log);
  log.append = async (...call) => {
    await append(...call);
    throw new Error("the answer was lost");
  };
  const checkpoints = new Map([["progress", new Uint8Array([1])]]);
  const failed = await feed.append({ channel, batches: [dense("pipeline/count", 0, 1)], checkpoints }).catch(String);
  assert.match(String(failed), /answer was lost/);
  assert.throws(() => feed.readCheckpoint("progress"), /ownership must be certain/);
  const again = await feed.writeCheckpoint("progress", undefined).catch(String);
  assert.match(String(again), /ownership must be certain/);
  assert.is((await feed.read("records", undefined, READ_ALL)).kind, "records", "records may still be read");
});

test.run();
