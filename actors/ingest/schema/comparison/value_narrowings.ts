/** Values that a changed schema no longer allows by their type, bounds, format or pattern. */
import { isSame } from "../equality.ts";
import { INTEGER_FORMATS, NUMBER_FORMATS, TEXT_FORMATS } from "../formats.ts";
import { isMultiple } from "../numbers.ts";
import { isNumeric } from "../rules.ts";
import { countOf, type NumberRange, rangeOf } from "./schema_bounds.ts";
import { type Fields, listOf } from "./schema_parts.ts";

const NUMBERS = ["number", "integer"];
/** Keywords that judge values of some types alone, without `format`. */
const JUDGED_TYPES: readonly (readonly [types: readonly string[], keywords: readonly string[]])[] = [
  [NUMBERS, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]],
  [["string"], ["minLength", "maxLength", "pattern"]],
  [["array"], ["items", "prefixItems", "contains", "minContains", "maxContains", "unevaluatedItems"]],
  [["array"], ["minItems", "maxItems", "uniqueItems"]],
  [["object"], ["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"]],
  [["object"], ["required", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas"]],
];
const TYPES_OF_KEYWORD: ReadonlyMap<string, readonly string[]> = new Map(
  JUDGED_TYPES.flatMap(([types, keywords]) => keywords.map((keyword) => [keyword, types] as const)),
);

/** The rules of a schema that can judge a value of one of these types. */
export function rulesFor(types: ReadonlySet<string> | undefined, schema: Fields): Fields {
  if (types === undefined) return schema;
  const canJudge = (keyword: string): boolean => {
    if (keyword === "format") return types.has(NUMBER_FORMATS.has(String(schema.format)) ? "integer" : "string");
    return TYPES_OF_KEYWORD.get(keyword)?.some((type) => types.has(type)) ?? true;
  };
  if (Object.keys(schema).every(canJudge)) return schema;
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => canJudge(keyword)));
}

const typeOf = (value: unknown): string => {
  if (value === null) return "null";
  if (typeof value === "bigint" || Number.isInteger(value)) return "integer";
  return Array.isArray(value) ? "array" : typeof value;
};

/** The types that a schema allows, by `type` or by allowed values; undefined for any. A number may be an integer. */
function typesOf(schema: Fields): readonly string[] | undefined {
  const types = schema.type === undefined ? valuesOf(schema)?.map(typeOf) : listOf(schema.type).map(String);
  return types?.flatMap((type) => (type === "number" ? NUMBERS : type));
}

/** The types that all of these schemas allow; undefined for any. */
export function typesOfAll(schemas: readonly Fields[]): ReadonlySet<string> | undefined {
  let common: ReadonlySet<string> | undefined;
  for (const schema of schemas) {
    const types = typesOf(schema);
    if (types !== undefined) common = new Set(common === undefined ? types : types.filter((type) => common?.has(type)));
  }
  return common;
}

/** The values that a schema allows by name: `const` and `enum` both hold; undefined for any. */
export function valuesOf(schema: Fields): readonly unknown[] | undefined {
  const listed = schema.enum === undefined ? undefined : listOf(schema.enum);
  if (!Object.hasOwn(schema, "const")) return listed;
  const only = [schema.const];
  return listed === undefined ? only : only.filter((value) => listed.some((one) => isSame(one, value)));
}

/** @param from old schemas that all hold @param types the types that they allow @param to new rules for these types */
export function valueNarrowings(
  from: readonly Fields[],
  types: ReadonlySet<string> | undefined,
  to: Fields,
  path: string,
): readonly string[] {
  const keywords = Object.keys(to).filter((keyword) => JUDGING_VALUES.has(keyword));
  if (keywords.length === 0) return [];
  const range = rangeOf(from, types);
  return [
    ...typeNarrowings(types, range, to, path),
    ...(valuesOf(to) === undefined ? [] : [`${path || "/"}: values that are not listed are not allowed any more`]),
    ...keywords.flatMap((keyword) => (BOUNDS.has(keyword) ? boundNarrowings(keyword, from, range, to, path) : [])),
    ...keywords
      .filter((keyword) => CHANGED.has(keyword) && !isImplied(keyword, from, range, to[keyword]))
      .map((keyword) => `${path || "/"}: ${keyword} changed: it cannot be shown to allow what was allowed`),
  ];
}

function typeNarrowings(
  types: ReadonlySet<string> | undefined,
  { isWhole }: NumberRange,
  to: Fields,
  path: string,
): readonly string[] {
  if (to.type === undefined) return [];
  const allowed = new Set(listOf(to.type));
  if (allowed.has("number")) allowed.add("integer");
  if (allowed.has("integer") && isWhole) allowed.add("number");
  const lost = types === undefined ? ["any"] : [...types].filter((type) => !allowed.has(type));
  const told = lost.filter((type) => type !== "integer" || !lost.includes("number"));
  return told.length > 0 ? [`${path || "/"}: type ${told.join(", ")} is not allowed any more`] : [];
}

const NUMBER_BOUNDS = ["maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"];
const BOUNDS: ReadonlySet<string> = new Set([
  ...["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"],
  ...["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"],
]);
/** Keywords whose reason says only that they changed. */
const CHANGED: ReadonlySet<string> = new Set(["multipleOf", "format", "pattern", "uniqueItems"]);

const JUDGING_VALUES: ReadonlySet<string> = new Set(["type", "enum", "const", ...BOUNDS, ...CHANGED]);

function boundNarrowings(
  keyword: string,
  from: readonly Fields[],
  range: NumberRange,
  to: Fields,
  path: string,
): readonly string[] {
  const after = to[keyword];
  if (!isNumeric(after)) return [];
  const isHeld = NUMBER_BOUNDS.includes(keyword) ? isWithin(range, keyword, after) : isCounted(keyword, from, after);
  if (isHeld) return [];
  const before = from.map((one) => one[keyword]).find(isNumeric) ?? "not set";
  return [`${path || "/"}: ${keyword} became ${after}: it was ${before}`];
}

function isWithin({ least, most }: NumberRange, keyword: string, after: number | bigint): boolean {
  const isUpper = keyword.endsWith("aximum");
  const edge = isUpper ? most : least;
  if (edge === undefined) return false;
  if (isUpper ? edge.limit < after : edge.limit > after) return true;
  return isSame(edge.limit, after) && (edge.isExclusive || !keyword.startsWith("exclusive"));
}

function isCounted(keyword: string, from: readonly Fields[], after: number | bigint): boolean {
  const count = countOf(keyword, from);
  return keyword.startsWith("max") ? count <= after : count >= after;
}

/** For each format, the wider formats that all of its texts have too. */
const WIDER_FORMATS: Readonly<Record<string, readonly string[]>> = {
  "date-time": ["iso-date-time"],
  time: ["iso-time"],
  uri: ["uri-reference"],
  url: ["uri", "uri-reference"],
};

function isImplied(keyword: string, from: readonly Fields[], range: NumberRange, after: unknown): boolean {
  if (from.some((one) => isSame(one[keyword], after))) return true;
  switch (keyword) {
    case "multipleOf":
      return isDivided(from, range, after);
    case "format":
      return isFormatted(from, range, String(after));
    case "uniqueItems":
      return after === false || countOf("maxItems", from) <= 1;
    default:
      return false;
  }
}

function isDivided(from: readonly Fields[], { isWhole }: NumberRange, after: unknown): boolean {
  if (!isNumeric(after) || !(after > 0)) return false;
  const divisors = from.map(({ multipleOf }) => multipleOf).filter(isNumeric);
  return [...divisors, ...(isWhole ? [1] : [])].some((divisor) => isMultiple(divisor, after));
}

function isFormatted(from: readonly Fields[], range: NumberRange, format: string): boolean {
  const integers = INTEGER_FORMATS.get(format);
  if (integers === undefined) {
    if (!TEXT_FORMATS.has(format)) return true; // no event is judged by it
    return from.some((one) => WIDER_FORMATS[String(one.format)]?.includes(format));
  }
  const [least, most] = integers;
  return range.isWhole && isWithin(range, "minimum", least) && isWithin(range, "maximum", most);
}
