/**
 * Failover: three node processes and producers that follow owners, open loop over all partitions. Each round a node is
 * killed (SIGKILL; every third round the coordinator's), restarted, and has its share back before the next round. Measured for
 * each partition that it owned: the time from the kill to the first ack of a later event, and the longest time between two
 * acks around the kill. At the end the whole log is read back and compared with the acks.
 *
 *   node --import tsx bench/cluster/failover.bench.ts [kills=20] [events a second=50000] [partitions=60] [--stop | --redis]
 *
 * `--stop` freezes the node (SIGSTOP) until other nodes have its partitions. `--redis` kills Redis for a second instead, and
 * counts from its first answer, over all partitions. Between rounds the load is a twentieth, as a node that died often
 * waits up to a minute for partitions (its probation). `--keep-logs` keeps the nodes' logs.
 */
import { BenchCluster, ownersOf } from "../support/bench_cluster.ts";
import { type Ack, byChain, faultsOf, firstAckAfter, gapsOf, Load, readBack } from "../support/clients/load.ts";
import { delay, monotonicMs } from "../support/monotonic.ts";
import { quantile, record } from "../support/results.ts";

const given = process.argv.slice(2);
const [kills = "20", eventsPerSecond = "50000", partitionsText = "60"] = given.filter((word) => !word.startsWith("--"));
const way = given.includes("--stop") ? "stop" : given.includes("--redis") ? "redis" : "kill";
const PARTITIONS = Number(partitionsText);
const RATE = Number(eventsPerSecond);
const GENERATORS = 2;
const NODES = 3;
/** How long the full load runs before the kill, and after the last partition is back. */
const BEFORE_MS = 2_000;
const AFTER_MS = 1_000;
const REDIS_AWAY_MS = 1_000;
/** A partition that is not back after this time counts as never back. */
const GIVE_UP_MS = 60_000;
const LULL = 1 / 20;
const LOOK_EVERY_MS = 100;

interface Round {
  readonly what: string;
  /** By partition. */
  readonly backMs: readonly number[];
  readonly gapMs: readonly number[];
  /** By partition, of its slowest producer. */
  readonly slowestBackMs: readonly number[];
  readonly ackP99BeforeMs: number;
}

const cluster = await BenchCluster.start({ partitions: PARTITIONS, nodes: NODES });
const load = await Load.start({ addresses: cluster.endpoints, partitions: PARTITIONS, generators: GENERATORS });
const rounds: Round[] = [];
for (let round = 0; round < Number(kills); round += 1) {
  const found = await measure(round);
  rounds.push(found);
  const of = (values: readonly number[]) =>
    `${Math.round(quantile([...values], 0.5))} / ${Math.round(Math.max(...values))}`;
  console.log(
    `round ${round + 1}: ${found.what}: ${found.backMs.length} partitions back after ${of(found.backMs)} ms (p50 / max), slowest producer ${of(found.slowestBackMs)}, longest gap ${of(found.gapMs)}; ack p99 before ${Math.round(found.ackP99BeforeMs)}`,
  );
}
const summaries = await load.close();
const read = await readBack(cluster.endpoints, PARTITIONS, summaries);
await cluster.end();

async function measure(round: number): Promise<Round> {
  const before = await cluster.settled();
  const owners = ownersOf(before);
  const leader = before.coordinator?.node ?? "";
  const others = [...cluster.nodes.keys()].filter((name) => name !== leader);
  const victim = round % 3 === 0 ? leader : (others[Math.floor(Math.random() * others.length)] ?? "");
  await load.take();
  load.setRate(RATE);
  const beganMs = monotonicMs();
  await delay(BEFORE_MS);
  const affected =
    way === "redis" ? [...owners.keys()] : [...owners].filter(([, owner]) => owner === victim).map(([name]) => name);
  const sinceMs = await strike(victim);
  const struckMs = way === "redis" ? sinceMs.beginMs : sinceMs.countFromMs;
  const acks = await acksUntilBack(affected, sinceMs.countFromMs);
  load.setRate(RATE * LULL);
  if (way === "kill") await cluster.add(victim);
  if (way === "stop") cluster.node(victim).child.kill("SIGCONT");
  const of = affected.map((partition) => acks.filter((ack) => ack.partition === partition));
  const since = (atMs: number | undefined) => (atMs ?? Number.POSITIVE_INFINITY) - sinceMs.countFromMs;
  const what = way === "redis" ? "Redis" : `${victim}${victim === leader ? ", which coordinated" : ""}`;
  const early = acks.filter(({ atMs }) => atMs < struckMs && atMs > beganMs + BEFORE_MS / 4);
  return {
    what,
    backMs: of.map((mine) => since(firstAckAfter(mine, sinceMs.countFromMs))),
    slowestBackMs: of.map((mine) =>
      Math.max(...byChain(mine).map((chain) => since(firstAckAfter(chain, sinceMs.countFromMs)))),
    ),
    gapMs: of.map((mine) => Math.max(...gapsOf(mine, struckMs, Number.POSITIVE_INFINITY))),
    ackP99BeforeMs: quantile(
      early.map(({ atMs, oldestMs }) => atMs - oldestMs),
      0.99,
    ),
  };
}

/** Kills or freezes the node, or kills Redis. Acks count for events that are due after `countFromMs`. */
async function strike(victim: string): Promise<{ readonly beginMs: number; readonly countFromMs: number }> {
  const beginMs = monotonicMs();
  if (way === "kill") return { beginMs, countFromMs: await cluster.kill(victim) };
  if (way === "stop") {
    cluster.node(victim).child.kill("SIGSTOP");
    return { beginMs, countFromMs: beginMs };
  }
  await cluster.killRedis();
  await delay(REDIS_AWAY_MS);
  return { beginMs, countFromMs: await cluster.startRedis() };
}

/** Collects acks until every producer has one of a later event in each of the partitions, and a while beyond. */
async function acksUntilBack(partitions: readonly number[], sinceMs: number): Promise<readonly Ack[]> {
  const acks: Ack[] = [];
  const wanted = new Set(partitions.flatMap((partition) => chainsOf(partition)));
  for (const endMs = monotonicMs() + GIVE_UP_MS; wanted.size > 0 && monotonicMs() < endMs; ) {
    await delay(LOOK_EVERY_MS);
    for (const ack of await load.take()) {
      acks.push(ack);
      if (ack.newestMs > sinceMs) wanted.delete(`${ack.partition} ${ack.client}`);
    }
  }
  if (wanted.size > 0)
    console.log(`not back within ${GIVE_UP_MS} ms (partition and producer): ${[...wanted].join(", ")}`);
  await delay(AFTER_MS);
  acks.push(...(await load.take()));
  return acks;
}

function chainsOf(partition: number): readonly string[] {
  return Array.from({ length: GENERATORS }, (_, client) => `${partition} ${client}`);
}

const all = (of: (round: Round) => readonly number[]): number[] => rounds.flatMap((round) => of(round));
const figures = (name: string, values: number[]): Record<string, number> => ({
  [`${name} p50 ms`]: Math.round(quantile(values, 0.5)),
  [`${name} p99 ms`]: Math.round(quantile(values, 0.99)),
  [`${name} max ms`]: Math.round(quantile(values, 1)),
});
const median = {
  ...figures(
    "to the first ack",
    all(({ backMs }) => backMs),
  ),
  ...figures(
    "to the first ack of the slowest producer",
    all(({ slowestBackMs }) => slowestBackMs),
  ),
  ...figures(
    "longest gap",
    all(({ gapMs }) => gapMs),
  ),
};
const faults = [...faultsOf(summaries), ...read.faults];
const heldBack = summaries.reduce((sum, one) => sum + one.heldBack, 0);
console.table(median);
console.log(
  `${read.events} events read back; ${heldBack} held back at the producers; faults: ${faults.length === 0 ? "none" : faults.join("; ")}`,
);
record({
  name: way === "kill" ? "failover" : `failover_${way}`,
  command: `node --import tsx bench/cluster/failover.bench.ts ${given.join(" ")}`,
  workload: `${rounds.length} rounds, ${RATE} events/s of 150 bytes by ${GENERATORS} producers, ${PARTITIONS} partitions on ${NODES} nodes; ${rounds.filter(({ what }) => what.includes("coordinated")).length} rounds struck the coordinator`,
  runs: {
    "longest of each round, to the first ack, ms": rounds.map(({ backMs }) => Math.round(Math.max(...backMs))),
    "longest gap of each round, ms": rounds.map(({ gapMs }) => Math.round(Math.max(...gapMs))),
  },
  median,
  ratios: {},
  eventsReadBack: read.events,
  heldBack,
  faults,
});
process.exit(faults.length === 0 ? 0 : 1);
