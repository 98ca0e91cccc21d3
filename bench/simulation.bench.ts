/**
 * Measures 2,000 seeds of the simulator on all cores: three runs of `scripts/simulate.ts`, in wall and cpu seconds.
 *
 *   node --import tsx bench/simulation.bench.ts
 *   node --import tsx bench/simulation.bench.ts --cluster    500 seeds of a cluster
 *   node --import tsx bench/simulation.bench.ts --beside <folder of another checkout>
 *                                                            200 seeds of a cluster on each, in turns
 */
import { execFile } from "node:child_process";
import { parseArgs, promisify } from "node:util";
import { runSeeds, type SeedOutcome } from "../test/simulation/seed_pool.ts";
import { median, medians, record } from "./support/results.ts";

const RUNS = 3;
const { values } = parseArgs({
  options: { cluster: { type: "boolean", default: false }, beside: { type: "string" } },
});
if (values.beside !== undefined) {
  await compare(values.beside);
  process.exit();
}
const kind = values.cluster ? "cluster" : "node";
const SEEDS = values.cluster ? 500 : 2_000;

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

/** Processor seconds of both checkouts' own simulators, each run as its users run it. */
async function compare(other: string): Promise<void> {
  const seeds = 200;
  const used = { here: [] as number[], there: [] as number[] };
  for (let run = 0; run < RUNS; run += 1) {
    for (const [side, cwd] of [["here", "."] as const, ["there", other] as const]) {
      const args = ["--import", "tsx", "scripts/simulate.ts", "--cluster", "--seeds", String(seeds)];
      // Few seeds may miss a rare event, which the script tells with its exit code.
      const ended = promisify(execFile)(process.execPath, args, { cwd, maxBuffer: 1e8 });
      const { stdout } = await ended.catch((error: { readonly stdout: string }) => error);
      if (!stdout.includes(", 0 failed,"))
        throw new Error(`Cannot compare as every seed must pass: ${stdout.slice(-500)}`);
      used[side].push(Number(/\(([\d.]+) s of cpu\)/.exec(stdout)?.[1]));
    }
    console.log(`run ${run + 1}: ${used.here.at(-1)} and ${used.there.at(-1)} s of cpu`);
  }
  const ratios = used.here.map((seconds, run) => seconds / (used.there[run] ?? Number.NaN));
  record({
    name: "cluster_simulation",
    command: "node --import tsx bench/simulation.bench.ts --beside <other checkout>",
    workload: `${seeds} seeds of a cluster on each checkout, in turns`,
    runs: { "here, cpu seconds": used.here, "there, cpu seconds": used.there },
    median: { "here, cpu seconds": median(used.here), "there, cpu seconds": median(used.there) },
    ratios: { "here / there": median(ratios) },
  });
}
