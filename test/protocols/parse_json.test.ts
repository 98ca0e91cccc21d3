/** JSON from outside: exact integers, and no number that would become another one in silence. */
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exactJson } from "../../protocols/exact_json.ts";
import { fromJsonValue } from "../../protocols/json_values.ts";
import { parseExactJson, parseJson } from "../../protocols/parse_json.ts";

const test = suite("JSON to values");
const LIMITS = { tokensMax: 10_000, depthMax: 32 };
const read = (text: string): unknown => fromJsonValue(parseJson(text, LIMITS));

test("integers of 64 bits are kept exactly, wherever they stand", () => {
  const integer = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(integer, integer, (left, right) => {
      const plain = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
      const found = read(`{"a":${left}, "b":[ ${right}\n,{"${left}":${right}}],"${right}":"${left}"}`);
      assert.equal(found, {
        a: plain(left),
        b: [plain(right), { [String(left)]: plain(right) }],
        [String(right)]: String(left),
      });
    }),
  );
});

test("every other value is what JSON.parse makes of it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(undefined, 1, 2), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      const hasBigInteger = /\d{16}/.test(text);
      if (!hasBigInteger) assert.equal(parseJson(text, LIMITS), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test("text, fractions and exponents are not taken for big integers", () => {
  const text = `{"a":"12345678901234567890","b":1234567890.5,"c":1e3,"d":-1.5E-3,"e":1E+2,"f":-0}`;
  assert.equal(read(text), {
    a: "12345678901234567890",
    b: 1234567890.5,
    c: 1000,
    d: -0.0015,
    e: 100,
    f: -0,
  });
});

test("an integer beyond 64 bits that no double holds is refused", () => {
  assert.throws(() => read(`{"a":18446744073709551617}`), /must fit 64 bits: current value is 18446744073709551617/);
});

test("an integer beyond 64 bits is kept where a double is the very number, as JavaScript writes one", () => {
  assert.equal(read(`{"a":100000000000000000000,"b":-100000000000000000000}`), { a: 1e20, b: -1e20 });
});

test("an integer beyond every double is left to the scan of the event's values, whatever its length", () => {
  assert.equal(read(`[${"9".repeat(100_000)}]`), [Number.POSITIVE_INFINITY]);
});

test("what is no number is still refused", () => {
  for (const text of [
    `{"a":012345678901234567890}`,
    `[12345678901234567890x]`,
    `{12345678901234567890:1}`,
    `[--12345678901234567890]`,
    `[1234567890123456789-]`,
    `[/12345678901234567890]`,
    `[1234567890123456789-1234567890123456789]`,
    `[12345678901234567890 12345678901234567890]`,
  ]) {
    assert.throws(() => read(text), /must be well formed|must hold a value of its kind/, text);
  }
});

test("text with big integers is written and read back exactly, whatever its keys look like", () => {
  const value = { $int: "5", list: [2n ** 63n, 1, "9007199254740993", null], map: { $map: { a: -(2n ** 63n) } } };
  assert.equal(parseExactJson(exactJson(value), LIMITS), value);
});

test.run();
