import { test } from "uvu";
import * as assert from "uvu/assert";
import { createSchemaCompiler } from "../../../actors/ingest/schema_validator.ts";

const compile = await createSchemaCompiler();

test("an event that fails is told the path and the reason of its first fault", () => {
  const check = compile(
    { type: "object", required: ["cpu"], properties: { cpu: { type: "number" }, kind: { enum: ["a", "b"] } } },
    "t",
  );
  assert.is(check({ cpu: 0.5 }), undefined);
  assert.equal(check({ cpu: "x" }), { path: "/cpu", reason: "must be number" });
  assert.match(check({ cpu: 1, kind: "c" })?.reason ?? "", /one of the allowed values: \["a","b"\]/);
  assert.match(check({})?.reason ?? "", /required property 'cpu'/);
});

test("formats are checked", () => {
  const check = compile({ properties: { at: { type: "string", format: "date-time" } } }, "t");
  assert.is(check({ at: "2026-11-23T10:00:00Z" }), undefined);
  assert.is(check({ at: "yesterday" })?.path, "/at");
});

test("a user's pattern is searched for as JSON Schema says, and a catastrophic one does not hang the node", () => {
  assert.is(compile({ properties: { a: { pattern: "b" } } }, "t")({ a: "abc" }), undefined);
  const check = compile({ properties: { a: { type: "string", pattern: "^(a+)+$" } } }, "t");
  const startedAt = performance.now();
  assert.is(check({ a: `${"a".repeat(50_000)}!` })?.path, "/a");
  assert.ok(performance.now() - startedAt < 2_000);
});

test("a schema that can not be used says why", () => {
  assert.throws(() => compile({ type: "objekt" }, "metrics"), /Cannot use the schema of metrics .*type/);
  assert.throws(() => compile({ propertys: {} }, "metrics"), /unknown keyword/);
  assert.throws(() => compile({ properties: { a: { pattern: "(" } } }, "metrics"), /Cannot use the schema of metrics/);
  assert.throws(() => compile({ $ref: "https://example.org/x.json" }, "metrics"), /can't resolve reference/);
});

test("uniqueItems is refused without a bound on the items", () => {
  assert.throws(
    () => compile({ properties: { a: { uniqueItems: true } } }, "t"),
    /uniqueItems must come with maxItems/,
  );
  assert.ok(compile({ properties: { a: { type: "array", uniqueItems: true, maxItems: 100 } } }, "t"));
});

test.run();
