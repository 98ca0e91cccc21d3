/**
 * Users' expressions, in the Common Expression Language (CEL): no loops, no access to the host. Decides what an
 * expression may hold. `expression_budget.ts` counts its cost in steps, and `expression_numbers.ts` computes with the
 * numbers of events.
 */
import { loadDriver } from "../../../deps.ts";
import { ConfigurationError, RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { patternCompiler } from "../../kernel/linear_pattern.ts";
import type { StepContext } from "../step.ts";
import { countSteps, type Node } from "./counted_tree.ts";
import { ExpressionBudget } from "./expression_budget.ts";
import {
  guardsOf,
  Patterns,
  REPLACED_METHODS,
  registerArithmetic,
  registerFunctions,
  registerTimes,
} from "./expression_functions.ts";
import { fitting } from "./expression_numbers.ts";

export const EXPRESSION_LIMITS = {
  lengthMax: 4_096,
  nodesMax: 1_000,
  depthMax: 50,
  /** Levels of macros over lists within one another: each level multiplies the cost by the list's length. */
  macroDepthMax: 2,
  resultSizeMax: 1_048_576,
} as const;

/** Evaluates one expression on one event. Throws `RejectedError` (`STEP_FAILED`) where it has no value. */
export type Expression = (event: Event, context: StepContext) => unknown;

type Cel = Awaited<ReturnType<typeof loadDriver<"cel">>>;
type Environment = InstanceType<Cel["Environment"]>;

const MACROS = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** Compiles `source`; `where` names the setting in errors, as in `pipelines.hot.steps[0].filter`. */
export type ExpressionCompiler = (source: string, where: string) => Expression;

export async function expressionCompiler(): Promise<ExpressionCompiler> {
  const [cel, compilePattern] = await Promise.all([loadDriver("cel"), patternCompiler()]);
  const patterns = new Patterns(compilePattern);
  const environment = makeEnvironment(cel, patterns);
  const guards = guardsOf(patterns);
  const budget = new ExpressionBudget(); // of the evaluation under way: they run one at a time
  return (source, where) => {
    const { lengthMax } = EXPRESSION_LIMITS;
    if (source.length > lengthMax) throw invalid(where, source, `it must have at most ${lengthMax} characters`);
    try {
      const parsed = checkedTree(cel, environment, patterns, source);
      const nodes = countSteps(parsed.ast, budget, guards);
      return (event, context) => {
        budget.begin(event, nodes);
        try {
          return evaluate(parsed, event, context, where, budget);
        } finally {
          budget.end();
        }
      };
    } catch (error) {
      throw invalid(where, source, describe(error), error);
    }
  };
}

function makeEnvironment({ Environment }: Cel, patterns: Patterns): Environment {
  const { nodesMax, depthMax } = EXPRESSION_LIMITS;
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: { maxAstNodes: nodesMax, maxDepth: depthMax },
  });
  for (const name of ["offset", "epoch", "partition", "timeMs"]) environment.registerVariable(name, "int");
  environment.registerVariable("event", "dyn").registerVariable("stream", "string");
  registerArithmetic(environment);
  registerFunctions(environment, patterns);
  registerTimes(environment);
  return environment;
}

function checkedTree(cel: Cel, environment: Environment, patterns: Patterns, source: string) {
  const { macroDepthMax } = EXPRESSION_LIMITS;
  const written = environment.parse(source);
  const found = inspect(written.ast, 0, patterns);
  if (found.macroDepth > macroDepthMax) {
    throw new Error(`macros over lists must be nested at most ${macroDepthMax} deep, and are ${found.macroDepth}`);
  }
  requireValid(written.check());
  // Parsed again, as the checked tree keeps the types of its first check.
  const parsed = environment.parse(found.isReplaced ? cel.serialize(written.ast) : source);
  requireValid(parsed.check());
  return parsed;
}

function requireValid({ valid, error }: { readonly valid: boolean; readonly error?: Error | undefined }): void {
  if (!valid) throw error ?? new Error("it does not type-check");
}

interface Found {
  readonly macroDepth: number;
  readonly isReplaced: boolean;
}

/** Finds the depth of macros. Renames methods to their linear replacements, and compiles the patterns written out. */
function inspect(node: Node, depth: number, patterns: Patterns): Found {
  let inside = depth;
  let isReplaced = false;
  if (node.op === "rcall") {
    if (MACROS.has(node.args[0])) inside += 1;
    const [name, , parameters] = node.args;
    const [pattern] = parameters;
    if (name === "matches" && pattern?.op === "value" && typeof pattern.args === "string")
      patterns.addConstant(pattern.args);
    const replacement = REPLACED_METHODS.get(name);
    if (replacement !== undefined) {
      (node.args as unknown[])[0] = replacement;
      isReplaced = true;
    }
  }
  let macroDepth = inside;
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) for (const one of part) visit(one);
    else if (typeof part === "object" && part !== null && "op" in part) {
      const found = inspect(part as Node, inside, patterns);
      macroDepth = Math.max(macroDepth, found.macroDepth);
      isReplaced ||= found.isReplaced;
    }
  };
  visit(node.args);
  return { macroDepth, isReplaced };
}

function evaluate(
  parsed: (context: object) => unknown,
  event: Event,
  context: StepContext,
  where: string,
  budget: ExpressionBudget,
): unknown {
  try {
    const value = evaluateOn(parsed, event, context);
    budget.check(); // `||` and `&&` may have swallowed the error of a spent budget
    return toEventValue(value, { left: EXPRESSION_LIMITS.resultSizeMax });
  } catch (error) {
    throw new RejectedError("STEP_FAILED", `Cannot evaluate ${where}: ${describe(error)}`, { cause: error });
  }
}

/** Where the library fails on an event with a key `constructor`, evaluates again with its maps as `Map`s. */
function evaluateOn(parsed: (context: object) => unknown, event: Event, context: StepContext): unknown {
  try {
    return parsed(new Variables(event, context));
  } catch (error) {
    if (!hasConstructorKey(event)) throw error;
    return parsed(new Variables(withMaps(event), context));
  }
}

/** The names that an expression sees. Big integers are made only for expressions that use them. */
class Variables {
  readonly event: unknown;
  readonly #context: StepContext;

  constructor(event: unknown, context: StepContext) {
    this.event = event;
    this.#context = context;
  }

  get stream(): string {
    return this.#context.stream;
  }

  get partition(): bigint {
    return BigInt(this.#context.partition);
  }

  get offset(): bigint {
    return BigInt(this.#context.position.offset);
  }

  get epoch(): bigint {
    return BigInt(this.#context.position.epoch);
  }

  get timeMs(): bigint {
    return BigInt(Math.trunc(this.#context.timeMs));
  }
}

function hasConstructorKey(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasConstructorKey);
  return isPlainMap(value) && (Object.hasOwn(value, "constructor") || Object.values(value).some(hasConstructorKey));
}

function withMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMaps);
  if (!isPlainMap(value)) return value;
  return new Map(Object.entries(value).map(([key, one]) => [key, withMaps(one)]));
}

const isPlainMap = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array);

/** A CEL value as events hold it: an int becomes a number where that is exact, an absent optional becomes undefined. */
function toEventValue(value: unknown, budget: { left: number }): unknown {
  budget.left -= typeof value === "string" ? value.length + 1 : 1;
  if (budget.left < 0) throw new Error(`its value must be smaller than ${EXPRESSION_LIMITS.resultSizeMax}`);
  if (typeof value === "bigint") return fitting(value);
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one) => toEventValue(one, budget));
  if ("hasValue" in value && typeof value.hasValue === "function") {
    const optional = value as { hasValue(): boolean; value(): unknown };
    return optional.hasValue() ? toEventValue(optional.value(), budget) : undefined;
  }
  if (!Object.hasOwn(value, "valueOf")) {
    const held = value.valueOf();
    if (typeof held === "bigint") return toEventValue(held, budget);
  }
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(entries.map(([name, one]) => [String(name), toEventValue(one, budget)]));
}

/** The most characters of a reason: the library's messages hold whole values of events. */
const REASON_CHARACTERS_MAX = 500;

function describe(error: unknown): string {
  const { summary, message, range } = error as { summary?: string; message?: string; range?: { start: number } };
  const at = range === undefined ? "" : ` at character ${range.start + 1}`;
  return `${(summary ?? message ?? String(error)).slice(0, REASON_CHARACTERS_MAX)}${at}`;
}

function invalid(where: string, source: string, reason: string, cause?: unknown): ConfigurationError {
  const shown = source.length > 200 ? `${source.slice(0, 200)}...` : source;
  return new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot compile ${where}: ${reason}: current value is ${shown}`,
    { cause },
  );
}
