/** Rules for a single value: its type, the values that it may equal, and the bounds of numbers and texts. */
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { isSame, sizeOf } from "./equality.ts";
import { NUMBER_FORMATS, TEXT_FORMATS } from "./formats.ts";
import { DECIMAL_STEPS, isMultiple } from "./numbers.ts";
import { both, isNumeric, numberOf, type Rules } from "./rules.ts";
import type { Check } from "./run.ts";

/** Characters of a text that one step passes over. */
const CHARACTERS_PER_STEP = 8;
/** A text of fewer characters costs as much as any other value. */
const SHORT_TEXT = 64;
/** The most characters of allowed values that a reason shows. */
const SHOWN_CHARACTERS = 200;

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  number: (value) => (typeof value === "number" ? Number.isFinite(value) : typeof value === "bigint"),
  integer: (value) => (typeof value === "number" ? Number.isInteger(value) : typeof value === "bigint"),
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  array: Array.isArray,
  // Times and bytes count as maps without keys.
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
};

export const typeRules: Rules = ({ type }) => {
  if (type === undefined) return undefined;
  const names = (Array.isArray(type) ? type : [type]) as readonly string[];
  const reason = `must be ${names.join(",")}`;
  if (names.length === 1 && type !== undefined) return TYPE_CHECKS[String(names[0])]?.(reason);
  const tests = names.map((name) => TYPES[name] ?? (() => false));
  return (value, run) => tests.some((test) => test(value)) || run.fail(reason);
};

/** One function for each type, so that the engine can inline it. */
const TYPE_CHECKS: Readonly<Record<string, (reason: string) => Check>> = {
  string: (reason) => (value, run) => typeof value === "string" || run.fail(reason),
  number: (reason) => (value, run) =>
    (typeof value === "number" ? Number.isFinite(value) : typeof value === "bigint") || run.fail(reason),
  integer: (reason) => (value, run) =>
    (typeof value === "number" ? Number.isInteger(value) : typeof value === "bigint") || run.fail(reason),
  boolean: (reason) => (value, run) => typeof value === "boolean" || run.fail(reason),
  null: (reason) => (value, run) => value === null || run.fail(reason),
  array: (reason) => (value, run) => Array.isArray(value) || run.fail(reason),
  object: (reason) => (value, run) =>
    (typeof value === "object" && value !== null && !Array.isArray(value)) || run.fail(reason),
};

export const equalityRules: Rules = (schema) =>
  both([
    Object.hasOwn(schema, "const") ? isOneOf([schema.const], "must be equal to constant") : undefined,
    Array.isArray(schema.enum) ? isOneOf(schema.enum, "must be equal to one of the allowed values") : undefined,
  ]);

function isOneOf(allowed: readonly unknown[], words: string): Check {
  const shown = JSON.stringify(toJsonValue(allowed.slice(0, SHOWN_CHARACTERS))).slice(0, SHOWN_CHARACTERS);
  const reason = `${words}: ${allowed.length === 1 ? shown.slice(1, -1) : shown}`;
  const simple = new Set(allowed.filter((value) => typeof value !== "object" || value === null));
  // Lists, maps and numbers beyond 2^53 are compared one by one, as a double may equal a big integer.
  const compared = allowed.filter((value) => typeof value === "object" || isUnsafe(value));
  const steps = compared.reduce((sum: number, value) => sum + sizeOf(value), 0);
  if (compared.length === 0 && allowed.length <= FEW_VALUES) return isOneOfFew(allowed, reason);
  return (value, run) => {
    if (typeof value === "string" && value.length > SHORT_TEXT && !run.take(value.length / CHARACTERS_PER_STEP)) {
      return false;
    }
    if (simple.has(value)) return true;
    if (typeof value === "object" || isUnsafe(value)) {
      if (steps > 0 && !run.take(steps)) return false;
      if (compared.some((one) => isSame(one, value))) return true;
    }
    return run.fail(reason);
  };
}

/** Up to this many values a loop is faster than a set: a text of an event has no hash yet. */
const FEW_VALUES = 8;

function isOneOfFew(allowed: readonly unknown[], reason: string): Check {
  return (value, run) => {
    for (let index = 0; index < allowed.length; index += 1) if (allowed[index] === value) return true;
    return run.fail(reason);
  };
}

const isUnsafe = (value: unknown): boolean => isNumeric(value) && !Number.isSafeInteger(value);

export const numberRules: Rules = (schema) => {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const bound = (limit: unknown, words: string, holds: (value: number | bigint, limit: number | bigint) => boolean) => {
    const number = numberOf(limit);
    if (number === undefined) return undefined;
    const reason = `must be ${words} ${number}`;
    return ((value, run) => !isNumeric(value) || holds(value, number) || run.fail(reason)) satisfies Check;
  };
  return both([
    bound(maximum, "<=", (value, limit) => value <= limit),
    bound(minimum, ">=", (value, limit) => value >= limit),
    bound(exclusiveMaximum, "<", (value, limit) => value < limit),
    bound(exclusiveMinimum, ">", (value, limit) => value > limit),
    multipleRule(multipleOf),
    numberFormat(schema.format),
  ]);
};

function multipleRule(divisor: unknown): Check | undefined {
  const number = numberOf(divisor);
  if (number === undefined) return undefined;
  const reason = `must be multiple of ${number}`;
  return (value, run) => {
    if (!isNumeric(value)) return true;
    if (!(Number.isSafeInteger(value) && Number.isSafeInteger(number)) && !run.take(DECIMAL_STEPS)) return false;
    return isMultiple(value, number) || run.fail(reason);
  };
}

function numberFormat(format: unknown): Check | undefined {
  const isValid = typeof format === "string" ? NUMBER_FORMATS.get(format) : undefined;
  if (isValid === undefined) return undefined;
  const reason = `must match format "${format}"`;
  return (value, run) => !isNumeric(value) || isValid(value) || run.fail(reason);
}

export const textRules: Rules = (schema, context) =>
  both([lengthRule(schema), patternRule(schema.pattern, context), textFormat(schema.format)]);

function lengthRule({ minLength, maxLength }: Readonly<Record<string, unknown>>): Check | undefined {
  if (minLength === undefined && maxLength === undefined) return undefined;
  const least = Number(minLength ?? 0);
  const most = Number(maxLength ?? Number.POSITIVE_INFINITY);
  return (value, run) => {
    if (typeof value !== "string") return true;
    // A character takes one or two code units, so most texts need no exact count.
    let characters = value.length;
    if (characters >= least && (characters > most || characters < least * 2)) {
      if (characters > SHORT_TEXT && !run.take(characters / 2)) return false;
      characters = countCharacters(value);
    }
    if (characters < least) return run.fail(`must NOT have fewer than ${least} characters`);
    return characters <= most || run.fail(`must NOT have more than ${most} characters`);
  };
}

function countCharacters(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1, count += 1) if ((text.codePointAt(at) ?? 0) > 0xffff) at += 1;
  return count;
}

function patternRule(source: unknown, context: Parameters<Rules>[1]): Check | undefined {
  if (typeof source !== "string") return undefined;
  const pattern = context.pattern(source);
  const reason = `must match pattern "${source}"`;
  return (value, run) => {
    if (typeof value !== "string") return true;
    if (!run.take(pattern.stepsFor(value))) return false;
    return pattern.isIn(value) || run.fail(reason);
  };
}

function textFormat(name: unknown): Check | undefined {
  const format = typeof name === "string" ? TEXT_FORMATS.get(name) : undefined;
  if (format === undefined) return undefined;
  const { charactersMax, steps, isValid } = format;
  const reason = `must match format "${name}"`;
  return (value, run) => {
    if (typeof value !== "string") return true;
    if (value.length > charactersMax) return run.fail(`${reason}: it has at most ${charactersMax} characters`);
    if (!run.take(value.length > SHORT_TEXT ? steps + value.length : steps)) return false;
    return isValid(value) || run.fail(reason);
  };
}
