import { test } from "uvu";
import * as assert from "uvu/assert";
import { readDialect } from "../../../../actors/ingest/schema/dialect.ts";
import {
  createSchemaCompiler,
  type JsonSchema,
  warningsOf,
} from "../../../../actors/ingest/schema/schema_validator.ts";

const compile = await createSchemaCompiler();
const takes = (schema: JsonSchema, value: unknown) => compile({ ...schema }, "t")({ value } as never) === undefined;
const of = (draft: string, schema: JsonSchema): JsonSchema => ({ $schema: draft, properties: { value: schema } });
const DRAFT_04 = "http://json-schema.org/draft-04/schema#";
const DRAFT_07 = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema";
const DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema";

for (const draft of [DRAFT_07, DRAFT_2019]) {
  test(`lists and dependencies are read as ${draft} spells them`, () => {
    const tuple = of(draft, { items: [{ type: "string" }, { type: "number" }], additionalItems: false });
    assert.ok(takes(tuple, ["a", 1]) && !takes(tuple, [1, 1]) && !takes(tuple, ["a", 1, 2]));
    assert.ok(takes(of(draft, { items: [{ type: "string" }] }), ["a", 1, {}]), "a tuple is open unless it is closed");
    const dependent = of(draft, { dependencies: { a: ["b"], c: { required: ["d"] } } });
    assert.ok(takes(dependent, { a: 1, b: 1 }) && !takes(dependent, { a: 1 }) && !takes(dependent, { c: 1 }));
    assert.equal(warningsOf(tuple), []);
  });
}

test("a reference follows its target to the target's place in 2020-12", () => {
  const schema: JsonSchema = {
    $schema: DRAFT_07,
    definitions: { pair: { items: [{ type: "integer" }, { $ref: "#/definitions/pair/items/0" }] } },
    properties: { value: { $ref: "#/definitions/pair" } },
  };
  assert.ok(takes(schema, [1, 2]) && !takes(schema, [1, "a"]));
});

test("beside $ref, draft-07 ignores every rule, and 2020-12 none", () => {
  const schema = (draft: string): JsonSchema => ({
    $schema: draft,
    definitions: { any: {} },
    properties: { value: { $ref: "#/definitions/any", type: "string", description: "for people" } },
  });
  assert.ok(takes(schema(DRAFT_07), 5));
  assert.not(takes(schema(DRAFT_2020), 5));
  assert.equal(warningsOf(schema(DRAFT_07)), [
    { path: "/properties/value/type", reason: "is ignored beside $ref in draft-07" },
  ]);
});

test("draft-04 bounds and identities, and anchors of draft-07, are understood", () => {
  const bounded = of(DRAFT_04, { minimum: 1, exclusiveMinimum: true });
  assert.ok(takes(bounded, 2) && !takes(bounded, 1));
  const anchored: JsonSchema = {
    $schema: DRAFT_07,
    definitions: { word: { $id: "#word", type: "string" } },
    properties: { value: { $ref: "#word" } },
  };
  assert.ok(takes(anchored, "a") && !takes(anchored, 1));
});

test("without $schema the older spellings are taken, with a warning; as 2020-12 they are refused", () => {
  const tuple = { properties: { value: { items: [{ type: "string" }] } } };
  assert.ok(takes(tuple, ["a"]) && !takes(tuple, [1]));
  assert.match(warningsOf(tuple)[0]?.reason ?? "", /taken as prefixItems/);
  assert.throws(() => compile({ $schema: DRAFT_2020, ...tuple }, "t"), /schema is invalid/);
});

test("a recursive reference of 2019-09 leads to the root", () => {
  const schema = {
    $schema: DRAFT_2019,
    $recursiveAnchor: true,
    properties: { value: { $recursiveRef: "#" } },
    type: "object",
  };
  assert.ok(takes(schema, { value: {} }) && !takes(schema, { value: 1 }));
});

test("schemas that nest too deep are refused", () => {
  let schema: JsonSchema = {};
  for (let depth = 0; depth < 200; depth += 1) schema = { not: schema };
  assert.throws(() => readDialect(schema, () => true), /at most 100 deep/);
});

test("a published schema with descriptions, formats and nullable types is taken without a warning", () => {
  // In the manner of the envelope of CloudEvents 1.0.
  const schema: JsonSchema = {
    $schema: DRAFT_07,
    description: "an envelope",
    type: "object",
    properties: {
      id: { description: "identifies it", $ref: "#/definitions/iddef", examples: ["A234-1234-1234"] },
      time: { $ref: "#/definitions/timedef" },
      data_base64: { $ref: "#/definitions/data_base64def" },
      data: { $ref: "#/definitions/datadef" },
    },
    required: ["id"],
    definitions: {
      iddef: { type: "string", minLength: 1 },
      timedef: { type: ["string", "null"], format: "date-time", minLength: 1 },
      data_base64def: { type: ["string", "null"], contentEncoding: "base64" },
      datadef: { type: ["object", "string", "number", "array", "boolean", "null"] },
    },
  };
  assert.equal(warningsOf(schema), []);
  const check = compile(schema, "t");
  assert.is(check({ id: "1", time: "2026-12-01T00:00:00Z", data: 5 }), undefined);
  assert.is(check({ id: "1", time: "2026-02-30T00:00:00Z" })?.path, "/time");
});

test.run();
