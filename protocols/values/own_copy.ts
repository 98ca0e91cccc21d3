/** Copies of events for code that may change what it is given, such as a function of the user's. */
import { PreciseDate } from "./precise_date.ts";

/** A copy of plain data as events hold it, which shares nothing that can be changed. Other objects are answered as they are. */
export function ownCopy<Value>(value: Value): Value {
  return copyOf(value) as Value;
}

function copyOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  if (value instanceof Date) {
    return value instanceof PreciseDate ? new PreciseDate(value.getTime(), value.nanoseconds) : new Date(value);
  }
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value);
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (key === "__proto__") Object.defineProperty(copy, key, { ...FIELD, value: copyOf(field) });
    else copy[key] = copyOf(field);
  }
  return copy;
}

const FIELD = { enumerable: true, configurable: true, writable: true } as const;
