import { test } from "uvu";
import * as assert from "uvu/assert";
import { SteadyClock } from "../../../supervisors/cluster/steady_clock.ts";

test("after the machine's clock was set back the steady clock stands for a moment, then goes on at its pace", () => {
  const clock = new SteadyClock();
  assert.equal(
    [5_000, 6_000, 1_000, 1_500, 2_000].map((nowMs) => clock.at(nowMs)),
    [5_000, 6_000, 6_000, 6_500, 7_000],
  );
});

test("the steady clock follows a clock that is set forward, and does not count an earlier setback twice", () => {
  const clock = new SteadyClock();
  assert.equal(
    [6_000, 1_000, 9_000, 8_000, 8_500].map((nowMs) => clock.at(nowMs)),
    [6_000, 6_000, 14_000, 14_000, 14_500],
  );
});

test.run();
