import { test } from "uvu";
import * as assert from "uvu/assert";
import { incompatibilities } from "../../../../actors/ingest/schema/schema_compatibility.ts";
import type { JsonSchema } from "../../../../actors/ingest/schema/schema_validator.ts";
import { patternCompiler } from "../../../../actors/kernel/linear_pattern.ts";

const compilePattern = await patternCompiler();
type Change = readonly [name: string, before: JsonSchema, after: JsonSchema];

const obj = (properties: JsonSchema, more: JsonSchema = {}): JsonSchema => ({ type: "object", properties, ...more });
/** A required property before and after. */
const p = (one: JsonSchema, two: JsonSchema): [JsonSchema, JsonSchema] => [
  obj({ a: one }, { required: ["a"] }),
  obj({ a: two }, { required: ["a"] }),
];
/** A name in a variable: an object literal with this key is taken for a promise. */
const THEN = "then";
const str = { type: "string" };
const int = { type: "integer" };
const num = { type: "number" };
/** Changes as a team that owns data makes them, none of which refuses an event that was taken. */
/** Closed, with a branch for each value of `k`. */
const keyed = (oneOf: readonly JsonSchema[]): JsonSchema =>
  obj({ k: str }, { required: ["k"], oneOf, unevaluatedProperties: false });

const SOUND: readonly Change[] = [
  [
    "optional property under unevaluatedProperties false",
    obj({ a: str }, { unevaluatedProperties: false }),
    obj({ a: str, b: int }, { unevaluatedProperties: false }),
  ],
  [
    "same, property in allOf base",
    { type: "object", allOf: [{ properties: { id: str } }], properties: { a: str }, unevaluatedProperties: false },
    {
      type: "object",
      allOf: [{ properties: { id: str, t: int } }],
      properties: { a: str },
      unevaluatedProperties: false,
    },
  ],
  [
    "same, property in $ref base",
    {
      type: "object",
      $defs: { base: { properties: { id: str } } },
      $ref: "#/$defs/base",
      properties: { a: str },
      unevaluatedProperties: false,
    },
    {
      type: "object",
      $defs: { base: { properties: { id: str, t: int } } },
      $ref: "#/$defs/base",
      properties: { a: str },
      unevaluatedProperties: false,
    },
  ],
  [
    "additionalProperties false to unevaluatedProperties false",
    obj({ a: str }, { additionalProperties: false }),
    obj({ a: str }, { unevaluatedProperties: false }),
  ],
  [
    "unevaluatedProperties false to additionalProperties false",
    obj({ a: str }, { unevaluatedProperties: false }),
    obj({ a: str }, { additionalProperties: false }),
  ],
  [
    "closed, moved to allOf with unevaluated",
    obj({ a: str, b: int }, { additionalProperties: false }),
    { allOf: [obj({ a: str }), obj({ b: int })], unevaluatedProperties: false },
  ],
  ["unevaluated false dropped", obj({ a: str }, { unevaluatedProperties: false }), obj({ a: str })],
  [
    "oneOf extended under unevaluated",
    keyed([{ properties: { k: { const: "a" }, x: int } }, { properties: { k: { const: "b" }, y: int } }]),
    keyed([
      { properties: { k: { const: "a" }, x: int } },
      { properties: { k: { const: "b" }, y: int } },
      { properties: { k: { const: "c" }, z: int } },
    ]),
  ],
  [
    "branch of union gets a property under unevaluated",
    keyed([{ properties: { k: { const: "a" }, x: int } }, { properties: { k: { const: "b" }, y: int } }]),
    keyed([{ properties: { k: { const: "a" }, x: int, z: int } }, { properties: { k: { const: "b" }, y: int } }]),
  ],
  ["exclusiveMaximum to maximum", ...p({ ...num, exclusiveMaximum: 10 }, { ...num, maximum: 10 })],
  ["exclusiveMaximum to larger maximum", ...p({ ...num, exclusiveMaximum: 10 }, { ...num, maximum: 11 })],
  ["maximum to larger exclusiveMaximum", ...p({ ...num, maximum: 10 }, { ...num, exclusiveMaximum: 11 })],
  ["exclusiveMinimum to minimum", ...p({ ...num, exclusiveMinimum: 0 }, { ...num, minimum: 0 })],
  ["integer minimum 1 to exclusiveMinimum 0", ...p({ ...int, minimum: 1 }, { ...int, exclusiveMinimum: 0 })],
  ["integer exclusiveMinimum 0 to minimum 1", ...p({ ...int, exclusiveMinimum: 0 }, { ...int, minimum: 1 })],
  ["multipleOf 10 to 5", ...p({ ...num, multipleOf: 10 }, { ...num, multipleOf: 5 })],
  ["multipleOf 0.3 to 0.1", ...p({ ...num, multipleOf: 0.3 }, { ...num, multipleOf: 0.1 })],
  ["multipleOf 1 to type integer", ...p({ ...num, multipleOf: 1 }, int)],
  ["type integer to multipleOf 1", ...p(int, { ...num, multipleOf: 1 })],
  ["enum to pattern", ...p({ enum: ["EUR", "USD"] }, { ...str, pattern: "^[A-Z]{3}$" })],
  ["enum to minLength", ...p({ enum: ["EUR", "USD"] }, { ...str, minLength: 3, maxLength: 3 })],
  ["enum of numbers to maximum", ...p({ enum: [1, 2, 3] }, { ...int, minimum: 0, maximum: 10 })],
  ["enum to type", ...p({ enum: ["a", "b"] }, str)],
  ["const to enum", ...p({ const: "a" }, { enum: ["a", "b"] })],
  ["enum wider", ...p({ enum: ["a"] }, { enum: ["b", "a"] })],
  [
    "enum to oneOf of consts",
    ...p({ enum: ["a", "b"] }, { oneOf: [{ const: "a", title: "A" }, { const: "b", title: "B" }, { const: "c" }] }),
  ],
  ["oneOf of consts to enum", ...p({ oneOf: [{ const: "a" }, { const: "b" }] }, { enum: ["a", "b"] })],
  ["enum to not", ...p({ enum: ["a", "b"] }, { ...str, not: { const: "" } })],
  ["enum to anyOf", ...p({ enum: ["a", 1] }, { anyOf: [str, int] })],
  ["enum to format", ...p({ enum: ["2024-01-01"] }, { ...str, format: "date" })],
  ["boolean to enum", ...p({ type: "boolean" }, { enum: [true, false] })],
  ["boolean and null to enum", ...p({ type: ["boolean", "null"] }, { enum: [true, false, null] })],
  ["integer range to enum", ...p({ ...int, minimum: 1, maximum: 3 }, { enum: [1, 2, 3, 4] })],
  ["integer to number", ...p(int, num)],
  ["integer to integer or string", ...p(int, { type: ["integer", "string"] })],
  ["nullable by anyOf", ...p(str, { anyOf: [str, { type: "null" }] })],
  ["nullable by oneOf", ...p({ ...str, maxLength: 5 }, { oneOf: [{ ...str, maxLength: 5 }, { type: "null" }] })],
  [
    "maxLength raised with format",
    ...p({ ...str, format: "email", maxLength: 100 }, { ...str, format: "email", maxLength: 254 }),
  ],
  ["format date gets maxLength 10", ...p({ ...str, format: "date" }, { ...str, format: "date", maxLength: 10 })],
  ["format date-time to iso-date-time", ...p({ ...str, format: "date-time" }, { ...str, format: "iso-date-time" })],
  ["format uri to uri-reference", ...p({ ...str, format: "uri" }, { ...str, format: "uri-reference" })],
  ["format int32 to int64", ...p({ ...int, format: "int32" }, { ...int, format: "int64" })],
  ["int32 range by bounds to format", ...p({ ...int, minimum: 0, maximum: 100 }, { ...int, format: "int32" })],
  ["format int32 to bounds", ...p({ ...int, format: "int32" }, { ...int, minimum: -2147483648, maximum: 2147483647 })],
  ["format float to double", ...p({ ...num, format: "float" }, { ...num, format: "double" })],
  ["bounds added for numbers on a text", ...p(str, { ...str, maximum: 5 })],
  ["type of text gets items", ...p(str, { type: ["string", "array"], items: str, minItems: 1 })],
  [
    "text may be an object with required",
    ...p(str, { type: ["string", "object"], required: ["x"], additionalProperties: false }),
  ],
  ["items same as prefixItems", ...p({ type: "array", items: int }, { type: "array", prefixItems: [int], items: int })],
  [
    "prefixItems closed gets more",
    ...p({ type: "array", prefixItems: [int], items: false }, { type: "array", prefixItems: [int, str], items: false }),
  ],
  [
    "prefixItems closed gets maxItems",
    ...p(
      { type: "array", prefixItems: [int, str], items: false },
      { type: "array", prefixItems: [int, str], maxItems: 2 },
    ),
  ],
  ["one or many", ...p(str, { anyOf: [str, { type: "array", items: str }] })],
  ["contains widened", ...p({ type: "array", contains: { const: 1 } }, { type: "array", contains: int })],
  ["contains gives minItems", ...p({ type: "array", contains: int }, { type: "array", contains: int, minItems: 1 })],
  ["uniqueItems dropped", ...p({ type: "array", uniqueItems: true }, { type: "array" })],
  [
    "maxItems 1 gets uniqueItems",
    ...p({ type: "array", maxItems: 1 }, { type: "array", maxItems: 1, uniqueItems: true }),
  ],
  ["required moved to allOf", obj({ a: str }, { required: ["a"] }), obj({ a: str }, { allOf: [{ required: ["a"] }] })],
  [
    "required becomes optional",
    obj({ a: str, b: str }, { required: ["a", "b"] }),
    obj({ a: str, b: str }, { required: ["a"] }),
  ],
  [
    "required gives minProperties",
    obj({ a: str }, { required: ["a"] }),
    obj({ a: str }, { required: ["a"], minProperties: 1 }),
  ],
  [
    "closed gets propertyNames",
    obj({ a: str }, { additionalProperties: false }),
    obj({ a: str }, { propertyNames: { pattern: "^[a-z]+$" } }),
  ],
  [
    "closed gets maxProperties",
    obj({ a: str, b: str }, { additionalProperties: false }),
    obj({ a: str, b: str }, { maxProperties: 2 }),
  ],
  [
    "$defs renamed",
    { $defs: { Old: obj({ a: str }) }, properties: { x: { $ref: "#/$defs/Old" } } },
    { $defs: { New: obj({ a: str }) }, properties: { x: { $ref: "#/$defs/New" } } },
  ],
  [
    "definitions to $defs",
    {
      $schema: "http://json-schema.org/draft-07/schema#",
      definitions: { O: obj({ a: str }) },
      properties: { x: { $ref: "#/definitions/O" } },
    },
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $defs: { O: obj({ a: str }) },
      properties: { x: { $ref: "#/$defs/O" } },
    },
  ],
  [
    "recursive definition renamed and widened",
    { $defs: { Old: obj({ a: int, n: { $ref: "#/$defs/Old" } }) }, $ref: "#/$defs/Old" },
    { $defs: { New: obj({ a: num, n: { $ref: "#/$defs/New" } }) }, $ref: "#/$defs/New" },
  ],
  ["anyOf reordered", ...p({ anyOf: [str, int] }, { anyOf: [int, str] })],
  ["anyOf extended", ...p({ anyOf: [str, int] }, { anyOf: [{ type: "null" }, int, str] })],
  ["oneOf to anyOf", ...p({ oneOf: [str, int] }, { anyOf: [str, int] })],
  [
    "oneOf by ranges extended",
    ...p(
      {
        oneOf: [
          { ...int, maximum: 9 },
          { ...int, minimum: 10, maximum: 19 },
        ],
      },
      {
        oneOf: [
          { ...int, maximum: 9 },
          { ...int, minimum: 10, maximum: 19 },
          { ...int, minimum: 20 },
        ],
      },
    ),
  ],
  [
    "union with enum kinds",
    { type: "object", required: ["k"], oneOf: [{ properties: { k: { enum: ["a", "b"] } } }] },
    {
      type: "object",
      required: ["k"],
      oneOf: [{ properties: { k: { enum: ["a", "b"] } } }, { properties: { k: { pattern: "^x-" } } }],
    },
  ],
  [
    "if/then added that old rules imply",
    obj({ k: str, a: int }, { required: ["k", "a"] }),
    obj(
      { k: str, a: int },
      { required: ["k", "a"], if: { properties: { k: { const: "z" } } }, [THEN]: { required: ["a"] } },
    ),
  ],
  [
    "if/then with then widened",
    obj(
      { k: str, a: int },
      { if: { properties: { k: { const: "z" } }, required: ["k"] }, [THEN]: { properties: { a: { maximum: 5 } } } },
    ),
    obj(
      { k: str, a: int },
      { if: { properties: { k: { const: "z" } }, required: ["k"] }, [THEN]: { properties: { a: { maximum: 10 } } } },
    ),
  ],
  [
    "if/then moved to allOf list",
    obj(
      { k: str, a: int },
      { if: { properties: { k: { const: "z" } }, required: ["k"] }, [THEN]: { required: ["a"] } },
    ),
    obj(
      { k: str, a: int },
      { allOf: [{ if: { required: ["k"], properties: { k: { const: "z" } } }, [THEN]: { required: ["a"] } }] },
    ),
  ],
  [
    "if on kinds that cannot be",
    obj({ k: { enum: ["a", "b"] } }, { required: ["k"] }),
    obj(
      { k: { enum: ["a", "b", "c"] } },
      { required: ["k"], if: { properties: { k: { const: "c" } } }, [THEN]: { required: ["z"] } },
    ),
  ],
  [
    "if narrowed",
    obj(
      { k: { enum: ["a", "b"] } },
      { required: ["k"], if: { properties: { k: { enum: ["a", "b"] } } }, [THEN]: { required: ["z"] } },
    ),
    obj(
      { k: { enum: ["a", "b"] } },
      { required: ["k"], if: { properties: { k: { const: "a" } } }, [THEN]: { required: ["z"] } },
    ),
  ],
  ["not narrowed", ...p({ ...str, not: { enum: ["x", "y"] } }, { ...str, not: { const: "x" } })],
  ["not of another type", ...p(str, { not: { type: "null" } })],
  [
    "not required narrowed",
    obj({ a: str }, { not: { required: ["x"] } }),
    obj({ a: str }, { not: { required: ["x", "y"] } }),
  ],
  [
    "dependencies to dependentRequired",
    { $schema: "http://json-schema.org/draft-07/schema#", ...obj({ a: str }), dependencies: { a: ["b"] } },
    { ...obj({ a: str }), dependentRequired: { a: ["b"] } },
  ],
  [
    "dependentRequired gets less",
    obj({ a: str }, { dependentRequired: { a: ["b", "c"], d: ["e"] } }),
    obj({ a: str }, { dependentRequired: { a: ["b"] } }),
  ],
  [
    "dependentRequired of required",
    obj({ a: str, b: str }, { required: ["a", "b"] }),
    obj({ a: str, b: str }, { required: ["a"], dependentRequired: { a: ["b"] } }),
  ],
  [
    "dependentSchemas widened",
    obj({ a: str }, { dependentSchemas: { a: { properties: { b: int } } } }),
    obj({ a: str }, { dependentSchemas: { a: { properties: { b: num } } } }),
  ],
  [
    "dependentRequired to dependentSchemas",
    obj({ a: str }, { dependentRequired: { a: ["b"] } }),
    obj({ a: str }, { dependentSchemas: { a: { required: ["b"] } } }),
  ],
  [
    "pattern property widened",
    { type: "object", patternProperties: { "^x-": int }, additionalProperties: false },
    { type: "object", patternProperties: { "^x-": num }, additionalProperties: false },
  ],
  [
    "closed gets patterns",
    obj({ a: str }, { additionalProperties: false }),
    obj({ a: str }, { patternProperties: { "^x-": str }, additionalProperties: false }),
  ],
  [
    "map of values widened",
    { type: "object", additionalProperties: int },
    { type: "object", additionalProperties: { type: ["number", "null"] } },
  ],
  ["allOf flattened", { allOf: [obj({ a: str }), obj({ b: int })] }, obj({ a: str, b: int })],
  ["enum with type to enum", ...p({ ...str, enum: ["a", "b"] }, { enum: ["a", "b", null], type: ["string", "null"] })],
  ["minLength dropped on enum", ...p({ ...str, minLength: 1 }, str)],
  ["additionalProperties true said", obj({ a: str }), obj({ a: str }, { additionalProperties: true })],
  [
    "numbers in text to anyOf by pattern",
    ...p({ ...str, pattern: "^\\d+$" }, { anyOf: [{ ...str, pattern: "^\\d+$" }, int] }),
  ],
  [
    "a branch of a union is widened and a text may be null",
    ...p(
      { oneOf: [{ ...num, minimum: 5 }, { ...num, maximum: 2, multipleOf: 0.5 }, str] },
      { oneOf: [{ ...num, minimum: 4 }, { ...num, maximum: 2 }, { anyOf: [str, { type: "null" }] }] },
    ),
  ],
  [
    "items beyond maxItems get a rule",
    ...p(
      { type: "array", maxItems: 2, items: int },
      { type: "array", maxItems: 2, prefixItems: [int, num], items: str },
    ),
  ],
];
/** Their like that do. */
const UNSOUND: readonly Change[] = [
  ["maximum to same exclusiveMaximum", ...p({ ...num, maximum: 10 }, { ...num, exclusiveMaximum: 10 })],
  ["number minimum 1 to exclusiveMinimum 1", ...p({ ...num, minimum: 1 }, { ...num, exclusiveMinimum: 1 })],
  ["number exclusiveMinimum 0 to minimum 1", ...p({ ...num, exclusiveMinimum: 0 }, { ...num, minimum: 1 })],
  ["multipleOf 0.1 to 0.3", ...p({ ...num, multipleOf: 0.1 }, { ...num, multipleOf: 0.3 })],
  ["multipleOf 0.3 to 0.2", ...p({ ...num, multipleOf: 0.3 }, { ...num, multipleOf: 0.2 })],
  ["multipleOf 0.5 to integer", ...p({ ...num, multipleOf: 0.5 }, int)],
  ["enum to pattern", ...p({ enum: ["EUR", "usd"] }, { ...str, pattern: "^[A-Z]{3}$" })],
  ["enum of numbers", ...p({ enum: [1, 20] }, { ...int, maximum: 10 })],
  ["number range to enum", ...p({ ...num, minimum: 1, maximum: 3 }, { enum: [1, 2, 3] })],
  [
    "unevaluated: property gone",
    obj({ a: str, b: str }, { unevaluatedProperties: false }),
    obj({ a: str }, { unevaluatedProperties: false }),
  ],
  ["open to unevaluated", obj({ a: str }), obj({ a: str }, { unevaluatedProperties: false })],
  [
    "unevaluated: branch's property gone",
    obj({ k: str }, { anyOf: [{ properties: { x: int } }], unevaluatedProperties: false }),
    obj({ k: str }, { anyOf: [{ properties: { y: int } }], unevaluatedProperties: false }),
  ],
  ["int64 to int32", ...p({ ...int, format: "int64" }, { ...int, format: "int32" })],
  ["uri-reference to uri", ...p({ ...str, format: "uri-reference" }, { ...str, format: "uri" })],
  ["uuid gets maxLength 36", ...p({ ...str, format: "uuid" }, { ...str, format: "uuid", maxLength: 36 })],
  ["not widened", ...p({ ...str, not: { const: "x" } }, { ...str, not: { enum: ["x", "y"] } })],
  [
    "not with an undeclared name",
    obj({ a: str }, { not: { properties: { b: { type: "string" } }, required: ["z"] } }),
    obj({ a: str }, { not: { required: ["z"] } }),
  ],
  [
    "if widened",
    obj({ k: str }, { required: ["k"], if: { properties: { k: { const: "a" } } }, [THEN]: { required: ["z"] } }),
    obj({ k: str }, { required: ["k"], if: { properties: { k: { enum: ["a", "b"] } } }, [THEN]: { required: ["z"] } }),
  ],
  [
    "dependentRequired gets more",
    obj({ a: str }, { dependentRequired: { a: ["b"] } }),
    obj({ a: str }, { dependentRequired: { a: ["b", "c"] } }),
  ],
  ["contains narrowed", ...p({ type: "array", contains: int }, { type: "array", contains: { const: 1 } })],
  [
    "contains widened under maxContains",
    ...p({ type: "array", contains: { const: 1 }, maxContains: 1 }, { type: "array", contains: int, maxContains: 1 }),
  ],
  [
    "oneOf overlapping",
    ...p(
      { oneOf: [{ ...int, maximum: 9 }] },
      {
        oneOf: [
          { ...int, maximum: 9 },
          { ...int, minimum: 9 },
        ],
      },
    ),
  ],
  ["anyOf loses one", ...p({ anyOf: [str, int] }, { anyOf: [str] })],
  [
    "items within maxItems get a rule",
    ...p(
      { type: "array", maxItems: 3, items: int },
      { type: "array", maxItems: 3, prefixItems: [int, num], items: str },
    ),
  ],
  ["anyOf that may overlap in a union", ...p({ oneOf: [str] }, { oneOf: [str, { anyOf: [int, { minLength: 3 }] }] })],
  [
    "what a closed schema refers to is not in the alternative that looks like it",
    { allOf: [{ properties: { a: str } }], properties: { b: str }, unevaluatedProperties: false },
    { anyOf: [{ properties: { b: str }, unevaluatedProperties: false }] },
  ],
  [
    "nor in one that is a part of another",
    { allOf: [{ properties: { a: str } }], properties: { b: str }, unevaluatedProperties: false },
    { anyOf: [{ allOf: [{ properties: { b: str }, unevaluatedProperties: false }] }] },
  ],
  [
    "nor in a branch of a union",
    {
      $defs: { o: { properties: { a: str } } },
      $ref: "#/$defs/o",
      properties: { b: str },
      unevaluatedProperties: false,
    },
    { oneOf: [{ properties: { b: str }, unevaluatedProperties: false }, { type: "null" }] },
  ],
];

const reasonsOf = ([, before, after]: Change) => incompatibilities(before, after, "backward", compilePattern);

test("a change that refuses no event of the old schema is taken", () => {
  for (const change of SOUND) assert.equal(reasonsOf(change), [], change[0]);
});

test("a change that refuses an event of the old schema is refused", () => {
  for (const change of UNSOUND) assert.ok(reasonsOf(change).length > 0, change[0]);
});

test.run();
