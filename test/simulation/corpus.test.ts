import { test } from "uvu";
import * as assert from "uvu/assert";
import { simulateCluster } from "./cluster/cluster_simulation.ts";
import { CORPUS } from "./corpus.ts";
import { scheduleOf } from "./minimise.ts";
import { simulate } from "./simulation.ts";

for (const { kind, seed, fault, schedules } of CORPUS) {
  test(`${kind} seed ${seed} passes, with all its faults and with those that were needed: ${fault}`, async () => {
    const run = kind === "cluster" ? simulateCluster : simulate;
    assert.equal((await run(seed)).problems, []);
    for (const { only, salt } of schedules) {
      assert.equal((await run(seed, {}, { schedule: scheduleOf(only, salt) })).problems, [], `--only ${only}`);
    }
  });
}

test("a seed and a schedule are one history: run again they are the same, event by event", async () => {
  for (const { seed, schedules } of CORPUS) {
    for (const schedule of [undefined, ...schedules.map(({ only, salt }) => scheduleOf(only, salt))]) {
      const run = () => simulate(seed, {}, { schedule, isTraced: true });
      const [first, second] = [await run(), await run()];
      assert.ok(first.trace.length > 100);
      assert.equal(first.trace, second.trace, `seed ${seed}`);
    }
  }
});

test.run();
