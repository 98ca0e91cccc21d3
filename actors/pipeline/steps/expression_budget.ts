/**
 * The budget of one evaluation of an expression, in steps, so that it is the same on every machine and in every replay.
 * A step stands for one operation of about 100 ns. Work that depends on the size of a value takes steps by that size
 * before it begins. An expression that takes more steps than its budget has no value for that record.
 */
import { RejectedError } from "../../../protocols/errors.ts";

export const EXPRESSION_BUDGET = {
  /** The most steps of one evaluation, whatever its event: 20 to 50 ms on one core of 2026. */
  stepsMax: 350_000,
  /** Steps that every evaluation has, however small its event: enough for each pair of 50 elements. */
  stepsBase: 20_000,
  /** Steps for each node of the expression, times each value and each 16 characters of the event. */
  stepsPerValue: 4,
} as const;

const CHARACTERS_PER_UNIT = 16;
/** Steps of an error, which the library makes with its place in the source. */
const ERROR_STEPS = 100;
/** Steps for each key where all keys of a map are listed. */
const KEY_STEPS = 6;
/** Maps of up to this many keys are counted at each use. */
const SMALL_MAP_KEYS = 64;

export class ExpressionBudget {
  left = 0;
  isSpent = false;
  #granted = 0;
  #event: unknown;
  #nodes = 0;
  #isExtended = false;
  #lastError: unknown;
  readonly #keyCounts = new Map<object, number>();

  begin(event: unknown, nodes: number): void {
    this.left = EXPRESSION_BUDGET.stepsBase;
    this.#granted = EXPRESSION_BUDGET.stepsBase;
    this.isSpent = false;
    this.#event = event;
    this.#nodes = nodes;
    this.#isExtended = false;
    this.#lastError = undefined;
  }

  end(): void {
    this.#event = undefined;
    if (this.#keyCounts.size > 0) this.#keyCounts.clear();
  }

  /** Steps to list the keys of a map; none for any other value. */
  keySteps(value: unknown): number {
    if (!isMap(value)) return 0;
    const known = this.#keyCounts.get(value);
    if (known !== undefined) return known * KEY_STEPS;
    const count = Object.keys(value).length;
    if (count > SMALL_MAP_KEYS) this.#keyCounts.set(value, count);
    return count * KEY_STEPS;
  }

  /** Steps to find a value's type: the library looks at a list's first element, and lists all keys of a map. */
  typeSteps(value: unknown): number {
    if (typeof value !== "object" || value === null) return 0;
    if (Array.isArray(value)) return this.typeSteps(value[0]);
    if (!isMap(value)) return 0;
    const steps = this.keySteps(value);
    for (const key in value) return steps + this.typeSteps(value[key]);
    return steps;
  }

  /** Takes steps. Throws `RejectedError` (`STEP_FAILED`) once they are spent, and at every call from then on. */
  take(steps: number): void {
    this.left -= steps;
    if (this.left < 0) this.#overdraw();
  }

  check(): void {
    if (this.isSpent) throw this.#error();
  }

  /** Takes the steps of an error, once for each error. */
  takeError(error: unknown): void {
    if (error === this.#lastError || this.isSpent) return;
    this.#lastError = error;
    this.take(ERROR_STEPS);
  }

  #overdraw(): void {
    if (!this.#isExtended) {
      this.#isExtended = true;
      const { stepsMax, stepsBase, stepsPerValue } = EXPRESSION_BUDGET;
      const perUnit = stepsPerValue * this.#nodes;
      const more = Math.min(stepsMax - stepsBase, perUnit * unitsOf(this.#event, stepsMax / perUnit));
      this.#granted += more;
      this.left += more;
      if (this.left >= 0) return;
    }
    this.isSpent = true;
    throw this.#error();
  }

  #spentError: RejectedError | undefined;

  /** One error for all calls: making one for each would cost as much as the work that it ends. */
  #error(): RejectedError {
    const message = `the expression takes more than its budget of ${this.#granted} steps`;
    if (this.#spentError?.message !== message) this.#spentError = new RejectedError("STEP_FAILED", message);
    return this.#spentError;
  }
}

/** The values of an event, and its characters in units of 16, counted up to `most`. */
function unitsOf(value: unknown, most: number): number {
  let units = 0;
  const visit = (one: unknown): void => {
    if (units >= most) return;
    units += 1;
    if (typeof one === "string") units += one.length / CHARACTERS_PER_UNIT;
    else if (one instanceof Uint8Array) units += one.length / CHARACTERS_PER_UNIT;
    else if (typeof one === "object" && one !== null) for (const element of Object.values(one)) visit(element);
  };
  visit(value);
  return Math.ceil(Math.min(units, most));
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  !(value instanceof Date);

/** Steps to compare a value with another, or to look through it. Stops counting at `most`. */
export function depthSteps(value: unknown, most: number): number {
  if (typeof value === "string") return value.length / 64;
  if (typeof value !== "object" || value === null) return 0.5;
  if (value instanceof Uint8Array) return value.length / 64;
  let steps = 3;
  const elements = Array.isArray(value) ? value : Object.values(value);
  for (const one of elements) {
    if (steps > most) break;
    steps +=
      typeof one === "object" ? depthSteps(one, most - steps) : typeof one === "string" ? 1 + one.length / 64 : 1;
  }
  return steps;
}

/** Steps to copy, convert or measure a value, without the levels below its elements. */
export function widthSteps(value: unknown): number {
  if (typeof value === "string") return value.length / 24;
  if (value instanceof Uint8Array) return value.length / 16;
  if (Array.isArray(value)) return value.length / 4;
  return 0;
}
