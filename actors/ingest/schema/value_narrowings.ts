/** What a changed schema takes from a value by its type, its allowed values and its bounds. */
import { isSame } from "./equality.ts";
import { type Fields, listOf, text } from "./schema_parts.ts";

const TYPE_OF = (value: unknown): string => {
  if (value === null) return "null";
  if (typeof value === "bigint" || Number.isInteger(value)) return "integer";
  return Array.isArray(value) ? "array" : typeof value;
};

/** The types that a schema allows, by its `type` or by its allowed values; undefined for any. */
export function typesOf(schema: Fields): readonly unknown[] | undefined {
  if (schema.type !== undefined) return listOf(schema.type);
  const values = valuesOf(schema);
  return values === undefined ? undefined : [...new Set(values.map(TYPE_OF))];
}

/** The values that a schema allows by name: `const` and `enum` both hold; undefined for any. */
export function valuesOf(schema: Fields): readonly unknown[] | undefined {
  const listed = schema.enum === undefined ? undefined : listOf(schema.enum);
  if (!Object.hasOwn(schema, "const")) return listed;
  const only = [schema.const];
  return listed === undefined ? only : only.filter((value) => listed.some((one) => isSame(one, value)));
}

export function typeNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  if (to.type === undefined) return [];
  const allowed = new Set(listOf(to.type));
  if (allowed.has("number")) allowed.add("integer");
  const lost = typesOf(from)?.filter((type) => !allowed.has(type)) ?? ["any"];
  return lost.length > 0 ? [`${path || "/"}: type ${lost.join(", ")} is not allowed any more`] : [];
}

export function enumNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  const allowed = valuesOf(to);
  if (allowed === undefined) return [];
  const lost = valuesOf(from)?.filter((value) => !allowed.some((one) => isSame(one, value))) ?? ["any value"];
  return lost.length > 0 ? [`${path || "/"}: ${lost.map(text).join(", ")} is not allowed any more`] : [];
}

const UPPER_BOUNDS = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const LOWER_BOUNDS = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
export const BOUNDS: readonly string[] = [...UPPER_BOUNDS, ...LOWER_BOUNDS];
/** Counts begin at 0: that as the least says nothing. */
const COUNTS = new Set(["minLength", "minItems", "minProperties"]);

const isNumeric = (value: unknown): value is number | bigint => typeof value === "number" || typeof value === "bigint";

/** Of the one bound `keyword`. */
export function boundNarrowings(keyword: string, from: Fields, to: Fields, path: string): readonly string[] {
  const before = from[keyword];
  const after = to[keyword];
  if (!isNumeric(after) || (COUNTS.has(keyword) && after <= 0)) return [];
  const isUpper = UPPER_BOUNDS.includes(keyword);
  if (isNumeric(before) && (isUpper ? after >= before : after <= before)) return [];
  return [`${path || "/"}: ${keyword} became ${after}: it was ${isNumeric(before) ? before : "not set"}`];
}
