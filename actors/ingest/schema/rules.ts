/** The tools that the rules of each kind of value compile with, and how their checks are put together. */
import type { LinearPattern } from "../../kernel/linear_pattern.ts";
import type { JsonSchema } from "./keywords.ts";
import type { Check, Run } from "./run.ts";

export interface RuleContext {
  /** The check of a schema for a part of the value: a property, an item. */
  part(subschema: unknown): Check;
  /** The check of a schema for the value itself. */
  beside(subschema: unknown): Check;
  reference(reference: string, isDynamic: boolean): Check;
  pattern(source: string): LinearPattern;
  /** True where some schema of the document has `unevaluatedProperties` or `unevaluatedItems`. */
  readonly isCollecting: boolean;
}

/** The check of some keywords of a schema, or undefined where it has none of them. */
export type Rules = (schema: JsonSchema, context: RuleContext) => Check | undefined;

export const passes: Check = () => true;
export const refuses: Check = (_value, run) => run.fail("boolean schema is false");

/** Runs a check whose evaluated members stay apart from those of the value around it. */
export function passesApart(check: Check, value: unknown, run: Run): boolean {
  const outer = run.evaluated;
  run.evaluated = undefined;
  const isMatch = check(value, run);
  run.evaluated = outer;
  return isMatch;
}

/** One check of several: the first that fails decides. */
export function both(checks: readonly (Check | undefined)[]): Check | undefined {
  const given = checks.filter((check) => check !== undefined);
  const [first, second, third] = given;
  if (first === undefined || second === undefined) return first;
  if (third === undefined) return (value, run) => first(value, run) && second(value, run);
  if (given.length === 3) return (value, run) => first(value, run) && second(value, run) && third(value, run);
  return (value, run) => {
    for (const check of given) if (!check(value, run)) return false;
    return true;
  };
}

export const isNumeric = (value: unknown): value is number | bigint =>
  typeof value === "number" || typeof value === "bigint";

/** Whether a value is a map of the event: times and bytes are not. */
export const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  !(value instanceof Date);

export const numberOf = (value: unknown): number | bigint | undefined => (isNumeric(value) ? value : undefined);
export const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];

/** Whether `name` is a key that every object inherits from its prototype. */
export const isInherited = (name: string): boolean => name in Object.prototype;

export const has = (value: Readonly<Record<string, unknown>>, name: string): boolean =>
  value[name] !== undefined && (!isInherited(name) || Object.hasOwn(value, name));

/** Steps to note that a property or item was looked at. */
export const NOTED_STEPS = 12;
