/**
 * What a changed schema takes from properties and items. Each property falls to its name, to every pattern that it matches, or
 * else to `additionalProperties`; each item to its place or to `items`. A name, pattern or place that is gone leaves its
 * values to the next rule, and that must allow them. The old schema is a list of schemas that all hold.
 */
import { type Fields, fieldsOf, listOf, text } from "./schema_parts.ts";

/** How two schemas are held against each other. */
export interface Comparing {
  /** Reasons why `narrow` may refuse what `wide` allows. */
  narrowings(wide: unknown, narrow: unknown, path: string): readonly string[];
  /** The old schema that holds where all of these do. */
  join(wides: readonly unknown[]): unknown;
  /** Whether nothing in the old schemas has a say on a property of this name. */
  isOpenTo(wides: readonly Fields[], name: string): boolean;
  /** Whether a part of an old schema and one of a new schema judge alike at sight. */
  same(wide: unknown, narrow: unknown): boolean;
  /** Whether the references of both lead to schemas that judge alike at sight. */
  sameTargets(wide: Fields, narrow: Fields): boolean;
}

export function objectNarrowings(wides: readonly Fields[], to: Fields, path: string, by: Comparing): readonly string[] {
  const wasRequired = new Set(wides.flatMap(({ required = [] }) => listOf(required)));
  const missing = listOf(to.required ?? [])
    .filter((name) => !wasRequired.has(name))
    .map((name) => `${path}/${text(name)}: is required now: stored events may lack it`);
  const names = [{ type: "string" }, ...wides.map(({ propertyNames = true }) => propertyNames)];
  return [
    ...missing,
    ...namedNarrowings(wides, to, path, by),
    ...patternNarrowings(wides, to, path, by),
    ...(to.additionalProperties === undefined
      ? []
      : by.narrowings(restOf(wides, by), to.additionalProperties, `${path}/additionalProperties`)),
    ...(to.propertyNames === undefined ? [] : by.narrowings(by.join(names), to.propertyNames, `${path}/propertyNames`)),
  ];
}

/** The rule of properties that have neither a name nor a pattern. */
const restOf = (wides: readonly Fields[], by: Comparing): unknown =>
  by.join(wides.map(({ additionalProperties = true }) => additionalProperties));

/** Schemas that judge the property `name`: by name and by pattern, or that of the rest. */
function rulesOf(schema: Fields, name: string): readonly unknown[] {
  const properties = fieldsOf(schema.properties);
  const rules = [
    ...(Object.hasOwn(properties, name) ? [properties[name]] : []),
    ...Object.entries(fieldsOf(schema.patternProperties)).flatMap(([pattern, rule]) =>
      mayMatch(pattern, name) ? [rule] : [],
    ),
  ];
  return rules.length > 0 ? rules : [schema.additionalProperties ?? true];
}

/** Whether a schema says nothing on a property of this name, and would let any value in. */
export const isSilentOn = (schema: Fields, name: string): boolean =>
  !Object.hasOwn(fieldsOf(schema.properties), name) &&
  rulesOf(schema, name).every((rule) => rule === true) &&
  (schema.unevaluatedProperties ?? true) === true;

/** Whether a pattern is found in a name; one that this engine does not read may be. */
function mayMatch(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern, "u").test(name);
  } catch {
    return true; // on the safe side
  }
}

function namedNarrowings(wides: readonly Fields[], to: Fields, path: string, by: Comparing): readonly string[] {
  const declared = fieldsOf(to.properties);
  const before = wides.flatMap(({ properties }) => Object.keys(fieldsOf(properties)));
  return [...new Set([...before, ...Object.keys(declared)])].flatMap((name) => {
    if (Object.hasOwn(declared, name) && by.isOpenTo(wides, name)) return []; // the exception made for use
    const wide = by.join(wides.flatMap((one) => certainRulesOf(one, name)));
    return rulesOf(to, name).flatMap((narrow) => by.narrowings(wide, narrow, `${path}/${name}`));
  });
}

/** A pattern that this engine does not read may match in the new schema, and may not have matched in the old one. */
function certainRulesOf(schema: Fields, name: string): readonly unknown[] {
  const patterns = Object.keys(fieldsOf(schema.patternProperties));
  return patterns.every(isReadable) ? rulesOf(schema, name) : ownRuleOf(schema, name);
}

const ownRuleOf = ({ properties }: Fields, name: string): readonly unknown[] =>
  Object.hasOwn(fieldsOf(properties), name) ? [fieldsOf(properties)[name]] : [];

function isReadable(pattern: string): boolean {
  try {
    return new RegExp(pattern, "u") !== undefined;
  } catch {
    return false;
  }
}

function patternNarrowings(wides: readonly Fields[], to: Fields, path: string, by: Comparing): readonly string[] {
  const before = wides.flatMap(({ patternProperties }) => Object.entries(fieldsOf(patternProperties)));
  const after = fieldsOf(to.patternProperties);
  const kept = before.flatMap(([pattern, wide]) => {
    const place = `${path}/patternProperties/${pattern}`;
    if (Object.hasOwn(after, pattern)) return by.narrowings(wide, after[pattern], place);
    return by.narrowings(wide, to.additionalProperties ?? true, place); // its names fall to the rest
  });
  const added = Object.entries(after)
    .filter(([pattern]) => !before.some(([known]) => known === pattern))
    .flatMap(([pattern, narrow]) => {
      const others = [restOf(wides, by), ...before.map(([, wide]) => wide)];
      return others.flatMap((wide) => by.narrowings(wide, narrow, `${path}/patternProperties/${pattern}`));
    });
  // A name that is new in the properties may be one that an old pattern judged: namedNarrowings sees those.
  return [...kept, ...added];
}

export function arrayNarrowings(wides: readonly Fields[], to: Fields, path: string, by: Comparing): readonly string[] {
  const after = to.prefixItems === undefined ? [] : listOf(to.prefixItems);
  const placesBefore = wides.map(({ prefixItems }) => (prefixItems === undefined ? 0 : listOf(prefixItems).length));
  const places = Math.max(after.length, ...placesBefore);
  const narrowRest = to.items ?? true;
  const reasons = Array.from({ length: places }, (_, index) => {
    const wide = by.join(wides.map((one) => ruleOfPlace(one, index)));
    return by.narrowings(wide, after[index] ?? narrowRest, `${path}/prefixItems/${index}`);
  });
  const wideRest = by.join(wides.map(({ items = true }) => items));
  return [...reasons.flat(), ...by.narrowings(wideRest, narrowRest, `${path}/items`)];
}

const ruleOfPlace = ({ prefixItems = [], items = true }: Fields, index: number): unknown =>
  listOf(prefixItems)[index] ?? items;

export function containsNarrowings(from: Fields, to: Fields, path: string, by: Comparing): readonly string[] {
  if (to.contains === undefined || (to.minContains === 0 && to.maxContains === undefined)) return [];
  const isKept =
    from.contains !== undefined &&
    by.same(from.contains, to.contains) &&
    Number(to.minContains ?? 1) <= Number(from.minContains ?? 1) &&
    Number(to.maxContains ?? Number.POSITIVE_INFINITY) >= Number(from.maxContains ?? Number.POSITIVE_INFINITY);
  return isKept ? [] : [`${path}/contains: changed: it can not be shown to allow what was allowed`];
}

/** Keywords by which properties or items count as evaluated. */
const EVALUATING = [
  ...["properties", "patternProperties", "additionalProperties", "prefixItems", "items", "contains"],
  ...["allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"],
];

/** @param from, to whole schemas: what stands beside the keyword counts */
export function unevaluatedNarrowings(
  keyword: "unevaluatedProperties" | "unevaluatedItems",
  from: Fields,
  to: Fields,
  path: string,
  by: Comparing,
): readonly string[] {
  const after = to[keyword];
  if (after === undefined || after === true) return [];
  const isKept =
    from[keyword] !== undefined &&
    by.same(from[keyword], after) &&
    by.sameTargets(from, to) &&
    EVALUATING.every((one) => one === "properties" || by.same(from[one], to[one]));
  const names = Object.keys(fieldsOf(to.properties));
  const isNamed = Object.keys(fieldsOf(from.properties)).every((name) => names.includes(name));
  return isKept && isNamed ? [] : [`${path}/${keyword}: it can not be shown to allow what was allowed`];
}
