import { test } from "uvu";
import * as assert from "uvu/assert";
import { grantOf, Run, STEPS_BASE, STEPS_MAX, unitsOf } from "../../../../actors/ingest/schema/run.ts";
import { createSchemaCompiler, type JsonSchema } from "../../../../actors/ingest/schema/schema_validator.ts";
import { COSTLY_CASES } from "../../../../bench/support/costly_values.ts";
import type { Event } from "../../../../protocols/event.ts";
import { decodeEvents, encodeEvents } from "../../../../protocols/values/event_codec.ts";

const compile = await createSchemaCompiler();

/** Rules whose work doubles, or is multiplied by the size of the schema. */
const TOO_COSTLY = [
  ...["pattern", "pattern, repeated", "oneOf of itself", "anyOf of itself", "if of itself", "patternProperties"],
  ...["patternProperties, one long key", "propertyNames", "dependentSchemas", "unevaluatedProperties"],
];

test("V1: an event that would take more than its steps is set aside, whichever keyword takes them", () => {
  for (const name of TOO_COSTLY) {
    const found = COSTLY_CASES.find((one) => one.name === name);
    assert.ok(found, name);
    if (found === undefined) continue;
    const { schema, event } = found;
    const fault = compile(schema, name)(event);
    assert.is(fault?.code, "VALIDATION_BUDGET", name);
    assert.match(fault?.reason ?? "", /more than the \d+ steps/, name);
  }
});

test("V2: the steps granted to an event grow with its size and the schema's weight, up to a bound", () => {
  assert.is(unitsOf({ ab: ["cde", 1] }, 100), 1 + 2 + 1 + 4 + 1);
  assert.is(unitsOf({ text: "a".repeat(1_000_000) }, 500), 500);
  assert.is(grantOf({ a: 1 }, 10), 30);
  assert.is(grantOf({ a: "b".repeat(1_000_000) }, 1_000), STEPS_MAX - STEPS_BASE);
});

test("V3: once the steps are spent every check answers false", () => {
  const run = new Run();
  run.begin({}, 1);
  assert.ok(run.take(STEPS_BASE));
  assert.ok(run.take(1), "the event's own part is granted when the base is spent");
  assert.not(run.take(1));
  assert.not(run.take(0));
  assert.not(run.fail("a later reason"));
  assert.match(run.reason, /steps/);
});

/** Each level is judged twice by each branch: twice the work for each level more. */
const TREE: JsonSchema = {
  $defs: {
    node: {
      oneOf: ["and", "or"].map((kind) => ({
        type: "object",
        required: ["kind"],
        properties: { child: { $ref: "#/$defs/node" }, kind: { const: kind } },
      })),
    },
  },
  type: "object",
  properties: { root: { $ref: "#/$defs/node" } },
};
const tree = (depth: number, last: string): Event =>
  depth === 0 ? { kind: last } : { child: tree(depth - 1, last), kind: "and" };

test("an event whose alternatives double at each level is set aside alone, with the place", () => {
  const check = compile(TREE, "tree");
  const fault = check({ root: tree(40, "neither") });
  assert.is(fault?.code, "VALIDATION_BUDGET");
  assert.match(fault?.path ?? "", /^\/root\/child\/child/);
  assert.is(check({ root: tree(3, "or") }), undefined, "the next event is judged by itself");
  assert.is(check({ root: tree(3, "neither") })?.code, "SCHEMA_VIOLATION");
});

test("a verdict is the same for the same event, however it was encoded and whatever came before", () => {
  const check = compile(TREE, "tree");
  const events = [4, 8, 12, 16, 20].map((depth) => ({ root: tree(depth, "neither") }));
  const before = events.map((event) => check(event));
  for (const asRecords of [true, false]) {
    const decoded = decodeEvents(encodeEvents(events, { asRecords })).events;
    assert.equal(
      decoded.map((event) => check(event ?? {})),
      before,
    );
  }
  assert.equal(
    [...events].reverse().map((event) => check(event)),
    [...before].reverse(),
  );
  assert.is(new Set(before.map((fault) => fault?.code)).size, 2, "some are within the steps and some are not");
});

test("an ordinary event of the largest size is judged to its end", () => {
  const item = { id: 1, name: "reading of a sensor", tags: ["a", "b"], at: "2026-12-01T10:00:00Z" };
  const schema: JsonSchema = {
    properties: {
      items: {
        uniqueItems: true,
        items: {
          type: "object",
          required: ["id", "name"],
          properties: {
            id: { type: "integer" },
            name: { type: "string", maxLength: 100 },
            tags: { items: { type: "string", pattern: "^[a-z]+$" }, uniqueItems: true },
            at: { format: "date-time" },
          },
          additionalProperties: false,
        },
      },
    },
  };
  const items = Array.from({ length: 3_000 }, (_, id) => ({ ...item, id }));
  assert.is(compile(schema, "t")({ items }), undefined);
  assert.is(
    compile(schema, "t")({ items: [...items, items[7]] })?.reason,
    "must NOT have duplicate items (items ## 7 and 3000 are identical)",
  );
});

test.run();
