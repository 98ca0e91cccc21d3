/** JSON from outside: integers are exact, and no number silently becomes another. */
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { fromJsonValue } from "../../../protocols/values/json_values.ts";
import { parseExactJson, parseJson } from "../../../protocols/values/parse_json.ts";

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

test("a plain integer beyond 64 bits is refused, whether or not a double holds it, and named by its path", () => {
  for (const digits of [
    "18446744073709551616",
    "18446744073709551617",
    "100000000000000000000",
    "-9223372036854775809",
  ]) {
    assert.throws(
      () => read(`{"a":[1,${digits}]}`),
      new RegExp(`as /a/1 must be an integer of 64 bits, or be written with an exponent: current value is ${digits}$`),
    );
  }
  assert.throws(() => read("18446744073709551616"), /as the value must be an integer of 64 bits/);
  assert.throws(() => read(`[${"9".repeat(100_000)}]`), /as \/0 must be .* with an exponent: current value is 9{64}…$/);
});

test("the same number with a point or an exponent is a float", () => {
  assert.equal(read("[1e20,18446744073709551616.0,1.8446744073709552e+19,-9.3e18]"), [1e20, 2 ** 64, 2 ** 64, -9.3e18]);
});

test("a map in place of the text of $int is refused as a bad tag", () => {
  for (const plain of ["5", "x", '"']) {
    const text = JSON.stringify({ a: { $int: { plain } } });
    assert.throws(
      () => read(text),
      (error: Error) =>
        error.message.includes(
          `as /a/$int must hold the digits of an integer, as text: current value is ${JSON.stringify({ plain })}`,
        ),
    );
  }
  assert.throws(
    () => read(`{"a":{"$int":18446744073709551616}}`),
    /as \/a\/\$int must hold .* current value is 18446744073709551616$/,
  );
});

test("malformed numbers are refused", () => {
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

test("a double beyond 64 bits that an earlier version wrote as digits is read as that double", () => {
  assert.equal(parseExactJson("[100000000000000000000,100000000000000000001]", LIMITS), [1e20, 100000000000000000001n]);
});

test.run();
