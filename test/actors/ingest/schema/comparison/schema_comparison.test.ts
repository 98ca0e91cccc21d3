import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TEXT_FORMATS } from "../../../../../actors/ingest/schema/formats.ts";
import { isMultiple } from "../../../../../actors/ingest/schema/numbers.ts";
import { incompatibilities } from "../../../../../actors/ingest/schema/schema_compatibility.ts";
import { createSchemaCompiler, type JsonSchema } from "../../../../../actors/ingest/schema/schema_validator.ts";
import { patternCompiler } from "../../../../../actors/kernel/linear_pattern.ts";
import { EVENTS, isOfKnownNames, schemaPair } from "../../../../support/schema_pairs.ts";

const [compile, compilePattern] = await Promise.all([createSchemaCompiler(), patternCompiler()]);
const reasonsOf = (previous: JsonSchema, next: JsonSchema) =>
  incompatibilities(previous, next, "backward", compilePattern);

type IsTaken = (event: unknown) => boolean;

const byAjv = (schema: JsonSchema): IsTaken => {
  const validate = new Ajv2020({ strict: false, logger: false }).compile(schema);
  return (event) => validate(event);
};
const byHeadrace = (schema: JsonSchema): IsTaken => {
  const check = compile(schema, "schema");
  return (event) => check(event as never) === undefined;
};

const PAIRS = 300;

test("of pairs of schemas that every event of a small world judges, none is taken wrongly and most are taken rightly", () => {
  const counted = { sound: 0, taken: 0, left: 0 };
  for (let seed = 0; seed < PAIRS; seed += 1) {
    const pair = schemaPair(seed);
    const isTakenStill = brute(pair);
    if (isTakenStill === undefined) {
      counted.left += 1;
      continue;
    }
    const isCalledSound = reasonsOf(...pair).length === 0;
    assert.ok(isTakenStill || !isCalledSound, `seed ${seed}: ${JSON.stringify(pair)}`);
    if (isTakenStill) counted.sound += 1;
    if (isTakenStill && isCalledSound) counted.taken += 1;
  }
  const said = JSON.stringify(counted);
  assert.ok(counted.left < PAIRS * 0.15, said);
  assert.ok(counted.sound > PAIRS * 0.5, said);
  assert.ok(counted.taken > counted.sound * 0.88, said);
});

/** Whether every event of the old schema is one of the new; undefined where Ajv and the node's own checks differ on an event. */
function brute([old, next]: readonly [JsonSchema, JsonSchema]): boolean | undefined {
  const said = JSON.stringify(old);
  if (said === JSON.stringify(next)) return undefined;
  try {
    const [before, after] = [byAjv(old), byAjv(next)];
    const [own, ownAfter] = [byHeadrace(old), byHeadrace(next)];
    if (EVENTS.some((event) => before(event) !== own(event) || after(event) !== ownAfter(event))) return undefined;
    return EVENTS.every((event) => !isOfKnownNames(event, said) || !before(event) || after(event));
  } catch {
    return undefined; // Ajv's code for unevaluatedProperties within oneOf can throw
  }
}

const number = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom<number | bigint>(...[0.5, -0.5, 1e21, 2 ** 53, 2n ** 53n, 2n ** 53n + 1n, 2 ** 53 + 2, -(2 ** 53)]),
);
const bounds = fc.record(
  { minimum: number, exclusiveMinimum: number, maximum: number, exclusiveMaximum: number },
  { requiredKeys: [] },
);
const typed = fc.tuple(bounds, fc.constantFrom("integer", "number")).map(([some, type]) => ({ type, ...some }));
const NUMBERS = [
  ...[-4, -3, -2, -1, -0.5, 0, 0.25, 0.5, 1, 2, 2.5, 3, 4, 1e21, 2 ** 53, 2 ** 53 + 2, -(2 ** 53)],
  ...[2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 2n, -(2n ** 53n) - 1n, 10n ** 21n],
];

test("bounds of numbers are held against each other exactly, whole numbers and big integers too", () => {
  fc.assert(
    fc.property(typed, typed, (old, next) => {
      if (reasonsOf(old, next).length > 0) return;
      const [before, after] = [byHeadrace(old), byHeadrace(next)];
      for (const one of NUMBERS) if (before(one)) assert.ok(after(one), String(one));
    }),
    { numRuns: 500 },
  );
});

test("a multiple is one of every divisor of its divisor, decimals by their digits", () => {
  const decimal = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 3 }));
  const written = ([digits, places]: readonly [number, number]) => Number(`${digits}e-${places}`);
  fc.assert(
    fc.property(decimal, decimal, (one, other) => {
      const [old, next] = [written(one), written(other)];
      const isExact =
        (BigInt(one[0]) * 10n ** BigInt(3 - one[1])) % (BigInt(other[0]) * 10n ** BigInt(3 - other[1])) === 0n;
      assert.is(isMultiple(old, next), isExact);
      assert.is(reasonsOf({ multipleOf: old }, { multipleOf: next }).length === 0, isExact);
    }),
  );
});

test("a text of a format is one of the wider format, and no longer than the format's texts", () => {
  const texts = [
    ...[
      "2026-12-01T10:00:00Z",
      "2026-12-01T10:00:00.5+01:00",
      "10:00:00Z",
      "https://a.example/b?c#d",
      "urn:x:y",
      "ftp://h",
    ],
    ...["2026-12-01", "a/b", "HTTP://h:1", "10:00:00", "2026-12-01T10:00:00"],
  ];
  for (const old of TEXT_FORMATS.keys()) {
    for (const next of TEXT_FORMATS.keys()) {
      if (reasonsOf({ format: old }, { format: next }).length > 0) continue;
      const [before, after] = [byHeadrace({ format: old }), byHeadrace({ format: next })];
      for (const text of texts) if (before(text)) assert.ok(after(text), `${old} to ${next}: ${text}`);
    }
  }
});

const repeated = (count: number, make: (index: number) => unknown) =>
  Array.from({ length: count }, (_, at) => make(at));
const named = (count: number, make: (index: number) => readonly [string, unknown]) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => make(at)));
const whole = { type: "integer" };

test("large schemas are compared where that needs few steps", () => {
  const values = repeated(10_000, (at) => `value-${at}`);
  assert.equal(reasonsOf({ enum: values }, { enum: [...values, "one more"].reverse() }), []);
  assert.equal(reasonsOf({ enum: values }, { type: "string", pattern: "^value-[0-9]+$" }), []);
  assert.match(reasonsOf({ enum: values }, { enum: values.slice(20) })[0] ?? "", /value-9 and 10 more is not allowed/);
  const closed = (count: number) => ({
    properties: named(count, (at) => [`p${at}`, whole]),
    unevaluatedProperties: false,
  });
  assert.equal(reasonsOf(closed(10_000), closed(10_001)), []);
  const kinds = (count: number) => ({
    type: "object",
    oneOf: repeated(count, (at) => ({
      required: ["kind"],
      properties: { kind: { const: `k${at}` }, [`v${at}`]: whole },
    })),
  });
  assert.equal(reasonsOf(kinds(100), kinds(101)), []);
  const chain = (end: unknown) => ({
    $defs: named(3_000, (at) => [`d${at}`, at === 2_999 ? end : { $ref: `#/$defs/d${at + 1}` }]),
    $ref: "#/$defs/d0",
  });
  assert.equal(reasonsOf(chain(whole), chain({ type: "number" })), []);
  assert.equal(reasonsOf(chain({ type: "number" }), chain(whole)), ["/: type number is not allowed any more"]);
});

test("a comparison that takes more than its steps is refused as undecided", () => {
  const undecided = /^\/: undecided, as the schemas are too large to be held against each other/;
  const patterns = (letter: string) => ({ patternProperties: named(1_000, (at) => [`^${letter}${at}$`, whole]) });
  assert.match(reasonsOf(patterns("a"), patterns("b")).at(-1) ?? "", undecided);
  const maps = repeated(3_000, (at) => ({ a: at, b: [at] }));
  assert.match(reasonsOf({ enum: maps }, { enum: [...maps].reverse() }).at(-1) ?? "", undecided);
  const dependents = (next: number) => ({ dependentRequired: named(2_000, (at) => [`p${at}`, [`p${at + next}`]]) });
  assert.match(reasonsOf(dependents(1), dependents(2)).at(-1) ?? "", undecided);
  const nested = (depth: number, leaf: object): object =>
    depth === 0
      ? leaf
      : {
          anyOf: [
            { properties: { [`x${depth}`]: whole }, ...nested(depth - 1, leaf) },
            { allOf: [nested(depth - 1, leaf)] },
          ],
        };
  const atMost = (maximum: number): JsonSchema => ({ properties: { z: { maximum } }, ...nested(10, { minLength: 1 }) });
  const reasons = reasonsOf(atMost(5), atMost(4));
  assert.match(reasons.at(-1) ?? "", undecided);
  assert.match(reasons[0] ?? "", /^\/z: maximum became 4/, "with the reasons that were found before");
});

test("K6: schemas within `not` and `if` are compared the other way around, without the exception for new properties", () => {
  const map = { type: "object" };
  const narrow = { ...map, properties: { a: { type: "string" } } };
  assert.equal(reasonsOf({ not: map }, { not: narrow }), []);
  assert.is(reasonsOf({ not: narrow }, { not: map }).length, 1, "the new schema refuses the event {a: 5}");
  const then = (condition: object) => Object.fromEntries([["if", condition], ...[["then", { required: ["b"] }]]]);
  assert.equal(reasonsOf(then(map), then(narrow)), []);
  assert.is.not(reasonsOf(then(narrow), then(map)).length, 0);
});

test("a schema that leads to itself by a dynamic reference is compared, or refused with its reason", () => {
  const tree = (value: unknown, $defs: object): JsonSchema => ({
    $id: "https://example.org/tree",
    $dynamicAnchor: "node",
    properties: { children: { items: { $dynamicRef: "#node" } }, value },
    $defs,
  });
  assert.equal(reasonsOf(tree(whole, {}), tree({ type: "number" }, {})), []);
  assert.match(reasonsOf(tree({ type: "number" }, {}), tree(whole, {}))[0] ?? "", /^\/value: type number/);
  const other = { strict: { $id: "strict", $dynamicAnchor: "node" } };
  assert.match(reasonsOf(tree(whole, other), tree(whole, other))[0] ?? "", /\$dynamicRef changed/);
});

test.run();
