/**
 * Measures pipelines of one node: (1) stored records through `filter` and `map` into `drop`, on the embedded log, in records
 * a second and in processor time for each; (2) a million keys of a pipeline's state that the next owner restores from the log,
 * with the claim before it; (3) turns that change 10 of 100,000 keys, stored in the log, in time of the thread.
 *
 *   node --import tsx bench/pipelines.bench.ts [rounds] [records] [keys]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { openLmdbLog } from "../actors/log/embedded/lmdb_log.ts";
import { CHAIN_LIMITS, type Log } from "../actors/log/log.ts";
import { OwnedFeed } from "../actors/partition/owned_feed.ts";
import { StoredTables } from "../actors/pipeline/outbox/stored_tables.ts";
import { epoch, partitionId } from "../protocols/position.ts";
import { headraceLoad } from "./support/clients/headrace_client.ts";
import { cpuMs } from "./support/process_cpu.ts";
import { startHeadrace } from "./support/processes.ts";
import { medians, record } from "./support/results.ts";

const [rounds = "3", records = "1500000", keys = "1000000"] = process.argv.slice(2);
const LOAD = { partitions: 16, connections: 4, batchEvents: 500, inFlightEvents: 32_000, warmUpMs: 0 };
/** Half of the workload's events pass the filter. */
const PIPELINE = `
sinks: { none: { type: drop } }
pipelines:
  half:
    from: bench
    steps: [{ filter: "event.count % 2 == 0" }, { map: { device: event.device, twice: event.count * 2 } }]
    to: [none]
`;
const LOOK_EVERY_MS = 20;
const PARTITION = { stream: "bench", partition: partitionId(0) };
const LIMITS = { keysMax: 2_000_000, bytesMax: 1 << 30, whenFull: "refuse" } as const;
const KEYS_A_TURN = 5_000;
const TURNS = 500;

const runs: Record<string, number[]> = {};
const push = (name: string, value: number): void => {
  runs[name] = [...(runs[name] ?? []), Math.round(value * 1_000) / 1_000];
};

/** Lets the node take events without a pipeline, then starts it with one. */
async function drain(): Promise<void> {
  const settings = { log: "{ type: lmdb }", durability: "everysec", schema: "none" } as const;
  const filled = await startHeadrace({ ...settings, retention: "{ size: 8GiB, onFull: refuse }" });
  const about = { endpoint: filled.endpoint, stream: "bench", ...LOAD };
  for (let stored = 0; stored < Number(records); ) stored += 1.5 * (await headraceLoad({ ...about, measureMs: 1_500 }));
  const node = await filled.restart(PIPELINE);
  try {
    const startedMs = performance.now();
    const startedCpuMs = cpuMs(node.pid);
    let read = 0;
    for (let lag = 1; lag > 0; await delay(LOOK_EVERY_MS)) {
      const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as {
        sinks: readonly { readonly lagRecords: number; readonly nextOffset: number }[];
      };
      lag = sinks.length < LOAD.partitions ? 1 : sinks.reduce((sum, { lagRecords }) => sum + lagRecords, 0);
      read = sinks.reduce((sum, { nextOffset }) => sum + nextOffset, 0);
    }
    push("filter and map into drop, records/s", (read * 1_000) / (performance.now() - startedMs));
    push("filter and map into drop, us of cpu a record", ((cpuMs(node.pid) - startedCpuMs) * 1_000) / read);
  } finally {
    await node.stop();
  }
}

async function own(log: Log): Promise<OwnedFeed> {
  const settings = { tier: "everysec", chains: CHAIN_LIMITS } as const;
  const claim = await log.claim(PARTITION, { leaderEpoch: 1, tableVersion: 1 }, epoch(1), settings);
  const nothing = () => undefined;
  return new OwnedFeed(log, claim, { nowMs: Date.now, onDoubt: nothing, onAdvance: nothing, onBounds: nothing });
}

/** The tables of a pipeline, as its outbox stores and restores them. */
async function state(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-state-"));
  const log = await openLmdbLog({ folder });
  const feed = await own(log);
  const tables = new StoredTables(feed, "count");
  await tables.restore();
  const counts = tables.tables("counts", LIMITS);
  const store = async () => {
    const attached = tables.attached(Date.now());
    const call = feed.append({ channel: "outbox/count", batches: [], attached });
    return call;
  };
  const put = async (from: number, to: number) => {
    for (let key = from; key < to; key += 1) counts.put(`customer-${key}`, { count: key, sum: key * 1.37 });
    await tables.stored(await store());
  };
  for (let key = 0; key < 100_000; key += KEYS_A_TURN) await put(key, key + KEYS_A_TURN);
  let threadMs = 0;
  for (let turn = 0; turn < TURNS; turn += 1) {
    const beganMs = performance.now();
    for (let n = 0; n < 10; n += 1)
      counts.put(`customer-${(turn * 7_919 + n * 613) % 100_000}`, { count: turn, sum: n });
    const call = store(); // up to the first wait for the log
    threadMs += performance.now() - beganMs;
    await tables.stored(await call);
  }
  push("10 of 100,000 keys changed, ms of the thread a turn", threadMs / TURNS);
  for (let key = 100_000; key < Number(keys); key += KEYS_A_TURN) await put(key, key + KEYS_A_TURN);
  const beganMs = performance.now();
  const next = new StoredTables(await own(log), "count");
  await next.restore();
  push("claim and restore of all keys, s", (performance.now() - beganMs) / 1_000);
  if (next.tables("counts", LIMITS).size !== Number(keys))
    throw new Error("Cannot measure as all keys must be restored");
  await log.close();
  await rm(folder, { recursive: true });
}

for (let round = 0; round < Number(rounds); round += 1) {
  await drain();
  await state();
  console.log(`round ${round + 1}`, Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, all.at(-1)])));
}
record({
  name: "pipelines",
  command: `node --import tsx bench/pipelines.bench.ts ${rounds} ${records} ${keys}`,
  workload: "stored records of 16 partitions through filter and map into drop; a million keys of a pipeline in LMDB",
  ...{ runs, median: medians(runs), ratios: {} },
});
