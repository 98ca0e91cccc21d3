import { test } from "uvu";
import * as assert from "uvu/assert";
import { minimise, scheduleOf } from "./minimise.ts";
import type { RunOptions } from "./parts/world.ts";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { type Plant, simulate } from "./simulation.ts";

/** A run of 40 faults that fails where all of these happen. */
const failsWith =
  (...needed: number[]) =>
  async ({ schedule }: RunOptions) => ({
    dueFaults: 40,
    problems: needed.every((one) => schedule?.only.has(one) ?? true) ? ["lost: p1-7 of partition 2"] : [],
  });

test("a schedule is cut down to the faults that are needed", async () => {
  for (const needed of [[], [0], [39], [3, 17], [1, 2, 30]]) {
    assert.equal((await minimise(failsWith(...needed)))?.only, needed);
  }
});

test("a seed that passes has no schedule that fails", async () => {
  assert.is(await minimise(async () => ({ dueFaults: 3, problems: [] })), undefined);
});

test("a schedule that fails in another way is not taken for the seed's", async () => {
  const run = async ({ schedule }: RunOptions) => ({
    dueFaults: 8,
    problems: schedule?.only.has(5) === false ? ["reordered: p1-7"] : ["lost: p1-7 of partition 2"],
  });
  assert.equal((await minimise(run))?.only, [5]);
});

test("the search ends after its runs, with the best so far", async () => {
  const least = await minimise(failsWith(3, 17), 30);
  assert.ok(least !== undefined && least.runs <= 30 && least.only.length < 40);
});

test("a planted bug is found again under fewer faults than its seed has, and by the same schedule each time", async () => {
  const [[name, plant]] = Object.entries(PLANTED_BUGS) as [[string, Plant]];
  let seed = 1;
  while ((await simulate(seed, plant)).problems.length === 0) seed += 1;
  const whole = await simulate(seed, plant);
  const least = await minimise((options) => simulate(seed, plant, options), 150);
  assert.ok(least !== undefined && least.only.length < whole.dueFaults, `${name}, seed ${seed}`);
  const again = await simulate(seed, plant, { schedule: scheduleOf(least.only.join(), least.salt) });
  assert.equal(again.problems, least.problems);
});

test.run();
