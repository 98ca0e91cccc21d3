/**
 * Measures 2,000 seeds of the simulator on all cores: three runs of `scripts/simulate.ts`, in wall and cpu seconds.
 *
 *   node --import tsx bench/simulation.bench.ts
 *   node --import tsx bench/simulation.bench.ts --cluster    500 seeds of a cluster
 */
import { parseArgs } from "node:util";
import { runSeeds, type SeedOutcome } from "../test/simulation/seed_pool.ts";
import { medians, record } from "./support/results.ts";

const { values } = parseArgs({ options: { cluster: { type: "boolean", default: false } } });
const kind = values.cluster ? "cluster" : "node";
const SEEDS = values.cluster ? 500 : 2_000;
const RUNS = 3;

const runs: { wallSeconds: number[]; cpuSeconds: number[] } = { wallSeconds: [], cpuSeconds: [] };
let steps = 0;
let appends = 0;
for (let run = 1; run <= RUNS; run += 1) {
  steps = 0;
  appends = 0;
  const startedAt = performance.now();
  const onOutcome = (outcome: SeedOutcome): void => {
    if (outcome.problems.length > 0) throw new Error(`seed ${outcome.seed} failed: ${outcome.problems[0]}`);
    steps += outcome.steps;
    appends += new Map(outcome.counts).get("batches appended") ?? 0;
  };
  const cpuMs = await runSeeds(1, SEEDS, onOutcome, { kind });
  runs.wallSeconds.push((performance.now() - startedAt) / 1_000);
  runs.cpuSeconds.push(cpuMs / 1_000);
  console.log(`run ${run}: ${runs.wallSeconds.at(-1)?.toFixed(1)} s, ${runs.cpuSeconds.at(-1)?.toFixed(1)} s of cpu`);
}
record({
  name: values.cluster ? "cluster_simulation" : "simulation",
  command: `node --import tsx bench/simulation.bench.ts${values.cluster ? " --cluster" : ""}`,
  workload: `${SEEDS} seeds, ${Math.round(steps / SEEDS)} steps and ${Math.round(appends / SEEDS)} appended batches each`,
  runs: { ...runs },
  median: medians({ ...runs }),
  ratios: {},
});
