/**
 * The event's own time, at a JSON Pointer: a date and time of RFC 3339, a timestamp, or a number in the configured unit since
 * 1970. Nothing else is taken for a time, and no zone of the machine is asked. An event without one has the time at which it was
 * appended (E18).
 */
import type { Event } from "../../protocols/event.ts";
import { parsePointer } from "../../protocols/partitioner.ts";
import { readRfc3339 } from "../../protocols/values/rfc3339.ts";
import type { EventTimeConfiguration } from "../configuration/configuration_schema.ts";

/** Units of the configured number in one millisecond. */
const UNITS_PER_MS = { ms: 1, us: 1_000, ns: 1_000_000 } as const;
const MS_PER_SECOND = 1_000;
/** The largest distance from 1970 that a `Date` can hold, in ms. */
const TIME_MS_MAX = 8.64e15;

/** @param onNone called for an event without a usable time, where one is configured */
export function eventTimeReader(
  settings: EventTimeConfiguration | undefined,
  onNone?: () => void,
): (event: Event, appendedAtMs: number) => number {
  if (settings === undefined) return (_event, appendedAtMs) => appendedAtMs;
  const parts = parsePointer(settings.pointer);
  const { unit } = settings;
  return (event, appendedAtMs) => {
    let value: unknown = event;
    for (const part of parts) {
      const isWithin = typeof value === "object" && value !== null && Object.hasOwn(value, part);
      value = isWithin ? (value as Record<string, unknown>)[part] : undefined;
    }
    const timeMs = toMs(value, unit);
    if (Math.abs(timeMs) <= TIME_MS_MAX) return timeMs;
    onNone?.();
    return appendedAtMs;
  };
}

/** Milliseconds since 1970; NaN for a value that is not a time. */
function toMs(value: unknown, unit: EventTimeConfiguration["unit"]): number {
  if (typeof value === "string") return readRfc3339(value)?.timeMs ?? Number.NaN;
  if (value instanceof Date) return value.getTime();
  if (typeof value !== "number" && typeof value !== "bigint") return Number.NaN;
  if (unit === "s") return Number(value) * MS_PER_SECOND;
  const perMs = UNITS_PER_MS[unit];
  return typeof value === "bigint" ? Number(value / BigInt(perMs)) : value / perMs;
}
