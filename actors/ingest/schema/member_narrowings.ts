/**
 * What a changed schema takes from properties and items. Each property falls to its name, to every pattern that it matches, or
 * else to `additionalProperties`; each item to its place or to `items`. A name, pattern or place that is gone leaves its
 * values to the next rule, and that must allow them.
 */
import { isSchemaObject } from "./keywords.ts";
import { type Fields, fieldsOf, isMap, listOf, text } from "./schema_parts.ts";
import { valuesOf } from "./value_narrowings.ts";

/** The old schema at one place of an event. */
export interface Old {
  /** Schemas that all hold. */
  readonly holding: readonly Fields[];
  /** Every schema that may have a say there: those that hold, and alternatives and conditions that need not. */
  judging(): readonly Fields[];
}

/** How two schemas are held against each other. */
export interface Comparing {
  /** Reasons why `narrow` may refuse what `wide` allows. */
  narrowings(wide: unknown, narrow: unknown, path: string): readonly string[];
  /** The old schema of members where all of `wides` hold; `partsOf` finds what may have a say on them in a schema. */
  join(wides: readonly unknown[], old: Old, partsOf: (schema: Fields) => readonly unknown[]): unknown;
  /** Whether nothing in the old schema has a say on a property of this name. */
  isOpenTo(old: Old, name: string): boolean;
  /** Whether a part of an old schema and one of a new schema judge alike at sight. */
  same(wide: unknown, narrow: unknown): boolean;
  /** Whether the references of both lead to schemas that judge alike at sight. */
  sameTargets(wide: Fields, narrow: Fields): boolean;
}

export function objectNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const wides = old.holding;
  const wasRequired = new Set(wides.flatMap(({ required = [] }) => listOf(required)));
  const missing = listOf(to.required ?? [])
    .filter((name) => !wasRequired.has(name))
    .map((name) => `${path}/${text(name)}: is required now: stored events may lack it`);
  const names = [{ type: "string" }, ...wides.map(({ propertyNames = true }) => propertyNames)];
  const judgingNames = ({ propertyNames }: Fields) => [propertyNames];
  return [
    ...missing,
    ...namedNarrowings(old, to, path, by),
    ...patternNarrowings(old, to, path, by),
    ...(to.additionalProperties === undefined
      ? []
      : by.narrowings(restOf(old, by), to.additionalProperties, `${path}/additionalProperties`)),
    ...(to.propertyNames === undefined
      ? []
      : by.narrowings(by.join(names, old, judgingNames), to.propertyNames, `${path}/propertyNames`)),
  ];
}

/** The rule of properties that have neither a name nor a pattern. */
const restOf = (old: Old, by: Comparing): unknown =>
  by.join(
    old.holding.map(({ additionalProperties = true }) => additionalProperties),
    old,
    rulesOfProperties,
  );

/** Schemas that may have a say on some property: which names a pattern or the rest takes is not looked at. */
const rulesOfProperties = (schema: Fields): readonly unknown[] => [
  ...Object.values(fieldsOf(schema.properties)),
  ...Object.values(fieldsOf(schema.patternProperties)),
  schema.additionalProperties,
  schema.unevaluatedProperties,
  ...enumeratedMembers(schema),
];

const rulesOfItems = (schema: Fields): readonly unknown[] => [
  ...listOf(schema.prefixItems ?? []),
  ...[schema.items, schema.contains, schema.unevaluatedItems],
  ...enumeratedMembers(schema),
];

/** Made once: a pair of schemas is known by what they are. */
const made = new WeakMap<Fields, Map<string | undefined, Fields>>();

/** What a list of whole values says on the members of one; `name` for that property alone. */
function enumeratedMembers(schema: Fields, name?: string): readonly Fields[] {
  const values = valuesOf(schema) ?? [];
  const members = values.flatMap((value) => {
    if (Array.isArray(value)) return name === undefined ? value : [];
    if (!isMap(value)) return [];
    if (name === undefined) return Object.values(value);
    return Object.hasOwn(value, name) ? [value[name]] : [];
  });
  if (members.length === 0) return [];
  const known = made.get(schema) ?? new Map<string | undefined, Fields>();
  made.set(schema, known);
  const one = known.get(name) ?? { enum: members };
  known.set(name, one);
  return [one];
}

/** Schemas that judge the property `name` by name or by pattern, and that of the rest where neither takes it for sure. */
function possibleRulesOf(schema: Fields, name: string): readonly unknown[] {
  const own = ownRuleOf(schema, name);
  const found = Object.entries(fieldsOf(schema.patternProperties)).map(
    ([pattern, rule]) => [matches(pattern, name), rule] as const,
  );
  const isTaken = own.length > 0 || found.some(([is]) => is === "yes");
  return [
    ...own,
    ...found.flatMap(([is, rule]) => (is === "no" ? [] : [rule])),
    ...(isTaken ? [] : [schema.additionalProperties ?? true]),
  ];
}

/** Of these, the ones that judge it whatever a pattern that may match does. */
function certainRulesOf(schema: Fields, name: string): readonly unknown[] {
  const own = ownRuleOf(schema, name);
  const found = Object.entries(fieldsOf(schema.patternProperties)).map(
    ([pattern, rule]) => [matches(pattern, name), rule] as const,
  );
  const isLeft = own.length === 0 && found.every(([is]) => is === "no");
  return [
    ...own,
    ...found.flatMap(([is, rule]) => (is === "yes" ? [rule] : [])),
    ...(isLeft ? [schema.additionalProperties ?? true] : []),
  ];
}

const ownRuleOf = ({ properties }: Fields, name: string): readonly unknown[] =>
  Object.hasOwn(fieldsOf(properties), name) ? [fieldsOf(properties)[name]] : [];

const NONE: readonly unknown[] = [];

/** Asked of every alternative for every name: what says nothing must cost nothing. */
const rulesThatMayJudge =
  (name: string) =>
  (schema: Fields): readonly unknown[] => {
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = schema;
    const isNamed = isSchemaObject(properties) && Object.hasOwn(properties, name);
    const isListed = schema.enum !== undefined || schema.const !== undefined;
    const isClosed = additionalProperties !== undefined || unevaluatedProperties !== undefined;
    if (patternProperties === undefined && !isListed && (isNamed || !isClosed))
      return isNamed ? [properties[name]] : NONE;
    return [
      ...possibleRulesOf(schema, name),
      ...(isNamed ? [] : [unevaluatedProperties]),
      ...(isListed ? enumeratedMembers(schema, name) : []),
    ];
  };

/** Whether a schema says nothing on a property of this name, and would let any value in. */
export const isSilentOn = (schema: Fields, name: string): boolean =>
  ownRuleOf(schema, name).length === 0 &&
  rulesThatMayJudge(name)(schema).every((rule) => rule === true || rule === undefined) &&
  !listOf(schema.required ?? []).includes(name) &&
  !Object.hasOwn(fieldsOf(schema.dependentSchemas), name) &&
  !Object.entries(fieldsOf(schema.dependentRequired)).some(
    ([key, names]) => key === name || listOf(names).includes(name),
  );

/** RE2 and this engine differ on what `\s` and `.` take, and on groups with a `?` other than `(?:`. */
const DIFFERING = /\\[sS]|\.|\(\?(?!:)/u;

/** Whether a pattern is found in a name, as RE2 sees it. */
function matches(pattern: string, name: string): "yes" | "no" | "maybe" {
  if (name.length > TRIED_CHARACTERS_MAX || isSlow(pattern)) return "maybe";
  if (DIFFERING.test(pattern.replaceAll(/\\[^sS]/gu, ""))) return "maybe";
  try {
    return new RegExp(pattern, "u").test(name) ? "yes" : "no";
  } catch {
    return "maybe";
  }
}

/** Longer names are not tried: the engine goes back in a text for each way in which a pattern may match. */
const TRIED_CHARACTERS_MAX = 128;

/** A repeated group, or many repetitions: the engine may take time that doubles with each character. */
const isSlow = (pattern: string): boolean =>
  /\)[*+?{]/.test(pattern) || (pattern.match(/[*+{]/g)?.length ?? 0) > REPETITIONS_MAX;

const REPETITIONS_MAX = 3;

function namedNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const declared = fieldsOf(to.properties);
  const before = old.holding.flatMap(({ properties }) => Object.keys(fieldsOf(properties)));
  return [...new Set([...before, ...Object.keys(declared)])].flatMap((name) => {
    if (Object.hasOwn(declared, name) && by.isOpenTo(old, name)) return []; // the exception made for use
    const certain = old.holding.flatMap((one) => certainRulesOf(one, name));
    const wide = by.join(certain, old, rulesThatMayJudge(name));
    return possibleRulesOf(to, name).flatMap((narrow) => by.narrowings(wide, narrow, `${path}/${name}`));
  });
}

function patternNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const before = old.holding.flatMap(({ patternProperties }) =>
    Object.entries(fieldsOf(patternProperties)).map(
      ([pattern, wide]) => [pattern, by.join([wide], old, rulesOfProperties)] as const,
    ),
  );
  const after = fieldsOf(to.patternProperties);
  const kept = before.flatMap(([pattern, wide]) => {
    const place = `${path}/patternProperties/${pattern}`;
    if (Object.hasOwn(after, pattern)) return by.narrowings(wide, after[pattern], place);
    return by.narrowings(wide, to.additionalProperties ?? true, place); // its names fall to the rest
  });
  const added = Object.entries(after)
    .filter(([pattern]) => !before.some(([known]) => known === pattern))
    .flatMap(([pattern, narrow]) => {
      const others = [restOf(old, by), ...before.map(([, wide]) => wide)];
      return others.flatMap((wide) => by.narrowings(wide, narrow, `${path}/patternProperties/${pattern}`));
    });
  // A name that is new in the properties may be one that an old pattern judged: namedNarrowings sees those.
  return [...kept, ...added];
}

export function arrayNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const wides = old.holding;
  const after = to.prefixItems === undefined ? [] : listOf(to.prefixItems);
  const placesBefore = wides.map(({ prefixItems }) => (prefixItems === undefined ? 0 : listOf(prefixItems).length));
  const places = Math.max(after.length, ...placesBefore);
  const narrowRest = to.items ?? true;
  const reasons = Array.from({ length: places }, (_, index) => {
    const certain = wides.map((one) => ruleOfPlace(one, index));
    const wide = by.join(certain, old, rulesOfItems);
    return by.narrowings(wide, after[index] ?? narrowRest, `${path}/prefixItems/${index}`);
  });
  if (to.items === undefined) return reasons.flat();
  const certain = wides.map(({ items = true }) => items);
  return [...reasons.flat(), ...by.narrowings(by.join(certain, old, rulesOfItems), narrowRest, `${path}/items`)];
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
