/**
 * Properties and items that a changed schema no longer allows by `unevaluatedProperties` and `unevaluatedItems`. These
 * judge the members that no other schema for the same value looks at: neither a sibling, nor a schema that a sibling
 * refers to or holds as an alternative.
 */
import { type Evaluated, evaluatedBy, everEvaluated, includes } from "../evaluated_properties.ts";
import { isSchemaObject, type JsonSchema } from "../keywords.ts";
import type { Comparing, Old } from "./comparing.ts";
import { rulesOfProperties } from "./member_narrowings.ts";
import { type Fields, fieldsOf, listOf } from "./schema_parts.ts";

/** @param to the rules of `part`, a part of the new schema, that can judge the old schema's types */
export const unevaluatedNarrowings = (
  old: Old,
  to: Fields,
  part: Fields,
  path: string,
  by: Comparing,
): readonly string[] => [
  ...(to.unevaluatedProperties === undefined ? [] : propertiesNarrowings(old, part, path, by)),
  ...(to.unevaluatedItems === undefined ? [] : itemsNarrowings(old, part, path, by)),
];

/**
 * A schema with `unevaluatedProperties` may follow an old schema that has it too, under two conditions: its own
 * `unevaluatedProperties` is no stricter, and it evaluates every property that the old schema may have evaluated.
 */
function propertiesNarrowings(old: Old, part: Fields, path: string, by: Comparing): readonly string[] {
  const { unevaluatedProperties } = part;
  if (unevaluatedProperties === undefined || unevaluatedProperties === true) return [];
  const place = `${path}/unevaluatedProperties`;
  const whole = by.after.wholeOf(part);
  const looked = evaluatedBy(by.after.conjuncts(whole), by.after, whole);
  if (looked.isAny) return [];
  const isFollowed = (closing: unknown) =>
    by.isFollowed(by.join([closing], old, rulesOfProperties(by)), unevaluatedProperties, place);
  const isKept = old.holding.some((one) => {
    if (one.additionalProperties !== undefined)
      return (
        includes(
          looked,
          evaluatedBy([{ ...one, additionalProperties: undefined, unevaluatedProperties: undefined }], by.before),
          by.before,
        ) && isFollowed(one.additionalProperties)
      );
    const from = by.before.wholeOf(one);
    if (from.unevaluatedProperties === undefined) return false;
    return isLookedAt(from, whole, looked, old, by, from) && isFollowed(from.unevaluatedProperties);
  });
  return isKept ? [] : [`${place}: it cannot be shown to allow what was allowed`];
}

/**
 * Whether `narrow`, or the schemas of `looked`, look at every property that `wide` looks at, in a value that matches
 * both.
 *
 * @param closed the schema whose own `unevaluatedProperties` does not count
 */
function isLookedAt(
  wide: unknown,
  narrow: unknown,
  looked: Evaluated,
  old: Old,
  by: Comparing,
  closed: unknown,
): boolean {
  const parts = by.after.conjuncts(narrow).map(fieldsOf);
  const all = evaluatedBy(parts, by.after, by.after.wholeOf(narrow));
  for (const name of looked.names) all.names.add(name);
  for (const pattern of looked.patterns) all.patterns.add(pattern);
  const isAlternativeLookedAt = (one: unknown, others: readonly unknown[]): boolean =>
    includes(all, everEvaluated(by.before, one), by.before) ||
    others.some((other) => by.same(one, other)) ||
    others.some(
      (other) =>
        by.narrowings(by.joinInPlace([one, ...old.holding], old), other, "").length === 0 &&
        isLookedAt(one, other, all, old, by, undefined),
    );
  return by.before
    .conjuncts(wide)
    .map(fieldsOf)
    .every((from) => {
      if (!includes(all, evaluatedBy([from], by.before, closed), by.before)) return false;
      const isListed = (["anyOf", "oneOf"] as const).every((keyword) =>
        listOf(from[keyword] ?? []).every((one) =>
          isAlternativeLookedAt(
            one,
            parts.flatMap((part) => listOf(part[keyword] ?? [])),
          ),
        ),
      );
      const isDependentLookedAt = Object.entries(fieldsOf(from.dependentSchemas)).every(([name, one]) =>
        isAlternativeLookedAt(one, parts.map((part) => fieldsOf(part.dependentSchemas)[name]).filter(isSchemaObject)),
      );
      return isListed && isDependentLookedAt && isConditionLookedAt(from, parts, all, by);
    });
}

function isConditionLookedAt(from: Fields, parts: readonly Fields[], looked: Evaluated, by: Comparing): boolean {
  const condition = ["if", "then", "else"] as const;
  if (from.if === undefined) return true;
  const schemas = condition.map((keyword) => from[keyword]).filter(isSchemaObject);
  if (schemas.every((one) => includes(looked, everEvaluated(by.before, one), by.before))) return true;
  return parts.some((part) => condition.every((keyword) => by.same(from[keyword], part[keyword])));
}

const EVALUATING_ITEMS = [
  ...["prefixItems", "items", "contains", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"],
];

function itemsNarrowings(old: Old, part: Fields, path: string, by: Comparing): readonly string[] {
  const { unevaluatedItems } = part;
  if (unevaluatedItems === undefined || unevaluatedItems === true) return [];
  const whole = by.after.wholeOf(part);
  const isKept = old.holding.some((one) => {
    const from = by.before.wholeOf(one);
    return (
      from.unevaluatedItems !== undefined &&
      by.same(from.unevaluatedItems, unevaluatedItems) &&
      haveSameTargets(from, whole, by) &&
      EVALUATING_ITEMS.every((keyword) => by.same(from[keyword], whole[keyword]))
    );
  });
  return isKept ? [] : [`${path}/unevaluatedItems: it cannot be shown to allow what was allowed`];
}

const haveSameTargets = (from: JsonSchema, to: JsonSchema, { before, after, same }: Comparing): boolean =>
  !before.isOpaque(from) && !after.isOpaque(to) && same(before.targetsOf(from), after.targetsOf(to));
