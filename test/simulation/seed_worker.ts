/** The process that runs seeds for `seed_pool.ts`, one after the other. */

import { simulateCluster } from "./cluster/cluster_simulation.ts";
import type { Report, Task } from "./seed_pool.ts";
import { type Outcome, simulate } from "./simulation.ts";

process.on("message", async ({ kind, isTwice, first, count }: Task) => {
  const outcomes: Report["outcomes"][number][] = [];
  const run = (seed: number): Promise<Outcome> => {
    const options = { isTraced: isTwice };
    return kind === "cluster" ? simulateCluster(seed, {}, options) : simulate(seed, {}, options);
  };
  for (let seed = first; seed < first + count; seed += 1) {
    const { problems, counts, steps, faults, trace } = await run(seed);
    const differs = isTwice ? differenceOf(trace, (await run(seed)).trace) : [];
    outcomes.push({ seed, problems: [...problems, ...differs], counts: [...counts], steps, faults });
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ outcomes, cpuMs: (user + system) / 1_000 } satisfies Report);
});

function differenceOf(first: readonly string[], second: readonly string[]): string[] {
  const at = first.findIndex((line, index) => line !== second[index]);
  if (at < 0 && first.length === second.length) return [];
  return [`run again, the seed differs at event ${at}: ${first[at]} and then ${second[at]}`];
}
