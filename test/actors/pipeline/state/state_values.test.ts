import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  answeredValue,
  heldBytes,
  heldValue,
  ownText,
  textBytes,
  wellFormed,
} from "../../../../actors/pipeline/state/state_values.ts";
import { decodeSlice, encodeEvent } from "../../../../protocols/values/event_codec.ts";

const value = fc.oneof(
  fc.double(),
  fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 }),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.constantFrom(-0, 2 ** 53, -(2 ** 53), 2 ** 31, 2 ** 32, -(2 ** 31) - 1, -32, -33, -128, -129, 127, 128, 255, 256),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.uint8Array({ maxLength: 300 }),
  fc.date({ noInvalidDate: true }),
  fc.jsonValue(),
);

test("a held value answers as its MessagePack bytes do, and takes as many bytes", () => {
  fc.assert(
    fc.property(value, (one) => {
      const bytes = encodeEvent(one);
      const held = heldValue(one);
      assert.equal(answeredValue(held), decodeSlice(bytes));
      assert.is(Object.is(answeredValue(held), -0), Object.is(one, -0));
      assert.is(heldBytes(held), bytes.length);
    }),
    { numRuns: 3_000 },
  );
});

test("a value of a mebibyte is held and answered, and smaller ones after it", () => {
  const large = { text: "é".repeat(524_288), bytes: new Uint8Array(10_000).fill(7) };
  for (const one of [{ n: 1.5 }, large, { n: 2.5 }, "x"])
    assert.equal(answeredValue(heldValue(one)), decodeSlice(encodeEvent(one)));
});

test("the bytes of a text are those of its MessagePack form", () => {
  for (const length of [0, 31, 32, 255, 256, 65_535, 65_536])
    assert.is(textBytes(length), encodeEvent("k".repeat(length)).length);
});

test("a key with half of a surrogate pair counts as the text that a restore reads", () => {
  for (const key of ["\ud800", "a\udc00b", "\u{1f600}", "é", ""]) {
    assert.is(wellFormed(key), Buffer.from(key).toString());
    assert.is(ownText(wellFormed(key)), wellFormed(key));
  }
});

test.run();
