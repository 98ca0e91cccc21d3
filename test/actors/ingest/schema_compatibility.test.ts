import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { incompatibilities } from "../../../actors/ingest/schema_compatibility.ts";
import { createSchemaCompiler, type JsonSchema } from "../../../actors/ingest/schema_validator.ts";

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

test("what would refuse a stored event is refused, each with its place and reason", () => {
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

test("forward and full look from the other side too", () => {
  const wider = withProperty("level", { enum: ["low", "high", "top"] });
  assert.match(incompatibilities(base, wider, "forward")[0] ?? "", /top is not allowed/);
  assert.is(incompatibilities(base, wider, "full").length, 1);
  assert.equal(incompatibilities(base, { type: "string" }, "none"), []);
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
const objectSchema = fc.record({ a: leaf, b: leaf }).chain((properties) =>
  fc.record({
    type: fc.constant("object"),
    properties: fc.constant(properties),
    required: fc.subarray(["a", "b"]),
  }),
);
const value = fc.constantFrom<unknown>(0, 1, 2, 3, 4, 5.5, "a", "b", "c", true, false, null);
const event = fc.record({ a: value, b: value }, { requiredKeys: [] });

const compile = await createSchemaCompiler();

test("whatever is called backward compatible takes every event that the old schema took", () => {
  fc.assert(
    fc.property(objectSchema, objectSchema, fc.array(event, { minLength: 20, maxLength: 40 }), (old, next, events) => {
      if (incompatibilities(old, next, "backward").length > 0) return;
      const [before, after] = [compile(old, "old"), compile(next, "next")];
      for (const one of events) if (before(one) === undefined) assert.is(after(one), undefined);
    }),
    { numRuns: 300 },
  );
});

test.run();
