/**
 * One assignment decision: milliseconds by the clock and of cpu (the steadier figure on a busy machine), moves beside a
 * bound that is counted node by node, and skew beside what the heaviest partition forces. The bound is exact for weights
 * alike, and low for weights that drift: no assignment moves fewer, and none may come near it.
 *
 *   node --import tsx bench/cluster/assignment.bench.ts [--dry]
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import type { NodeId } from "../../protocols/position.ts";
import {
  type AssignableNode,
  type AssignablePartition,
  assign,
} from "../../supervisors/cluster/assignment/assignment.ts";
import { BASE_SHARE } from "../../supervisors/cluster/assignment/loads.ts";
import { movesAtLeast } from "../../test/support/moves_bound.ts";
import { seededRandom } from "../../test/support/seeded_random.ts";
import { median, medians, record } from "../support/results.ts";

const SIZES = [
  [3, 60],
  [10, 900],
  [100, 10_000],
  [1_000, 100_000],
] as const;
const ROUNDS = 9;
const ZONES = 3;
const PARTITIONS_A_STREAM = 60;

interface Cluster {
  readonly nodes: readonly AssignableNode[];
  readonly partitions: readonly AssignablePartition[];
}

interface Shape {
  /** `Zipf`: the n-th weighs 1/n, which has giants of many shares; `gentle`: none weighs more than about half a share. */
  readonly weights: "alike" | "gentle" | "Zipf";
  readonly capacities: "alike" | "1 to 4";
}

const SHAPES: readonly Shape[] = [
  { weights: "alike", capacities: "alike" },
  { weights: "gentle", capacities: "alike" },
  { weights: "gentle", capacities: "1 to 4" },
  { weights: "Zipf", capacities: "alike" },
  { weights: "Zipf", capacities: "1 to 4" },
];

const nodeAt = (number: number, { capacities }: Shape): AssignableNode => ({
  node: `node-${number}` as NodeId,
  zone: `zone-${number % ZONES}`,
  capacity: capacities === "alike" ? 1 : 1 + (Math.floor(number / ZONES) % 4),
});

function weightAt(rank: number, nodeCount: number, { weights }: Shape): number {
  if (weights === "alike") return 1;
  return 1_000_000 / (rank + (weights === "Zipf" ? 1 : nodeCount / 2));
}

/** A cluster whose partitions have no holder yet, in random order, like the entries of a table. */
function freshCluster(nodeCount: number, partitionCount: number, shape: Shape): Cluster {
  const random = seededRandom(7);
  const ranks = Array.from({ length: partitionCount }, (_, rank) => rank);
  for (let at = partitionCount - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [ranks[at], ranks[other]] = [ranks[other] as number, ranks[at] as number];
  }
  return {
    nodes: Array.from({ length: nodeCount }, (_, number) => nodeAt(number, shape)),
    partitions: ranks.map((rank, number) => ({
      partition: `stream-${Math.floor(number / PARTITIONS_A_STREAM)}/${number % PARTITIONS_A_STREAM}`,
      weight: weightAt(rank, nodeCount, shape),
      holder: undefined,
    })),
  };
}

const settled = ({ nodes, partitions }: Cluster): Cluster => {
  const { targets } = assign(nodes, partitions);
  return { nodes, partitions: partitions.map((one) => ({ ...one, holder: targets.get(one.partition) })) };
};

/** A tenth of the nodes, at least one. */
const tenthOf = (count: number) => Math.max(1, Math.round(count / 10));

/** Weights measured anew: each up to a third more or less, one in fifty tenfold or a tenth. */
function drifted({ nodes, partitions }: Cluster): Cluster {
  const random = seededRandom(11);
  const factor = () => (random.chance(0.02) ? (random.chance(0.5) ? 10 : 0.1) : 1 + (random.next() - 0.5) / 1.5);
  return { nodes, partitions: partitions.map((one) => ({ ...one, weight: one.weight * factor() })) };
}

const EVENTS: Readonly<Record<string, (fresh: Cluster, steady: Cluster, shape: Shape) => Cluster>> = {
  start: (fresh) => fresh,
  join: (_, { nodes, partitions }, shape) => ({ nodes: [...nodes, nodeAt(nodes.length, shape)], partitions }),
  "join of 10 %": (_, { nodes, partitions }, shape) => ({
    nodes: [
      ...nodes,
      ...Array.from({ length: tenthOf(nodes.length) }, (_, number) => nodeAt(nodes.length + number, shape)),
    ],
    partitions,
  }),
  leave: (_, { nodes, partitions }) => ({ nodes: nodes.slice(1), partitions }),
  "crash of 10 %": (_, { nodes, partitions }) => ({ nodes: nodes.slice(tenthOf(nodes.length)), partitions }),
  drift: (_, steady) => drifted(steady),
  nothing: (_, steady) => steady,
};

/** The least skew of any assignment: the heaviest load, with its base (loads.ts), over the share of the largest node. */
function skewForced({ nodes, partitions }: Cluster): number {
  const whole = partitions.reduce((sum, { weight }) => sum + weight, 0);
  const heaviest = partitions.reduce((most, { weight }) => Math.max(most, weight), 0);
  const base = (whole / partitions.length) * BASE_SHARE;
  const capacity = nodes.reduce((sum, one) => sum + one.capacity, 0);
  const largest = nodes.reduce((most, one) => Math.max(most, one.capacity), 0) / capacity;
  return Math.max(1, (heaviest + base) / ((whole + base * partitions.length) * largest));
}

const hundredths = (value: number) => Math.round(value * 100) / 100;

const { values: options } = parseArgs({ options: { dry: { type: "boolean", default: false } } });
const [loadBefore] = loadavg();
const runs: Record<string, number[]> = {};
interface Outcome {
  readonly moves: number;
  readonly atLeast: number;
  readonly skew: number;
  readonly skewForced: number;
  readonly maxMs: number;
  readonly cpuMs: number;
}
const outcomes: Record<string, Outcome> = {};
for (const [nodeCount, partitionCount] of SIZES) {
  for (const shape of SHAPES) {
    const fresh = freshCluster(nodeCount, partitionCount, shape);
    const steady = settled(fresh);
    for (const [event, happen] of Object.entries(EVENTS)) {
      const name = `${nodeCount}x${partitionCount}, weights ${shape.weights}, capacities ${shape.capacities}: ${event}`;
      const cluster = happen(fresh, steady, shape);
      const { nodes, partitions } = cluster;
      const times: number[] = [];
      const cpuTimes: number[] = [];
      let decided = assign(nodes, partitions); // warms up
      for (let round = 0; round < ROUNDS; round += 1) {
        const startedAt = performance.now();
        const cpuBefore = process.cpuUsage();
        decided = assign(nodes, partitions);
        const { user, system } = process.cpuUsage(cpuBefore);
        times.push(hundredths(performance.now() - startedAt));
        cpuTimes.push((user + system) / 1_000);
      }
      runs[name] = times;
      const { moves, skew } = decided;
      const atLeast = movesAtLeast(nodes, partitions);
      const maxMs = Math.max(...times);
      const cpuMs = median(cpuTimes);
      const forced = skewForced(cluster);
      outcomes[name] = { moves, atLeast, skew, skewForced: forced, maxMs, cpuMs };
      const ms = `${median(times).toFixed(1)} ms (at most ${maxMs.toFixed(1)}, ${cpuMs.toFixed(1)} of cpu)`;
      const ratio = atLeast === 0 ? "" : ` (${(moves / atLeast).toFixed(2)})`;
      const text = `${ms}, moves ${moves} of at least ${atLeast}${ratio}`;
      console.log(`${name}: ${text}, skew ${skew.toFixed(3)} of at least ${forced.toFixed(3)}`);
    }
  }
}
const ratios = Object.fromEntries(
  Object.entries(outcomes).map(([name, { moves, atLeast }]) => [name, atLeast === 0 ? 1 : hundredths(moves / atLeast)]),
);
if (!options.dry) {
  record({
    name: "assignment",
    command: "node --import tsx bench/cluster/assignment.bench.ts",
    workload: `milliseconds a decision; ${ZONES} zones, streams of ${PARTITIONS_A_STREAM}; ratios are moves / the bound`,
    runs,
    median: medians(runs),
    ratios,
    outcomes,
    // Above the number of cores other programs have made the times longer.
    loadAverage: [loadBefore, loadavg()[0]],
  });
}
