/** The process that runs seeds for `seed_pool.ts`, one after the other. */

import { simulateCluster } from "./cluster/cluster_simulation.ts";
import type { Report, Task } from "./seed_pool.ts";
import { simulate } from "./simulation.ts";

process.on("message", async ({ kind, first, count }: Task) => {
  const outcomes: Report["outcomes"][number][] = [];
  for (let seed = first; seed < first + count; seed += 1) {
    const { problems, counts, steps, faults } = await (kind === "cluster" ? simulateCluster(seed) : simulate(seed));
    outcomes.push({ seed, problems, counts: [...counts], steps, faults });
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ outcomes, cpuMs: (user + system) / 1_000 } satisfies Report);
});
