/**
 * Runs seeds of the simulation and prints their outcomes; `scripts/simulate.ts` starts it. Fails where a seed fails, or where
 * a kind of fault or a point of crash never occurred.
 *
 *   --seeds n    how many, from 1     --seed n    that one alone     --trace    its events, one a line
 *   --from n     where to begin       --cluster   of a whole cluster, else of one node
 *   --within s   begins no more after so many seconds
 *   --only 3,17  of the one seed's faults, these alone: a schedule; --salt n: what chance brings once one is left out
 *   --minimise   of the one seed, a small schedule that still fails
 *   --twice      runs each seed a second time, which must be the same, event by event
 *   --history f  of the one seed, for checkers elsewhere: `f.edn` for Jepsen's kafka workload, else lines of JSON
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { simulateCluster } from "./cluster/cluster_simulation.ts";
import { EXPECTED_OF_CLUSTER } from "./cluster/expected_of_cluster.ts";
import { EXPECTED } from "./expected.ts";
import { intervalsOf, toEdn, toJsonLines } from "./export_history.ts";
import { minimise, scheduleOf } from "./minimise.ts";
import type { RunOptions } from "./parts/world.ts";
import { runSeeds, type SeedOutcome } from "./seed_pool.ts";
import { type Outcome, simulate } from "./simulation.ts";

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
    only: { type: "string" },
    salt: { type: "string", default: "0" },
    minimise: { type: "boolean", default: false },
    twice: { type: "boolean", default: false },
    history: { type: "string" },
  },
});

function describe(outcome: Pick<SeedOutcome, "seed" | "problems" | "steps" | "faults">): void {
  console.log(`seed ${outcome.seed}: ${outcome.steps} steps, ${outcome.faults} faults`);
  for (const problem of outcome.problems) console.log(`  ${problem}`);
}

/** The faults that `--only` names; absent: all of the seed's. */
const schedule = values.only === undefined ? undefined : scheduleOf(values.only, Number(values.salt));

const simulateSeed = (seed: number, options: RunOptions): Promise<Outcome> =>
  values.cluster ? simulateCluster(seed, {}, options) : simulate(seed, {}, options);

const replayOf = (seed: number, more: string): string =>
  `node --import tsx scripts/simulate.ts${values.cluster ? " --cluster" : ""} --seed ${seed} ${more}`;

async function runOne(seed: number): Promise<void> {
  const outcome = await simulateSeed(seed, { schedule, isTraced: true, isRecorded: values.history !== undefined });
  if (values.trace || outcome.problems.length > 0) for (const line of outcome.trace) console.log(line);
  describe(outcome);
  if (values.history !== undefined && outcome.history !== undefined) {
    const intervals = intervalsOf(outcome.history);
    writeFileSync(values.history, values.history.endsWith(".edn") ? toEdn(intervals) : toJsonLines(intervals));
    console.log(`${intervals.length} operations in ${values.history}`);
  }
  process.exitCode = outcome.problems.length > 0 ? 1 : 0;
}

/** A failure is looked at where it was seen, and there may be no way to run the seed again by hand. */
async function tellTheLeastOf(seed: number): Promise<void> {
  const least = await minimise((options) => simulateSeed(seed, options));
  if (least === undefined) return console.log(`seed ${seed} does not fail`);
  const { only, salt, runs } = least;
  const { trace } = await simulateSeed(seed, { schedule: scheduleOf(only.join(), salt), isTraced: true });
  console.log(`the last events of seed ${seed}, with ${only.length} of its faults (${runs} runs):`);
  for (const line of trace.slice(-TRACE_LINES_TOLD)) console.log(line);
  console.log(`  replay: ${replayOf(seed, `--only "${only.join()}" --salt ${salt} --trace`)}`);
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
      console.log(`  replay: ${replayOf(outcome.seed, "--trace")}`);
    },
    { kind, isTwice: values.twice, withinMs: Number(values.within) * 1_000 },
  );
  for (const [what, times] of [...totals].sort()) console.log(`${String(times).padStart(10)}  ${what}`);
  const never = (values.cluster ? EXPECTED_OF_CLUSTER : EXPECTED).filter((what) => !totals.has(what));
  for (const what of never) console.log(`never occurred: ${what}`);
  const tookS = (performance.now() - startedAt) / 1_000;
  if (failed[0] !== undefined) await tellTheLeastOf(failed[0]);
  const took = `${tookS.toFixed(1)} s (${(cpuMs / 1_000).toFixed(1)} s of cpu)`;
  const seeds = count === wanted ? `${count} seeds` : `${count} of ${wanted} seeds`;
  console.log(`${seeds}, ${steps} steps, ${took}, ${failed.length} failed, ${never.length} never occurred`);
  const eachMs = (cpuMs / count).toFixed(1);
  console.log(
    `${(count / tookS).toFixed(1)} seeds/s, ${eachMs} ms of cpu and ${Math.round(steps / count)} steps a seed`,
  );
  process.exitCode = failed.length + never.length > 0 ? 1 : 0;
}

if (values.seed !== undefined && values.minimise) await tellTheLeastOf(Number(values.seed));
else if (values.seed !== undefined) await runOne(Number(values.seed));
else await runMany(Number(values.from), Number(values.seeds));
