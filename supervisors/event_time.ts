import type { Event } from "../protocols/event.ts";
import { parsePointer } from "../protocols/partitioner.ts";

/**
 * The event's own time, at a JSON Pointer: RFC 3339 text, a timestamp, or milliseconds since 1970. An event without a
 * usable one has the time at which it was appended (E18).
 */
export function eventTimeReader(pointer: string | undefined): (event: Event, appendedAtMs: number) => number {
  if (pointer === undefined) return (_event, appendedAtMs) => appendedAtMs;
  const parts = parsePointer(pointer);
  return (event, appendedAtMs) => {
    let value: unknown = event;
    for (const part of parts) {
      value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
    }
    const timeMs = toMs(value);
    return Number.isFinite(timeMs) ? timeMs : appendedAtMs;
  };
}

function toMs(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return Date.parse(value);
  return value instanceof Date ? value.getTime() : Number.NaN;
}
