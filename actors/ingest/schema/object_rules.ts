/** Rules for maps: the number of keys, their names, and the value of each. */
import { isAnnotation, isSchemaObject } from "./keywords.ts";
import { propertiesReader } from "./properties_reader.ts";
import { both, has, isMap, NOTED_STEPS, type RuleContext, type Rules, textsOf } from "./rules.ts";
import type { Check, Run } from "./run.ts";

/** Steps to judge one property whose name is not in the schema. */
export const MEMBER_STEPS = 14;

type Fields = Readonly<Record<string, unknown>>;

export const objectRules: Rules = (schema, context) => {
  const check = both([
    countRule(schema.minProperties, schema.maxProperties),
    dependentRequired(schema.dependentRequired),
    namesRule(schema.propertyNames, context),
    memberRule(schema, context),
  ]);
  return check && ((value, run) => !isMap(value) || check(value, run));
};

function countRule(minProperties: unknown, maxProperties: unknown): Check | undefined {
  if (minProperties === undefined && maxProperties === undefined) return undefined;
  const least = Number(minProperties ?? 0);
  const most = Number(maxProperties ?? Number.POSITIVE_INFINITY);
  return (value, run) => {
    const count = run.keysOf(value as object).length;
    if (run.isSpent) return false;
    if (count < least) return run.fail(`must NOT have fewer than ${least} properties`);
    return count <= most || run.fail(`must NOT have more than ${most} properties`);
  };
}

function dependentRequired(dependencies: unknown): Check | undefined {
  if (!isSchemaObject(dependencies)) return undefined;
  const pairs = Object.entries(dependencies).map(([name, needed]) => [name, textsOf(needed)] as const);
  const steps = pairs.reduce((sum, [, needed]) => sum + 1 + needed.length, 0);
  return (value, run) => {
    if (!run.take(steps)) return false;
    for (const [name, needed] of pairs) {
      if (!has(value as Fields, name)) continue;
      const missing = needed.find((one) => !has(value as Fields, one));
      if (missing !== undefined) return run.fail(`must have property ${missing} when property ${name} is present`);
    }
    return true;
  };
}

function namesRule(subschema: unknown, context: RuleContext): Check | undefined {
  if (subschema === undefined) return undefined;
  const check = context.part(subschema);
  return (value, run) => {
    for (const name of run.keysOf(value as object)) {
      if (!run.take(MEMBER_STEPS)) return false;
      if (!check(name, run)) return run.isSpent ? false : run.fail(`property name must be valid: ${run.reason}`, name);
    }
    return true;
  };
}

function onlyTypeOf(subschema: unknown): string | undefined {
  if (!isSchemaObject(subschema) || typeof subschema.type !== "string") return undefined;
  const isAlone = Object.keys(subschema).every((keyword) => keyword === "type" || isAnnotation(keyword));
  return isAlone ? subschema.type : undefined;
}

function memberRule(schema: Readonly<Record<string, unknown>>, context: RuleContext): Check | undefined {
  const { additionalProperties } = schema;
  const properties = isSchemaObject(schema.properties) ? Object.entries(schema.properties) : [];
  const patterns = isSchemaObject(schema.patternProperties)
    ? Object.entries(schema.patternProperties).map(([source, subschema]) => ({
        pattern: context.pattern(source),
        check: context.part(subschema),
      }))
    : [];
  const required = textsOf(schema.required);
  const named = properties.map(([name, subschema]) => ({
    ...{ name, check: context.part(subschema), onlyType: onlyTypeOf(subschema) },
  }));
  const read = propertiesReader(named, required, context.isCollecting);
  const names = new Set(properties.map(([name]) => name));
  const isOpen = additionalProperties === undefined || (additionalProperties === true && !context.isCollecting);
  if (isOpen && patterns.length === 0) {
    return named.length === 0 && required.length === 0 ? undefined : (value, run) => read(value as Fields, run) >= 0;
  }
  const rest = additionalProperties === undefined ? undefined : context.part(additionalProperties);
  const isClosed = additionalProperties === false;
  return (value, run) => {
    const known = read(value as Fields, run);
    if (known < 0) return false;
    if (patterns.length === 0 && isFull(value as Fields, known, run)) return noteAll(run, rest);
    return checkOthers(value as Fields, run, { names, patterns, rest, isClosed });
  };
}

/** Whether a map has no keys besides the `known` ones. Counts without listing the keys, as most maps are small. */
function isFull(value: Fields, known: number, run: Run): boolean {
  if (run.hasListed(value)) return run.keysOf(value).length === known;
  let count = 0;
  for (const _key in value) if (++count > known) return false;
  return true;
}

/** Notes that `additionalProperties` looked at every property that is left. */
function noteAll(run: Run, rest: Check | undefined): boolean {
  if (run.evaluated !== undefined && rest !== undefined) run.evaluated.allProperties = true;
  return !run.isSpent;
}

interface OtherRules {
  readonly names: ReadonlySet<string>;
  readonly patterns: readonly { readonly pattern: ReturnType<RuleContext["pattern"]>; readonly check: Check }[];
  readonly rest: Check | undefined;
  readonly isClosed: boolean;
}

function checkOthers(value: Fields, run: Run, { names, patterns, rest, isClosed }: OtherRules): boolean {
  for (const name of run.keysOf(value)) {
    if (!run.take(MEMBER_STEPS)) return false;
    let isKnown = names.has(name);
    for (const { pattern, check } of patterns) {
      if (!run.take(pattern.stepsFor(name))) return false;
      if (!pattern.isIn(name)) continue;
      isKnown = true;
      if (!check(value[name], run)) return run.below(name);
      if (run.evaluated !== undefined && run.take(NOTED_STEPS)) run.evaluated.properties.add(name);
    }
    if (isKnown || rest === undefined) continue;
    if (isClosed) return run.fail("must NOT have additional properties", name);
    if (!rest(value[name], run)) return run.below(name);
  }
  return noteAll(run, rest);
}

/** Judges the properties that no rule beside this one looked at. */
export function unevaluatedProperties(subschema: unknown, context: RuleContext): Check {
  const check = context.part(subschema);
  return (value, run) => {
    const { evaluated } = run;
    if (!isMap(value) || evaluated === undefined || evaluated.allProperties) return true;
    for (const name of run.keysOf(value)) {
      if (!run.take(MEMBER_STEPS)) return false;
      if (evaluated.properties.has(name)) continue;
      if (check(value[name], run)) continue;
      if (subschema === false && !run.isSpent) return run.fail("must NOT have unevaluated properties", name);
      return run.below(name);
    }
    evaluated.allProperties = true;
    return true;
  };
}
