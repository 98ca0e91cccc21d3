/**
 * Rebalancing of many partitions on many nodes. A node joins a cluster, several times, and one of ten is killed. Measured from the
 * moment that the registry knows the new node (or from the kill) until every partition is claimed, evenly, and no partition
 * moves. Without load, so that only the cluster is measured.
 *
 *   node --import tsx bench/cluster/join.bench.ts [nodes=10] [partitions=900] [rounds=5]
 */
import { BenchCluster, ownersOf } from "../support/bench_cluster.ts";
import { monotonicMs } from "../support/monotonic.ts";
import { medians, record } from "../support/results.ts";

const [nodes = "10", partitions = "900", rounds = "5"] = process.argv.slice(2);
const NODES = Number(nodes);
/** How far a node may be from an even share: without load all partitions weigh about the same. */
const UNEVEN_MAX = 0.05;
const runs: Record<string, number[]> = {};
const movedOfJoin: number[] = [];

function note(name: string, ms: number, about: string): void {
  runs[name] = [...(runs[name] ?? []), Math.round(ms)];
  console.log(`${name}: ${Math.round(ms)}, ${about}`);
}

const beganMs = monotonicMs();
const cluster = await BenchCluster.start({ partitions: Number(partitions), nodes: NODES - 1 });
console.log(
  `${NODES - 1} nodes share ${partitions} partitions, ${Math.round(monotonicMs() - beganMs)} ms after the first was started`,
);
for (let round = 0; round < Number(rounds); round += 1) {
  const before = await cluster.settled(UNEVEN_MAX);
  // Each node has a new name: a known name would be on probation.
  const joining = await cluster.add();
  const after = await cluster.settled(UNEVEN_MAX);
  const moved = [...ownersOf(after)].filter(([partition, owner]) => ownersOf(before).get(partition) !== owner).length;
  movedOfJoin.push(moved);
  note(`a node joins ${NODES - 1}, ms`, after.atMs - joining.joinedAtMs, `${moved} partitions moved`);
  const victims = [...cluster.nodes.keys()].filter((name) => (name === after.coordinator?.node) === (round % 3 === 2));
  const victim = victims[Math.floor(Math.random() * victims.length)] ?? "";
  const lost = [...ownersOf(after).values()].filter((owner) => owner === victim).length;
  const killedMs = await cluster.kill(victim);
  const healed = await cluster.settled(UNEVEN_MAX);
  const who = victim === after.coordinator?.node ? "the coordinator" : "a node";
  note(`${who} of ${NODES} is killed, ms`, healed.atMs - killedMs, `${lost} partitions were its own`);
}
await cluster.end();
const median = medians(runs);
console.table(median);
record({
  name: "join",
  command: `node --import tsx bench/cluster/join.bench.ts ${nodes} ${partitions} ${rounds}`,
  workload: `${partitions} partitions, up to ${nodes} nodes, no load; until all is claimed, evenly, and nothing moves, seen within 0.1 s`,
  runs,
  median,
  ratios: {},
  partitionsMovedByEachJoin: movedOfJoin,
});
process.exit(0);
