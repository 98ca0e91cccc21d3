/**
 * Finds a small schedule of faults under which a seed still fails: by leaving out ever smaller parts of it, after Zeller and
 * Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), the algorithm ddmin. Whatever is left out changes
 * what chance brings afterwards, so each smaller schedule is tried with several salts. A schedule counts as failing where
 * its first problem is of the same kind: the search does not end at another fault.
 */
import type { RunOptions, Schedule } from "./parts/world.ts";
import type { Outcome } from "./simulation.ts";

export type Run = (options: RunOptions) => Promise<Pick<Outcome, "problems" | "dueFaults">>;

export interface MinimalSchedule {
  /** Numbers of the faults that happen. */
  readonly only: readonly number[];
  readonly salt: number;
  readonly problems: readonly string[];
  readonly runs: number;
}

const SALTS = 12;
const RUNS_MAX = 2_000;

/** Undefined where the seed does not fail. @param runsMax the search ends after this number of runs, with the best so far */
export async function minimise(run: Run, runsMax = RUNS_MAX): Promise<MinimalSchedule | undefined> {
  const whole = await run({});
  const kind = kindOfProblem(whole.problems);
  if (kind === undefined) return undefined;
  let best: Omit<MinimalSchedule, "runs"> = { only: range(whole.dueFaults), salt: 0, problems: whole.problems };
  let runs = 1;
  const fails = async (only: readonly number[]): Promise<boolean> => {
    for (let salt = 0; salt < SALTS && runs < runsMax; salt += 1) {
      runs += 1;
      const { problems } = await run({ schedule: { only: new Set(only), salt } });
      if (kindOfProblem(problems) !== kind) continue;
      best = { only, salt, problems };
      return true;
    }
    return false;
  };
  if (await fails([])) return { ...best, runs };
  for (let parts = 2; best.only.length > 1 && runs < runsMax; ) {
    const size = Math.ceil(best.only.length / parts);
    if (await leavesOut(best.only, size, fails)) parts = Math.max(2, parts - 1);
    else if (size === 1) break;
    else parts = Math.min(best.only.length, parts * 2);
  }
  return { ...best, runs };
}

/** Whether one part of this size can be left out. The last faults first: the run is then the same for longest. */
async function leavesOut(
  only: readonly number[],
  size: number,
  fails: (only: readonly number[]) => Promise<boolean>,
): Promise<boolean> {
  for (let to = only.length; to > 0; to -= size) {
    const from = Math.max(0, to - size);
    if (await fails([...only.slice(0, from), ...only.slice(to)])) return true;
  }
  return false;
}

/** As `--only 3,17 --salt 2` names it. */
export const scheduleOf = (only: string, salt: number): Schedule => ({
  only: new Set(only === "" ? [] : only.split(",").map(Number)),
  salt,
});

/** A problem's text without what differs from run to run: numbers and names with numbers. */
function kindOfProblem([first]: readonly string[]): string | undefined {
  return first
    ?.split("\n")[0]
    ?.replace(/[\w.#/-]*\d[\w.:#/-]*/g, "#")
    .slice(0, 80);
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
