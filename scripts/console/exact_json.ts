/**
 * JSON text that reads back as the very value: `JSON.stringify` writes -0 as 0, and a double beyond 2^53 as digits that are
 * those of an integer.
 */
export function exactJson(value: unknown): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(exactJson).join(",")}]`;
  const fields = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${fields.map(([key, one]) => `${JSON.stringify(key)}:${exactJson(one)}`).join(",")}}`;
}

function numberText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  const isDouble = Number.isInteger(value) && !Number.isSafeInteger(value);
  return isDouble ? value.toExponential() : JSON.stringify(value);
}
