/**
 * Whether single values match schemas of a document, by the checks that judge events. Steps count in the comparison's
 * budget.
 */
import type { CompilePattern, LinearPattern } from "../../../kernel/linear_pattern.ts";
import { compileParts } from "../compile.ts";
import { sizeOf } from "../equality.ts";
import type { JsonSchema } from "../keywords.ts";
import { type Check, Run, STEPS_MAX } from "../run.ts";
import { BudgetSpentError, type ComparisonBudget } from "./comparison_budget.ts";

/** Steps to compile a pattern: `PATTERN_STEPS`, and these for each of its characters. */
const PATTERN_CHARACTER_STEPS = 400;
const PATTERN_STEPS = 5_000;
/** Steps to compile a schema, for each value of its JSON. */
const COMPILED_VALUE_STEPS = 20;

export class ValueJudge {
  readonly #budget: ComparisonBudget;
  readonly #compilePattern: CompilePattern;
  readonly #root: JsonSchema;
  #compile: ((part: unknown) => Check) | undefined;
  readonly #checks = new Map<unknown, Check>();
  readonly #patterns = new Map<string, LinearPattern>();
  readonly #run = new Run();

  constructor(root: JsonSchema, compilePattern: CompilePattern, budget: ComparisonBudget) {
    this.#budget = budget;
    this.#compilePattern = compilePattern;
    this.#root = root;
  }

  isMatch(schema: unknown, value: unknown): boolean {
    const check = this.#checkOf(schema);
    this.#run.begin(value, STEPS_MAX);
    const isMatch = withinStack(() => check(value, this.#run));
    this.#budget.take(this.#run.taken + 1);
    if (this.#run.isSpent) throw new BudgetSpentError(this.#run.reason);
    return isMatch;
  }

  isFound(pattern: string, name: string): boolean {
    const compiled = this.#pattern(pattern);
    this.#budget.take(compiled.stepsFor(name));
    return compiled.isIn(name);
  }

  #checkOf(schema: unknown): Check {
    const known = this.#checks.get(schema);
    if (known !== undefined) return known;
    this.#budget.take(sizeOf(schema) * COMPILED_VALUE_STEPS);
    this.#compile ??= compileParts(this.#root, (source) => this.#pattern(source));
    const compile = this.#compile;
    const check = withinStack(() => compile(schema));
    this.#checks.set(schema, check);
    return check;
  }

  #pattern(source: string): LinearPattern {
    const known = this.#patterns.get(source);
    if (known !== undefined) return known;
    this.#budget.take(PATTERN_STEPS + source.length * PATTERN_CHARACTER_STEPS);
    const pattern = this.#compilePattern(source);
    this.#patterns.set(source, pattern);
    return pattern;
  }
}

/** Long chains of references use up the stack before the steps: that is told as a spent budget. */
function withinStack<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new BudgetSpentError("its references lead too deep", { cause: error });
  }
}
