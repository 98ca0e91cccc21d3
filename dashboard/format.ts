/** Writes numbers, sizes, times and events as the page shows them. */
import type { Event } from "../protocols/mod.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const formatCount = (value: number): string => whole.format(value);
/** A count where room is short: exact below ten thousand, `12.3K` above. */
export const formatShort = (value: number): string => (value < 10_000 ? whole.format(value) : short.format(value));
export const formatTime = (timeMs: number): string => clock.format(timeMs);

export function formatRate(perSecond: number): string {
  if (perSecond < 10 && !Number.isInteger(perSecond)) return perSecond.toFixed(1);
  return formatShort(Math.round(perSecond));
}

const SIZE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function formatBytes(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1_024 && unit < SIZE_UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value.toFixed(value >= 100 || unit === 0 ? 0 : 1)} ${SIZE_UNITS[unit]}`;
}

export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0 ms";
  if (durationMs < 1) return `${durationMs.toFixed(2)} ms`;
  if (durationMs < 10) return `${durationMs.toFixed(1)} ms`;
  if (durationMs < 1_000) return `${durationMs.toFixed(0)} ms`;
  if (durationMs < 60_000) return `${(durationMs / 1_000).toFixed(1)} s`;
  if (durationMs < 3_600_000) return `${Math.floor(durationMs / 60_000)} min`;
  return `${(durationMs / 3_600_000).toFixed(1)} h`;
}

/** A reading in its unit, as the source `host_metrics` names them. */
export function formatReading(value: number, unit: string): string {
  switch (unit) {
    case "ratio":
      return `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
    case "bytes":
      return formatBytes(value);
    case "bytes_per_second":
      return `${formatBytes(value)}/s`;
    case "seconds":
      return formatDuration(value * 1_000);
    default:
      return value.toFixed(2);
  }
}

/** Writes values that JSON has no form for so that a person can read them. */
function readable(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}

const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T(\d{2}:\d{2}:\d{2}(\.\d+)?)/;

/** A value where room is short: the time of a timestamp, four digits of a fraction. */
export function formatBriefly(value: unknown): string {
  if (value instanceof Date) return formatBriefly(value.toISOString());
  if (typeof value === "string") return TIMESTAMP.exec(value)?.[1] ?? value;
  if (typeof value === "number" && !Number.isInteger(value)) {
    return Math.abs(value) >= 1_000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  }
  return JSON.stringify(value, readable) ?? "";
}

export const formatEvent = (event: Event): string => JSON.stringify(event, readable);
