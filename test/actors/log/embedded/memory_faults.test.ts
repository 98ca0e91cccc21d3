import { test } from "uvu";
import * as assert from "uvu/assert";
import { EmbeddedLog } from "../../../../actors/log/embedded/embedded_log.ts";
import { createMemoryLog, type MemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import { MemoryStore } from "../../../../actors/log/embedded/memory_store.ts";
import { CHAIN_LIMITS, type DurabilityTier } from "../../../../actors/log/log.ts";
import { epoch, offset } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";
import { readAll, rejection } from "../../../conformance/log/log_suite.ts";

const p0 = partition(0);
const claim = (log: MemoryLog, tier: DurabilityTier) =>
  log.claim(p0, { leaderEpoch: 1, tableVersion: 1 }, epoch(1), { tier, chains: CHAIN_LIMITS });

test("M2: a lost tail takes appends of tier memory, and none of tier fsync", async () => {
  for (const [tier, kept] of [
    ["memory", 0],
    ["fsync", 1],
  ] as const) {
    const log = createMemoryLog();
    const { ownership } = await claim(log, tier);
    await log.append(ownership, { channel: "records", batches: [dense("a", 0, 1)] });
    log.faults.restart("unflushed");
    assert.is((await readAll(log, p0)).length, kept);
  }
});

test("M2: a claim and a checkpoint survive a lost tail in every tier (log L1)", async () => {
  const log = createMemoryLog();
  const first = await claim(log, "memory");
  log.faults.restart("unflushed");
  const { ownership } = await claim(log, "memory");
  assert.ok(ownership.epoch > first.ownership.epoch);
  await log.checkpoint(ownership, new Map([["sink", Buffer.from("at 7")]]));
  log.faults.restart("unflushed");
  assert.is(Buffer.from((await log.readCheckpoints(p0)).get("sink") ?? []).toString(), "at 7");
});

test("M3: a read does not see an append that is queued and not committed", async () => {
  const log = createMemoryLog();
  const { ownership } = await claim(log, "fsync");
  const request = { channel: "records", after: undefined, committedOffset: offset(1), bytesMax: 1_000 } as const;
  const queued = log.append(ownership, { channel: "records", batches: [dense("a", 0, 1)] });
  const [before, bounds] = [log.read(p0, request), log.describe(p0)];
  await queued;
  assert.equal(await before, { kind: "records", batches: [] });
  assert.is((await bounds)?.get("records")?.endOffset, 0);
  const after = await log.read(p0, request);
  assert.is(after.kind === "records" && after.batches.length, 1);
});

test("a call that fails before its effect did nothing, one that fails after it did all, and a repetition tells (log L7)", async () => {
  for (const [timing, outcome] of [
    ["before", "written"],
    ["after", "duplicate"],
  ] as const) {
    const log = createMemoryLog();
    const { ownership } = await claim(log, "fsync");
    log.faults.failNext([timing]);
    const request = { channel: "records" as const, batches: [dense("a", 0, 1)] };
    assert.is((await rejection(log.append(ownership, request))).name, "UnavailableError");
    assert.is((await log.append(ownership, request)).outcomes[0]?.kind, outcome);
  }
});

test("a lost commit or a lost tail takes outputs, progress and attached batches together, or leaves all (stored partition P6)", async () => {
  for (const [timing, kept] of [
    ["before", 0],
    ["after", 1],
    ["lost tail", 0],
  ] as const) {
    const log = createMemoryLog();
    const { ownership } = await claim(log, timing === "lost tail" ? "memory" : "fsync");
    if (timing !== "lost tail") log.faults.failNext([timing]);
    const appended = log.append(ownership, {
      channel: "outbox/count",
      batches: [dense("count", 0, 1)],
      checkpoints: new Map([["progress", Buffer.of(1)]]),
      attached: [
        { channel: "state/count", batch: dense("state", 0, 1) },
        { channel: "state/other", batch: dense("state", 0, 1) },
      ],
    });
    if (timing === "lost tail") {
      await appended;
      log.faults.restart("unflushed");
    } else assert.is((await rejection(appended)).name, "UnavailableError");
    const channels = ["outbox/count", "state/count", "state/other"] as const;
    const counts = await Promise.all(channels.map(async (channel) => (await readAll(log, p0, channel)).length));
    assert.equal([...counts, (await log.readCheckpoints(p0)).size], [kept, kept, kept, kept], timing);
    const following = await claim(log, "fsync");
    assert.equal(
      channels.map((channel) => following.channels.get(channel)?.endOffset ?? 0),
      [kept, kept, kept],
    );
  }
});

test("an append queued when the store restarts does not reach its next life", async () => {
  const log = createMemoryLog();
  const { ownership } = await claim(log, "fsync");
  const queued = log.append(ownership, { channel: "records", batches: [dense("a", 0, 1)] });
  log.faults.restart("nothing");
  assert.is((await rejection(queued)).name, "UnavailableError");
  assert.is((await readAll(log, p0)).length, 0);
});

test("M1: after a failed commit the state is read anew, and the next appends continue where the store ends", async () => {
  const store = new MemoryStore();
  const log = new EmbeddedLog({
    kind: "memory",
    clusterId: "log-1",
    store,
    nowMs: () => 1_000,
    checkTier: () => undefined,
  });
  const grant = { leaderEpoch: 1, tableVersion: 1 };
  const { ownership } = await log.claim(p0, grant, epoch(1), { tier: "fsync", chains: CHAIN_LIMITS });
  const append = (...batches: ReturnType<typeof dense>[]) => log.append(ownership, { channel: "records", batches });
  await append(dense("a", 0, 2));
  const commit = store.commit.bind(store);
  store.commit = () => {
    throw new RangeError("a fault of the store");
  };
  const [first, second] = await Promise.all([rejection(append(dense("a", 2, 1))), rejection(append(dense("b", 0, 1)))]);
  assert.equal([first.name, second.name], ["RangeError", "RangeError"]);
  store.commit = commit;
  const { outcomes } = await append(dense("b", 0, 1), dense("a", 2, 1));
  assert.equal(outcomes, [
    { kind: "written", firstOffset: 2, count: 1 },
    { kind: "written", firstOffset: 3, count: 1 },
  ]);
  assert.equal(
    (await readAll(log, p0)).map(([, name]) => name),
    ["a:0/0/0", "a:0/1/0", "b:0/0/0", "a:0/2/0"],
  );
});

test.run();
