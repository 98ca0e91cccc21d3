/** Reads: cursors, the committed end, bytes, parts of large batches, places by time, and the effect of a trim. */
import * as assert from "uvu/assert";
import { epoch, offset, type Position, position } from "../../../protocols/position.ts";
import { dense, eventsOf, partition, recordsOf } from "./log_batches.ts";
import { GRANT, type LogHarness, p0, READ_ALL, readAll, scenariosOf, written } from "./log_harness.ts";

export function logReads(harness: LogHarness): void {
  const { append, claim, scenario, settings } = scenariosOf(harness);

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
}
