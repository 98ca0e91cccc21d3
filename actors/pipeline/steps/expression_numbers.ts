/**
 * Arithmetic of expressions. CEL has doubles and ints of 64 bits, and no arithmetic between the two; an event has
 * numbers. A whole number of an event is a double up to 2^53 and an int beyond, and expressions must not show this
 * limit.
 *
 *   A1. Sums, differences, products and remainders of whole numbers are exact, whether the operands are doubles or
 *       ints. A result beyond 64 bits is an error.
 *   A2. A quotient is a double, except for two ints within 2^53. These are literals and positions: `7 / 2` is 3, as in
 *       CEL.
 *   A3. A result of 0 is never -0, which would leave as a float where an integer is expected.
 */
import { WHOLE_MAX } from "../../../protocols/values/exact_json.ts";

export type Numeric = number | bigint;

const OPERATORS: Readonly<Record<string, Operator>> = {
  "+": { rough: (left, right) => left + right, exact: (left, right) => left + right },
  "-": { rough: (left, right) => left - right, exact: (left, right) => left - right },
  "*": { rough: (left, right) => left * right, exact: (left, right) => left * right },
  "%": { rough: (left, right) => left % right, exact: (left, right) => left % right, needsDivisor: true },
  "/": { rough: (left, right) => left / right },
};

interface Operator {
  readonly rough: (left: number, right: number) => number;
  readonly exact?: (left: bigint, right: bigint) => bigint;
  readonly needsDivisor?: boolean;
}

export type Arithmetic = (left: Numeric, right: Numeric) => Numeric;

/** The function of an operator, if it has one. It throws `Error` for a whole result beyond 64 bits (A1). */
export function arithmeticOf(name: string): Arithmetic | undefined {
  const operator = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  if (operator === undefined) return undefined;
  const { rough, exact, needsDivisor = false } = operator;
  return (left, right) => {
    const [from, by] = [Number(left), Number(right)];
    const result = rough(from, by) + 0; // A3
    if (exact === undefined || !isWhole(left) || !isWhole(right) || (needsDivisor && by === 0)) return result;
    const areSafe = Number.isSafeInteger(from) && Number.isSafeInteger(by);
    if (areSafe && Number.isSafeInteger(result)) return result;
    return fitting(exact(BigInt(left), BigInt(right)));
  };
}

export const negated = (value: Numeric): Numeric => (typeof value === "number" ? 0 - value : fitting(-value));

/** Whether both are ints within 2^53, so that neither is a number of an event (A2). */
export const areSmallInts = (left: unknown, right: unknown): boolean => isSmallInt(left) && isSmallInt(right);

export const isNumeric = (value: unknown): value is Numeric => typeof value === "number" || typeof value === "bigint";

/** A whole number as an event holds it. Throws `Error` beyond 64 bits. */
export function fitting(value: bigint): Numeric {
  if (value >= -WHOLE_MAX && value <= WHOLE_MAX) return Number(value);
  if (value >= -(2n ** 63n) && value < 2n ** 64n) return value;
  throw new Error(`integer overflow: ${value} does not fit 64 bits`);
}

const isSmallInt = (value: unknown): boolean => typeof value === "bigint" && value >= -WHOLE_MAX && value <= WHOLE_MAX;
const isWhole = (value: Numeric): boolean =>
  typeof value === "bigint" || (Number.isInteger(value) && Math.abs(value) <= WHOLE_MAX);
