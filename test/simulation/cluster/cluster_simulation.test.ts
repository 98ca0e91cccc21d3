/** A whole cluster under faults, seed by seed; `scripts/simulate.ts --cluster` runs thousands. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { simulateCluster } from "./cluster_simulation.ts";
import { EXPECTED_SOON_OF_CLUSTER } from "./expected_of_cluster.ts";

const SEEDS = 100;

test("under any faults of nodes, links and store each partition finds one owner, and nothing is lost, doubled or reordered", async () => {
  const startedAt = performance.now();
  const totals = new Map<string, number>();
  let steps = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const outcome = await simulateCluster(seed);
    const replay = `node --import tsx scripts/simulate.ts --cluster --seed ${seed} --trace`;
    assert.equal(outcome.problems, [], replay);
    assert.ok(outcome.steps >= 1_000 && outcome.faults >= 5, `seed ${seed} was too quiet`);
    assert.ok((outcome.counts.get("batches appended") ?? 0) >= 200, `seed ${seed} appended too little`);
    assert.ok((outcome.counts.get("handoff under load") ?? 0) > 0, `seed ${seed} moved nothing`);
    steps += outcome.steps;
    for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times);
  }
  for (const what of EXPECTED_SOON_OF_CLUSTER) assert.ok(totals.has(what), `it happened: ${what}`);
  console.log(`${SEEDS} seeds, ${steps} steps in ${Math.round(performance.now() - startedAt)} ms`);
});

test("the same seed gives the same history, event by event", async () => {
  const [first, second] = [
    await simulateCluster(7, {}, { isTraced: true }),
    await simulateCluster(7, {}, { isTraced: true }),
  ];
  assert.is(first.steps, second.steps);
  assert.ok(first.trace.length > 100);
  assert.equal(first.trace, second.trace);
});

test.run();
