import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Traced, traceparentAt, tracesFrom, tracesOf } from "../../protocols/traceparent.ts";

const traced: fc.Arbitrary<Traced> = fc.oneof(
  fc.constant({}),
  fc.constant({ traceparent: "one" }),
  fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 8 }).map((later) => ({
    traces: [0, ...later.sort((one, other) => one - other)].map((index, at) =>
      at % 3 === 1 ? { index } : { index, traceparent: `t${index}` },
    ),
  })),
);

test("a part of a batch tells each of its events the trace context that the whole batch tells", () => {
  fc.assert(
    fc.property(traced, fc.nat(35), (whole, first) => {
      const part = tracesFrom(whole, first);
      for (let index = 0; index < 40; index++) {
        assert.is(traceparentAt(part, index), traceparentAt(whole, first + index));
      }
    }),
  );
});

test("a batch has its trace contexts in one form, and none where it has none", () => {
  assert.equal(tracesOf({}), {});
  assert.equal(tracesOf({ traceparent: "one" }), { traceparent: "one" });
  assert.equal(tracesOf({ traces: [{ index: 0, traceparent: "t" }] }), { traces: [{ index: 0, traceparent: "t" }] });
});

test.run();
