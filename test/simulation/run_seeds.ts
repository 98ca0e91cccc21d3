/**
 * Runs seeds of the simulation and prints their outcomes; `scripts/simulate.ts` starts it. Fails where a seed fails, or where
 * a kind of fault or a point of crash never occurred.
 *
 *   --seeds n    how many, from 1     --seed n    that one alone     --trace    its events, one a line
 *   --from n     where to begin       --cluster   of a whole cluster, else of one node
 *   --within s   begins no more after so many seconds
 */
import { parseArgs } from "node:util";
import { simulateCluster } from "./cluster/cluster_simulation.ts";
import { EXPECTED_OF_CLUSTER } from "./cluster/expected_of_cluster.ts";
import { EXPECTED } from "./expected.ts";
import { runSeeds, type SeedOutcome } from "./seed_pool.ts";
import { simulate } from "./simulation.ts";

/** Lines of the trace that are printed for the first failing seed of many. */
const TRACE_LINES_TOLD = 60;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    from: { type: "string", default: "1" },
    within: { type: "string", default: "Infinity" },
    seed: { type: "string" },
    cluster: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});

function describe(outcome: Pick<SeedOutcome, "seed" | "problems" | "steps" | "faults">): void {
  console.log(`seed ${outcome.seed}: ${outcome.steps} steps, ${outcome.faults} faults`);
  for (const problem of outcome.problems) console.log(`  ${problem}`);
}

const simulateSeed = (seed: number) => (values.cluster ? simulateCluster(seed, {}, true) : simulate(seed, {}, true));

async function runOne(seed: number): Promise<void> {
  const outcome = await simulateSeed(seed);
  if (values.trace || outcome.problems.length > 0) for (const line of outcome.trace) console.log(line);
  describe(outcome);
  process.exitCode = outcome.problems.length > 0 ? 1 : 0;
}

/** Prints the end of a failing seed's trace: where it failed, as in CI, nobody may be able to run it again by hand. */
async function tellTheEndOf(seed: number): Promise<void> {
  const { trace } = await simulateSeed(seed);
  console.log(`the last events of seed ${seed}:`);
  for (const line of trace.slice(-TRACE_LINES_TOLD)) console.log(line);
}

async function runMany(first: number, wanted: number): Promise<void> {
  const startedAt = performance.now();
  const totals = new Map<string, number>();
  let [count, steps] = [0, 0];
  const failed: number[] = [];
  const kind = values.cluster ? "cluster" : "node";
  const cpuMs = await runSeeds(
    first,
    wanted,
    (outcome) => {
      count += 1;
      steps += outcome.steps;
      for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times);
      if (outcome.problems.length === 0) return;
      failed.push(outcome.seed);
      describe(outcome);
      console.log(
        `  replay: node --import tsx scripts/simulate.ts${values.cluster ? " --cluster" : ""} --seed ${outcome.seed} --trace`,
      );
    },
    kind,
    Number(values.within) * 1_000,
  );
  for (const [what, times] of [...totals].sort()) console.log(`${String(times).padStart(10)}  ${what}`);
  const never = (values.cluster ? EXPECTED_OF_CLUSTER : EXPECTED).filter((what) => !totals.has(what));
  for (const what of never) console.log(`never occurred: ${what}`);
  const tookS = (performance.now() - startedAt) / 1_000;
  if (failed[0] !== undefined) await tellTheEndOf(failed[0]);
  const took = `${tookS.toFixed(1)} s (${(cpuMs / 1_000).toFixed(1)} s of cpu)`;
  const seeds = count === wanted ? `${count} seeds` : `${count} of ${wanted} seeds`;
  console.log(`${seeds}, ${steps} steps, ${took}, ${failed.length} failed, ${never.length} never occurred`);
  const eachMs = (cpuMs / count).toFixed(1);
  console.log(
    `${(count / tookS).toFixed(1)} seeds/s, ${eachMs} ms of cpu and ${Math.round(steps / count)} steps a seed`,
  );
  process.exitCode = failed.length + never.length > 0 ? 1 : 0;
}

if (values.seed !== undefined) await runOne(Number(values.seed));
else await runMany(Number(values.from), Number(values.seeds));
