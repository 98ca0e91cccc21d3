/** Whole numbers of paths and queries, in digits alone: `1e3`, ` 1` and the empty text are none. */
import { RejectedError } from "../../../protocols/errors.ts";

/** Throws `RejectedError` `MALFORMED_FRAME`, naming the parameter and its bounds. */
export function wholeNumber(name: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot answer as ${name} must be a whole number from ${min} to ${max}: current value is ${text.slice(0, 64)}`,
  );
}
