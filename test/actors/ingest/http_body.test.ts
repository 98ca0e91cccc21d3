import { test } from "uvu";
import * as assert from "uvu/assert";
import { BODY_LIMITS, bodyMemory } from "../../../actors/ingest/http_body.ts";

function memoryOf(bytesMax: number) {
  const clock = { nowMs: 0 };
  const memory = bodyMemory(bytesMax, () => clock.nowMs);
  const gone: string[] = [];
  const begin = (name: string) => {
    const hold = memory.hold(0, () => gone.push(name));
    hold.waits();
    return hold;
  };
  return { memory, clock, gone, begin };
}

test("where the memory for bodies is taken, the one that came slowest gives way", () => {
  const { memory, clock, gone, begin } = memoryOf(1_000);
  const slow = begin("slow");
  slow.take(700);
  clock.nowMs = BODY_LIMITS.undisturbedMs;
  begin("late").take(200);
  clock.nowMs += BODY_LIMITS.undisturbedMs;
  begin("honest").take(200);
  assert.equal(gone, ["late"], "200 bytes in two seconds are slower than 700 in four");
  begin("another").take(300);
  assert.equal(gone, ["late", "slow"]);
  assert.is(memory.usedBytes, 500);
});

test("bodies that have just begun, and those that are whole, give way to nobody", () => {
  const { memory, clock, gone, begin } = memoryOf(1_000);
  const whole = begin("whole");
  whole.take(600);
  whole.settles();
  clock.nowMs = 10 * BODY_LIMITS.undisturbedMs;
  begin("new").take(400);
  assert.throws(() => begin("late").take(1), /bodies together must stay below 1000 bytes: current value is 1000/);
  assert.equal(gone, []);
  whole.release();
  whole.release();
  assert.is(memory.usedBytes, 400);
});

test.run();
