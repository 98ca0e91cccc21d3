/**
 * Whether a stream's schema may follow another: backward compatible means that every event the old schema took is taken
 * by the new one, so that whoever reads with the new schema can read what is stored. What can not be shown is refused
 * with its reason. One exception is made for use: a property that the old schema did not name may be declared, although
 * an open old schema let events carry anything under that name.
 */
import type { JsonSchema } from "./schema_validator.ts";

export type Compatibility = "backward" | "forward" | "full" | "none";

/** Reasons why `next` can not follow `previous`, each with the JSON Pointer of the place; empty when it can. */
export function incompatibilities(previous: JsonSchema, next: JsonSchema, mode: Compatibility): readonly string[] {
  const backward = mode === "backward" || mode === "full" ? narrowings(previous, next, "") : [];
  const forward = mode === "forward" || mode === "full" ? narrowings(next, previous, "") : [];
  return [...backward, ...forward.map((reason) => `${reason} (seen from readers of the old version)`)];
}

/** Keywords compared one by one below; any other must stay as it is, annotations apart. */
const ANNOTATIONS = new Set([
  "$schema",
  "$id",
  "$comment",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
]);
const UPPER_BOUNDS = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const LOWER_BOUNDS = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const COMPARED = new Set([
  ...["type", "enum", "const", "properties", "required", "additionalProperties", "items"],
  ...UPPER_BOUNDS,
  ...LOWER_BOUNDS,
]);

function narrowings(wide: unknown, narrow: unknown, path: string): readonly string[] {
  if (narrow === true || same(wide, narrow)) return [];
  if (narrow === false) return [`${path || "/"}: nothing is allowed any more`];
  const from = asObject(wide);
  const to = asObject(narrow);
  return [
    ...typeNarrowings(from, to, path),
    ...boundNarrowings(from, to, path),
    ...propertyNarrowings(from, to, path),
    ...(to.items === undefined ? [] : narrowings(from.items ?? {}, to.items, `${path}/items`)),
    ...otherNarrowings(from, to, path),
  ];
}

const asObject = (schema: unknown): Readonly<Record<string, unknown>> =>
  typeof schema === "object" && schema !== null ? (schema as Record<string, unknown>) : {};

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

function typeNarrowings(from: Readonly<Record<string, unknown>>, to: Readonly<Record<string, unknown>>, path: string) {
  const reasons: string[] = [];
  if (to.type !== undefined) {
    const allowed = new Set(listOf(to.type));
    if (allowed.has("number")) allowed.add("integer");
    const lost = from.type === undefined ? ["any"] : listOf(from.type).filter((type) => !allowed.has(type));
    if (lost.length > 0) reasons.push(`${path || "/"}: type ${lost.join(", ")} is not allowed any more`);
  }
  const allowedValues = to.const === undefined ? to.enum : [to.const];
  if (allowedValues !== undefined) {
    const before = from.const === undefined ? from.enum : [from.const];
    const lost =
      before === undefined ? ["any value"] : listOf(before).filter((value) => !includes(allowedValues, value));
    if (lost.length > 0) reasons.push(`${path || "/"}: ${lost.map(text).join(", ")} is not allowed any more`);
  }
  return reasons;
}

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
const includes = (list: unknown, value: unknown): boolean => listOf(list).some((one) => same(one, value));

function boundNarrowings(from: Readonly<Record<string, unknown>>, to: Readonly<Record<string, unknown>>, path: string) {
  const tightened = (keyword: string, isTighter: (before: number, after: number) => boolean): string[] => {
    const before = from[keyword];
    const after = to[keyword];
    if (typeof after !== "number") return [];
    if (typeof before === "number" && !isTighter(before, after)) return [];
    return [`${path || "/"}: ${keyword} became ${after}: it was ${typeof before === "number" ? before : "not set"}`];
  };
  return [
    ...UPPER_BOUNDS.flatMap((keyword) => tightened(keyword, (before, after) => after < before)),
    ...LOWER_BOUNDS.flatMap((keyword) => tightened(keyword, (before, after) => after > before)),
  ];
}

function propertyNarrowings(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
  path: string,
): readonly string[] {
  const before = asObject(from.properties);
  const after = asObject(to.properties);
  const wasRequired = new Set(listOf(from.required ?? []));
  const reasons = listOf(to.required ?? [])
    .filter((name) => !wasRequired.has(name))
    .map((name) => `${path}/${text(name)}: is required now: stored events may lack it`);
  for (const [name, schema] of Object.entries(before)) {
    const next = Object.hasOwn(after, name) ? after[name] : (to.additionalProperties ?? true);
    reasons.push(...narrowings(schema, next, `${path}/${name}`));
  }
  const rest = to.additionalProperties;
  if (rest !== undefined && rest !== true) {
    reasons.push(...narrowings(from.additionalProperties ?? true, rest, `${path}/additionalProperties`));
  }
  return reasons;
}

function otherNarrowings(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
  path: string,
): readonly string[] {
  // Only what the new schema says can narrow; what it left out, it allows.
  return Object.keys(to)
    .filter((keyword) => !COMPARED.has(keyword) && !ANNOTATIONS.has(keyword) && !same(from[keyword], to[keyword]))
    .map((keyword) => `${path || "/"}: ${keyword} changed: it can not be shown to allow what was allowed`);
}

function same(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length || Array.isArray(left) !== Array.isArray(right)) return false;
  return keys.every((key) => same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]));
}
