/** Events of 1 MiB and the schema that makes each of them cost most: one for each keyword and format. */
import type { JsonSchema } from "../../actors/ingest/schema/schema_validator.ts";
import type { Event } from "../../protocols/event.ts";

export interface CostlyCase {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly event: Event;
}

const MEBIBYTE = 1_048_576;
const value = (schema: JsonSchema): JsonSchema => ({ type: "object", properties: { value: schema } });
const text = (character: string, length = MEBIBYTE): string => character.repeat(Math.floor(length / character.length));
const list = <Item>(length: number, item: (index: number) => Item): Item[] => Array.from({ length }, (_, i) => item(i));
const map = <Item>(length: number, item: (index: number) => Item): Record<string, Item> =>
  Object.fromEntries(list(length, (index) => [`key${index}`, item(index)]));

/** Nested maps, which fail only at the deepest level. */
const tree = (depth: number): Event => (depth === 0 ? { kind: "neither" } : { kind: "and", child: tree(depth - 1) });
const treeSchema = (keyword: string): JsonSchema => ({
  $defs: {
    node: {
      [keyword]: ["and", "or"].map((kind) => ({
        type: "object",
        required: ["kind"],
        properties: { child: { $ref: "#/$defs/node" }, kind: { const: kind } },
      })),
    },
  },
  properties: { value: { $ref: "#/$defs/node" } },
});
const wide = (index: number) => ({ ...map(110, () => 1), last: index });

export const COSTLY_FORMATS: Readonly<Record<string, string>> = {
  date: text("2"),
  time: text("1"),
  "date-time": `2026-12-01T10:00:00.${text("1")}Z`,
  "iso-time": text("1"),
  "iso-date-time": text("1"),
  duration: `P${text("1")}`,
  uri: `http://${text(":", 1_000_000)}`,
  "uri-reference": text("a:"),
  "uri-template": text("{a}"),
  url: `http://${text(":", 1_000_000)}`,
  email: `${text("a.", 1_000_000)}@${text("a.", 1_000)}`,
  hostname: text("a."),
  ipv4: text("1."),
  ipv6: text("1:"),
  regex: text("("),
  uuid: text("a"),
  "json-pointer": text("/~0"),
  "json-pointer-uri-fragment": `#${text("/~0")}`,
  "relative-json-pointer": text("1"),
  byte: `${text("a")}=`,
};

export const COSTLY_CASES: readonly CostlyCase[] = [
  { name: "minLength", schema: value({ minLength: 800_000 }), event: { value: text("é") } },
  { name: "maxLength", schema: value({ maxLength: 600_000 }), event: { value: text("\u{1f600}") } },
  { name: "pattern", schema: value({ pattern: "^[a-z]+$" }), event: { value: text("a") } },
  { name: "pattern, ambiguous", schema: value({ pattern: "^(a+)+$" }), event: { value: `${text("a")}!` } },
  {
    name: "pattern, ambiguous, of the size that is taken",
    schema: value({ pattern: "^(a+)+$" }),
    event: { value: `${text("a", 300_000)}!` },
  },
  { name: "pattern, repeated", schema: value({ pattern: "(a{1,50}){1,19}b" }), event: { value: text("a") } },
  {
    name: "pattern, many states",
    schema: value({ pattern: "[a-q][^u-z]{13}x" }),
    event: { value: text("aqzxwapq", 150_000) },
  },
  {
    name: "enum",
    schema: value({ enum: list(100, (i) => list(100, (j) => i + j)) }),
    event: { value: list(100, () => 1) },
  },
  {
    name: "items, enum of lists",
    schema: value({ items: { enum: list(100, (i) => list(100, (j) => (j === 99 ? -i : j))) } }),
    event: { value: list(4_000, () => list(100, (j) => j)) },
  },
  { name: "const", schema: value({ const: text("a", 200_000) }), event: { value: `${text("a", 1_000_000)}b` } },
  {
    name: "items",
    schema: value({ items: { type: "integer", minimum: 0 } }),
    event: { value: list(400_000, (i) => i) },
  },
  {
    name: "items of maps",
    schema: value({
      items: { type: "object", required: ["a"], properties: { a: {}, b: {} }, additionalProperties: false },
    }),
    event: { value: list(80_000, (i) => ({ a: i, b: "x" })) },
  },
  {
    name: "prefixItems",
    schema: value({ prefixItems: list(100, () => ({ type: "integer" })) }),
    event: { value: list(400_000, (i) => i) },
  },
  { name: "contains", schema: value({ contains: { type: "string" } }), event: { value: list(400_000, (i) => i) } },
  {
    name: "contains within contains",
    schema: value({ contains: { contains: { contains: { const: -1 } } } }),
    event: { value: list(60, () => list(60, () => list(60, (i) => i))) },
  },
  { name: "uniqueItems of numbers", schema: value({ uniqueItems: true }), event: { value: list(200_000, (i) => i) } },
  {
    name: "uniqueItems of texts",
    schema: value({ uniqueItems: true }),
    event: { value: list(100_000, (i) => `text ${i}`) },
  },
  {
    name: "uniqueItems of lists",
    schema: value({ uniqueItems: true }),
    event: { value: list(100_000, (i) => [i, i]) },
  },
  { name: "uniqueItems of maps", schema: value({ uniqueItems: true }), event: { value: list(900, wide) } },
  {
    name: "uniqueItems within $ref, for each of the lists around it",
    schema: {
      $defs: {
        list: { type: "array", uniqueItems: true, items: { anyOf: [{ $ref: "#/$defs/list" }, { type: "integer" }] } },
      },
      properties: { value: { $ref: "#/$defs/list" } },
    },
    event: { value: list(40, (i) => list(60, (j) => list(60, (k) => i + j * 100 + k * 10_000))) },
  },
  { name: "oneOf of itself", schema: treeSchema("oneOf"), event: { value: tree(24) } },
  { name: "anyOf of itself", schema: treeSchema("anyOf"), event: { value: tree(24) } },
  {
    name: "allOf, doubled at each level",
    schema: {
      $defs: Object.fromEntries(
        list(20, (i) => [
          `d${i}`,
          i === 0 ? { type: "object" } : { allOf: list(2, () => ({ $ref: `#/$defs/d${i - 1}` })) },
        ]),
      ),
      $ref: "#/$defs/d19",
    },
    event: { value: text("a") },
  },
  {
    name: "if of itself",
    schema: {
      $defs: {
        node: {
          if: { properties: { child: { $ref: "#/$defs/node" } }, required: ["none"] },
          else: { properties: { child: { $ref: "#/$defs/node" } } },
        },
      },
      properties: { value: { $ref: "#/$defs/node" } },
    },
    event: { value: tree(50) },
  },
  {
    name: "additionalProperties",
    schema: value({ additionalProperties: { type: "integer" } }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "additionalProperties: false",
    schema: value({ properties: map(1_000, () => ({})), additionalProperties: false }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "patternProperties",
    schema: value({
      patternProperties: Object.fromEntries(list(20, (i) => [`^(k+)+${i}y$`, true])),
      additionalProperties: true,
    }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "patternProperties, one long key",
    schema: value({ patternProperties: { "^(a+)+$": true } }),
    event: { value: { [`${text("a")}!`]: 1 } },
  },
  {
    name: "propertyNames",
    schema: value({ propertyNames: { pattern: "^key[0-9]+$" } }),
    event: { value: map(60_000, (i) => i) },
  },
  { name: "maxProperties", schema: value({ maxProperties: 100_000 }), event: { value: map(60_000, (i) => i) } },
  {
    name: "required",
    schema: value({ required: list(5_000, (i) => `key${i}`) }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "dependentRequired",
    schema: value({ dependentRequired: map(1_000, () => ["key1", "key2"]) }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "dependentSchemas",
    schema: value({ dependentSchemas: map(1_000, () => ({ additionalProperties: { type: "integer" } })) }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "unevaluatedProperties",
    schema: value({
      anyOf: list(20, () => ({ additionalProperties: { type: "integer" } })),
      unevaluatedProperties: false,
    }),
    event: { value: map(60_000, (i) => i) },
  },
  {
    name: "unevaluatedItems",
    schema: value({ anyOf: list(20, () => ({ contains: { type: "integer" } })), unevaluatedItems: false }),
    event: { value: list(200_000, (i) => i) },
  },
  {
    name: "multipleOf",
    schema: value({ items: { multipleOf: 0.001 } }),
    event: { value: list(100_000, (i) => i * 1.1e-200) },
  },
  {
    name: "additionalProperties of bytes",
    schema: value({ additionalProperties: false }),
    event: { value: new Uint8Array(MEBIBYTE) },
  },
  ...Object.entries(COSTLY_FORMATS).map(([format, given]) => ({
    name: `format ${format}`,
    schema: value({ format }),
    event: { value: given },
  })),
];
