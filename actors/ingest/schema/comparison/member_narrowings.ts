/**
 * Properties and items that a changed schema no longer allows. A property is judged by its name and by every pattern
 * that it matches, or else by `additionalProperties`; an item by its place, or else by `items`. Where a name, pattern
 * or place is gone, the next rule judges its values and must allow them.
 */
import { closingRulesBeyond, closingRulesOf } from "../evaluated_properties.ts";
import { isSchemaObject } from "../keywords.ts";
import type { Comparing, Old } from "./comparing.ts";
import { countOf } from "./schema_bounds.ts";
import { type Fields, fieldsOf, listOf, text } from "./schema_parts.ts";
import { valuesOf } from "./value_narrowings.ts";

export function objectNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  if (!ON_PROPERTIES.some((keyword) => to[keyword] !== undefined)) return [];
  const wasRequired = requiredWith(old, [], by);
  const missing = listOf(to.required ?? [])
    .filter((name) => !wasRequired.has(name))
    .map((name) => `${path}/${text(name)}: is required now: stored events may lack it`);
  const hasDependents = Object.entries(fieldsOf(to.dependentRequired)).every(([name, names]) => {
    const required = requiredWith(old, [name], by);
    return listOf(names).every((one) => required.has(one));
  });
  return [
    ...missing,
    ...(hasDependents
      ? []
      : [`${path || "/"}: dependentRequired changed: it cannot be shown to allow what was allowed`]),
    ...namedNarrowings(old, to, path, by),
    ...patternNarrowings(old, to, path, by),
    ...(to.additionalProperties === undefined
      ? []
      : by.narrowings(restOf(old, by), to.additionalProperties, `${path}/additionalProperties`)),
    ...(to.propertyNames === undefined
      ? []
      : by.narrowings(namesOf(old, by), to.propertyNames, `${path}/propertyNames`)),
  ];
}

/** The names that a map must have where it has `names`. */
function requiredWith(old: Old, names: readonly unknown[], by: Comparing): ReadonlySet<unknown> {
  const required = new Set([...names, ...old.holding.flatMap((one) => listOf(one.required ?? []))]);
  // The loop also visits names that it adds: they may require others.
  for (const name of required) {
    by.budget.take(NAME_STEPS);
    for (const one of old.holding) for (const other of dependentsOf(one, name)) required.add(other);
  }
  return required;
}

const dependentsOf = ({ dependentRequired }: Fields, name: unknown): readonly unknown[] =>
  Object.hasOwn(fieldsOf(dependentRequired), String(name)) ? listOf(fieldsOf(dependentRequired)[String(name)]) : [];

/** The schema of the names of properties. A closed map lists its names. */
function namesOf(old: Old, by: Comparing): unknown {
  const closed = old.holding
    .filter((one) => one.additionalProperties === false && one.patternProperties === undefined)
    .map(({ properties }) => ({ enum: Object.keys(fieldsOf(properties)) }));
  const names = [{ type: "string" }, ...closed, ...old.holding.map(({ propertyNames = true }) => propertyNames)];
  return by.join(names, old, ({ propertyNames }) => [propertyNames]);
}

/** The rule for properties that neither a name nor a pattern judges. */
function restOf(old: Old, by: Comparing): unknown {
  const known = new Set(old.holding.flatMap(({ properties }) => Object.keys(fieldsOf(properties))));
  const rules = old.holding.flatMap((one) => [
    one.additionalProperties ?? true,
    ...closingRulesBeyond(one, known, by.before),
  ]);
  return by.join(rules, old, rulesOfProperties(by));
}

/** The schemas that may have a say on some property, whatever its name. */
export const rulesOfProperties =
  (by: Comparing) =>
  (schema: Fields): readonly unknown[] => [
    ...Object.values(fieldsOf(schema.properties)),
    ...Object.values(fieldsOf(schema.patternProperties)),
    schema.additionalProperties,
    schema.unevaluatedProperties,
    ...enumeratedMembers(schema, by),
  ];

const rulesOfItems =
  (by: Comparing) =>
  (schema: Fields): readonly unknown[] => [
    ...listOf(schema.prefixItems ?? []),
    ...[schema.items, schema.contains, schema.unevaluatedItems],
    ...enumeratedMembers(schema, by),
  ];

/** Schemas made here, each once: a pair of schemas is recognised by its objects. */
const made = new WeakMap<Fields, Map<string | undefined, Fields>>();

/** The schemas of members that follow from `enum` and `const`; with `name` those of one property alone. */
function enumeratedMembers(schema: Fields, by: Comparing, name?: string): readonly Fields[] {
  const values = valuesOf(schema) ?? [];
  by.budget.take(30 * values.length);
  const members = values.flatMap((value) => {
    if (Array.isArray(value)) return name === undefined ? value : [];
    if (!isSchemaObject(value)) return [];
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

/** Schemas that judge the property `name`: by name, by pattern, or as one of the rest. */
function rulesOf(schema: Fields, name: string, { before }: Comparing): readonly unknown[] {
  const found = Object.entries(fieldsOf(schema.patternProperties)).filter(([pattern]) => before.isFound(pattern, name));
  const rules = [...ownRuleOf(schema, name), ...found.map(([, rule]) => rule)];
  return rules.length > 0 ? rules : [schema.additionalProperties ?? true];
}

const ownRuleOf = ({ properties }: Fields, name: string): readonly unknown[] =>
  Object.hasOwn(fieldsOf(properties), name) ? [fieldsOf(properties)[name]] : [];

/** Steps for each name that one of the schemas declares. */
const NAME_STEPS = 100;

const NONE: readonly unknown[] = [];

/** The rules that may judge a property. Called for every alternative and name, so silent schemas must cost little. */
const rulesThatMayJudge =
  (name: string, by: Comparing) =>
  (schema: Fields): readonly unknown[] => {
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = schema;
    const isNamed = isSchemaObject(properties) && Object.hasOwn(properties, name);
    const isListed = schema.enum !== undefined || schema.const !== undefined;
    const isClosed = additionalProperties !== undefined || unevaluatedProperties !== undefined;
    if (patternProperties === undefined && !isListed && (isNamed || !isClosed))
      return isNamed ? [properties[name]] : NONE;
    return [
      ...rulesOf(schema, name, by),
      ...(isNamed ? [] : [unevaluatedProperties]),
      ...(isListed ? enumeratedMembers(schema, by, name) : []),
    ];
  };

/** Keywords that have a say on properties and items, or name them. */
const ON_PROPERTIES = [
  ...["properties", "patternProperties", "additionalProperties", "propertyNames", "required", "dependentRequired"],
];
const ON_MEMBERS: ReadonlySet<string> = new Set([
  ...[...ON_PROPERTIES, "unevaluatedProperties", "dependentSchemas"],
  ...["items", "prefixItems", "contains", "unevaluatedItems"],
]);

export const hasSayOnMembers = (schema: Fields): boolean =>
  Object.keys(schema).some((keyword) => ON_MEMBERS.has(keyword)) ||
  (valuesOf(schema) ?? []).some((value) => typeof value === "object" && value !== null);

/** Whether a schema has no say on a property of this name, and allows any value of it. */
export function isSilentOn(schema: Fields, name: string, by: Comparing): boolean {
  if (ownRuleOf(schema, name).length > 0) return false;
  if (rulesThatMayJudge(name, by)(schema).some((rule) => rule !== true && rule !== undefined)) return false;
  const dependents = Object.entries(fieldsOf(schema.dependentRequired)).flat(2);
  const mentioned = [...listOf(schema.required ?? []), ...dependents];
  by.budget.take(2 * mentioned.length);
  return !mentioned.includes(name) && !Object.hasOwn(fieldsOf(schema.dependentSchemas), name);
}

function namedNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const declared = fieldsOf(to.properties);
  const before = old.holding.flatMap(({ properties }) => Object.keys(fieldsOf(properties)));
  return [...new Set([...before, ...Object.keys(declared)])].flatMap((name) => {
    by.budget.take(NAME_STEPS);
    if (Object.hasOwn(declared, name) && by.isOpenTo(old, name)) return []; // K3
    const rules = old.holding.flatMap((one) => [...rulesOf(one, name, by), ...closingRulesOf(one, name, by.before)]);
    const wide = by.join(rules, old, rulesThatMayJudge(name, by));
    return rulesOf(to, name, by).flatMap((narrow) => by.narrowings(wide, narrow, `${path}/${name}`));
  });
}

function patternNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const before = old.holding.flatMap(({ patternProperties }) =>
    Object.entries(fieldsOf(patternProperties)).map(
      ([pattern, wide]) => [pattern, by.join([wide], old, rulesOfProperties(by))] as const,
    ),
  );
  const known = new Set(before.map(([pattern]) => pattern));
  const after = fieldsOf(to.patternProperties);
  const kept = before.flatMap(([pattern, wide]) => {
    const place = `${path}/patternProperties/${pattern}`;
    if (Object.hasOwn(after, pattern)) return by.narrowings(wide, after[pattern], place);
    return by.narrowings(wide, to.additionalProperties ?? true, place); // the rest judges its names now
  });
  const added = Object.entries(after)
    .filter(([pattern]) => !known.has(pattern))
    .flatMap(([pattern, narrow]) => {
      const others = [restOf(old, by), ...before.map(([, wide]) => wide)];
      return others.flatMap((wide) => by.narrowings(wide, narrow, `${path}/patternProperties/${pattern}`));
    });
  // `namedNarrowings` judges new names in `properties` that an old pattern judged before.
  return [...kept, ...added];
}

export const arrayNarrowings = (old: Old, to: Fields, path: string, by: Comparing): readonly string[] => [
  ...(to.items === undefined && to.prefixItems === undefined ? [] : itemsNarrowings(old, to, path, by)),
  ...containsNarrowings(old, to, path, by),
];

function itemsNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const wides = old.holding;
  const after = listOf(to.prefixItems ?? []);
  const placesBefore = wides.map(({ prefixItems = [] }) => listOf(prefixItems).length);
  const most = countOf("maxItems", wides);
  const places = Math.min(most, Math.max(after.length, ...placesBefore));
  const narrowRest = to.items ?? true;
  const reasons = Array.from({ length: places }, (_, index) => {
    const certain = wides.map((one) => ruleOfPlace(one, index));
    const wide = by.join(certain, old, rulesOfItems(by));
    return by.narrowings(wide, after[index] ?? narrowRest, `${path}/prefixItems/${index}`);
  });
  if (to.items === undefined || most <= places) return reasons.flat();
  const certain = wides.map(({ items = true }) => items);
  return [...reasons.flat(), ...by.narrowings(by.join(certain, old, rulesOfItems(by)), narrowRest, `${path}/items`)];
}

const ruleOfPlace = ({ prefixItems = [], items = true }: Fields, index: number): unknown =>
  listOf(prefixItems)[index] ?? items;

function containsNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  if (to.contains === undefined || (to.minContains === 0 && to.maxContains === undefined)) return [];
  // Items that matched the old `contains` match the new one. More items may match, so no `maxContains` may be set.
  const isStillContained = (from: Fields): boolean =>
    to.maxContains === undefined &&
    by.isFollowed(by.join([from.contains], old, rulesOfItems(by)), to.contains, `${path}/contains`);
  const isKept = old.holding.some(
    (from) =>
      from.contains !== undefined &&
      Number(to.minContains ?? 1) <= Number(from.minContains ?? 1) &&
      Number(to.maxContains ?? Number.POSITIVE_INFINITY) >= Number(from.maxContains ?? Number.POSITIVE_INFINITY) &&
      (by.same(from.contains, to.contains) || isStillContained(from)),
  );
  return isKept ? [] : [`${path}/contains: changed: it cannot be shown to allow what was allowed`];
}
