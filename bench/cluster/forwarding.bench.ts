/**
 * The cost of forwarding: cpu of all node processes for each event, at the same load in batches of 500. The contenders are a lone
 * node, three nodes whose producers follow owners, and three nodes whose producers stay with one node each, so that two
 * thirds of the events are forwarded. They alternate, and each is warmed up before it is measured.
 *
 *   node --import tsx bench/cluster/forwarding.bench.ts [rounds=5] [events a second=60000] [ms of each measurement=5000]
 */
import { BenchCluster } from "../support/bench_cluster.ts";
import { faultsOf, Load } from "../support/clients/load.ts";
import { delay } from "../support/monotonic.ts";
import { cpuMs } from "../support/process_cpu.ts";
import { medians, quantile, record } from "../support/results.ts";

const [rounds = "5", eventsPerSecond = "60000", forMs = "5000"] = process.argv.slice(2);
const PARTITIONS = 30;
const GENERATORS = 3;
const BATCH_EVENTS = 500;
/** How long a batch waits to be full, in ms: long enough to become full. */
const LINGER_MS = 200;
const WARM_UP_MS = 1_500;
const FORWARDED_MAX = 1.35;
const SPREAD_MAX = 1.15;

interface Contender {
  readonly cluster: BenchCluster;
  readonly load: Load;
}

const cpuOfNodesMs = ({ nodes }: BenchCluster): number =>
  [...nodes.values()].reduce((sum, { pid }) => sum + cpuMs(pid), 0);

const startLoad = (cluster: BenchCluster, name: string, forward: boolean): Promise<Load> =>
  Load.start({
    ...{
      name,
      forward,
      partitions: PARTITIONS,
      generators: GENERATORS,
      eventsTogether: BATCH_EVENTS,
      lingerMs: LINGER_MS,
    },
    addresses: cluster.endpoints,
  });

/** Cpu for each event in us, of the nodes and of Redis. */
async function measure({ cluster, load }: Contender) {
  load.setRate(Number(eventsPerSecond));
  await delay(WARM_UP_MS);
  await load.take();
  const [eventsBefore, nodesBefore, redisBefore] = [load.ackedEvents, cpuOfNodesMs(cluster), cpuMs(cluster.redisPid)];
  await delay(Number(forMs));
  const acks = await load.take();
  const events = load.ackedEvents - eventsBefore;
  const [nodesMs, redisMs] = [cpuOfNodesMs(cluster) - nodesBefore, cpuMs(cluster.redisPid) - redisBefore];
  load.setRate(0);
  await load.drained(); // so that the next contender is measured alone
  const us = (ms: number) => Number(((ms * 1_000) / events).toFixed(3));
  const latencies = acks.map(({ atMs, oldestMs }) => atMs - oldestMs);
  return { nodesUs: us(nodesMs), redisUs: us(redisMs), events, ackP99Ms: Math.round(quantile(latencies, 0.99)) };
}

const one = await BenchCluster.start({ partitions: PARTITIONS, nodes: 1 });
const three = await BenchCluster.start({ partitions: PARTITIONS, nodes: 3 });
const contenders: Readonly<Record<string, Contender>> = {
  "one node": { cluster: one, load: await startLoad(one, "alone", false) },
  "three nodes, direct": { cluster: three, load: await startLoad(three, "direct", false) },
  "three nodes, forwarded": { cluster: three, load: await startLoad(three, "forwarded", true) },
};
const runs: Record<string, number[]> = {};
const redisRuns: Record<string, number[]> = {};
for (let round = 0; round <= Number(rounds); round += 1) {
  for (const [name, contender] of Object.entries(contenders)) {
    const found = await measure(contender);
    if (round === 0) continue; // a round to warm up
    console.log(`round ${round}: ${name}`, found);
    runs[name] = [...(runs[name] ?? []), found.nodesUs];
    redisRuns[name] = [...(redisRuns[name] ?? []), found.redisUs];
  }
}
const faults: string[] = [];
for (const [name, { load }] of Object.entries(contenders)) {
  faults.push(...faultsOf(await load.close()).map((fault) => `${name}: ${fault}`));
}
await one.end();
await three.end();
const median = medians(runs);
const of = (name: string): number => median[name] ?? Number.NaN;
const ratios = {
  "forwarded / direct": of("three nodes, forwarded") / of("three nodes, direct"),
  "three nodes direct / one node": of("three nodes, direct") / of("one node"),
};
console.log("us of cpu of the nodes for each event (median):");
console.table(median);
console.log(
  `forwarded / direct: ${ratios["forwarded / direct"].toFixed(2)} (wanted: at most ${FORWARDED_MAX}); three nodes direct / one node: ${ratios["three nodes direct / one node"].toFixed(2)} (at most ${SPREAD_MAX}); faults: ${faults.join("; ") || "none"}`,
);
record({
  name: "forwarding",
  command: `node --import tsx bench/cluster/forwarding.bench.ts ${rounds} ${eventsPerSecond} ${forMs}`,
  workload: `${eventsPerSecond} events/s of 150 bytes in batches of ${BATCH_EVENTS}, ${GENERATORS} producers, ${PARTITIONS} partitions; us of cpu of all nodes for each event`,
  runs,
  median,
  redisCpuUsPerEvent: medians(redisRuns),
  ratios,
  faults,
});
process.exit(faults.length === 0 ? 0 : 1);
