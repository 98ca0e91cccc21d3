/**
 * What a changed schema takes from properties and items. Each property falls to its name, to every pattern that it matches, or
 * else to `additionalProperties`; each item to its place or to `items`. A name, pattern or place that is gone leaves its
 * values to the next rule, and that must allow them.
 */
import { type Fields, fieldsOf, listOf, same, text } from "./schema_parts.ts";

/** Reasons why `narrow` may refuse what `wide` allows. */
export type Narrowings = (wide: unknown, narrow: unknown, path: string) => readonly string[];

export function objectNarrowings(from: Fields, to: Fields, path: string, narrowings: Narrowings): readonly string[] {
  const wasRequired = new Set(listOf(from.required ?? []));
  const missing = listOf(to.required ?? [])
    .filter((name) => !wasRequired.has(name))
    .map((name) => `${path}/${text(name)}: is required now: stored events may lack it`);
  return [
    ...missing,
    ...namedNarrowings(from, to, path, narrowings),
    ...patternNarrowings(from, to, path, narrowings),
    ...restNarrowings(from, to, path, narrowings),
    ...(to.propertyNames === undefined
      ? []
      : narrowings(from.propertyNames ?? { type: "string" }, to.propertyNames, `${path}/propertyNames`)),
    ...unevaluatedNarrowings("unevaluatedProperties", from, to, path),
  ];
}

/** Schemas that judge the property `name`: by name and by pattern, or those of the rest. */
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

/** Whether a pattern is found in a name; one that this engine does not read may be. */
function mayMatch(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern, "u").test(name);
  } catch {
    return true; // on the safe side
  }
}

function namedNarrowings(from: Fields, to: Fields, path: string, narrowings: Narrowings): readonly string[] {
  const before = fieldsOf(from.properties);
  const names = new Set([...Object.keys(before), ...Object.keys(fieldsOf(to.properties))]);
  return [...names].flatMap((name) => {
    const wide = rulesOf(from, name);
    const isOpen = wide.length === 1 && wide[0] === true && !Object.hasOwn(before, name);
    if (isOpen && Object.hasOwn(fieldsOf(to.properties), name)) return []; // the exception made for use
    return rulesOf(to, name).flatMap((narrow) => fromAnyOf(wide, narrow, `${path}/${name}`, narrowings));
  });
}

/** One of several rules that hold at once is enough to show that a new one is kept. */
function fromAnyOf(wide: readonly unknown[], narrow: unknown, path: string, narrowings: Narrowings): readonly string[] {
  const reasons = wide.map((one) => narrowings(one, narrow, path));
  return reasons.some((list) => list.length === 0) ? [] : (reasons[0] ?? []);
}

function patternNarrowings(from: Fields, to: Fields, path: string, narrowings: Narrowings): readonly string[] {
  const before = Object.entries(fieldsOf(from.patternProperties));
  const after = fieldsOf(to.patternProperties);
  const kept = before.flatMap(([pattern, wide]) => {
    const place = `${path}/patternProperties/${pattern}`;
    if (Object.hasOwn(after, pattern)) return narrowings(wide, after[pattern], place);
    return narrowings(wide, to.additionalProperties ?? true, place); // its names fall to the rest
  });
  const added = Object.entries(after)
    .filter(([pattern]) => !before.some(([known]) => known === pattern))
    .flatMap(([pattern, narrow]) => {
      const others = [from.additionalProperties ?? true, ...before.map(([, wide]) => wide)];
      return others.flatMap((wide) => narrowings(wide, narrow, `${path}/patternProperties/${pattern}`));
    });
  // A name that is new in the properties may be one that an old pattern judged: namedNarrowings sees those.
  return [...kept, ...added];
}

function restNarrowings(from: Fields, to: Fields, path: string, narrowings: Narrowings): readonly string[] {
  if (to.additionalProperties === undefined) return [];
  return narrowings(from.additionalProperties ?? true, to.additionalProperties, `${path}/additionalProperties`);
}

export function arrayNarrowings(from: Fields, to: Fields, path: string, narrowings: Narrowings): readonly string[] {
  const before = from.prefixItems === undefined ? [] : listOf(from.prefixItems);
  const after = to.prefixItems === undefined ? [] : listOf(to.prefixItems);
  const places = Math.max(before.length, after.length);
  const wideRest = from.items ?? true;
  const narrowRest = to.items ?? true;
  const reasons = Array.from({ length: places }, (_, index) =>
    narrowings(before[index] ?? wideRest, after[index] ?? narrowRest, `${path}/prefixItems/${index}`),
  );
  return [
    ...reasons.flat(),
    ...narrowings(wideRest, narrowRest, `${path}/items`),
    ...containsNarrowings(from, to, path),
    ...unevaluatedNarrowings("unevaluatedItems", from, to, path),
  ];
}

function containsNarrowings(from: Fields, to: Fields, path: string): readonly string[] {
  if (to.contains === undefined) return [];
  const isKept =
    same(from.contains, to.contains) &&
    Number(to.minContains ?? 1) <= Number(from.minContains ?? 1) &&
    Number(to.maxContains ?? Number.POSITIVE_INFINITY) >= Number(from.maxContains ?? Number.POSITIVE_INFINITY);
  return isKept || (to.minContains === 0 && to.maxContains === undefined)
    ? []
    : [`${path}/contains: changed: it can not be shown to allow what was allowed`];
}

/** Keywords by which properties or items count as evaluated. */
const EVALUATING = [
  ...[
    "properties",
    "patternProperties",
    "additionalProperties",
    "prefixItems",
    "items",
    "contains",
    "$ref",
    "$dynamicRef",
  ],
  ...["allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "$defs", "definitions"],
];

function unevaluatedNarrowings(
  keyword: "unevaluatedProperties" | "unevaluatedItems",
  from: Fields,
  to: Fields,
  path: string,
): readonly string[] {
  const after = to[keyword];
  if (after === undefined || after === true) return [];
  const isKept =
    same(from[keyword], after) && EVALUATING.every((one) => one === "properties" || same(from[one], to[one]));
  const names = Object.keys(fieldsOf(to.properties));
  const isNamed = Object.keys(fieldsOf(from.properties)).every((name) => names.includes(name));
  return isKept && isNamed ? [] : [`${path}/${keyword}: it can not be shown to allow what was allowed`];
}
