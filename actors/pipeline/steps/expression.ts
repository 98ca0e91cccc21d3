/**
 * Users' expressions, in the Common Expression Language: no loops, no access to the host. Decides what an expression may
 * cost and how its numbers behave; what it is for is the steps' affair.
 *
 * Numbers of events are CEL doubles, literals such as `1` are CEL ints. CEL has no arithmetic between the two, which
 * makes `event.count + 1` fail; here such a mix is computed as doubles. Two ints stay ints (`7 / 2` is 3).
 */
import { loadDriver } from "../../../deps.ts";
import { ConfigurationError, RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import type { StepContext } from "./step.ts";

export const EXPRESSION_LIMITS = {
  /** Characters. */
  lengthMax: 4_096,
  nodesMax: 1_000,
  depthMax: 50,
  /** Macros over lists within one another: each level multiplies the cost by the list's length. */
  macroDepthMax: 2,
  /** Characters and values in what an expression answers. */
  resultSizeMax: 1_048_576,
} as const;

/** Evaluates one expression on one event. Throws `RejectedError` (`STEP_FAILED`) where it has no value. */
export type Expression = (event: Event, context: StepContext) => unknown;

type Cel = Awaited<ReturnType<typeof loadDriver<"cel">>>;
type Environment = InstanceType<Cel["Environment"]>;
type Node = ReturnType<Environment["parse"]>["ast"];

const MACROS = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** Compiles `source`; `where` names the setting in errors, as in `pipelines.hot.steps[0].filter`. */
export type ExpressionCompiler = (source: string, where: string) => Expression;

export async function expressionCompiler(): Promise<ExpressionCompiler> {
  const [cel, { RE2JS }] = await Promise.all([loadDriver("cel"), loadDriver("re2js")]);
  const patterns = new Map<string, ReturnType<typeof RE2JS.compile>>();
  const matches = (text: string, pattern: string): boolean => {
    let compiled = patterns.get(pattern);
    if (compiled === undefined) {
      compiled = RE2JS.compile(pattern);
      if (patterns.size >= 100) patterns.clear(); // patterns made from events would fill the memory
      patterns.set(pattern, compiled);
    }
    return compiled.matcher(text).find();
  };
  const environment = makeEnvironment(cel, matches);
  return (source, where) => compile(cel, environment, source, where);
}

function makeEnvironment({ Environment }: Cel, matches: (text: string, pattern: string) => boolean): Environment {
  const { nodesMax, depthMax } = EXPRESSION_LIMITS;
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: { maxAstNodes: nodesMax, maxDepth: depthMax },
  });
  for (const name of ["offset", "epoch", "partition", "timeMs"]) environment.registerVariable(name, "int");
  environment.registerVariable("event", "dyn").registerVariable("stream", "string");
  type Numeric = number | bigint;
  const mixes: Record<string, (left: Numeric, right: Numeric) => number> = {
    "+": (left, right) => Number(left) + Number(right),
    "-": (left, right) => Number(left) - Number(right),
    "*": (left, right) => Number(left) * Number(right),
    "/": (left, right) => Number(left) / Number(right),
    "%": (left, right) => Number(left) % Number(right),
  };
  for (const [operator, compute] of Object.entries(mixes)) {
    environment.registerOperator(`double ${operator} int`, compute);
    environment.registerOperator(`int ${operator} double`, compute);
  }
  environment.registerOperator("double % double", mixes["%"] as (left: Numeric, right: Numeric) => number);
  // The package's own `matches` is the host's RegExp, which a pattern can hang; ours is linear (RE2).
  environment.registerFunction("string.matchesLinear(string): bool", matches);
  return environment;
}

function compile(cel: Cel, environment: Environment, source: string, where: string): Expression {
  const { lengthMax, macroDepthMax } = EXPRESSION_LIMITS;
  if (source.length > lengthMax) throw invalid(where, source, `it must have at most ${lengthMax} characters`);
  try {
    let parsed = environment.parse(source);
    const found = inspect(parsed.ast, 0);
    if (found.macroDepth > macroDepthMax) {
      throw new Error(`macros over lists must be nested at most ${macroDepthMax} deep, and are ${found.macroDepth}`);
    }
    const checked = parsed.check();
    if (!checked.valid) throw checked.error ?? new Error("it does not type-check");
    if (found.hasMatches) parsed = environment.parse(cel.serialize(parsed.ast));
    return (event, context) => evaluate(parsed, event, context, where);
  } catch (error) {
    throw invalid(where, source, describe(error), error);
  }
}

/** How deep macros go; on the way every `matches` becomes the linear one. */
function inspect(node: Node, depth: number): { macroDepth: number; hasMatches: boolean } {
  let inside = depth;
  let hasMatches = false;
  if (node.op === "rcall") {
    if (MACROS.has(node.args[0])) inside += 1;
    if (node.args[0] === "matches") {
      (node.args as unknown[])[0] = "matchesLinear";
      hasMatches = true;
    }
  }
  let macroDepth = inside;
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) for (const one of part) visit(one);
    else if (typeof part === "object" && part !== null && "op" in part) {
      const found = inspect(part as Node, inside);
      macroDepth = Math.max(macroDepth, found.macroDepth);
      hasMatches ||= found.hasMatches;
    }
  };
  visit(node.args);
  return { macroDepth, hasMatches };
}

function evaluate(parsed: (context: object) => unknown, event: Event, context: StepContext, where: string): unknown {
  const { stream, partition, position, timeMs } = context;
  try {
    const variables = {
      event,
      stream,
      partition: BigInt(partition),
      offset: BigInt(position.offset),
      epoch: BigInt(position.epoch),
      timeMs: BigInt(Math.trunc(timeMs)),
    };
    return toEventValue(parsed(variables), { left: EXPRESSION_LIMITS.resultSizeMax });
  } catch (error) {
    throw new RejectedError("STEP_FAILED", `Cannot evaluate ${where}: ${describe(error)}`, { cause: error });
  }
}

/** CEL values as events hold them: ints become numbers where those are exact, an absent optional becomes undefined. */
function toEventValue(value: unknown, budget: { left: number }): unknown {
  budget.left -= typeof value === "string" ? value.length + 1 : 1;
  if (budget.left < 0) throw new Error(`its value must be smaller than ${EXPRESSION_LIMITS.resultSizeMax}`);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one) => toEventValue(one, budget));
  if ("hasValue" in value && typeof value.hasValue === "function") {
    const optional = value as { hasValue(): boolean; value(): unknown };
    return optional.hasValue() ? toEventValue(optional.value(), budget) : undefined;
  }
  if (typeof value.valueOf() === "bigint") return toEventValue(value.valueOf(), budget);
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(entries.map(([name, one]) => [String(name), toEventValue(one, budget)]));
}

function describe(error: unknown): string {
  const { summary, message, range } = error as { summary?: string; message?: string; range?: { start: number } };
  const at = range === undefined ? "" : ` at character ${range.start + 1}`;
  return `${summary ?? message ?? String(error)}${at}`;
}

function invalid(where: string, source: string, reason: string, cause?: unknown): ConfigurationError {
  const shown = source.length > 200 ? `${source.slice(0, 200)}...` : source;
  return new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot compile ${where}: ${reason}: current value is ${shown}`,
    { cause },
  );
}
