import { test } from "uvu";
import * as assert from "uvu/assert";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { simulate } from "./simulation.ts";

/** These seeds pass without a bug, as `simulation.test.ts` and `scripts/simulate.ts` show. */
const SEEDS_MAX = 500;

for (const [name, plant] of Object.entries(PLANTED_BUGS)) {
  test(`the simulation notices when ${name}`, async () => {
    for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
      const { problems } = await simulate(seed, plant);
      if (problems.length === 0) continue;
      console.log(`noticed in ${seed} ${seed === 1 ? "seed" : "seeds"}: ${name}\n    ${problems[0]?.slice(0, 160)}`);
      return;
    }
    assert.unreachable(`no seed of ${SEEDS_MAX} noticed`);
  });
}

test.run();
