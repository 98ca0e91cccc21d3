/**
 * The contract of actors/log/log.ts by examples, for every build of the log. log_histories.ts has random histories.
 * `harness.open` gives a log on an empty store. `harness.reopen` ends the store's life and begins the next on the same data.
 */

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type AppendOutcome,
  CHAIN_LIMITS,
  type Channel,
  type Claim,
  type DurabilityTier,
  type Grant,
  type Log,
  type PartitionSettings,
} from "../../../actors/log/log.ts";
import { epoch, offset, type PartitionReference, type Position, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";
import { batch, dense, eventsOf, namesOf, partition, plain, recordsOf } from "./log_batches.ts";

export interface LogHarness {
  readonly name: string;
  readonly tier: DurabilityTier;
  open(): Promise<Log>;
  reopen(log: Log): Promise<Log>;
  close(log: Log): Promise<void>;
}

const GRANT: Grant = { leaderEpoch: 1, tableVersion: 1 };
const READ_ALL = 1 << 30;

export async function rejection(promise: Promise<unknown>): Promise<{ name: string; code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { name: string; code: string; message: string };
  }
  throw new Error("Cannot take the rejection as the promise must reject: it resolved");
}

export const settingsOf = (harness: LogHarness, chains = CHAIN_LIMITS): PartitionSettings => ({
  tier: harness.tier,
  chains,
});

export async function readAll(
  log: Log,
  of: PartitionReference,
  channel: Channel = "records",
  after?: Position,
): Promise<[number, string][]> {
  const bounds = (await log.describe(of))?.get(channel);
  const result = await log.read(of, {
    channel,
    after,
    committedOffset: bounds?.endOffset ?? offset(0),
    bytesMax: READ_ALL,
  });
  assert.is(result.kind, "records");
  return result.kind === "records" ? recordsOf(result.batches) : [];
}

export function logSuite(harness: LogHarness): void {
  const settings = settingsOf(harness);
  const p0 = partition(0);

  const scenario = (name: string, run: (log: Log) => Promise<unknown>) =>
    test(`${harness.name}: ${name}`, async () => {
      const log = await harness.open();
      try {
        await run(log);
      } finally {
        await harness.close(log);
      }
    });
  const claim = (log: Log, atLeast = 1, of = p0): Promise<Claim> => log.claim(of, GRANT, epoch(atLeast), settings);
  const append = async (log: Log, { ownership }: Claim, ...batches: ReturnType<typeof batch>[]) =>
    (await log.append(ownership, { channel: "records", batches })).outcomes;
  const written = (firstOffset: number, count: number): AppendOutcome => ({
    kind: "written",
    firstOffset: offset(firstOffset),
    count,
  });

  // log L1
  scenario("a claim makes an epoch above every earlier one and at least the floor", async (log) => {
    const first = await claim(log);
    const second = await claim(log, first.ownership.epoch + 1_000_000);
    const third = await claim(log);
    assert.ok(first.ownership.epoch >= 1);
    assert.is(second.ownership.epoch, first.ownership.epoch + 1_000_000);
    assert.is(third.ownership.epoch, second.ownership.epoch + 1);
    assert.equal(first.channels.get("records"), {
      epochs: [],
      firstOffset: offset(0),
      endOffset: offset(0),
      sizeBytes: 0,
    });
  });

  scenario("an append of no batch writes its checkpoints, in a channel that is new too", async (log) => {
    const { ownership } = await claim(log);
    const checkpoints = new Map([
      ["progress", Buffer.from("p")],
      ["state", Buffer.from("s")],
    ]);
    const result = await log.append(ownership, { channel: "outbox/count", batches: [], checkpoints });
    assert.equal(result, { outcomes: [], endOffset: offset(0) });
    assert.equal([...(await log.readCheckpoints(p0)).keys()].sort(), ["progress", "state"]);
  });

  scenario("a grant below the last accepted is refused and the owner stays", async (log) => {
    const owner = await log.claim(p0, { leaderEpoch: 2, tableVersion: 7 }, epoch(1), settings);
    for (const grant of [
      { leaderEpoch: 2, tableVersion: 6 },
      { leaderEpoch: 1, tableVersion: 99 },
    ]) {
      const error = await rejection(log.claim(p0, grant, epoch(1), settings));
      assert.is(error.name, "FencedError");
      assert.is(error.code, "STALE_GRANT");
    }
    assert.equal(await append(log, owner, dense("a", 0, 1)), [written(0, 1)]);
  });

  // log L2, redis library R2
  scenario("a write of an earlier owner is refused and changes nothing", async (log) => {
    const old = await claim(log);
    const now = await claim(log);
    const calls = [
      log.append(old.ownership, { channel: "records", batches: [dense("a", 0, 2)] }),
      log.openChain(old.ownership, "records", "a", 1, 0),
      log.checkpoint(old.ownership, new Map([["c", Buffer.from("x")]])),
      log.trim(old.ownership, "records", offset(1)),
      log.expireChains(old.ownership, 0),
      log.declareLost(old.ownership, "a", 1, undefined, plain(5), 0),
    ];
    for (const call of await Promise.allSettled(calls)) {
      assert.is(call.status, "rejected");
      if (call.status === "rejected") assert.is(call.reason.code, "STALE_EPOCH");
    }
    assert.equal(await readAll(log, p0), []);
    assert.is((await log.readCheckpoints(p0)).size, 0);
    assert.equal(await append(log, now, dense("a", 0, 1)), [written(0, 1)]);
  });

  // log L2, redis library R2
  scenario("a write with a claim of another life of the store is refused", async (log) => {
    const { ownership } = await claim(log);
    const stranger = { ...ownership, store: "another" };
    const error = await rejection(log.append(stranger, { channel: "records", batches: [dense("a", 0, 1)] }));
    assert.is(error.code, "STORE_CHANGED");
    assert.equal(await readAll(log, p0), []);
  });

  scenario("records get dense offsets and come back as they were appended", async (log) => {
    const owner = await claim(log);
    const sent = dense("a", 0, 3, {
      appendedAtMs: 1_234,
      extra: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
    });
    const outcomes = await append(log, owner, sent, dense("b", 0, 2), dense("a", 3, 1));
    assert.equal(outcomes, [written(0, 3), written(3, 2), written(5, 1)]);
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(6),
      bytesMax: READ_ALL,
    });
    assert.is(result.kind, "records");
    if (result.kind !== "records") return;
    assert.is(result.batches.length, 3);
    const [stored] = result.batches;
    assert.equal(
      { ...stored, events: namesOf(stored?.events ?? Buffer.alloc(0)) },
      {
        epoch: owner.ownership.epoch,
        firstOffset: offset(0),
        count: 3,
        appendedAtMs: 1_234,
        schemaVersion: 3,
        producerId: "a",
        sequences: { first: plain(0), count: 3 },
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        events: ["a:0/0/0", "a:0/1/0", "a:0/2/0"],
      },
    );
    assert.equal(
      (await readAll(log, p0)).map(([at]) => at),
      [0, 1, 2, 3, 4, 5],
    );
  });

  // redis library R3
  scenario("every byte of an event survives", async (log) => {
    const owner = await claim(log);
    const events = Buffer.from(Array.from({ length: 4_096 }, (_, index) => index & 255));
    await append(log, owner, dense("é\u{1f600}", 0, 1, { extra: { events } }));
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(1),
      bytesMax: 1,
    });
    assert.is(result.kind, "records");
    if (result.kind !== "records") return;
    assert.ok(Buffer.from(result.batches[0]?.events ?? []).equals(events));
    assert.is(result.batches[0]?.producerId, "é\u{1f600}");
  });

  scenario("a read of a channel whose name the store cannot hold does not harm later appends", async (log) => {
    const owner = await claim(log);
    const states: string[] = [];
    log.onStateChange(({ kind }) => states.push(kind));
    const channel = `dead_letters/${"x".repeat(5_000)}` as const;
    const request = { channel, after: undefined, committedOffset: offset(10), bytesMax: 1_000 };
    await log.read(p0, request).catch(() => undefined);
    await log.seek(p0, channel, 1).catch(() => undefined);
    assert.equal(states, []);
    assert.equal(await append(log, owner, dense("a", 0, 1)), [written(0, 1)]);
  });

  // log L3
  scenario("a repeated batch is a duplicate and is not written again", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 5));
    const outcomes = await append(log, owner, dense("a", 0, 5), dense("a", 2, 2));
    assert.equal(outcomes, [
      { kind: "duplicate", stored: plain(4), verdicts: [] },
      { kind: "duplicate", stored: plain(4), verdicts: [] },
    ]);
    assert.is((await readAll(log, p0)).length, 5);
  });

  scenario("a batch repeated within one call is a duplicate of the first", async (log) => {
    const owner = await claim(log);
    const outcomes = await append(log, owner, dense("a", 0, 2, { rejected: [1] }), dense("a", 0, 2, { rejected: [1] }));
    assert.equal(outcomes[0], written(0, 1));
    assert.is(outcomes[1]?.kind, "duplicate");
    assert.is(outcomes[1]?.kind === "duplicate" && outcomes[1].verdicts.length, 1);
  });

  // log L3
  scenario("a batch that skips, overlaps or starts below its own predecessor is a gap", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 5));
    const gap: AppendOutcome = { kind: "gap", stored: plain(4) };
    const outcomes = await append(
      log,
      owner,
      dense("a", 7, 2),
      dense("a", 3, 4),
      batch("a", plain(4), { first: plain(3), count: 4 }),
      batch("a", undefined, { first: plain(5), count: 1 }),
    );
    assert.equal(outcomes, [gap, gap, gap, gap]);
    assert.equal(await append(log, owner, dense("a", 5, 1)), [written(5, 1)]);
  });

  scenario("a refused batch does not hold up the others of its call", async (log) => {
    const owner = await claim(log);
    const outcomes = await append(log, owner, dense("a", 0, 1), dense("a", 5, 1), dense("b", 0, 1), dense("a", 1, 1));
    assert.equal(outcomes, [written(0, 1), { kind: "gap", stored: plain(0) }, written(1, 1), written(2, 1)]);
    assert.equal(await readAll(log, p0), [
      [0, "a:0/0/0"],
      [1, "b:0/0/0"],
      [2, "a:0/1/0"],
    ]);
  });

  scenario(
    "a batch of an unknown producer that names a previous sequence is answered unknown_producer",
    async (log) => {
      const owner = await claim(log);
      assert.equal(await append(log, owner, dense("a", 5, 1)), [{ kind: "unknown_producer" }]);
      assert.equal(await log.openChain(owner.ownership, "records", "a", 1, 0), {
        kind: "opened",
        lastSequence: undefined,
      });
      assert.equal(await append(log, owner, dense("a", 5, 1)), [{ kind: "gap", stored: undefined }]);
    },
  );

  scenario("a resume point comes back as it was sent, from the next owner too", async (log) => {
    const sent = {
      ...{ file: "x", at: 2 ** 40, large: 2n ** 63n, small: -(2n ** 60n), half: 0.5, "": null },
      inner: {
        list: [[], [true, "é"]],
        time: new PreciseDate(5, 7),
        day: new Date(86_400_000),
        bytes: Buffer.from("b"),
      },
    };
    const first = await claim(log);
    await append(log, first, dense("a", 0, 1, { extra: { position: sent } }));
    const next = await claim(log, first.ownership.epoch + 1);
    const opened = await log.openChain(next.ownership, "records", "a", 9, 0);
    assert.equal(toJsonValue(opened.kind === "opened" ? opened.position : opened), toJsonValue(sent));
  });

  scenario(
    "opening a chain raises its epoch, answers the stored sequence and fences the earlier instance",
    async (log) => {
      const owner = await claim(log);
      await append(log, owner, dense("a", 0, 3, { producerEpoch: 4, extra: { position: { file: "x", at: 17 } } }));
      const opened = await log.openChain(owner.ownership, "records", "a", 9, 0);
      assert.equal(opened, { kind: "opened", lastSequence: plain(2), position: { file: "x", at: 17 } });
      assert.equal(await append(log, owner, dense("a", 3, 1, { producerEpoch: 8 })), [
        { kind: "stale_producer_epoch", current: 9 },
      ]);
      assert.equal(await log.openChain(owner.ownership, "records", "a", 8, 0), {
        kind: "stale_producer_epoch",
        current: 9,
      });
      assert.equal(await append(log, owner, dense("a", 3, 1, { producerEpoch: 9 })), [written(3, 1)]);
    },
  );

  // redis library R4
  scenario("sequences compare as triples, listed ones too", async (log) => {
    const owner = await claim(log);
    const first: Sequence[] = [
      [5, 100, 0],
      [5, 100, 1],
      [5, 109, 0],
    ];
    const next: Sequence[] = [[6, 100, 0]];
    const huge: Sequence[] = [[6, 2 ** 53 - 1, 0]];
    const outcomes = await append(
      log,
      owner,
      batch("t", undefined, { list: first }),
      batch("t", [5, 109, 0], { list: next }),
      batch("t", [6, 100, 0], { list: huge }),
      batch("t", [5, 109, 0], { list: [[5, 110, 0]] }),
    );
    assert.equal(outcomes, [
      written(0, 3),
      written(3, 1),
      written(4, 1),
      { kind: "duplicate", stored: [6, 2 ** 53 - 1, 0], verdicts: [] },
    ]);
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(5),
      bytesMax: 1,
    });
    assert.equal(result.kind === "records" && result.batches[0]?.sequences, { list: first });
  });

  // log L3
  scenario("rejects are set aside in the same call and the other events are kept", async (log) => {
    const owner = await claim(log);
    assert.equal(await append(log, owner, dense("a", 0, 4, { rejected: [1, 3] })), [written(0, 2)]);
    assert.equal(await readAll(log, p0), [
      [0, "a:0/0/0"],
      [1, "a:0/2/0"],
    ]);
    assert.equal(await readAll(log, p0, "rejected"), [
      [0, "dead:a:0/1/0"],
      [1, "dead:a:0/3/0"],
    ]);
  });

  scenario("a duplicate's answer repeats the stored verdicts by sequence", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 4, { rejected: [1, 3] }), dense("a:0", 0, 2, { rejected: [0] }));
    const [whole, part] = await append(log, owner, dense("a", 0, 4), dense("a", 2, 2));
    const verdict = (n: number) => ({
      sequence: plain(n),
      code: "SCHEMA_VIOLATION",
      path: `/${n}`,
      reason: `because of a:0/${n}/0`,
    });
    assert.equal(whole, { kind: "duplicate", stored: plain(3), verdicts: [verdict(1), verdict(3)] });
    assert.equal(part, { kind: "duplicate", stored: plain(3), verdicts: [verdict(3)] });
  });

  scenario("a batch of nothing but rejects moves its chain and no offset", async (log) => {
    const owner = await claim(log);
    assert.equal(await append(log, owner, dense("a", 0, 2, { rejected: [0, 1] })), [written(0, 0)]);
    assert.equal(await append(log, owner, dense("a", 2, 1)), [written(0, 1)]);
    assert.equal(await readAll(log, p0), [[0, "a:0/2/0"]]);
    assert.is((await readAll(log, p0, "rejected")).length, 2);
  });

  scenario("channels have offsets and chains of their own", async (log) => {
    const { ownership } = await claim(log);
    for (const channel of ["records", "outbox/enriched", "dead_letters/file"] as const) {
      const { outcomes, endOffset } = await log.append(ownership, { channel, batches: [dense("p", 0, 2)] });
      assert.equal(outcomes, [written(0, 2)]);
      assert.is(endOffset, 2);
    }
    const channels = await log.describe(p0);
    assert.equal([...(channels?.keys() ?? [])].sort(), ["dead_letters/file", "outbox/enriched", "records"]);
    assert.is((await claim(log)).channels.get("outbox/enriched")?.endOffset, 2);
  });

  scenario("checkpoints are written with an append, unless a batch of it was refused", async (log) => {
    const { ownership } = await claim(log);
    const checkpoints = (value: string) => new Map([["task", Buffer.from(value)]]);
    const text = async () => Buffer.from((await log.readCheckpoints(p0)).get("task") ?? []).toString();
    const write = (value: string, ...batches: ReturnType<typeof batch>[]) =>
      log.append(ownership, { channel: "outbox/x", batches, checkpoints: checkpoints(value) });
    await write("one", dense("p", 0, 1));
    assert.is(await text(), "one");
    await write("two", dense("p", 5, 1));
    assert.is(await text(), "one");
    await write("three", dense("p", 0, 1));
    assert.is(await text(), "three");
    await write("four");
    assert.is(await text(), "four");
  });

  scenario("checkpoints are set, kept for the next owner and removed", async (log) => {
    const { ownership } = await claim(log);
    await log.checkpoint(
      ownership,
      new Map([
        ["a", Buffer.from([0, 255])],
        ["b", Buffer.from("b")],
      ]),
    );
    await log.checkpoint(ownership, new Map([["b", undefined]]));
    const { checkpoints } = await claim(log);
    assert.equal([...checkpoints.keys()], ["a"]);
    assert.equal([...(checkpoints.get("a") ?? [])], [0, 255]);
  });

  scenario("lost sequences move the chain, and are recorded as a dead letter", async (log) => {
    const { ownership } = await claim(log);
    await log.append(ownership, { channel: "records", batches: [dense("a", 0, 2)] });
    const lost = await log.declareLost(ownership, "a", 1, plain(1), plain(9), 5);
    assert.is(lost.kind, "written");
    assert.is((await log.declareLost(ownership, "a", 1, plain(1), plain(9), 5)).kind, "duplicate");
    assert.is((await log.declareLost(ownership, "a", 1, plain(20), plain(30), 5)).kind, "gap");
    const after = await log.append(ownership, { channel: "records", batches: [dense("a", 10, 1)] });
    assert.equal(after.outcomes, [written(2, 1)]);
    assert.is((await log.describe(p0))?.get("rejected")?.endOffset, 1);
  });

  scenario("no more chains live than producersMax, and idle ones are forgotten with their verdicts", async (log) => {
    const chains = { dedupeWindowMs: 1_000, producersMax: 2 };
    const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
    await append(
      log,
      owner,
      dense("a", 0, 2, { appendedAtMs: 0, rejected: [0] }),
      dense("b", 0, 1, { appendedAtMs: 900 }),
    );
    const full: AppendOutcome = { kind: "too_many_producers", live: 2 };
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    assert.equal(await log.openChain(owner.ownership, "records", "c", 1, 900), full);
    assert.is(await log.expireChains(owner.ownership, 1_000), 2);
    assert.is(await log.expireChains(owner.ownership, 1_001), 1);
    assert.equal(await append(log, owner, dense("a", 2, 1)), [{ kind: "unknown_producer" }]);
    assert.is((await append(log, owner, dense("c", 0, 1)))[0]?.kind, "written");
    assert.is(await log.expireChains(owner.ownership, 10_000), 0);
    await append(log, owner, dense("a", 0, 2, { appendedAtMs: 10_000 }));
    const [again] = await append(log, owner, dense("a", 0, 2, { appendedAtMs: 10_000 }));
    assert.equal(again, { kind: "duplicate", stored: plain(1), verdicts: [] });
  });

  scenario(
    "a chain that was opened and has no sequence keeps its place for a minute, not for the dedupe window",
    async (log) => {
      const chains = { dedupeWindowMs: 86_400_000, producersMax: 2 };
      const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
      for (const idle of ["x", "y"]) await log.openChain(owner.ownership, "records", idle, 1, 0);
      assert.equal(await append(log, owner, dense("a", 0, 1)), [{ kind: "too_many_producers", live: 2 }]);
      assert.is(await log.expireChains(owner.ownership, 60_000), 2);
      assert.is(await log.expireChains(owner.ownership, 60_001), 0);
      assert.is((await append(log, owner, dense("a", 0, 1)))[0]?.kind, "written");
      assert.is((await append(log, owner, dense("x", 0, 1)))[0]?.kind, "written", "its producer begins anew");
      assert.is(await log.expireChains(owner.ownership, 3_600_000), 2);
    },
  );

  scenario("producers of one request are counted apart, and forgotten after an hour", async (log) => {
    const chains = { dedupeWindowMs: 86_400_000, producersMax: 2 };
    const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
    const written = await append(
      log,
      owner,
      ...["http/1", "http/2", "http/3", "http/3"].map((id, n) => dense(id, n === 3 ? 1 : 0, 1, { appendedAtMs: 0 })),
    );
    assert.equal(
      written.map(({ kind }) => kind),
      ["written", "written", "written", "written"],
    );
    assert.is((await log.openChain(owner.ownership, "records", "http/4", 1, 3_600_000)).kind, "opened");
    assert.is((await log.openChain(owner.ownership, "records", "a", 1, 3_600_000)).kind, "opened");
    assert.is((await append(log, owner, dense("b", 0, 1)))[0]?.kind, "written");
    const full: AppendOutcome = { kind: "too_many_producers", live: 2 };
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    assert.is((await append(log, owner, dense("http/5", 0, 1, { appendedAtMs: 1 })))[0]?.kind, "written");
    assert.is(await log.expireChains(owner.ownership, 3_600_000), 7);
    assert.is(
      await log.expireChains(owner.ownership, 3_600_001),
      4,
      "left are the last request's chain, the two of the long window, and the one just opened",
    );
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    const next = await harness.reopen(log);
    try {
      const again = await next.claim(p0, { leaderEpoch: 2, tableVersion: 1 }, epoch(1), { tier: harness.tier, chains });
      assert.equal(await append(next, again, dense("c", 0, 1)), [full]);
      assert.is((await append(next, again, dense("http/6", 0, 1)))[0]?.kind, "written");
    } finally {
      await harness.close(next);
    }
  });

  // log L4
  scenario("a cursor reads the records that follow it, and none past the committed offset", async (log) => {
    const owner = await claim(log);
    const e = owner.ownership.epoch;
    for (let n = 0; n < 6; n += 2) await append(log, owner, dense("a", n, 2));
    const read = async (after: Position | undefined, committed: number) => {
      const result = await log.read(p0, {
        channel: "records",
        after,
        committedOffset: offset(committed),
        bytesMax: READ_ALL,
      });
      return result.kind === "records" ? recordsOf(result.batches).map(([at]) => at) : result.kind;
    };
    assert.equal(await read(undefined, 6), [0, 1, 2, 3, 4, 5]);
    assert.equal(await read(undefined, 4), [0, 1, 2, 3]);
    assert.equal(await read(position(e, 1), 6), [2, 3, 4, 5]);
    assert.equal(await read(position(e, 2), 6), [2, 3, 4, 5]);
    assert.equal(await read(position(e, 5), 6), []);
    assert.equal(await read(undefined, 0), []);
  });

  scenario("a read returns at least one batch, and further ones up to its bytes", async (log) => {
    const owner = await claim(log);
    for (let n = 0; n < 10; n++)
      await append(log, owner, dense("a", n, 1, { extra: { events: Buffer.alloc(10_000, n) } }));
    const read = async (bytesMax: number) => {
      const result = await log.read(p0, {
        channel: "records",
        after: undefined,
        committedOffset: offset(10),
        bytesMax,
      });
      return result.kind === "records" ? result.batches.length : -1;
    };
    assert.is(await read(1), 1);
    assert.is(await read(35_000), 3);
    assert.is(await read(READ_ALL), 10);
  });

  // log L6
  scenario("a cursor of another history is answered with the divergence and the last common position", async (log) => {
    const first = await claim(log);
    await append(log, first, dense("a", 0, 3));
    const second = await claim(log);
    await append(log, second, dense("a", 3, 2));
    const [e1, e2] = [first.ownership.epoch, second.ownership.epoch];
    const read = (after: Position) =>
      log.read(p0, { channel: "records", after, committedOffset: offset(5), bytesMax: READ_ALL });
    assert.equal(await read(position(e1, 4)), { kind: "truncated", divergence: offset(3), resume: position(e1, 2) });
    assert.equal(await read(position(e2, 9)), { kind: "truncated", divergence: offset(5), resume: position(e2, 4) });
    assert.equal(await read(position(e2 + 1, 1)), {
      kind: "truncated",
      divergence: offset(5),
      resume: position(e2, 4),
    });
    assert.equal(await read(position(e1 - 1, 0)), { kind: "truncated", divergence: offset(0), resume: undefined });
    assert.equal(
      (await readAll(log, p0, "records", position(e1, 2))).map(([at]) => at),
      [3, 4],
    );
  });

  // log L6
  scenario(
    "trim removes whole batches from the beginning, and a cursor below them is answered trimmed",
    async (log) => {
      const owner = await claim(log);
      const e = owner.ownership.epoch;
      for (let n = 0; n < 9; n += 3) await append(log, owner, dense("a", n, 3, { rejected: [0] }));
      const before = (await log.describe(p0))?.get("records");
      const bounds = await log.trim(owner.ownership, "records", offset(3));
      assert.is(bounds.firstOffset, 2);
      assert.is(bounds.endOffset, 6);
      assert.ok(bounds.sizeBytes > 0 && bounds.sizeBytes < (before?.sizeBytes ?? 0));
      assert.equal(await log.trim(owner.ownership, "records", offset(1)), bounds);
      const read = (after: Position | undefined) =>
        log.read(p0, { channel: "records", after, committedOffset: offset(6), bytesMax: READ_ALL });
      assert.equal(await read(undefined), { kind: "trimmed", firstOffset: offset(2) });
      assert.equal(await read(position(e, 0)), { kind: "trimmed", firstOffset: offset(2) });
      assert.equal(
        (await readAll(log, p0, "records", position(e, 1))).map(([at]) => at),
        [2, 3, 4, 5],
      );
      const rest = await log.trim(owner.ownership, "records", offset(1_000));
      assert.equal([rest.firstOffset, rest.endOffset, rest.sizeBytes], [6, 6, 0]);
      assert.equal(await append(log, owner, dense("a", 9, 1)), [written(6, 1)]);
      assert.equal(
        (await readAll(log, p0, "records", position(e, 5))).map(([at]) => at),
        [6],
      );
    },
  );

  scenario("a large batch that is read in parts is the same for each part, until it is trimmed", async (log) => {
    const owner = await log.claim(partition(), GRANT, epoch(0), settings);
    const large = dense("a", 0, 100, { extra: { events: eventsOf(Array(100).fill("x".repeat(5_000))) } });
    await log.append(owner.ownership, { channel: "records", batches: [large, dense("a", 100, 1)] });
    const e = owner.ownership.epoch;
    const read = (after: Position | undefined, end = 101) =>
      log.read(partition(), {
        channel: "records",
        after,
        committedOffset: offset(end),
        bytesMax: 1_000,
        inParts: true,
      });
    const whole = await read(undefined);
    for (const at of [0, 50, 98]) assert.equal(await read(position(e, at)), whole);
    const next = await read(position(e, 99));
    assert.equal(next.kind === "records" && next.batches.map(({ firstOffset }) => firstOffset), [100]);
    assert.equal(await read(position(e, 50), 60), { kind: "records", batches: [] }, "not committed");
    const other = await read(position(epoch(e + 1), 50));
    assert.is(other.kind, "truncated");
    await log.trim(owner.ownership, "records", offset(100));
    assert.equal(await read(position(e, 50)), { kind: "trimmed", firstOffset: offset(100) });
  });

  scenario("trimming the rejects forgets their verdicts and keeps the chain", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 2, { rejected: [0] }));
    await log.trim(owner.ownership, "rejected", offset(1));
    assert.equal(await append(log, owner, dense("a", 0, 2)), [{ kind: "duplicate", stored: plain(1), verdicts: [] }]);
  });

  scenario("the size of a channel is that of its stored batches", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 1, { extra: { events: Buffer.alloc(100_000, 1) } }));
    const sizeBytes = (await log.describe(p0))?.get("records")?.sizeBytes ?? 0;
    assert.ok(sizeBytes >= 100_000 && sizeBytes < 103_000, `${sizeBytes}`);
  });

  scenario("a time gives the cursor before the first record of that time", async (log) => {
    const owner = await claim(log);
    const e = owner.ownership.epoch;
    for (let n = 0; n < 20; n += 2) await append(log, owner, dense("a", n, 2, { appendedAtMs: 1_000 + n * 10 }));
    assert.is(await log.seek(p0, "records", 0), undefined);
    assert.is(await log.seek(p0, "records", 1_000), undefined);
    assert.equal(await log.seek(p0, "records", 1_001), position(e, 1));
    assert.equal(await log.seek(p0, "records", 1_100), position(e, 9));
    assert.equal(await log.seek(p0, "records", 9_999), position(e, 19));
    await log.trim(owner.ownership, "records", offset(6));
    const from = await log.seek(p0, "records", 0);
    assert.is((await readAll(log, p0, "records", from))[0]?.[0], 6);
  });

  scenario("a partition never claimed is absent and reads as empty", async (log) => {
    assert.is(await log.describe(partition(9)), undefined);
    assert.equal(await readAll(log, partition(9)), []);
    assert.is(await log.seek(partition(9), "records", 0), undefined);
    assert.is((await log.readCheckpoints(partition(9))).size, 0);
  });

  scenario("partitions do not mix, whatever their names", async (log) => {
    const names = [partition(1, "a"), partition(11, "a"), partition(1, "a/1"), partition(1, "A{x}")];
    for (const [at, of] of names.entries()) {
      await append(log, await claim(log, 1, of), dense(`p${at}`, 0, at + 1));
    }
    for (const [at, of] of names.entries()) assert.is((await readAll(log, of)).length, at + 1);
  });

  scenario("appends to many partitions at once all arrive", async (log) => {
    const owners = await Promise.all(Array.from({ length: 16 }, (_, n) => claim(log, 1, partition(n))));
    const outcomes = await Promise.all(owners.map((owner) => append(log, owner, dense("a", 0, 7), dense("b", 0, 1))));
    for (const outcome of outcomes) assert.equal(outcome, [written(0, 7), written(7, 1)]);
    for (const { ownership } of owners) assert.is((await readAll(log, ownership.partition)).length, 8);
  });

  scenario("many small batches of one call are read back one by one and from any cursor", async (log) => {
    const owner = await claim(log);
    const batches = Array.from({ length: 700 }, (_, n) => dense(`p${n % 7}`, Math.floor(n / 7), 1));
    const refused = dense("p0", 500, 1);
    const outcomes = await append(log, owner, ...batches.slice(0, 350), refused, ...batches.slice(350));
    assert.is(outcomes.filter(({ kind }) => kind === "written").length, 700);
    assert.is(outcomes[350]?.kind, "gap");
    const all = await readAll(log, p0);
    assert.equal(
      all.map(([at]) => at),
      Array.from({ length: 700 }, (_, n) => n),
    );
    for (const n of [0, 1, 349, 350, 351, 698]) {
      assert.equal((await readAll(log, p0, "records", position(owner.ownership.epoch, n)))[0], all[n + 1]);
    }
  });

  scenario(
    "an instance keeps its producer epoch, the next one gets a higher, and the earlier one is fenced",
    async (log) => {
      const epochOf = async (instance: string, held?: number) => {
        const outcome = await log.welcomeProducer("sensor", instance, held, Date.now());
        assert.is(outcome.kind, "welcomed");
        return outcome.kind === "welcomed" ? outcome.producerEpoch : 0;
      };
      const first = await epochOf("one");
      assert.ok(first >= 1);
      assert.is(await epochOf("one", first), first);
      assert.is(await epochOf("one"), first);
      const second = await epochOf("two");
      assert.ok(second > first);
      assert.equal(await log.welcomeProducer("sensor", "one", first, Date.now()), { kind: "fenced", current: second });
      assert.ok(
        (await epochOf("two", second + 50)) > second + 50,
        "an epoch that the store has lost is not made again",
      );
    },
  );

  scenario(
    "a producer's name belongs to the first principal that was welcomed under it, and to none without principals",
    async (log) => {
      const welcome = async (instance: string, owner?: string) =>
        (
          await log.welcomeProducer(
            ...(["sensor", instance, undefined, Date.now()] as const),
            owner === undefined ? undefined : { subject: owner },
          )
        ).kind;
      assert.is(await welcome("one"), "welcomed");
      assert.is(await welcome("two", "plant"), "welcomed");
      assert.is(await welcome("three", "office"), "owned");
      assert.is(await welcome("three", "plant"), "welcomed");
      assert.is(await welcome("four"), "welcomed");
      assert.is(await welcome("four", "office"), "owned");
    },
  );

  scenario("a principal with producersMax names gets no further one, and other principals do", async (log) => {
    const welcome = async (producerId: string, subject: string, producersMax?: number) => {
      const owner = producersMax === undefined ? { subject } : { subject, producersMax };
      return (await log.welcomeProducer(producerId, "one", undefined, Date.now(), owner)).kind;
    };
    const outcomes = [];
    for (const name of ["a", "b", "c", "a"]) outcomes.push(await welcome(name, "plant", 2));
    assert.equal(outcomes, ["welcomed", "welcomed", "crowded", "welcomed"]);
    assert.equal(await Promise.all(["c", "d"].map((name) => welcome(name, "office", 1))), ["welcomed", "crowded"]);
    assert.is(await welcome("e", "plant"), "welcomed", "a principal without a bound gets every name");
    assert.is(await welcome("f", "plant", 3), "crowded", "names that came without a bound count");
    assert.is(await welcome("f", "plant", 4), "welcomed", "a higher bound holds at once");
  });

  scenario("an epoch that no node can have given is refused, and does not shut its producer out", async (log) => {
    const welcome = (held?: number) => log.welcomeProducer("sensor", "one", held, Date.now());
    for (const held of [Number.MAX_SAFE_INTEGER, Date.now() + 2 * 86_400_000]) {
      assert.is((await welcome(held)).kind, "unknown_epoch");
    }
    const outcome = await welcome();
    assert.is(outcome.kind, "welcomed");
    const given = outcome.kind === "welcomed" ? outcome.producerEpoch : 0;
    assert.ok(given <= Date.now() + 1_000);
    // A node whose clock was an hour ahead may have given this epoch, so it is accepted (E24).
    assert.is((await welcome(given + 3_600_000)).kind, "welcomed");
  });

  scenario("metadata is written by compare-and-set and listed by prefix", async (log) => {
    const value = (text: string) => Buffer.from(text);
    assert.is(await log.readMetadata("schemas/a"), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("1"), 1), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("1"), 0), 1);
    assert.is(await log.writeMetadata("schemas/a", value("2"), 0), undefined);
    assert.is(await log.writeMetadata("schemas/a", value("\u0000\u00ff"), 1), 2);
    await log.writeMetadata("schemas/b", value("b"), 0);
    await log.writeMetadata("schemasx", value("x"), 0);
    assert.equal([...(await log.listMetadata("schemas/")).keys()].sort(), ["schemas/a", "schemas/b"]);
    const read = await log.readMetadata("schemas/a");
    assert.is(read?.version, 2);
    assert.is(Buffer.from(read?.value ?? []).toString(), "\u0000\u00ff");
    const racing = await Promise.all(["x", "y"].map((text) => log.writeMetadata("race", value(text), 0)));
    assert.equal(racing.filter((version) => version === 1).length, 1);
  });

  // log L1, log L4
  scenario("everything acknowledged is there in the store's next life, and old claims are void", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 3, { rejected: [1] }), dense("b", 0, 1));
    await log.checkpoint(owner.ownership, new Map([["c", Buffer.from("c")]]));
    await log.writeMetadata("m", Buffer.from("m"), 0);
    const next = await harness.reopen(log);
    try {
      const error = await rejection(next.append(owner.ownership, { channel: "records", batches: [dense("b", 1, 1)] }));
      assert.is(error.name, "FencedError");
      const again = await claim(next);
      assert.ok(again.ownership.epoch > owner.ownership.epoch);
      assert.is(again.channels.get("records")?.endOffset, 3);
      assert.is(Buffer.from(again.checkpoints.get("c") ?? []).toString(), "c");
      assert.is((await next.readMetadata("m"))?.version, 1);
      const [repeated, following] = await append(next, again, dense("a", 0, 3), dense("b", 1, 1));
      assert.is(repeated?.kind === "duplicate" && repeated.verdicts.length, 1);
      assert.equal(following, written(3, 1));
      assert.equal(
        (await readAll(next, p0)).map(([, name]) => name),
        ["a:0/0/0", "a:0/2/0", "b:0/0/0", "b:0/1/0"],
      );
    } finally {
      await harness.close(next);
    }
  });

  scenario("a log on a sound store is ready, and a probe passes", async (log) => {
    assert.equal(log.state(), { kind: "ready" });
    await log.probe();
  });

  scenario("rejects outside the records channel are a bug of the caller", async (log) => {
    const { ownership } = await claim(log);
    const call = log.append(ownership, { channel: "outbox/x", batches: [dense("a", 0, 1, { rejected: [0] })] });
    assert.is((await rejection(call)).name, "InvariantError");
  });
}
