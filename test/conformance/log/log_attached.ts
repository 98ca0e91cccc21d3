/** Attached batches: written with the batches and checkpoints of their call, or not at all, and judged by no chain. */
import * as assert from "uvu/assert";
import type { AppendRequest, AttachedBatch, Channel, Log } from "../../../actors/log/log.ts";
import { offset, position } from "../../../protocols/position.ts";
import { batch, dense, plain } from "./log_batches.ts";
import { type LogHarness, p0, readAll, rejection, scenariosOf, written } from "./log_harness.ts";

/** A batch of `count` events from `from` on, for a state channel. */
const changes = (from: number, count: number, channel: Channel = "state/count"): AttachedBatch => ({
  channel,
  batch: dense("state", from, count),
});

/** A call of the outbox: a batch of outputs after the first `at` ones, its progress, and changed keys. */
const call = (at: number, attached: readonly AttachedBatch[]): AppendRequest => ({
  channel: "outbox/count",
  batches: [dense("count", at, 1)],
  checkpoints: new Map([["progress", Buffer.of(at)]]),
  attached,
});

export function logAttached(harness: LogHarness): void {
  const { claim, scenario } = scenariosOf(harness);
  const names = async (log: Log, channel: Channel) => (await readAll(log, p0, channel)).map(([, name]) => name);
  const progress = async (log: Log) => (await log.readCheckpoints(p0)).get("progress")?.[0];
  const state = (...sequences: number[]) => sequences.map((n) => `state:0/${n}/0`);

  // stored partition P6
  scenario("attached batches are written with the outputs and the checkpoints of their call", async (log) => {
    const { ownership } = await claim(log);
    const first = await log.append(ownership, call(0, [changes(0, 3), changes(0, 2, "state/other")]));
    assert.equal(first, {
      outcomes: [written(0, 1)],
      endOffset: offset(1),
      attachedEnds: [offset(3), offset(2)],
    });
    const second = await log.append(ownership, call(1, [changes(3, 1)]));
    assert.equal(second.attachedEnds, [offset(4)]);
    assert.equal(await names(log, "state/count"), state(0, 1, 2, 3));
    assert.equal(await names(log, "state/other"), state(0, 1));
    assert.equal(await names(log, "outbox/count"), ["count:0/0/0", "count:0/1/0"]);
    assert.is(await progress(log), 1);
  });

  scenario("an attached batch is read, counted, measured and trimmed as any other", async (log) => {
    const { ownership } = await claim(log);
    const events = Buffer.alloc(20_000, 1);
    const large = { channel: "state/count", batch: { ...changes(0, 3).batch, events } } as const;
    await log.append(ownership, call(0, [large]));
    await log.append(ownership, call(1, [changes(3, 2)]));
    const bounds = (await claim(log)).channels.get("state/count");
    assert.equal(bounds, (await log.describe(p0))?.get("state/count"));
    assert.equal([bounds?.firstOffset, bounds?.endOffset], [0, 5]);
    assert.equal(bounds?.epochs, [{ epoch: ownership.epoch, firstOffset: offset(0) }]);
    assert.ok((bounds?.sizeBytes ?? 0) > 20_000 && (bounds?.sizeBytes ?? 0) < 21_000, `${bounds?.sizeBytes}`);
    const owner = (await claim(log)).ownership;
    const left = await log.trim(owner, "state/count", offset(4));
    assert.equal([left.firstOffset, left.endOffset], [3, 5]);
    assert.ok(left.sizeBytes < 1_000, `${left.sizeBytes}`);
    const after = position(ownership.epoch, 2);
    assert.equal(
      (await readAll(log, p0, "state/count", after)).map(([at]) => at),
      [3, 4],
    );
  });

  // stored partition P6
  scenario("a call with a refused batch writes neither attached batches nor checkpoints", async (log) => {
    const { ownership } = await claim(log);
    await log.append(ownership, call(0, [changes(0, 2)]));
    const refused = await log.append(ownership, call(7, [changes(2, 1), changes(0, 1, "state/new")]));
    assert.equal(refused.outcomes, [{ kind: "gap", stored: plain(0) }]);
    assert.equal(refused.attachedEnds, [offset(2), offset(0)]);
    assert.equal(await names(log, "state/count"), state(0, 1));
    assert.equal([...((await log.describe(p0))?.keys() ?? [])].sort(), ["outbox/count", "records", "state/count"]);
    assert.is(await progress(log), 0);
    assert.equal((await log.append(ownership, call(1, [changes(2, 1)]))).attachedEnds, [offset(3)]);
  });

  // stored partition P6
  scenario("a call whose batches are all duplicates writes its attached batches", async (log) => {
    const { ownership } = await claim(log);
    await log.append(ownership, call(0, [changes(0, 1)]));
    const repeated = await log.append(ownership, call(0, [changes(1, 1)]));
    assert.is(repeated.outcomes[0]?.kind, "duplicate");
    assert.equal(repeated.attachedEnds, [offset(2)]);
    assert.equal(await names(log, "state/count"), state(0, 1));
  });

  // stored partition P6
  scenario("without batches the owner's fence alone decides", async (log) => {
    const former = (await claim(log)).ownership;
    const request = (from: number): AppendRequest => ({ ...call(from, [changes(from, 1)]), batches: [] });
    const first = await log.append(former, request(0));
    assert.equal(first, { outcomes: [], endOffset: offset(0), attachedEnds: [offset(1)] });
    const { ownership } = await claim(log);
    assert.is((await rejection(log.append(former, request(1)))).code, "STALE_EPOCH");
    assert.equal(await names(log, "state/count"), state(0));
    assert.is(await progress(log), 0);
    assert.equal((await log.append(ownership, request(1))).attachedEnds, [offset(2)]);
    assert.equal((await log.describe(p0))?.get("state/count")?.epochs, [
      { epoch: former.epoch, firstOffset: offset(0) },
      { epoch: ownership.epoch, firstOffset: offset(1) },
    ]);
  });

  // stored partition P6
  scenario("no chain judges an attached batch, and none is made for it", async (log) => {
    const { ownership } = await claim(log);
    const attach = (...sent: AttachedBatch["batch"][]) =>
      log.append(ownership, {
        ...call(
          0,
          sent.map((one) => ({ channel: "state/count", batch: one })),
        ),
        batches: [],
      });
    await attach(batch("state", plain(8), { first: plain(9), count: 1 }), dense("state", 3, 1, { producerEpoch: 7 }));
    await attach(dense("state", 3, 1));
    assert.equal(await names(log, "state/count"), state(9, 3, 3));
    const opened = await log.openChain(ownership, "state/count", "state", 1, 0);
    assert.equal(opened, { kind: "opened", lastSequence: undefined });
    assert.is(await log.expireChains(ownership, 0), 1, "the chain that was just opened");
  });

  scenario("a call attaches 16 batches at most, several of one channel in their order", async (log) => {
    const { ownership } = await claim(log);
    const many = (count: number) =>
      Array.from({ length: count }, (_, n) => changes(n, 1, n % 2 === 0 ? "state/even" : "state/odd"));
    const refused = await rejection(log.append(ownership, call(0, many(17))));
    assert.is(refused.name, "InvariantError");
    assert.match(refused.message, /at most 16: current value is 17/);
    const { attachedEnds } = await log.append(ownership, call(0, many(16)));
    assert.equal(
      attachedEnds,
      Array.from({ length: 16 }, () => offset(8)),
    );
    assert.equal(await names(log, "state/even"), state(0, 2, 4, 6, 8, 10, 12, 14));
    assert.equal(await names(log, "state/odd"), state(1, 3, 5, 7, 9, 11, 13, 15));
    assert.is((await log.trim(ownership, "state/odd", offset(5))).firstOffset, 5, "each batch is an entry of its own");
  });

  scenario("a batch that cannot be attached refuses its call, which changes nothing (E25)", async (log) => {
    const owner = await claim(log);
    const good = changes(0, 1);
    const faults: readonly AttachedBatch[] = [
      { channel: "records", batch: good.batch },
      { channel: "rejected", batch: good.batch },
      { channel: "outbox/count", batch: good.batch },
      { channel: "state/count", batch: dense("state", 0, 2, { rejected: [1] }) },
      { channel: "state/count", batch: { ...good.batch, sequences: { list: [] } } },
      { channel: "state/count", batch: { ...good.batch, traceparent: "a".repeat(70_000) } },
      { channel: "state/count", batch: { ...good.batch, schemaVersion: 2 ** 32 } },
    ];
    for (const fault of faults) {
      const [, error] = await Promise.all([
        log.append(owner.ownership, { channel: "records", batches: [] }),
        rejection(log.append(owner.ownership, call(0, [good, fault]))),
      ]);
      assert.is(error.name, "InvariantError", error.message);
    }
    assert.equal([...((await log.describe(p0))?.keys() ?? [])], ["records"]);
    assert.is(await progress(log), undefined);
    const { outcomes, attachedEnds } = await log.append(owner.ownership, call(0, [good]));
    assert.equal([outcomes, attachedEnds], [[written(0, 1)], [offset(1)]]);
  });

  scenario("an answered call is there whole in the store's next life", async (log) => {
    const { ownership } = await claim(log);
    for (const at of [0, 1, 2]) await log.append(ownership, call(at, [changes(at, 1)]));
    const open = await harness.reopen(log);
    try {
      const stale = await rejection(open.append(ownership, call(3, [changes(3, 1)])));
      assert.is(stale.name, "FencedError");
      const again = await claim(open);
      assert.is(again.channels.get("state/count")?.endOffset, 3);
      assert.equal(await names(open, "state/count"), state(0, 1, 2));
      assert.equal(await names(open, "outbox/count"), ["count:0/0/0", "count:0/1/0", "count:0/2/0"]);
      assert.is(await progress(open), 2);
    } finally {
      if (open !== log) await harness.close(open);
    }
  });
}
