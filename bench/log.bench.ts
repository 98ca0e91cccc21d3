/**
 * Measures the logs alone, alternating: (1) batches of 500 events of 150 bytes over 16 partitions, one
 * append in flight in each; (2) single events of 64 producers, 1,000 in flight, gathered into one append a partition.
 *
 *   node --import tsx bench/log.bench.ts [rounds] [ms of each measurement]
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdbLog } from "../actors/log/embedded/lmdb_log.ts";
import { createMemoryLog } from "../actors/log/embedded/memory_log.ts";
import { type AppendBatch, CHAIN_LIMITS, type Claim, type DurabilityTier, type Log } from "../actors/log/log.ts";
import { connectRedisLog } from "../actors/log/redis/redis_log.ts";
import { epoch, partitionId } from "../protocols/position.ts";
import type { Sequence } from "../protocols/sequence.ts";
import { startRedis } from "../test/support/redis/redis_server.ts";

const [rounds = "3", forMs = "1000"] = process.argv.slice(2);
const PARTITIONS = 16;
const EVENT_BYTES = 150;
const BATCH_EVENTS = 500;
const IN_FLIGHT = 1_000;

interface Candidate {
  readonly name: string;
  readonly tier: DurabilityTier;
  readonly log: Log;
}

const at = (n: number): Sequence => [0, n, 0];
const bytes = randomBytes(EVENT_BYTES * BATCH_EVENTS);

function batchOf(producerId: string, first: number, count: number): AppendBatch {
  return {
    producerId,
    producerEpoch: 1,
    previousSequence: first === 0 ? undefined : at(first - 1),
    sequences: { first: at(first), count },
    schemaVersion: 1,
    events: bytes.subarray(0, count * EVENT_BYTES),
    appendedAtMs: Date.now(),
  };
}

let runs = 0;
function claims({ log, tier }: Candidate): Promise<Claim[]> {
  const stream = `bench${runs++}`;
  return Promise.all(
    Array.from({ length: PARTITIONS }, (_, n) =>
      log.claim({ stream, partition: partitionId(n) }, { leaderEpoch: 1, tableVersion: 1 }, epoch(1), {
        tier,
        chains: CHAIN_LIMITS,
      }),
    ),
  );
}

/** Records a second, for `appendOnce` called repeatedly for each partition, with one call in flight each. */
async function measure(candidate: Candidate, appendOnce: (log: Log, claim: Claim, n: number) => Promise<number>) {
  const owners = await claims(candidate);
  let records = 0;
  const startedAt = performance.now();
  const endAt = startedAt + Number(forMs);
  await Promise.all(
    owners.map(async (owner) => {
      for (let n = 0; performance.now() < endAt; n++) {
        const count = await appendOnce(candidate.log, owner, n);
        records += count;
      }
    }),
  );
  const perSecond = (records / (performance.now() - startedAt)) * 1_000;
  for (const { ownership, channels } of owners) {
    const end = (await candidate.log.describe(ownership.partition))?.get("records")?.endOffset ?? 0;
    if (channels.size > 0) await candidate.log.trim(ownership, "records", end as never);
  }
  return perSecond;
}

const large = async (log: Log, { ownership }: Claim, n: number): Promise<number> => {
  const batches = [batchOf("p", n * BATCH_EVENTS, BATCH_EVENTS)];
  const { outcomes } = await log.append(ownership, { channel: "records", batches });
  if (outcomes[0]?.kind !== "written") throw new Error(JSON.stringify(outcomes));
  return BATCH_EVENTS;
};

const small = async (log: Log, { ownership }: Claim, n: number): Promise<number> => {
  const count = Math.round(IN_FLIGHT / PARTITIONS);
  const batches = Array.from({ length: count }, (_, producer) => batchOf(`p${producer}`, n, 1));
  const { outcomes } = await log.append(ownership, { channel: "records", batches });
  if (outcomes.some(({ kind }) => kind !== "written")) throw new Error(JSON.stringify(outcomes));
  return count;
};

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

const everysec = await startRedis({ appendfsync: "everysec" });
const always = await startRedis({ appendfsync: "always" });
const folder = await mkdtemp(join(tmpdir(), "headrace-bench-"));
const candidates: Candidate[] = [
  { name: "memory", tier: "memory", log: createMemoryLog() },
  { name: "lmdb fsync", tier: "fsync", log: await openLmdbLog({ folder }) },
  { name: "redis everysec", tier: "everysec", log: await connectRedisLog({ url: everysec.url }) },
  { name: "redis always", tier: "fsync", log: await connectRedisLog({ url: always.url }) },
];
try {
  for (const [name, appendOnce] of [
    ["500 events a batch", large],
    ["one event a batch", small],
  ] as const) {
    const results = new Map<string, number[]>();
    for (let round = 0; round < Number(rounds); round++) {
      for (const candidate of candidates) {
        const list = results.get(candidate.name) ?? [];
        results.set(candidate.name, list);
        list.push(await measure(candidate, appendOnce));
      }
    }
    for (const [candidate, list] of results) {
      console.log(`${name.padEnd(20)} ${candidate.padEnd(16)} ${Math.round(median(list) / 1_000)} k records/s`);
    }
  }
} finally {
  for (const { log } of candidates) await log.close();
  await everysec.stop();
  await always.stop();
  await rm(folder, { recursive: true, force: true });
}
