/**
 * Puts the count of steps into the tree of a compiled expression: into each operation, each function and each turn of a
 * macro. The CEL library has no budget, but its nodes are functions that can be wrapped.
 */
import type { loadDriver } from "../../../deps.ts";
import { depthSteps, type ExpressionBudget, widthSteps } from "./expression_budget.ts";
import { areSmallInts, arithmeticOf, isNumeric, negated } from "./expression_numbers.ts";

type Cel = Awaited<ReturnType<typeof loadDriver<"cel">>>;
export type Node = ReturnType<InstanceType<Cel["Environment"]>["parse"]>["ast"];

interface CheckedNode {
  readonly op: string;
  readonly args: unknown;
  evaluate(evaluator: unknown, node: unknown, context: unknown): unknown;
  handle?: (...parameters: unknown[]) => unknown;
  readonly meta?: { readonly alternate?: unknown; readonly macro?: unknown };
}

/** Nodes that only answer a value of their own: counted with the operation around them. */
const FREE = new Set(["value", "id", "accuValue", "accuInc"]);
/** Operations whose work depends on the size of their operands. */
const MEASURED = new Set([..."+-*/%<>", "==", "!=", "<=", ">=", "in", "call", "rcall", "comprehension"]);
const MINUS = "-_";
const COMPARISONS = new Set(["==", "!="]);

/** Checks the arguments of a function before it runs, and answers its steps beyond those of their size. */
export type Guard = (parameters: readonly unknown[]) => number;
export type Guards = ReadonlyMap<string, Guard>;
/** Takes the steps of an operation before it runs, by the size of its operands. */
type Taking = (parameters: readonly unknown[]) => void;

export function countSteps(root: unknown, budget: ExpressionBudget, guards: Guards): number {
  const seen = new Set<object>();
  let nodes = 0;
  const visit = (part: unknown): void => {
    if (typeof part !== "object" || part === null || seen.has(part)) return;
    seen.add(part);
    if (Array.isArray(part)) {
      for (const one of part) visit(one);
      return;
    }
    const node = part as Partial<CheckedNode> & Readonly<Record<string, unknown>>;
    if (typeof node.op !== "string") {
      // A macro holds its nodes among its other parts.
      for (const value of Object.values(node)) if (isNodeLike(value)) visit(value);
      return;
    }
    nodes += 1;
    const { alternate, macro } = node.meta ?? {};
    visit(alternate);
    visit(macro);
    if (alternate === undefined) visit(node.args);
    if (node.op === "comprehension") countTurns(node.args as Comprehension, budget);
    if (alternate === undefined && macro === undefined && !FREE.has(node.op)) wrap(node as CheckedNode, budget, guards);
  };
  visit(root);
  return nodes;
}

const isNodeLike = (value: unknown): boolean =>
  Array.isArray(value) || (typeof value === "object" && value !== null && "op" in value);

interface Comprehension {
  condition?: (accumulated: unknown) => boolean;
}

/** Checks the budget in the condition of `all` and `exists`, which runs outside of their handling of errors. */
function countTurns(comprehension: Comprehension, budget: ExpressionBudget): void {
  const { condition } = comprehension;
  if (condition === undefined) return;
  comprehension.condition = (accumulated) => {
    budget.check();
    return condition(accumulated);
  };
}

function wrap(node: CheckedNode, budget: ExpressionBudget, guards: Guards): void {
  const { handle } = node;
  if (handle !== undefined && MEASURED.has(node.op)) {
    const before = stepsBefore(node, budget, guards);
    const compute = computing(node.op, handle);
    node.handle = (...parameters) => {
      before(parameters);
      const answer = compute(...parameters);
      budget.take(widthSteps(answer));
      return answer;
    };
  }
  if (handle !== undefined && node.op === MINUS) {
    node.handle = (...parameters) => (isNumeric(parameters[0]) ? negated(parameters[0]) : handle(...parameters));
  }
  // The library replaces this function at its first call: call it once, and take the replacement.
  let inner: CheckedNode["evaluate"] | undefined;
  const counted: CheckedNode["evaluate"] = (evaluator, self, context) => {
    budget.take(1);
    try {
      if (inner !== undefined) return inner(evaluator, self, context);
      return first(evaluator, self, context);
    } catch (error) {
      budget.takeError(error);
      throw error;
    }
  };
  const first: CheckedNode["evaluate"] = (evaluator, self, context) => {
    Reflect.deleteProperty(node, "evaluate");
    try {
      return node.evaluate(evaluator, self, context);
    } finally {
      inner = node.evaluate;
      node.evaluate = counted;
    }
  };
  node.evaluate = counted;
}

type Handle = NonNullable<CheckedNode["handle"]>;

/** Computes on numbers as events hold them. The library computes all other operands of the operator. */
function computing(op: string, handle: Handle): Handle {
  const arithmetic = arithmeticOf(op);
  if (arithmetic === undefined) return handle;
  return (...parameters) => {
    const [left, right] = parameters;
    if (!isNumeric(left) || !isNumeric(right) || areSmallInts(left, right)) return handle(...parameters);
    return arithmetic(left, right);
  };
}

function stepsBefore({ op, args }: CheckedNode, budget: ExpressionBudget, guards: Guards): Taking {
  if (op === "comprehension") return ([items]) => budget.take(budget.keySteps(items));
  if (op === "call" || op === "rcall") return callSteps(op, String((args as readonly unknown[])[0]), budget, guards);
  const deep = (value: unknown) => budget.take(depthSteps(value, Math.max(budget.left, 0)));
  return ([left, right]) => {
    budget.take(budget.typeSteps(left) + budget.typeSteps(right));
    if (COMPARISONS.has(op)) deep(left);
    else if (op === "in" && Array.isArray(right)) deep(right);
    else if (op === "+") budget.take(widthSteps(left) + widthSteps(right));
  };
}

function callSteps(op: "call" | "rcall", name: string, budget: ExpressionBudget, guards: Guards): Taking {
  const guard = guards.get(`${name}/${op === "call" ? "function" : "method"}`);
  return ([given]) => {
    const values = given as readonly unknown[];
    for (const value of values) budget.take(widthSteps(value) + budget.typeSteps(value));
    if (guard !== undefined) budget.take(guard(values));
  };
}
