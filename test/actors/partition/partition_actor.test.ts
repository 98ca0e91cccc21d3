import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog, type MemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import { CHAIN_LIMITS, type Log } from "../../../actors/log/log.ts";
import { partitionActor } from "../../../actors/partition/partition_actor.ts";
import type { PartitionFeed } from "../../../actors/partition/partition_feed.ts";
import { offset } from "../../../protocols/position.ts";
import { startActor } from "../../../supervisors/conformance/parts/fake_actor.ts";
import { batch, GRANT, partition } from "../../support/fakes/partition_under_test.ts";

/** One ownership of the partition, whose clock shows `clockMs`. It appends batch `n`. */
async function own(log: Log, clockMs: number, n: number): Promise<void> {
  let feed: PartitionFeed | undefined;
  let appended = 0;
  const owner = await startActor(
    partitionActor({
      ...{ log, partition, placement: { grant: GRANT }, expectedConsumers: [] },
      settings: { tier: "memory", chains: CHAIN_LIMITS },
      retention: { bytesMax: 1e9, ageMaxMs: 1e12, onFull: "refuse" },
      onOwned: (owned) => (feed = owned),
      onDisowned: () => {},
      onBlocked: () => {},
      onAppended: (batches) => (appended += batches),
    }),
  );
  await owner.until(() => feed !== undefined);
  owner.advance(clockMs);
  const replyTo = { path: "producer", tell: () => {}, send: async () => true, trySend: () => true };
  owner.reference.tell({ type: "append", items: [{ requestId: n, batch: { ...batch(n), ...EMPTY } }], replyTo });
  await owner.until(() => appended > 0);
  await owner.stop();
}

/** A list of one empty map. */
const EMPTY = { events: Uint8Array.of(0x91, 0x80) };

async function timesIn(log: MemoryLog): Promise<readonly number[]> {
  const all = { channel: "records", after: undefined, committedOffset: offset(9), bytesMax: 1e6 } as const;
  const read = await log.read(partition, all);
  return read.kind === "records" ? read.batches.map(({ appendedAtMs }) => appendedAtMs) : [];
}

test("P13: times of append do not go back where the next owner's clock lags", async () => {
  const log = createMemoryLog();
  await own(log, 30_000, 0);
  await own(log, 10_000, 1);
  await own(log, 40_000, 2);
  const [first = 0, second, third = 0] = await timesIn(log);
  assert.is(second, first);
  assert.ok(third > first, `the times are ${await timesIn(log)}`);
});

test("a newest record that cannot be read does not keep its partition from taking events", async () => {
  const memory = createMemoryLog();
  await own(memory, 30_000, 0);
  const log: Log = Object.assign(Object.create(memory) as Log, { read: () => Promise.reject(new Error("torn")) });
  await own(log, 10_000, 1);
  assert.is((await timesIn(memory)).length, 2);
});

test.run();
