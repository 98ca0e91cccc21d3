/** Parses arguments: counts, durations, and places in a stream. Throws `UsageError`, which names the valid forms. */
import type { SubscribeFrom } from "../../protocols/wire/frames.ts";
import { UsageError } from "./exit_codes.ts";

/** An address without its user and password, so that it may be shown. */
export const withoutUser = (text: string): string => text.replace(/^((?:[a-z][a-z0-9+.-]*:)?\/{0,2})[^/?#]*@/i, "$1…@");

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function wholeNumber(what: string, text: string, min = 0): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= min) return value;
  throw new UsageError(`Cannot use ${what} ${text} as it must be a whole number of at least ${min}`);
}

const PORT_MAX = 65_535;

export function portNumber(what: string, text: string): number {
  const port = wholeNumber(what, text);
  if (port <= PORT_MAX) return port;
  throw new UsageError(`Cannot use ${what} as it must be a port from 0 to ${PORT_MAX}: current value is ${text}`);
}

/** A duration in ms, from `250ms`, `10s`, `5m`, `2h` or `7d`. */
export function duration(what: string, text: string): number {
  const found = durationMs(text);
  if (found !== undefined) return found;
  throw new UsageError(`Cannot use ${what} ${text} as it must be a number with ms, s, m, h or d: 10m, 2h`);
}

function durationMs(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return found === null ? undefined : Number(found[1]) * (UNITS_MS[found[2] ?? ""] ?? 0);
}

/** A place in a stream: its beginning or end, an offset, or a time of append. */
export type Place = "earliest" | "latest" | { readonly offset: number } | { readonly timeMs: number };

/** `earliest`, `latest`, an offset, a time (`2026-11-23T10:00:00Z`), or how long ago (`10m`). */
export function place(what: string, text: string, nowMs: number): Place & SubscribeFrom {
  if (text === "earliest" || text === "latest") return text;
  if (/^\d+$/.test(text)) return { offset: wholeNumber(what, text) };
  const agoMs = durationMs(text.replace(/ ago$/, ""));
  if (agoMs !== undefined) return { timeMs: nowMs - agoMs };
  const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(timeMs)) return { timeMs };
  throw new UsageError(
    `Cannot use ${what} ${text} as it must be earliest, latest, an offset, a time such as 2026-11-23T10:00:00Z, or how long ago such as 10m`,
  );
}

/** One of a few words. */
export function oneOf<Word extends string>(what: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new UsageError(`Cannot use ${what} ${text} as it must be one of [${words.join(", ")}]`);
}
