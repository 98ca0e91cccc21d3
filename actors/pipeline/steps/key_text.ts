/** The text of a key that an expression has computed, as tables hold it. */
import { RejectedError } from "../../../protocols/errors.ts";

/** @param where the setting of the expression, for the error of a value that is no key */
export function keyText(key: unknown, where: string): string {
  if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return JSON.stringify(key);
  if (typeof key === "bigint") return `${key}`;
  const must = `${where} must be a text, a number or a boolean`;
  throw new RejectedError("STEP_FAILED", `Cannot take a key as ${must}: current value is ${key}`);
}
