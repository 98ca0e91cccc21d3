/**
 * Planned moves under load. Nodes are drained, undrained, join and leave in order, while producers that follow owners send open
 * loop over all partitions. The pause of a partition is the longest time between two acks around the move, less the median
 * time between two acks before. Pauses of partitions that did not move show the share of machine and load. Also p99 from due
 * to acknowledged, during the moves and before.
 *
 *   node --import tsx bench/cluster/moves.bench.ts [moves=10] [events a second=30000] [partitions=60]
 */
import { BenchCluster, ownersOf } from "../support/bench_cluster.ts";
import { type Ack, byChain, faultsOf, gapsOf, Load, readBack } from "../support/clients/load.ts";
import { delay, monotonicMs } from "../support/monotonic.ts";
import { median as medianOf, quantile, record } from "../support/results.ts";

const [moves = "10", eventsPerSecond = "30000", partitionsText = "60"] = process.argv.slice(2);
const PARTITIONS = Number(partitionsText);
const GENERATORS = 2;
const NODES = 3;
/** How long acks are measured before a move, and after its end. */
const BEFORE_MS = 3_000;
const AFTER_MS = 1_000;
/** From the beginning of the load to the first measurement. */
const WARM_UP_MS = 1_000;

interface Round {
  readonly kind: string;
  readonly tookMs: number;
  readonly pausesMs: readonly number[];
  readonly unmovedPausesMs: readonly number[];
  /** Undefined if every partition moved. */
  readonly p99BeforeMs: number | undefined;
  readonly p99DuringMs: number | undefined;
}

const cluster = await BenchCluster.start({ partitions: PARTITIONS, nodes: NODES });
const load = await Load.start({ addresses: cluster.endpoints, partitions: PARTITIONS, generators: GENERATORS });
const rounds: Round[] = [];
let drained = "";
let joined = "";

/** The moves, in turn. Each answers when it began: the start of a node's process does not count for its join. */
const STEPS: readonly { readonly kind: string; run(): Promise<number> }[] = [
  {
    kind: "drain",
    run: async () => {
      const names = [...cluster.nodes.keys()];
      drained = names[rounds.length % names.length] ?? "";
      const atMs = monotonicMs();
      await cluster.command(names.find((name) => name !== drained) ?? "", `nodes/${drained}/drain`);
      await cluster.seen(({ nodes }) => nodes.some((node) => node.name === drained && node.partitions === 0));
      return atMs;
    },
  },
  {
    kind: "undrain",
    run: async () => {
      const atMs = monotonicMs();
      await cluster.command(drained, `nodes/${drained}/undrain`);
      await cluster.seen(({ nodes }) => nodes.some((node) => node.name === drained && node.partitions > 0));
      return atMs;
    },
  },
  {
    kind: "join",
    run: async () => {
      const { name, joinedAtMs } = await cluster.add();
      joined = name;
      return joinedAtMs;
    },
  },
  {
    kind: "rebalance",
    run: async () => {
      const atMs = monotonicMs();
      await cluster.command([...cluster.nodes.keys()][0] ?? "", "rebalance");
      return atMs;
    },
  },
  {
    kind: "leave",
    run: async () => {
      const atMs = monotonicMs();
      await cluster.stop(joined);
      return atMs;
    },
  },
];

for (let round = 0; round < Number(moves); round += 1) {
  const found = await measure(STEPS[round % STEPS.length] as (typeof STEPS)[number]);
  rounds.push(found);
  const { kind, tookMs, pausesMs, p99BeforeMs = Number.NaN, p99DuringMs = Number.NaN } = found;
  const pauses =
    pausesMs.length === 0 ? "none" : `${Math.round(medianOf(pausesMs))} / ${Math.round(Math.max(...pausesMs))} ms`;
  console.log(
    `${round + 1}. ${kind}: ${pausesMs.length} partitions moved within ${Math.round(tookMs)} ms, pauses (p50 / max) ${pauses}; others' ack p99 ${Math.round(p99BeforeMs)} ms before, ${Math.round(p99DuringMs)} ms during`,
  );
}
load.setRate(0);
const summaries = await load.close();
const read = await readBack(cluster.endpoints, PARTITIONS, summaries);
await cluster.end();

async function measure({ kind, run }: (typeof STEPS)[number]): Promise<Round> {
  const before = ownersOf(await cluster.settled());
  load.setRate(Number(eventsPerSecond));
  await delay(WARM_UP_MS);
  await load.take();
  const beganMs = monotonicMs();
  await delay(BEFORE_MS);
  const beforeUntilMs = monotonicMs();
  const movedFromMs = await run();
  const { atMs, ...settled } = await cluster.settled();
  await delay(AFTER_MS);
  const acks = await load.take();
  const after = ownersOf(settled);
  const [moved, stayed]: [number[], number[]] = [[], []];
  for (const [partition, owner] of after) (before.get(partition) === owner ? stayed : moved).push(partition);
  const chains = byChain(acks);
  const pausesOf = (partitions: readonly number[]) =>
    partitions.map((partition) => {
      const mine = chains.filter(([first]) => first?.partition === partition);
      return Math.max(...mine.map((chain) => pauseOf(chain, [beganMs, beforeUntilMs], movedFromMs)));
    });
  const pausesMs = pausesOf(moved);
  const others = acks.filter(({ partition }) => stayed.includes(partition));
  const p99 = (of: readonly Ack[]) =>
    stayed.length === 0
      ? undefined
      : quantile(
          of.map(({ atMs, oldestMs }) => atMs - oldestMs),
          0.99,
        );
  return {
    kind,
    tookMs: atMs - movedFromMs,
    pausesMs,
    unmovedPausesMs: moved.length === 0 ? [] : pausesOf(stayed),
    p99BeforeMs: p99(others.filter((ack) => ack.atMs < beforeUntilMs)),
    p99DuringMs: p99(others.filter((ack) => ack.atMs >= movedFromMs && ack.atMs <= atMs)),
  };
}

/** The pause of one producer in one partition, in ms. */
function pauseOf(chain: readonly Ack[], before: readonly [number, number], movedFromMs: number): number {
  const usualMs = medianOf(gapsOf(chain, ...before));
  return Math.max(0, Math.max(...gapsOf(chain, movedFromMs, Number.POSITIVE_INFINITY)) - usualMs);
}

const pauses = rounds.flatMap(({ pausesMs }) => pausesMs);
const unmovedPauses = rounds.flatMap(({ unmovedPausesMs }) => unmovedPausesMs);
const known = (of: (round: Round) => number | undefined): number[] =>
  rounds.flatMap((round) => {
    const value = of(round);
    return value === undefined || Number.isNaN(value) ? [] : [Math.round(value)];
  });
const [p99Before, p99During] = [known((round) => round.p99BeforeMs), known((round) => round.p99DuringMs)];
const changes = rounds.flatMap(({ p99BeforeMs, p99DuringMs }) =>
  p99BeforeMs === undefined || p99DuringMs === undefined || Number.isNaN(p99DuringMs)
    ? []
    : [p99DuringMs / p99BeforeMs],
);
const median = {
  "pause p50 ms": Math.round(quantile(pauses, 0.5)),
  "pause p99 ms": Math.round(quantile(pauses, 0.99)),
  "pause max ms": Math.round(quantile(pauses, 1)),
  "the same of unmoved partitions p50 ms": Math.round(quantile(unmovedPauses, 0.5)),
  "the same of unmoved partitions p99 ms": Math.round(quantile(unmovedPauses, 0.99)),
  "ack p99 of unmoved partitions before ms": medianOf(p99Before),
  "ack p99 of unmoved partitions during ms": medianOf(p99During),
};
const ratios = { "ack p99 of unmoved partitions, during / before": medianOf(changes) };
const faults = [...faultsOf(summaries), ...read.faults];
console.table(median);
console.log(
  ratios,
  `${pauses.length} partitions moved; ${read.events} events read back; faults: ${faults.join("; ") || "none"}`,
);
record({
  name: "moves",
  command: `node --import tsx bench/cluster/moves.bench.ts ${moves} ${eventsPerSecond} ${partitionsText}`,
  workload: `${rounds.length} moves (${STEPS.map(({ kind }) => kind).join(", ")} in turn), ${eventsPerSecond} events/s of 150 bytes by ${GENERATORS} producers, ${PARTITIONS} partitions on ${NODES} nodes`,
  runs: {
    "partitions moved": rounds.map(({ pausesMs }) => pausesMs.length),
    "longest pause of each move ms": rounds.map(({ pausesMs }) => Math.round(Math.max(0, ...pausesMs))),
    "ack p99 of unmoved partitions before ms": p99Before,
    "ack p99 of unmoved partitions during ms": p99During,
  },
  median,
  ratios,
  faults,
});
process.exit(faults.length === 0 ? 0 : 1);
