/** The product under faults, seed by seed; `scripts/simulate.ts` runs thousands. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EXPECTED_SOON } from "./expected.ts";
import { simulate } from "./simulation.ts";

const SEEDS = 120;

test("whatever fails, an acked event is in the log once, in order, and reaches every sink once", async () => {
  const startedAt = performance.now();
  const totals = new Map<string, number>();
  let steps = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const outcome = await simulate(seed);
    const replay = `node --import tsx scripts/simulate.ts --seed ${seed} --trace`;
    assert.equal(outcome.problems, [], replay);
    assert.ok(outcome.steps >= 1_000 && outcome.faults >= 5, `seed ${seed} was too quiet`);
    assert.ok((outcome.counts.get("batches appended") ?? 0) >= 200, `seed ${seed} appended too little`);
    steps += outcome.steps;
    for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times);
  }
  for (const what of EXPECTED_SOON) assert.ok(totals.has(what), `it happened: ${what}`);
  console.log(`${SEEDS} seeds, ${steps} steps in ${Math.round(performance.now() - startedAt)} ms`);
});

test("a seed gives one history: a second run is the same, event by event", async () => {
  const [first, second] = [await simulate(7, {}, { isTraced: true }), await simulate(7, {}, { isTraced: true })];
  assert.is(first.steps, second.steps);
  assert.ok(first.trace.length > 100);
  assert.equal(first.trace, second.trace);
});

test.run();
