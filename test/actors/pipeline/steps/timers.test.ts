import { test } from "uvu";
import * as assert from "uvu/assert";
import { STATE_LIMITS } from "../../../../actors/pipeline/keyed_state.ts";
import { freshTables } from "../../../../actors/pipeline/pipeline.ts";
import { type Timer, Timers } from "../../../../actors/pipeline/steps/timers.ts";

const timersOf = () => new Timers(freshTables()("timers", STATE_LIMITS));
const timer = (timeMs: number, key = "", tag = ""): Timer => ({ timeMs, key, tag });

test("timers fire by time, then key, then tag, whatever characters a key has", () => {
  const timers = timersOf();
  const ordered = [
    timer(-5, "z"),
    timer(0, "a", "x"),
    timer(0, "a", "y"),
    timer(0, "a\0"),
    timer(0, "aa"),
    timer(1_700_000_000_000),
    timer(2 ** 52),
  ];
  for (const one of [...ordered].reverse()) timers.set(one);
  assert.equal([...timers.takeDue(Number.POSITIVE_INFINITY)], ordered);
  assert.ok(timers.areNone);
});

test("a timer is due once the watermark has reached its time, and one that is set meanwhile fires in its turn", () => {
  const timers = timersOf();
  timers.set(timer(10, "first"));
  timers.set(timer(30, "later"));
  assert.equal([...timers.takeDue(9)], []);
  const fired: string[] = [];
  for (const { key } of timers.takeDue(29)) {
    fired.push(key);
    if (key === "first") timers.set(timer(5, "at once"));
  }
  assert.equal(fired, ["first", "at once"]);
  timers.remove(timer(30, "later"));
  assert.equal([...timers.takeDue(30)], []);
});

test("a timer of the same time, key and tag is one timer", () => {
  const timers = timersOf();
  for (let times = 0; times < 3; times += 1) timers.set(timer(10, "a"));
  assert.is([...timers.takeDue(10)].length, 1);
});

test("what a timer was set for and the timer are there together, or neither is", () => {
  const timers = timersOf();
  let kept = 0;
  assert.throws(() => timers.setFor(timer(10, "k".repeat(1_020)), () => (kept += 1)), /must be at most 1024/);
  assert.is(kept, 0);
  const refuse = () => {
    throw new Error("full");
  };
  timers.set(timer(30, "later"));
  assert.throws(() => timers.setFor(timer(10), refuse), /full/);
  assert.equal([...timers.takeDue(20)], []);
  timers.setFor(timer(15, "kept"), () => (kept += 1));
  assert.equal([[...timers.takeDue(20)], kept], [[timer(15, "kept")], 1]);
});

test.run();
