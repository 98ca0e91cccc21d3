import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { indexOf, lastIndexOf, split } from "../../../../actors/pipeline/steps/linear_search.ts";

/** Two letters, and needles too long for the engine's own search, so that many partial matches occur. */
const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 200 });
const needle = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b"), minLength: 17, maxLength: 24 }),
  fc.constant("a".repeat(17)),
);
const haystack = fc
  .tuple(text, needle, text)
  .map(([before, middle, after]) => ({ text: before + middle + after, needle: middle }));

test("a text is found where the engine's own search finds it", () => {
  fc.assert(
    fc.property(haystack, fc.nat(300), ({ text: given, needle: wanted }, from) => {
      assert.is(indexOf(given, wanted), given.indexOf(wanted));
      assert.is(indexOf(given, wanted, from), given.indexOf(wanted, from));
      assert.is(lastIndexOf(given, wanted), given.lastIndexOf(wanted));
      assert.is(lastIndexOf(given, wanted, from), given.lastIndexOf(wanted, from));
      assert.equal(split(given, wanted), given.split(wanted));
    }),
  );
});

test.run();
