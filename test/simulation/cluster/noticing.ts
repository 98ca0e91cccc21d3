/** Registers a test for each planted bug: a seed that passes without the bug must fail with it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ClusterPlant } from "./cluster_simulation.ts";
import { simulateCluster } from "./cluster_simulation.ts";

/** These seeds pass without the bug: `cluster_simulation.test.ts` and `scripts/simulate.ts --cluster` run them. */
const SEEDS_MAX = 500;

export function testThatNoticed(bugs: readonly (readonly [string, () => ClusterPlant])[]): void {
  for (const [name, plant] of bugs) {
    test(`the simulation notices when ${name}`, async () => {
      for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
        const { problems } = await simulateCluster(seed, plant());
        if (problems.length === 0) continue;
        const { problems: without } = await simulateCluster(seed);
        assert.equal(without, [], `seed ${seed} fails without the bug as well`);
        console.log(`noticed in ${seed} ${seed === 1 ? "seed" : "seeds"}: ${name}\n    ${problems[0]?.slice(0, 160)}`);
        return;
      }
      assert.unreachable(`no seed of ${SEEDS_MAX} noticed`);
    });
  }
}
