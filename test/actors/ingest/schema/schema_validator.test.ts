import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  createSchemaCompiler,
  type JsonSchema,
  warningsOf,
} from "../../../../actors/ingest/schema/schema_validator.ts";

const compile = await createSchemaCompiler();

test("an event that fails is told the path and the reason of its first fault", () => {
  const check = compile(
    { type: "object", required: ["cpu"], properties: { cpu: { type: "number" }, kind: { enum: ["a", "b"] } } },
    "t",
  );
  assert.is(check({ cpu: 0.5 }), undefined);
  assert.equal(check({ cpu: "x" }), { code: "SCHEMA_VIOLATION", path: "/cpu", reason: "must be number" });
  assert.match(check({ cpu: 1, kind: "c" })?.reason ?? "", /one of the allowed values: \["a","b"\]/);
  assert.match(check({})?.reason ?? "", /required property 'cpu'/);
});

test("a fault within lists and maps is told with its whole JSON Pointer", () => {
  const check = compile({ properties: { "a/b": { items: { properties: { "c~d": { type: "string" } } } } } }, "t");
  assert.is(check({ "a/b": [{}, { "c~d": 1 }] })?.path, "/a~1b/1/c~0d");
});

test("a user's pattern is searched for as JSON Schema says", () => {
  assert.is(compile({ properties: { a: { pattern: "b" } } }, "t")({ a: "abc" }), undefined);
  assert.is(compile({ properties: { a: { pattern: "^\\u00e9+$" } } }, "t")({ a: "éé" }), undefined);
});

test("a schema that cannot be used says why", () => {
  const refused = (schema: JsonSchema, reason: RegExp) =>
    assert.throws(
      () => compile(schema, "metrics"),
      (error: Error) => /Cannot use the schema of metrics/.test(error.message) && reason.test(error.message),
    );
  refused({ type: "objekt" }, /type/);
  refused({ properties: { a: { pattern: "(" } } }, /pattern|parsing/);
  refused({ properties: { a: { pattern: "(?=a)" } } }, /parsing/);
  refused({ $ref: "https://example.org/x.json" }, /can't resolve reference/);
  refused({ $ref: "#/$defs/none" }, /can't resolve reference/);
  refused({ $schema: "https://example.org/own-dialect" }, /\$schema must be one of/);
  refused({ description: "a".repeat(300_000) }, /at most 262144 bytes/);
  refused({ $async: true }, /synchronous/);
});

test("a schema that refers to itself for the same value is refused, one that descends first is taken", () => {
  assert.throws(() => compile({ allOf: [{ $ref: "#" }] }, "t"), /never end/);
  assert.throws(
    () => compile({ $defs: { a: { $ref: "#/$defs/b" }, b: { not: { $ref: "#/$defs/a" } } }, $ref: "#/$defs/a" }, "t"),
    /never end/,
  );
  assert.ok(compile({ properties: { child: { $ref: "#" } } }, "t"));
});

test("integers beyond 2^53 are integers, and are held against bounds and allowed values exactly", () => {
  const big = 9_007_199_254_740_993n;
  const takes = (schema: JsonSchema, id: unknown) => compile({ properties: { id: schema } }, "t")({ id }) === undefined;
  assert.ok(
    takes({ type: "integer" }, big) && takes({ type: "number" }, big) && takes({ type: ["null", "integer"] }, big),
  );
  assert.not(takes({ type: "string" }, big));
  assert.ok(takes({ minimum: 9_007_199_254_740_992, maximum: 2 ** 60 }, big));
  assert.not(takes({ maximum: 9_007_199_254_740_992 }, big));
  assert.not(takes({ exclusiveMinimum: big }, big));
  assert.ok(takes({ multipleOf: 3 }, big) && takes({ multipleOf: 0.5 }, big) && !takes({ multipleOf: 2 }, big));
  assert.ok(takes({ enum: [1, big] }, big) && takes({ const: big }, big));
  assert.not(takes({ enum: [9_007_199_254_740_992] }, big));
  assert.ok(takes({ const: 2 ** 60 }, 2n ** 60n), "a double and a big integer of one value are equal");
  assert.ok(takes({ format: "int64" }, 2n ** 63n - 1n) && !takes({ format: "int64" }, 2n ** 63n));
  assert.not(takes({ not: { type: "integer" } }, big));
  assert.not(takes({ uniqueItems: true }, [2 ** 60, 2n ** 60n]));
  assert.not(takes({ uniqueItems: true }, [[2 ** 60], [2n ** 60n]]), "within items too");
  assert.ok(takes({ uniqueItems: true }, [big, big - 1n]));
});

test("decimal multiples are exact", () => {
  const check = compile({ properties: { price: { multipleOf: 0.01 } } }, "t");
  for (const price of [0.07, 19.99, 4.35, 1e10]) assert.is(check({ price }), undefined, `${price}`);
  assert.is(check({ price: 0.075 })?.path, "/price");
});

test("a property that every object inherits is missing where an event does not have it", () => {
  assert.match(compile({ required: ["toString"] }, "t")({})?.reason ?? "", /toString/);
  assert.is(compile({ properties: { constructor: { type: "string" } } }, "t")({}), undefined);
});

test("times and bytes count as maps without keys", () => {
  const check = compile({ properties: { at: { type: "object", additionalProperties: false } } }, "t");
  assert.is(check({ at: new Date(0) }), undefined);
  assert.is(check({ at: new Uint8Array(1_000) }), undefined);
});

test("all patterns of a schema together have a bound: thousands of them would take the memory of the whole node", () => {
  const names = Array.from({ length: 4_000 }, (_, index) => [`^(\\p{L}){1,100}${index}$`, {}]);
  assert.throws(() => compile({ patternProperties: Object.fromEntries(names) }, "t"), /all its patterns together/);
  const few = Array.from({ length: 1_000 }, (_, index) => [`^x-${index}-[a-z0-9]+$`, {}]);
  assert.is(compile({ patternProperties: Object.fromEntries(few) }, "t")({ "x-7-a": 1 }), undefined);
});

test("unknown keywords and formats give warnings, and extensions give none", () => {
  const schema = { propertys: {}, properties: { a: { format: "phone", example: 1, "x-order": 2 } }, type: "object" };
  assert.is(compile(schema, "t")({ a: 1 }), undefined);
  assert.equal(
    warningsOf(schema).map(({ path }) => path),
    ["/propertys", "/properties/a/format", "/properties/a/example"],
  );
  assert.match(warningsOf({ title: "nothing" })[0]?.reason ?? "", /no keyword judges an event/);
  assert.equal(warningsOf({ type: "object" }), []);
});

test.run();
