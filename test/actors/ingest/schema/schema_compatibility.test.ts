import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Compatibility,
  incompatibilities as incompatibilitiesOf,
} from "../../../../actors/ingest/schema/schema_compatibility.ts";
import { createSchemaCompiler, type JsonSchema } from "../../../../actors/ingest/schema/schema_validator.ts";
import { patternCompiler } from "../../../../actors/kernel/linear_pattern.ts";

const compilePattern = await patternCompiler();
const incompatibilities = (previous: JsonSchema, next: JsonSchema, mode: Compatibility) =>
  incompatibilitiesOf(previous, next, mode, compilePattern);

const base: JsonSchema = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string" }, level: { enum: ["low", "high"] }, size: { type: "integer", maximum: 100 } },
  additionalProperties: false,
};
const withProperty = (name: string, schema: unknown): JsonSchema => ({
  ...base,
  properties: { ...(base.properties as object), [name]: schema },
});
const backward = (next: JsonSchema) => incompatibilities(base, next, "backward");

test("an optional property, a wider type, enum or bound may follow", () => {
  assert.equal(backward(withProperty("note", { type: "string" })), []);
  assert.equal(backward(withProperty("size", { type: ["number", "null"], maximum: 1_000 })), []);
  assert.equal(backward(withProperty("level", { enum: ["low", "high", "top"] })), []);
  assert.equal(backward({ ...base, description: "only words" }), []);
});

test("a change that would refuse a stored event is refused, with its place and reason", () => {
  assert.match(backward({ ...base, required: ["id", "size"] })[0] ?? "", /^\/size: is required now/);
  assert.match(backward(withProperty("size", { type: "integer", maximum: 10 }))[0] ?? "", /^\/size: maximum became 10/);
  assert.match(backward(withProperty("level", { enum: ["low"] }))[0] ?? "", /^\/level: high is not allowed any more/);
  assert.match(backward(withProperty("id", { type: "integer" }))[0] ?? "", /^\/id: type string/);
  assert.match(backward(withProperty("id", { type: "string", pattern: "^x" }))[0] ?? "", /^\/id: pattern changed/);
});

test("a property taken away from a closed schema is refused, from an open one it is not", () => {
  const { level: _level, ...rest } = base.properties as Record<string, unknown>;
  assert.match(backward({ ...base, properties: rest })[0] ?? "", /^\/level: nothing is allowed/);
  assert.equal(backward({ ...base, properties: rest, additionalProperties: true }), []);
});

test("forward and full compatibility are judged the other way around too", () => {
  const wider = withProperty("level", { enum: ["low", "high", "top"] });
  assert.match(incompatibilities(base, wider, "forward")[0] ?? "", /top is not allowed/);
  assert.is(incompatibilities(base, wider, "full").length, 1);
  assert.equal(incompatibilities(base, { type: "string" }, "none"), []);
});

const changed = (previous: JsonSchema, next: JsonSchema) => incompatibilities(previous, next, "backward").length > 0;

test("taking a keyword away is refused where a narrower rule then judges its values", () => {
  const closed = { additionalProperties: false };
  const word = { type: "string" };
  assert.ok(changed({ ...closed, patternProperties: { "^x-": word } }, closed));
  assert.ok(changed({ ...closed, properties: { a: word } }, closed));
  assert.ok(
    changed(
      { properties: { a: word }, additionalProperties: { type: "integer" } },
      { additionalProperties: { type: "integer" } },
    ),
  );
  assert.ok(
    changed(
      { properties: { a: word }, patternProperties: { "^a": {} } },
      { patternProperties: { "^a": { type: "integer" } } },
    ),
  );
  assert.ok(changed({ prefixItems: [word], items: { type: "integer" } }, { items: { type: "integer" } }));
  assert.ok(changed({ contains: word, minContains: 0 }, { contains: word }));
  assert.ok(changed({ properties: { a: word }, unevaluatedProperties: false }, { unevaluatedProperties: false }));
  assert.not(changed({ patternProperties: { "^x-": word } }, {}), "an open schema exempts nothing");
  assert.not(changed({ ...closed, patternProperties: { "^x-": word } }, { additionalProperties: word }));
});

test("a property that is named now is held against the rule that judged it before", () => {
  const rest = { additionalProperties: { type: "integer" } };
  assert.ok(changed(rest, { ...rest, properties: { a: { type: "string" } } }));
  assert.not(changed(rest, { ...rest, properties: { a: { type: "number" } } }));
  const pattern = { patternProperties: { "^a": { type: "string" } }, additionalProperties: false };
  assert.ok(changed(pattern, { ...pattern, properties: { ab: { type: "integer" } } }));
  assert.not(
    changed({ additionalProperties: false }, { additionalProperties: false, properties: { a: { type: "string" } } }),
  );
  assert.ok(
    changed({}, { patternProperties: { "^a": { type: "string" } } }),
    "a pattern may match what an open schema let in",
  );
});

test("alternatives and conditions are held against each other, and what cannot be shown is refused", () => {
  const words = { anyOf: [{ type: "string" }] };
  assert.not(changed(words, { anyOf: [{ type: "string" }, { type: "integer" }] }));
  assert.ok(changed({ anyOf: [{ type: "string" }, { type: "integer" }] }, words));
  assert.not(changed({ type: "string" }, words));
  assert.ok(changed({ oneOf: [{ type: "string" }] }, { oneOf: [{ type: "string" }, { minLength: 1 }] }));
  assert.not(changed({ oneOf: [{ type: "string" }] }, {}));
  assert.ok(changed({}, { allOf: [{ required: ["a"] }] }));
  assert.not(changed({ required: ["a"] }, { allOf: [{ required: ["a"] }] }));
  assert.ok(changed({ if: { required: ["a"] }, else: {} }, { if: { required: ["a"] }, else: { required: ["b"] } }));
  assert.ok(
    changed(
      { $defs: { a: { type: "string" } }, $ref: "#/$defs/a" },
      { $defs: { a: { type: "integer" } }, $ref: "#/$defs/a" },
    ),
  );
  assert.not(changed({ type: "object" }, { type: "object", $defs: { a: { type: "string" } } }));
  assert.ok(changed({ type: "string" }, { type: "string", format: "date" }));
  assert.not(changed({ type: "string", format: "date" }, { type: "string" }));
  assert.ok(changed({ maximum: 2n ** 60n }, { maximum: 2n ** 60n - 1n }), "bounds beyond 2^53 are bounds");
});

test("annotations, extensions and a newer draft's spelling change nothing", () => {
  const old = {
    oneOf: [{ type: "string", description: "a word" }],
    $schema: "http://json-schema.org/draft-07/schema#",
  };
  assert.not(changed(old, { oneOf: [{ type: "string", title: "another" }], "x-order": 1, example: "a" }));
  const tuple = {
    $schema: "http://json-schema.org/draft-07/schema#",
    items: [{ type: "string" }],
    additionalItems: false,
  };
  assert.not(changed(tuple, { prefixItems: [{ type: "string" }], items: false }));
  assert.not(changed({ type: "array" }, { type: "array", uniqueItems: false, minItems: 0 }));
});

test("a definition is compared where a reference leads to it, and may be written in place of the reference", () => {
  const integer = { type: "integer", maximum: 10 };
  const order = (amount: unknown) => ({ type: "object", properties: { amount }, required: ["amount"] });
  const old = { $defs: { amount: integer }, ...order({ $ref: "#/$defs/amount" }) };
  const wider = { type: ["number", "null"], maximum: 20 };
  assert.not(changed(old, { ...old, $defs: { amount: wider } }));
  assert.ok(changed({ ...old, $defs: { amount: wider } }, old));
  assert.not(changed(old, order(integer)));
  assert.not(changed(order(integer), old));
  assert.ok(changed(order(wider), old));
  assert.not(changed(old, { definitions: { n: integer }, ...order({ $ref: "#/definitions/n", title: "an amount" }) }));
  assert.ok(
    changed({ $defs: { a: integer }, not: { $ref: "#/$defs/a" } }, { $defs: { a: wider }, not: { $ref: "#/$defs/a" } }),
  );
  assert.not(
    changed({ $defs: { a: integer }, type: "string" }, { $defs: { a: wider }, type: "string" }),
    "nothing refers",
  );
});

test("a schema that leads to itself is compared to its end", () => {
  const tree = (value: unknown) => ({
    $defs: { node: { type: "object", properties: { value, next: { $ref: "#/$defs/node" } }, required: ["value"] } },
    $ref: "#/$defs/node",
  });
  assert.not(changed(tree({ type: "integer" }), tree({ type: ["integer", "null"] })));
  assert.equal(incompatibilities(tree({ type: "number" }), tree({ type: "integer" }), "backward"), [
    "/value: type number is not allowed any more",
  ]);
});

test("schemas that all hold may be joined, taken apart and made alternatives (schema comparison K1, K2)", () => {
  const parts = { allOf: [{ type: "object" }, { properties: { a: { type: "integer" } } }, { required: ["a"] }] };
  const joined = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  assert.not(changed(parts, joined));
  assert.not(changed(joined, parts));
  assert.not(changed(parts, { anyOf: [joined, { type: "string" }] }));
  assert.not(changed({ anyOf: [{ type: "string" }, { type: "null" }] }, { type: ["string", "null"] }));
  assert.not(changed({ type: ["string", "null"] }, { anyOf: [{ type: "string" }, { type: "null" }] }));
  assert.ok(changed({ type: ["string", "null"] }, { anyOf: [{ type: "string" }] }));
});

test("alternatives that name their kind are apart only where they take maps alone", () => {
  const kind = (name: string) => ({ required: ["kind"], properties: { kind: { const: name } } });
  assert.ok(changed({ oneOf: [kind("a")] }, { oneOf: [kind("a"), kind("b")] }), "5 matches both");
  assert.not(changed({ type: "object", oneOf: [kind("a")] }, { type: "object", oneOf: [kind("a"), kind("b")] }));
});

test("a pattern that takes the host's own engine for ever is compared all the same", () => {
  const long = `${"a".repeat(40)}!`;
  const slow = { patternProperties: { "^(a+)+$": { type: "string" } }, additionalProperties: false };
  assert.ok(changed({ ...slow, properties: { [long]: { type: "integer" } } }, slow));
  assert.not(changed({ ...slow, properties: { [long]: word } }, { ...slow, additionalProperties: word }));
});

test("a union takes a new alternative that no old value matches", () => {
  const kind = (name: string, more: object = {}) => ({
    ...{ type: "object", properties: { kind: { const: name }, ...more }, required: ["kind"] },
  });
  const old = { oneOf: [kind("a"), kind("b", { n: { type: "integer" } })] };
  assert.not(changed(old, { oneOf: [...old.oneOf, kind("c")] }));
  assert.not(changed(old, { oneOf: [kind("b", { n: { type: "number" } }), kind("a")] }));
  assert.not(changed(kind("a"), { oneOf: [kind("a"), { type: "string" }] }));
  assert.ok(changed(old, { oneOf: [...old.oneOf, { properties: { kind: { const: "c" } } }, { type: "object" }] }));
  assert.ok(changed(old, { oneOf: [old.oneOf[0]] }));
  const open = { oneOf: [{ type: "integer" }, { type: "string" }] };
  assert.ok(changed(open, { oneOf: [{ type: "integer" }, { type: ["string", "number"] }] }), "an integer matches both");
  assert.not(changed(open, { oneOf: [{ type: "integer" }, { type: "string" }, { type: "null" }] }));
  assert.ok(changed({ type: "object" }, { oneOf: [true, true] }), "each value matches both");
  const undemanded = (name: string) => ({ properties: { kind: { const: name } } });
  assert.ok(
    changed(undemanded("a"), { oneOf: [undemanded("a"), undemanded("b")] }),
    "an event without a kind matches both",
  );
});

test("only a property that no part of the old schema judges may be declared (schema comparison K3)", () => {
  const declared = { properties: { a: { type: "integer" } } };
  const now = { properties: { a: { type: "string" } } };
  assert.not(changed({ type: "object" }, now), "the exception made for use");
  assert.ok(changed({ allOf: [declared] }, now));
  assert.ok(changed({ $defs: { d: declared }, $ref: "#/$defs/d" }, now));
  assert.ok(changed({ anyOf: [declared, { required: ["b"] }] }, now));
  assert.ok(changed({ oneOf: [declared, { required: ["b"] }] }, now));
  assert.ok(changed({ if: { required: ["b"] }, else: declared }, now));
  assert.ok(changed({ dependentSchemas: { b: declared } }, now));
  assert.ok(changed({ properties: { o: {} }, allOf: [{ properties: { o: declared } }] }, { properties: { o: now } }));
});

const word = { type: "string" };
const count = { type: "number" };

test("a schema that closes what its siblings do not evaluate is compared with these siblings", () => {
  const own = { properties: { a: {} }, unevaluatedProperties: false };
  const $defs = { base: { properties: { id: word, n: word } } };
  const old = { $defs, allOf: [{ $ref: "#/$defs/base" }], ...own };
  assert.ok(changed(old, own));
  assert.ok(changed({ $defs, $ref: "#/$defs/base", ...own }, own));
  assert.ok(changed(old, { ...old, $defs: { base: { properties: { id: word } } } }), "n is taken by nothing now");
  assert.ok(changed({ ...own, anyOf: [{ properties: { b: word } }, { properties: { c: word } }] }, own));
  assert.ok(changed({ ...own, oneOf: [{ required: ["b"], properties: { b: word } }, { required: ["c"] }] }, own));
  assert.ok(changed({ ...own, allOf: [{ dependentSchemas: { a: { properties: { z: word } } } }] }, own));
  const either = { ...own, anyOf: [{ required: ["a"] }, { required: ["b"] }] };
  assert.ok(changed({ $defs, allOf: [{ $ref: "#/$defs/base" }], ...either }, either));
  const items = { type: ["array", "null"], unevaluatedItems: false };
  assert.ok(changed({ ...items, allOf: [{ prefixItems: [word] }] }, items));
  assert.ok(
    changed({ ...items, allOf: [{ prefixItems: [word, word] }] }, { ...items, allOf: [{ prefixItems: [word] }] }),
  );
  assert.not(changed(old, { ...old, $defs: { more: {}, ...$defs } }));
  assert.not(changed(old, old), "the same schema may follow");
});

test("an alternative that is compared by itself leaves no names of the others open (schema comparison K4)", () => {
  const [a, b] = [{ properties: { a: word } }, { properties: { b: count } }];
  assert.ok(changed({ anyOf: [a, b] }, { anyOf: [a] }));
  assert.ok(changed({ anyOf: [a, b] }, { properties: { ...a.properties, ...b.properties } }));
  assert.ok(changed({ properties: { p: { anyOf: [a, b] } } }, { properties: { p: a } }));
  assert.ok(changed({ items: { anyOf: [a, b] } }, { items: a }));
  assert.ok(changed({ prefixItems: [{ anyOf: [a, b] }] }, { prefixItems: [a] }));
  assert.ok(changed({ additionalProperties: { anyOf: [a, b] } }, { additionalProperties: a }));
  assert.ok(changed({ anyOf: [{ properties: { p: a } }, { properties: { p: b } }] }, { properties: { p: a } }));
  assert.ok(changed({ contains: a, items: {} }, { contains: a, items: { properties: { a: count } } }));
  const $defs = { x: a, y: { properties: { ...b.properties } } };
  const both = { x: a, y: { properties: { ...a.properties, ...b.properties } } };
  assert.ok(
    changed({ $defs, anyOf: [{ $ref: "#/$defs/x" }, { $ref: "#/$defs/y" }] }, { $defs: both, $ref: "#/$defs/y" }),
  );
  const kind = (name: string, more: object) => ({ properties: { kind: { const: name }, ...more }, required: ["kind"] });
  const kinds = [kind("a", { x: word }), kind("b", { y: count })];
  assert.ok(
    changed({ oneOf: kinds }, { properties: { kind: { enum: ["a", "b"] }, x: word, y: count }, required: ["kind"] }),
  );
  const type = "object";
  assert.not(changed({ type, oneOf: kinds }, { type, oneOf: [...kinds, kind("c", { z: word })] }));
  assert.not(changed({ anyOf: [a, b] }, { anyOf: [a, b], properties: { z: word } }), "z is named nowhere");
});

test("a name in a condition is not taken for a new name in the branches of the condition (schema comparison K4)", () => {
  const condition = { if: { properties: { kind: { const: "a" } }, required: ["kind"] } };
  assert.ok(changed(condition, { ...condition, else: { properties: { kind: { const: "b" } } } }));
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  const more = { then: { properties: { x: word } } };
  assert.ok(changed({ ...condition, ...more }, { ...condition, else: { properties: { x: count } } }));
  assert.not(changed({ ...condition, else: {} }, { ...condition, else: { properties: { x: count } } }));
});

test("a pattern matches the names that RE2 finds it in, as it does in events", () => {
  const closed = (properties: object, pattern: string, rule: unknown = true) => ({
    ...{ properties, patternProperties: { [pattern]: rule }, additionalProperties: false },
  });
  assert.ok(changed(closed({ a: word }, "(?i)^x-"), closed({}, "(?i)^x-")));
  assert.not(changed(closed({ a: word }, "(?i)^x-"), closed({ a: word }, "(?i)^x-")));
  const space = (properties: object) => ({ properties, patternProperties: { "^a\\s$": word } });
  assert.not(changed(space({}), space({ "a\u00a0": count })), "a space for the host's engine only: nothing judged it");
  assert.ok(changed(space({}), space({ "a ": count })));
  const any = (properties: object) => ({
    properties,
    patternProperties: { "^a.$": word },
    additionalProperties: count,
  });
  assert.ok(changed(any({}), any({ "a\r": count })), "not the end of a line for RE2");
  assert.not(changed(closed({ "x.a": word }, "^x\\."), closed({}, "^x\\.")), "a dot that is meant takes dots alone");
});

test("a name in any keyword of the old schema is not taken for a new name", () => {
  const named = (old: JsonSchema) => changed(old, { ...old, properties: { b: word } });
  assert.ok(named({ required: ["b"] }));
  assert.ok(named({ dependentRequired: { a: ["b"] } }));
  assert.ok(named({ dependentRequired: { b: ["a"] } }));
  assert.ok(named({ dependentSchemas: { b: {} } }));
  assert.ok(named({ propertyNames: { enum: ["a", "b"] } }));
  assert.ok(named({ propertyNames: { anyOf: [{ const: "b" }, { maxLength: 1 }] } }));
  assert.ok(named({ const: { b: 1 } }));
  assert.ok(named({ enum: [{ b: 1 }, {}] }));
  assert.ok(named({ anyOf: [{ required: ["b"] }, {}] }));
  const within = (old: JsonSchema) => changed(old, { ...old, properties: { p: { properties: { b: word } } } });
  assert.ok(within({ properties: { p: {} }, enum: [{ p: { b: 1 } }, { p: 1 }] }));
  assert.not(named({ required: ["a"], propertyNames: { enum: ["a"] }, enum: [{ a: 1 }] }));
});

test("a constant and a list of values both hold, and each value is tried (schema comparison K5)", () => {
  assert.ok(changed({ const: "a" }, { const: "a", enum: ["b", "c"] }));
  assert.not(changed({ const: "a" }, { const: "a", enum: ["a", "c"] }));
  assert.not(changed({ const: "a", enum: ["a", "c"] }, { enum: ["a"] }));
});

const leaf = fc.oneof(
  fc.record({ type: fc.constantFrom("string", "integer", "number", "boolean") }),
  fc.record({ enum: fc.uniqueArray(fc.constantFrom(1, 2, "a", "b", true), { minLength: 1 }) }),
  fc.record({
    type: fc.constant("number"),
    minimum: fc.integer({ min: 0, max: 3 }),
    maximum: fc.integer({ min: 3, max: 6 }),
  }),
);
/** With each way in which a property that has no name of its own can be judged. */
const objectSchema = fc.record({ a: leaf, b: leaf }, { requiredKeys: [] }).chain((properties) =>
  fc.record(
    {
      type: fc.constant("object"),
      properties: fc.constant(properties),
      required: fc.subarray(["a", "b"]),
      patternProperties: fc.record({ "^a": leaf, b$: leaf }, { requiredKeys: [] }),
      additionalProperties: fc.oneof(fc.constant(false), leaf),
    },
    { requiredKeys: ["type"] },
  ),
);
const value = fc.constantFrom<unknown>(0, 1, 2, 3, 4, 5.5, "a", "b", "c", true, false, null);
const event = fc.record({ a: value, b: value }, { requiredKeys: [] });

const compile = await createSchemaCompiler();

test("a change that is called backward compatible takes every event that the old schema took", () => {
  fc.assert(
    fc.property(objectSchema, objectSchema, fc.array(event, { minLength: 20, maxLength: 40 }), (old, next, events) => {
      if (incompatibilities(old, next, "backward").length > 0) return;
      const names = Object.keys((old.properties ?? {}) as object);
      if (old.additionalProperties === undefined && names.length < 2) return; // the exception made for use
      const [before, after] = [compile(old, "old"), compile(next, "next")];
      for (const one of events) if (before(one) === undefined) assert.is(after(one), undefined);
    }),
    { numRuns: 300 },
  );
});

const nested = fc.letrec((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.constantFrom({}, true, { $ref: "#/$defs/one" }, { $ref: "#/$defs/two" }),
    fc.record({ type: fc.subarray(["string", "integer", "object", "null"], { minLength: 1 }) }),
    fc.record(
      {
        properties: fc.record({ a: tie("schema"), b: tie("schema") }, { requiredKeys: [] }),
        required: fc.subarray(["a", "b"]),
        patternProperties: fc.record({ "^a": tie("schema") }),
        additionalProperties: fc.constantFrom(false, true),
        unevaluatedProperties: fc.constantFrom(false, true),
        allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
        anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
        oneOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
        if: tie("schema"),
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: tie("schema"),
        else: tie("schema"),
        dependentSchemas: fc.record({ a: tie("schema") }),
        propertyNames: fc.constantFrom({ enum: ["a", "b"] }, { const: "a" }),
        $ref: fc.constantFrom("#/$defs/one", "#/$defs/two"),
        not: tie("schema"),
      },
      { requiredKeys: ["properties"] },
    ),
  ),
})).schema as fc.Arbitrary<JsonSchema>;
const both = { $ref: "#/$defs/both" };
/** Both names wherever there is a map: the exception made for use has no place then. */
const declared = { properties: { a: both, b: both } };
/** Declared by what need not hold too: parts that are looked at alone must not forget it. */
const declaring = fc.constantFrom<JsonSchema>(
  ...[both, { anyOf: [both, true] }, { anyOf: [true, both] }, { oneOf: [both, false] }, { oneOf: [false, both] }],
  ...[{ if: both }, { if: true, else: both }, { not: { not: both } }, { dependentSchemas: { a: both } }],
);
const document = fc
  .tuple(nested, nested, leaf, declaring)
  .map(([all, one, two, names]): JsonSchema => ({ $defs: { one, two, both: declared }, allOf: [all], ...names }));
const first = (old: JsonSchema): JsonSchema => {
  const [all] = old.allOf as unknown[];
  return typeof all === "object" ? (all as JsonSchema) : {};
};
const keywordsOf = (old: JsonSchema) => fc.constantFrom("none", ...Object.keys(first(old)));
const alternativesOf = ({ anyOf = [], oneOf = [] }: JsonSchema): readonly JsonSchema[] =>
  [anyOf, oneOf].flat().filter((one): one is JsonSchema => typeof one === "object");
const withoutUndefined = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));

/** The same schema said in another way, or with one part of it changed. */
const successor = (old: JsonSchema): fc.Arbitrary<JsonSchema> =>
  fc.oneof(
    document,
    fc
      .record({ one: nested, two: leaf })
      .map(($defs) => ({ ...old, $defs: { ...(old.$defs as object), one: $defs.one } })),
    fc.record({ two: leaf }).map(({ two }) => ({ ...old, $defs: { ...(old.$defs as object), two } })),
    fc.record({ more: nested }).map(({ more }) => ({ $defs: old.$defs, anyOf: [...(old.allOf as unknown[]), more] })),
    nested.map((more) => ({ $defs: old.$defs, allOf: [(old.allOf as unknown[])[0], more] })),
    fc.constant({ ...old, allOf: [], ...((old.allOf as unknown[])[0] as object) }),
    keywordsOf(old).map((gone) => ({ ...old, allOf: [{ ...first(old), [gone]: undefined }].map(withoutUndefined) })),
    fc
      .tuple(keywordsOf(old), nested)
      .map(([kept, other]) => ({ ...old, allOf: [withoutUndefined({ ...first(old), [kept]: other[kept] })] })),
    fc.tuple(fc.constantFrom("anyOf", "oneOf"), fc.nat(1)).map(([keyword, at]) => {
      const left = ((first(old)[keyword] ?? []) as unknown[]).filter((_one, index) => index !== at);
      return { ...old, allOf: [withoutUndefined({ ...first(old), [keyword]: left.length > 0 ? left : undefined })] };
    }),
    fc.boolean().map((isWhole) => {
      const merged = Object.assign({}, ...alternativesOf(first(old)).map(({ properties = {} }) => properties));
      return isWhole ? { $defs: old.$defs, properties: merged } : { ...old, allOf: [{ properties: merged }] };
    }),
  );
const deepEvent = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, value, fc.record({ a: tie("value"), b: tie("value") }, { requiredKeys: [] })),
})).value;

const RUNS = 300;

test("no event that the old schema took is refused, with references, alternatives and conditions too", () => {
  let shown = 0;
  fc.assert(
    fc.property(
      document.chain((old) => fc.tuple(fc.constant(old), successor(old))),
      fc.array(deepEvent, { minLength: 60, maxLength: 80 }),
      ([old, next], events) => {
        let judges: readonly ReturnType<typeof compile>[];
        try {
          judges = [compile(old, "old"), compile(next, "next")];
        } catch {
          return; // a schema that leads to itself alone
        }
        if (incompatibilities(old, next, "backward").length > 0) return;
        shown += 1;
        const [before, after] = judges;
        for (const one of events) {
          if (before?.(one as never) === undefined) assert.is(after?.(one as never), undefined);
        }
      },
    ),
    { numRuns: RUNS },
  );
  assert.ok(shown > RUNS / 20, `${shown} of ${RUNS} pairs were called compatible`);
});

const NAMES = ["a", "b", "c"];
const small = fc.constantFrom<unknown>(true, word, count, { const: "x" }, { enum: ["x", 1] }, { maximum: 3 }, false);
const named = fc.record({ a: small, b: small, c: small }, { requiredKeys: [] });
const part = fc.record({ properties: named, required: fc.subarray(NAMES, { maxLength: 1 }) }, { requiredKeys: [] });
const parts = fc.array(part, { minLength: 1, maxLength: 2 });
/** Maps of three names, each of which may stand in one part alone. */
const flat = fc
  .record({
    own: fc.oneof(
      fc.record({ properties: named, additionalProperties: small }, { requiredKeys: [] }),
      fc.record({ properties: named, unevaluatedProperties: fc.oneof(fc.constant(false), small) }),
    ),
    lists: fc.record({ allOf: parts, anyOf: parts, oneOf: parts }, { requiredKeys: [] }),
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    condition: fc.option(fc.record({ if: part, then: part, else: part }, { requiredKeys: ["if"] })),
    more: fc.record({ required: fc.subarray(NAMES), dependentSchemas: fc.record({ a: part }) }, { requiredKeys: [] }),
    kept: fc.subarray(["own", "lists", "condition", "more"] as const, { minLength: 1, maxLength: 3 }),
  })
  .map(({ kept, ...all }): JsonSchema => Object.assign({ type: "object" }, ...kept.map((one) => all[one] ?? {})));
/** One or two parts are taken away, put in or merged. */
const changedFlat = (old: JsonSchema): fc.Arbitrary<JsonSchema> => {
  const keywords = fc.constantFrom("type", ...Object.keys(old));
  const merged = Object.assign({}, old.properties, ...alternativesOf(old).map(({ properties = {} }) => properties));
  const { anyOf: _anyOf, oneOf: _oneOf, ...others } = old;
  return fc.oneof(
    keywords.map((gone) => withoutUndefined({ ...old, [gone]: undefined })),
    fc.constant(withoutUndefined({ ...old, allOf: undefined })),
    keywords.map((one) => {
      const value = old[one];
      return Array.isArray(value) && value.length > 1 ? { ...old, [one]: value.slice(1) } : old;
    }),
    fc.tuple(fc.constantFrom("properties", "if", "then", "else", "anyOf", "oneOf"), flat).map(([keyword, other]) => ({
      ...old,
      ...(other[keyword] === undefined ? {} : { [keyword]: other[keyword] }),
    })),
    fc.constant({ ...others, properties: merged }),
    part.map((otherwise) => ({ ...old, else: otherwise })),
    fc.tuple(keywords, fc.constantFrom("anyOf", "oneOf", "allOf")).map(([gone, list]) => ({
      [list]: [withoutUndefined({ ...old, [gone]: undefined })],
    })),
  );
};
const VALUES = [undefined, "x", "y", 1, 6];
const EVERY_FLAT = VALUES.flatMap((a) => VALUES.flatMap((b) => VALUES.map((c) => withoutUndefined({ a, b, c }))));
const within = (schema: JsonSchema): JsonSchema => ({ type: "object", properties: { p: schema } });

const isSameText = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
const FLAT_RUNS = 2_000;

test("no event that the old schema took is refused, where the names are judged by some part of that schema", () => {
  let shown = 0;
  const pairs = flat.chain((old) =>
    fc.tuple(fc.constant(old), fc.oneof(changedFlat(old), changedFlat(old).chain(changedFlat))),
  );
  fc.assert(
    fc.property(pairs, fc.boolean(), ([old, next], isWithin) => {
      const [from, to] = isWithin ? [within(old), within(next)] : [old, next];
      if (isSameText(old, next) || incompatibilities(from, to, "backward").length > 0) return;
      shown += 1;
      const [before, after] = [compile(from, "old"), compile(to, "next")];
      const said = JSON.stringify(old);
      for (const one of EVERY_FLAT) {
        if (!Object.keys(one).every((name) => said.includes(`"${name}"`))) continue; // the exception made for use
        const event = isWithin ? { p: one } : one;
        if (before(event as never) === undefined) assert.is(after(event as never), undefined);
      }
    }),
    { numRuns: FLAT_RUNS },
  );
  assert.ok(shown > FLAT_RUNS / 20, `${shown} of ${FLAT_RUNS} pairs were called compatible`);
});

test.run();
