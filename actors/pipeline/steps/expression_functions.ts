/**
 * Replacements for functions of the CEL library that use the host's backtracking or quadratic code, or the time zone of
 * the machine.
 */
import type { loadDriver } from "../../../deps.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";
import { isRfc3339 } from "../../../protocols/values/rfc3339.ts";
import type { CompilePattern, LinearPattern } from "../../kernel/linear_pattern.ts";
import type { Guard } from "./counted_tree.ts";
import { arithmeticOf } from "./expression_numbers.ts";
import { indexOf, lastIndexOf, split } from "./linear_search.ts";

type Environment = InstanceType<Awaited<ReturnType<typeof loadDriver<"cel">>>["Environment"]>;

/** From a method's name in the expression to the name under which its replacement is registered. */
export const REPLACED_METHODS: ReadonlyMap<string, string> = new Map(
  ["matches", "contains", "indexOf", "lastIndexOf", "split", "getDayOfYear"].map((name) => [name, `${name}Linear`]),
);

/** The most compiled patterns that are kept, of those made from events. */
const PATTERNS_KEPT = 100;
const COMPILE_STEPS = 40;
/** Looks of a pattern at a character that take one step, of about 100 ns. */
const LOOKS_PER_STEP = 8;
const ZONE_STEPS = 700;
const DURATION_CHARACTERS_MAX = 100;

export class Patterns {
  readonly #compile: CompilePattern;
  readonly #constant = new Map<string, LinearPattern>();
  readonly #kept = new Map<string, LinearPattern>();

  constructor(compile: CompilePattern) {
    this.#compile = compile;
  }

  /** Compiles a pattern that is written in an expression. Throws `Error` for one that RE2 does not take. */
  addConstant(pattern: string): void {
    if (!this.#constant.has(pattern)) this.#constant.set(pattern, this.#compile(pattern));
  }

  get(pattern: string): LinearPattern {
    const known = this.#constant.get(pattern) ?? this.#kept.get(pattern);
    if (known !== undefined) return known;
    const compiled = this.#compile(pattern);
    if (this.#kept.size >= PATTERNS_KEPT) this.#kept.clear(); // otherwise patterns from events would fill the memory
    this.#kept.set(pattern, compiled);
    return compiled;
  }

  /** Steps of a search. They include compiling, even where the pattern is still kept, so that replays count alike. */
  steps(text: string, pattern: string): number {
    const compiling = this.#constant.has(pattern) ? 0 : (1 + pattern.length) * COMPILE_STEPS;
    return compiling + this.get(pattern).stepsFor(text) / LOOKS_PER_STEP;
  }
}

export function guardsOf(patterns: Patterns): ReadonlyMap<string, Guard> {
  const zoned: Guard = (parameters) => (parameters.length > 1 ? ZONE_STEPS : 0);
  const matching: Guard = ([text, pattern]) =>
    typeof text === "string" && typeof pattern === "string" ? patterns.steps(text, pattern) : 0;
  const measuring: Guard = ([value]) => (typeof value === "string" ? value.length / 12 : 0);
  const search: Guard = ([text, needle]) => (String(text).length + String(needle).length) / 16;
  return new Map<string, Guard>([
    ["matchesLinear/method", matching],
    ...["containsLinear", "indexOfLinear", "lastIndexOfLinear", "splitLinear"].map(
      (name) => [`${name}/method`, search] as const,
    ),
    ...ZONED.map((name) => [`${name}/method`, zoned] as const),
    ["join/method", joinSteps],
    ["json/method", ([bytes]) => (bytes instanceof Uint8Array ? bytes.length / 4 : 0)],
    ["size/function", measuring],
    ["size/method", measuring],
    ["timestamp/function", timestampSteps],
    ["duration/function", durationSteps],
  ]);
}

const ZONED = [
  ...["getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds"],
  ...["getMinutes", "getMonth", "getSeconds"],
];

function joinSteps([list, separator]: readonly unknown[]): number {
  if (!Array.isArray(list)) return 0;
  const between = typeof separator === "string" ? separator.length * list.length : 0;
  return list.reduce((sum: number, one) => sum + 1 + (typeof one === "string" ? one.length / 24 : 0), between / 24);
}

/** RFC 3339 alone: the host reads a time without a zone in its own, and 30 February as 1 March. */
function timestampSteps([text]: readonly unknown[]): number {
  if (typeof text === "string" && !isRfc3339(text)) {
    throw new Error(`timestamp() takes a date and time of RFC 3339: current value is ${text.slice(0, 64)}`);
  }
  return 1;
}

function durationSteps([text]: readonly unknown[]): number {
  if (typeof text === "string" && text.length > DURATION_CHARACTERS_MAX) {
    throw new Error(`duration() takes at most ${DURATION_CHARACTERS_MAX} characters: current length is ${text.length}`);
  }
  return 1;
}

export function registerFunctions(environment: Environment, patterns: Patterns): void {
  const register = (signature: string, handler: (...parameters: never[]) => unknown) =>
    environment.registerFunction(signature, handler as (...parameters: unknown[]) => unknown, { async: false });
  register("string.matchesLinear(string): bool", (text: string, pattern: string) => patterns.get(pattern).isIn(text));
  register("string.containsLinear(string): bool", (text: string, needle: string) => indexOf(text, needle) >= 0);
  register("string.indexOfLinear(string): int", (text: string, needle: string) => BigInt(indexOf(text, needle)));
  register("string.indexOfLinear(string, int): int", (text: string, needle: string, from: bigint) =>
    BigInt(indexOf(text, needle, placeIn(text, from))),
  );
  register("string.lastIndexOfLinear(string): int", (text: string, needle: string) =>
    BigInt(lastIndexOf(text, needle)),
  );
  register("string.lastIndexOfLinear(string, int): int", (text: string, needle: string, from: bigint) =>
    BigInt(lastIndexOf(text, needle, placeIn(text, from))),
  );
  register("string.splitLinear(string): list<string>", split);
  register("string.splitLinear(string, int): list<string>", splitUpTo);
  const timestamp = "google.protobuf.Timestamp";
  register(`${timestamp}.getDayOfYearLinear(): int`, dayOfYear);
  register(`${timestamp}.getDayOfYearLinear(string): int`, (time: Date, zone: string) =>
    dayOfYear(new Date(`${time.toLocaleDateString("sv-SE", { timeZone: zone })}T00:00:00Z`)),
  );
}

function placeIn(text: string, from: bigint): number {
  if (from >= 0n && from <= BigInt(text.length)) return Number(from);
  throw new Error(`the index must be from 0 to ${text.length}: current value is ${from}`);
}

function splitUpTo(text: string, separator: string, most: bigint): string[] {
  const parts = split(text, separator);
  const limit = Number(most);
  if (limit === 0) return [];
  if (limit < 0 || parts.length <= limit) return parts;
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)];
}

const dayOfYear = (time: Date): bigint =>
  BigInt(Math.floor((time.getTime() - Date.UTC(time.getUTCFullYear(), 0, 1)) / 86_400_000));

interface Evaluator {
  readonly objectTypesByConstructor: Map<unknown, unknown>;
}

/** Registers times finer than 1 ms with the library, which knows a type by its one constructor. */
export function registerTimes(environment: Environment): void {
  const probe = environment.parse("stream");
  const { ast } = probe as unknown as { readonly ast: { evaluate(evaluator: Evaluator): unknown } };
  ast.evaluate = ({ objectTypesByConstructor: types }) => {
    types.set(PreciseDate, types.get(Date));
    return "";
  };
  probe({ stream: "" });
}

/** Lets an operator take a double and an int together. `counted_tree.ts` computes the result. */
export function registerArithmetic(environment: Environment): void {
  for (const operator of "+-*/%") {
    const arithmetic = arithmeticOf(operator);
    if (arithmetic === undefined) continue;
    environment.registerOperator(`double ${operator} int`, arithmetic);
    environment.registerOperator(`int ${operator} double`, arithmetic);
    if (operator === "%") environment.registerOperator("double % double", arithmetic);
  }
}
