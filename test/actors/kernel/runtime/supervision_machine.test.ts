import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Strategy, Supervision } from "../../../../actors/kernel/actor.ts";
import { createSupervision, stepSupervision } from "../../../../actors/kernel/runtime/supervision_machine.ts";
import { decide, directiveByClass } from "../../../../actors/kernel/supervision.ts";
import {
  ConfigurationError,
  FencedError,
  InvariantError,
  OverloadedError,
  RejectedError,
  UnavailableError,
} from "../../../../protocols/errors.ts";

const siblings = ["a", "b", "c"];
const supervision = (strategy: Strategy, restartsMax = 100): Supervision => ({
  strategy,
  intensity: { restartsMax, withinMs: 1_000 },
  backoff: { firstMs: 10, maxMs: 100 },
});
const crash = (child: string, jitter = 0) =>
  ({ type: "crashed", child, directive: "restart", siblings, jitter }) as const;

for (const [strategy, expected] of [
  ["one_for_one", ["b"]],
  ["one_for_all", ["a", "b", "c"]],
  ["rest_for_one", ["b", "c"]],
] as const) {
  test(`S2: ${strategy} restarts ${expected.join(", ")} when b of a, b, c crashes`, () => {
    const [, effects] = stepSupervision(createSupervision(supervision(strategy)), crash("b"), 0);
    assert.equal(effects, [{ type: "restart", children: [...expected], delayMs: 10 }]);
  });
}

test("S3: the delay doubles up to maxMs, jitter takes off up to half, and withinMs without a crash ends the row", () => {
  const state = createSupervision(supervision("one_for_one"));
  const delayAt = (nowMs: number, jitter = 0) => {
    const effect = stepSupervision(state, crash("a", jitter), nowMs)[1][0]!;
    return effect.type === "restart" ? effect.delayMs : undefined;
  };
  assert.equal(
    [0, 1, 2, 3, 4, 5].map((nowMs) => delayAt(nowMs)),
    [10, 20, 40, 80, 100, 100],
  );
  assert.is(delayAt(6, 0.5), 75);
  assert.is(delayAt(1_006), 10);
});

test("the row of one child is not that of another", () => {
  const state = createSupervision(supervision("one_for_one"));
  stepSupervision(state, crash("a"), 0);
  const [, effects] = stepSupervision(state, crash("b"), 1);
  assert.equal(effects, [{ type: "restart", children: ["b"], delayMs: 10 }]);
});

test("S1: no window has more restarts than restartsMax, and a crash escalates only where it has that many", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 80 }),
      fc.integer({ min: 0, max: 6 }),
      (gapsMs, restartsMax) => {
        const state = createSupervision(supervision("one_for_one", restartsMax));
        const restartsMs: number[] = [];
        let nowMs = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          const recent = restartsMs.filter((atMs) => nowMs - atMs < 1_000).length;
          const effect = stepSupervision(state, crash("a"), nowMs)[1][0]!;
          assert.is(effect.type, recent < restartsMax ? "restart" : "escalate");
          if (effect.type === "restart") restartsMs.push(nowMs);
        }
      },
    ),
  );
});

test("S4: stop stops the crashed child alone, whatever the strategy", () => {
  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one"] as const) {
    const state = createSupervision(supervision(strategy));
    const [, effects] = stepSupervision(state, { ...crash("a"), directive: "stop" }, 0);
    assert.equal(effects, [{ type: "stop", child: "a" }]);
  }
});

test("the class of an error decides where the supervision has no decide of its own", () => {
  const cases = [
    [new RejectedError("STEP_FAILED", ""), "restart"],
    [new UnavailableError("TIMEOUT", ""), "restart"],
    [new OverloadedError("STORE_FULL", "", 1), "restart"],
    [new FencedError("STALE_EPOCH", ""), "stop"],
    [new ConfigurationError("INVALID_SCHEMA", ""), "escalate"],
    [new InvariantError(""), "restart"],
    [new Error(""), "restart"],
    ["a thrown word", "restart"],
  ] as const;
  for (const [error, directive] of cases) assert.is(directiveByClass(error), directive);
});

test("a decide that throws escalates with both errors", () => {
  const crashed = new Error("crash");
  const failure = new Error("policy");
  const decided = decide(
    {
      ...supervision("one_for_one"),
      decide: () => {
        throw failure;
      },
    },
    crashed,
  );
  assert.is(decided.directive, "escalate");
  assert.equal((decided.error as AggregateError).errors, [crashed, failure]);
});

test.run();
