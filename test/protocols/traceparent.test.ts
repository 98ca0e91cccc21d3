import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  isTraceparent,
  readTraceparent,
  type Traced,
  traceparentAt,
  tracesFrom,
  tracesOf,
} from "../../protocols/traceparent.ts";

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

test("an empty text is no trace context, also before any was read", () => {
  assert.not(isTraceparent(""));
});

test("bytes are read as a trace context exactly where their text is one", () => {
  const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const encode = (text: string) => new TextEncoder().encode(text);
  assert.is(readTraceparent(encode(`xx${good}x`), 2), good);
  assert.ok(isTraceparent(good));
  const zeros = [
    good.replace(/-[0-9a-f]{32}-/, `-${"0".repeat(32)}-`),
    good.replace(/-[0-9a-f]{16}-/, `-${"0".repeat(16)}-`),
  ];
  for (const bad of [...zeros, good.replace("00-", "ff-"), good.toUpperCase()]) {
    assert.is(readTraceparent(encode(bad), 0), "", bad);
    assert.not(isTraceparent(bad), bad);
  }
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.constantFrom(..."0f-gF \u00e9"), (at, sign) => {
      const text = good.slice(0, at) + sign + good.slice(at + 1);
      const bytes = encode(text);
      const read = bytes.length === good.length ? readTraceparent(bytes, 0) : "";
      assert.is(read, isTraceparent(text) ? text : "", text);
    }),
    { numRuns: 500 },
  );
});

test.run();
