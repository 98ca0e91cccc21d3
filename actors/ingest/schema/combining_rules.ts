/** Rules that judge one value by several schemas: references, alternatives, conditions. */
import { unevaluatedItems } from "./array_rules.ts";
import { isSchemaObject } from "./keywords.ts";
import { unevaluatedProperties } from "./object_rules.ts";
import { both, has, isMap, NOTED_STEPS, passes, passesApart, type RuleContext, type Rules } from "./rules.ts";
import type { Check, Evaluated, Run } from "./run.ts";

export const combiningRules: Rules = (schema, context) =>
  both([
    typeof schema.$ref === "string" ? context.reference(schema.$ref, false) : undefined,
    typeof schema.$dynamicRef === "string" ? context.reference(schema.$dynamicRef, true) : undefined,
    Array.isArray(schema.allOf) ? every(schema.allOf, context) : undefined,
    Array.isArray(schema.anyOf) ? atLeastOne(schema.anyOf, context) : undefined,
    Array.isArray(schema.oneOf) ? exactlyOne(schema.oneOf, context) : undefined,
    schema.not === undefined ? undefined : negation(schema.not, context),
    schema.if === undefined ? undefined : condition(schema, context),
    isSchemaObject(schema.dependentSchemas) ? dependents(schema.dependentSchemas, context) : undefined,
  ]);

function every(branches: readonly unknown[], context: RuleContext): Check {
  const checks = branches.map((branch) => context.beside(branch));
  return (value, run) => {
    if (!run.take(checks.length)) return false;
    for (const check of checks) if (!check(value, run)) return false;
    return true;
  };
}

function atLeastOne(branches: readonly unknown[], context: RuleContext): Check {
  const checks = branches.map((branch) => context.beside(branch));
  return (value, run) => {
    let isAny = false;
    let first: string | undefined;
    for (const check of checks) {
      if (!run.take(1)) return false;
      if (attempt(check, value, run)) {
        isAny = true;
        if (run.evaluated === undefined) return true; // otherwise the other branches may evaluate more members
      } else if (run.isSpent) return false;
      else first ??= faultOf(run);
    }
    return isAny || run.fail(`must match a schema in anyOf: the first says ${first}`);
  };
}

function exactlyOne(branches: readonly unknown[], context: RuleContext): Check {
  const checks = branches.map((branch) => context.beside(branch));
  return (value, run) => {
    let passing = -1;
    let first: string | undefined;
    for (const [index, check] of checks.entries()) {
      if (!run.take(1)) return false;
      if (attempt(check, value, run)) {
        if (passing >= 0) return run.fail(`must match exactly one schema in oneOf: it matches ${passing} and ${index}`);
        passing = index;
      } else if (run.isSpent) return false;
      else first ??= faultOf(run);
    }
    return passing >= 0 || run.fail(`must match exactly one schema in oneOf: the first says ${first}`);
  };
}

/** The fault of the branch that has just failed, in at most 200 characters. */
const faultOf = (run: Run): string => `${run.path}${run.path === "" ? "" : " "}${run.reason}`.slice(0, 200);

function negation(subschema: unknown, context: RuleContext): Check {
  const check = context.beside(subschema);
  return (value, run) => {
    if (!run.take(1)) return false;
    const isMatch = passesApart(check, value, run);
    if (run.isSpent) return false;
    return !isMatch || run.fail("must NOT be valid");
  };
}

function condition(schema: Readonly<Record<string, unknown>>, context: RuleContext): Check {
  const test = context.beside(schema.if);
  const yes = schema.then === undefined ? passes : context.beside(schema.then);
  const no = schema.else === undefined ? passes : context.beside(schema.else);
  return (value, run) => {
    if (!run.take(2)) return false;
    const isMatch = attempt(test, value, run);
    return !run.isSpent && (isMatch ? yes : no)(value, run);
  };
}

function dependents(dependencies: Readonly<Record<string, unknown>>, context: RuleContext): Check {
  const pairs = Object.entries(dependencies).map(([name, one]) => ({ name, check: context.beside(one) }));
  return (value, run) => {
    if (!isMap(value)) return true;
    if (!run.take(pairs.length)) return false;
    for (const { name, check } of pairs) if (has(value, name) && !check(value, run)) return false;
    return true;
  };
}

// What was evaluated --------------------------------------------------------------------------------------------------

const nothing = (): Evaluated => ({
  allProperties: false,
  properties: new Set(),
  allItems: false,
  itemsBelow: 0,
  items: new Set(),
});

/** Runs a check whose findings count only where it passes. */
const attempt: (check: Check, value: unknown, run: Run) => boolean = (check, value, run) =>
  run.evaluated === undefined ? check(value, run) : collect(check, value, run);

function collect(check: Check, value: unknown, run: Run): boolean {
  const outer = run.evaluated;
  const own = nothing();
  run.evaluated = own;
  const isMatch = check(value, run);
  run.evaluated = outer;
  if (isMatch && outer !== undefined) merge(own, outer, run);
  return isMatch;
}

function merge(from: Evaluated, to: Evaluated, run: Run): void {
  if (!run.take((from.properties.size + from.items.size) * NOTED_STEPS)) return;
  to.allProperties ||= from.allProperties;
  to.allItems ||= from.allItems;
  to.itemsBelow = Math.max(to.itemsBelow, from.itemsBelow);
  for (const name of from.properties) to.properties.add(name);
  for (const index of from.items) to.items.add(index);
}

/** Puts `unevaluatedProperties` and `unevaluatedItems` after all other rules of their schema. */
export function withUnevaluated(
  schema: Readonly<Record<string, unknown>>,
  context: RuleContext,
  others: Check | undefined,
): Check | undefined {
  const { unevaluatedProperties: properties, unevaluatedItems: items } = schema;
  const last = both([
    properties === undefined ? undefined : unevaluatedProperties(properties, context),
    items === undefined ? undefined : unevaluatedItems(items, context),
  ]);
  if (last === undefined) return others;
  const check = both([others, last]) ?? last;
  return (value, run) => collect(check, value, run) && !run.isSpent;
}
