/** Exact arithmetic of schemas: a double counts as the decimal number that it is written as. */

/** Steps to divide two decimal numbers of at most 600 digits. */
export const DECIMAL_STEPS = 150;

interface Decimal {
  readonly digits: bigint;
  /** The number is `digits * 10 ** exponent`. */
  readonly exponent: number;
}

/** Whether `value` is a whole multiple of `divisor`, which is above 0: 0.3 is a multiple of 0.1. */
export function isMultiple(value: number | bigint, divisor: number | bigint): boolean {
  if (typeof value === "number" && typeof divisor === "number") {
    if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) return value % divisor === 0;
    if (!Number.isFinite(value)) return false;
  }
  const left = decimalOf(value);
  const right = decimalOf(divisor);
  const exponent = Math.min(left.exponent, right.exponent);
  return scaled(left, exponent) % scaled(right, exponent) === 0n;
}

function decimalOf(value: number | bigint): Decimal {
  if (typeof value === "bigint") return { digits: value, exponent: 0 };
  const [mantissa = "0", power = "0"] = String(value).split("e");
  const [whole = "0", fraction = ""] = mantissa.split(".");
  return { digits: BigInt(whole + fraction), exponent: Number(power) - fraction.length };
}

const scaled = ({ digits, exponent }: Decimal, to: number): bigint => digits * 10n ** BigInt(exponent - to);
