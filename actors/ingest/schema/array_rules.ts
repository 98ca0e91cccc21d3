/** Rules for lists: their length, their items one by one, and whether the items differ. */
import { findRepeated } from "./equality.ts";
import { both, NOTED_STEPS, type RuleContext, type Rules } from "./rules.ts";
import type { Check, Run } from "./run.ts";

export const arrayRules: Rules = (schema, context) => {
  const check = both([
    lengthRule(schema.minItems, schema.maxItems),
    schema.uniqueItems === true ? differ : undefined,
    itemRule(schema, context),
    containsRule(schema, context),
  ]);
  return check && ((value, run) => !Array.isArray(value) || check(value, run));
};

function lengthRule(minItems: unknown, maxItems: unknown): Check | undefined {
  if (minItems === undefined && maxItems === undefined) return undefined;
  const least = Number(minItems ?? 0);
  const most = Number(maxItems ?? Number.POSITIVE_INFINITY);
  return (value, run) => {
    const { length } = value as readonly unknown[];
    if (length < least) return run.fail(`must NOT have fewer than ${least} items`);
    return length <= most || run.fail(`must NOT have more than ${most} items`);
  };
}

/** Compares items by hash: linear in their size, whatever their kind. */
const differ: Check = (value, run) => {
  const repeated = findRepeated(value as readonly unknown[], run);
  if (repeated === undefined) return !run.isSpent;
  return run.fail(`must NOT have duplicate items (items ## ${repeated[0]} and ${repeated[1]} are identical)`);
};

function itemRule(schema: Readonly<Record<string, unknown>>, context: RuleContext): Check | undefined {
  const { prefixItems, items } = schema;
  const first = Array.isArray(prefixItems) ? prefixItems.map((one) => context.part(one)) : [];
  const rest = items === undefined ? undefined : context.part(items);
  if (first.length === 0 && rest === undefined) return undefined;
  return (value, run) => {
    const list = value as readonly unknown[];
    const until = rest === undefined ? Math.min(first.length, list.length) : list.length;
    if (!run.take(until)) return false;
    for (let index = 0; index < until; index += 1) {
      const check = first[index] ?? rest;
      if (check !== undefined && !check(list[index], run)) return run.below(index);
    }
    note(run, until, rest !== undefined);
    return true;
  };
}

function note({ evaluated }: Run, itemsBelow: number, isAll: boolean): void {
  if (evaluated === undefined) return;
  evaluated.itemsBelow = Math.max(evaluated.itemsBelow, itemsBelow);
  evaluated.allItems ||= isAll;
}

function containsRule(schema: Readonly<Record<string, unknown>>, context: RuleContext): Check | undefined {
  if (schema.contains === undefined) return undefined;
  const check = context.part(schema.contains);
  const least = Number(schema.minContains ?? 1);
  const most = Number(schema.maxContains ?? Number.POSITIVE_INFINITY);
  return (value, run) => {
    const list = value as readonly unknown[];
    if (!run.take(list.length)) return false;
    let found = 0;
    for (let index = 0; index < list.length; index += 1) {
      if (check(list[index], run)) {
        found += 1;
        if (run.evaluated !== undefined && run.take(NOTED_STEPS)) run.evaluated.items.add(index);
        if (found > most) return run.fail(`must contain at most ${most} valid item(s)`);
      } else if (run.isSpent) return run.below(index);
    }
    return found >= least || run.fail(`must contain at least ${least} valid item(s)`);
  };
}

/** Judges the items that no rule beside this one looked at. */
export function unevaluatedItems(subschema: unknown, context: RuleContext): Check {
  const check = context.part(subschema);
  return (value, run) => {
    const { evaluated } = run;
    if (!Array.isArray(value) || evaluated === undefined || evaluated.allItems) return true;
    if (!run.take(value.length)) return false;
    for (let index = evaluated.itemsBelow; index < value.length; index += 1) {
      if (evaluated.items.has(index)) continue;
      if (!check(value[index], run)) {
        if (subschema === false && !run.isSpent) return run.fail("must NOT have unevaluated items", index);
        return run.below(index);
      }
    }
    evaluated.allItems = true;
    return true;
  };
}
