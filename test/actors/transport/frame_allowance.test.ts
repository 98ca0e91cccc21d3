import { test } from "uvu";
import * as assert from "uvu/assert";
import { FRAME_ALLOWANCE, FrameAllowance } from "../../../actors/transport/frame_allowance.ts";

const { costMax, costPerSecond } = FRAME_ALLOWANCE;

test("a burst within the allowance does not wait, and a larger one waits until the allowance has grown back", () => {
  const allowance = new FrameAllowance(1_000);
  assert.is(allowance.charge(costMax, 1_000), 0);
  assert.is(allowance.charge(1, 1_000), Math.ceil(1_000 / costPerSecond));
  assert.is(allowance.charge(costPerSecond, 1_000), Math.ceil((1_000 * (costPerSecond + 1)) / costPerSecond));
});

test("a connection that uses less than its rate never waits, and saves up no more than one burst", () => {
  const allowance = new FrameAllowance(0);
  for (let nowMs = 0; nowMs < 600_000; nowMs += 100) assert.is(allowance.charge(costPerSecond / 10, nowMs), 0);
  assert.is(allowance.charge(costMax, 10_000_000), 0);
  assert.ok(allowance.charge(costMax, 10_000_000) > 0);
});

test("a clock that goes back does not change the allowance", () => {
  const allowance = new FrameAllowance(5_000);
  allowance.charge(costMax, 5_000);
  assert.is(allowance.charge(0, 1_000), 0);
  assert.ok(allowance.charge(1, 1_000) > 0);
});

test.run();
