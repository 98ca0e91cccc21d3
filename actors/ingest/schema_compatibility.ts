/**
 * Whether a stream's schema may follow another: backward compatible means that every event the old schema took is taken
 * by the new one, so that whoever reads with the new schema can read what is stored. What can not be shown is refused
 * with its reason; `compatibility: none` says that the change is meant. One exception is made for use: a property that the old
 * schema did not name may be declared, although an open old schema let events carry anything under that name.
 *
 * A keyword that is taken away can narrow too: what it exempted falls to the rule beside it.
 */
import { readDialect } from "./schema/dialect.ts";
import { isSame } from "./schema/equality.ts";
import { isKnownFormat } from "./schema/formats.ts";
import { isAnnotation, type JsonSchema } from "./schema/keywords.ts";
import { arrayNarrowings, type Narrowings, objectNarrowings } from "./schema/member_narrowings.ts";
import { type Fields, fieldsOf, listOf, same, text } from "./schema/schema_parts.ts";

export type Compatibility = "backward" | "forward" | "full" | "none";

/** Reasons why `next` can not follow `previous`, each with the JSON Pointer of the place; empty when it can. */
export function incompatibilities(previous: JsonSchema, next: JsonSchema, mode: Compatibility): readonly string[] {
  if (mode === "none") return [];
  const [before, after] = [currentDraft(previous), currentDraft(next)];
  const backward = mode === "backward" || mode === "full" ? narrowings(before, after, "") : [];
  const forward = mode === "forward" || mode === "full" ? narrowings(after, before, "") : [];
  return [...backward, ...forward.map((reason) => `${reason} (seen from readers of the old version)`)];
}

const currentDraft = (schema: JsonSchema): JsonSchema => readDialect(schema, isKnownFormat).schema;

const narrowings: Narrowings = (wide, narrow, path) => {
  if (wide === false || narrow === true || same(wide, narrow)) return [];
  if (narrow === false) return [`${path || "/"}: nothing is allowed any more`];
  const from = fieldsOf(wide);
  const to = fieldsOf(narrow);
  return [
    ...typeNarrowings(from, to, path),
    ...boundNarrowings(from, to, path),
    ...objectNarrowings(from, to, path, narrowings),
    ...arrayNarrowings(from, to, path, narrowings),
    ...branchNarrowings(from, to, path),
    ...conditionNarrowings(from, to, path),
    ...otherNarrowings(from, to, path),
  ];
};

const TYPE_OF = (value: unknown): string => {
  if (value === null) return "null";
  if (typeof value === "bigint" || Number.isInteger(value)) return "integer";
  return Array.isArray(value) ? "array" : typeof value;
};

/** The types that a schema allows, by its `type` or by its allowed values; undefined for any. */
function typesOf(schema: Fields): readonly unknown[] | undefined {
  if (schema.type !== undefined) return listOf(schema.type);
  const values = valuesOf(schema);
  return values === undefined ? undefined : [...new Set(values.map(TYPE_OF))];
}

const valuesOf = (schema: Fields): readonly unknown[] | undefined =>
  Object.hasOwn(schema, "const") ? [schema.const] : schema.enum === undefined ? undefined : listOf(schema.enum);

function typeNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  const reasons: string[] = [];
  if (to.type !== undefined) {
    const allowed = new Set(listOf(to.type));
    if (allowed.has("number")) allowed.add("integer");
    const lost = typesOf(from)?.filter((type) => !allowed.has(type)) ?? ["any"];
    if (lost.length > 0) reasons.push(`${path || "/"}: type ${lost.join(", ")} is not allowed any more`);
  }
  const allowedValues = valuesOf(to);
  if (allowedValues !== undefined) {
    const before = valuesOf(from);
    const lost = before?.filter((value) => !allowedValues.some((one) => isSame(one, value))) ?? ["any value"];
    if (lost.length > 0) reasons.push(`${path || "/"}: ${lost.map(text).join(", ")} is not allowed any more`);
  }
  return reasons;
}

const UPPER_BOUNDS = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const LOWER_BOUNDS = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
/** Counts begin at 0: that as the least says nothing. */
const COUNTS = new Set(["minLength", "minItems", "minProperties"]);

const isNumeric = (value: unknown): value is number | bigint => typeof value === "number" || typeof value === "bigint";

function boundNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  const tightened = (keyword: string, isTighter: (before: number | bigint, after: number | bigint) => boolean) => {
    const before = from[keyword];
    const after = to[keyword];
    if (!isNumeric(after) || (COUNTS.has(keyword) && after <= 0)) return [];
    if (isNumeric(before) && !isTighter(before, after)) return [];
    return [`${path || "/"}: ${keyword} became ${after}: it was ${isNumeric(before) ? before : "not set"}`];
  };
  return [
    ...UPPER_BOUNDS.flatMap((keyword) => tightened(keyword, (before, after) => after < before)),
    ...LOWER_BOUNDS.flatMap((keyword) => tightened(keyword, (before, after) => after > before)),
  ];
}

/** Every old alternative must fit into a new one; every new condition must follow from an old one. */
function branchNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  const reasons: string[] = [];
  const follows = (wide: unknown, narrow: unknown) => narrowings(wide, narrow, path).length === 0;
  if (to.anyOf !== undefined) {
    const before = from.anyOf === undefined ? [from] : listOf(from.anyOf);
    for (const [index, wide] of before.entries()) {
      if (listOf(to.anyOf).some((narrow) => follows(wide, narrow))) continue;
      reasons.push(`${path}/anyOf/${index}: no alternative can be shown to allow what this one allowed`);
    }
  }
  for (const [index, narrow] of listOf(to.allOf ?? []).entries()) {
    const rest = Object.fromEntries(Object.entries(from).filter(([keyword]) => keyword !== "allOf"));
    if ([...listOf(from.allOf ?? []), rest].some((wide) => follows(wide, narrow))) continue;
    reasons.push(`${path}/allOf/${index}: it can not be shown to allow what was allowed`);
  }
  return reasons;
}

function conditionNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  if (to.if === undefined || (to.then === undefined && to.else === undefined)) return [];
  if (!same(from.if, to.if)) return [`${path}/if: changed: it can not be shown to allow what was allowed`];
  return (["then", "else"] as const).flatMap((keyword) =>
    narrowings(from[keyword] ?? true, to[keyword] ?? true, `${path}/${keyword}`),
  );
}

/** Keywords that are compared one by one above and in member_narrowings.ts; any other must stay as it is. */
const COMPARED = new Set([
  ...["type", "enum", "const", "properties", "patternProperties", "required", "additionalProperties", "propertyNames"],
  ...["items", "prefixItems", "contains", "minContains", "maxContains", "anyOf", "allOf", "if", "then", "else"],
  ...["unevaluatedProperties", "unevaluatedItems", "$defs", "definitions"],
  ...UPPER_BOUNDS,
  ...LOWER_BOUNDS,
]);

function otherNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  // Of keywords that exempt nothing, only those that the new schema has can narrow.
  const changed = Object.keys(to)
    .filter((keyword) => !COMPARED.has(keyword) && !isAnnotation(keyword) && !same(from[keyword], to[keyword]))
    .filter((keyword) => !saysNothing(keyword, to[keyword]))
    .map((keyword) => `${path || "/"}: ${keyword} changed: it can not be shown to allow what was allowed`);
  return [...changed, ...definitionNarrowings(from, to, path)];
}

const saysNothing = (keyword: string, value: unknown): boolean =>
  (keyword === "uniqueItems" && value === false) || (keyword === "format" && !isKnownFormat(String(value)));

/** Definitions may come and go; one that changed may be referred to from anywhere, also from within a `not`. */
function definitionNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  return (["$defs", "definitions"] as const).flatMap((keyword) => {
    const before = fieldsOf(from[keyword]);
    return Object.entries(fieldsOf(to[keyword]))
      .filter(([name, schema]) => Object.hasOwn(before, name) && !same(before[name], schema))
      .map(([name]) => `${path}/${keyword}/${name}: changed: it can not be shown to allow what was allowed`);
  });
}
