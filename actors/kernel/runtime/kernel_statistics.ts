/**
 * Counts the work of actors, by kind of actor, in typed arrays: an addition costs nanoseconds, so every turn is timed.
 * Leaves the names and units of metrics to the observers.
 */
import type { ActorStatistics, KernelStatistics } from "../actor.ts";

/** The counters of one kind of actor, at the indexes below. */
export type Counters = Float64Array;

export const MESSAGES = 0;
export const CRASHES = 1;
export const RESTARTS = 2;
export const BUSY_MS = 3;
export const LONGEST_MS = 4;
export const MAILBOX_MESSAGES = 5;
export const MAILBOX_BYTES = 6;
const FIELDS = 7;

/** Kinds that are counted apart, so that metrics stay small. Further kinds are counted together as `other`. */
export const KINDS_MAX = 512;

/** The path with every part that holds a digit replaced: `stream-orders/partition-12` -> `stream-orders/partition-*`. */
export function kindOf(path: string): string {
  return path.replace(/[^/\-.:_=]*\d[^/\-.:_=]*/g, "*").replace(/\*(?:[-.:_=]\*)+/g, "*");
}

export class StatisticsBook implements KernelStatistics {
  readonly #counters = new Map<string, Counters>();

  countersFor(path: string): Counters {
    let kind = kindOf(path);
    if (!this.#counters.has(kind) && this.#counters.size >= KINDS_MAX) kind = "other";
    const counters = this.#counters.get(kind) ?? new Float64Array(FIELDS);
    this.#counters.set(kind, counters);
    return counters;
  }

  read(): readonly ActorStatistics[] {
    return [...this.#counters].map(([kind, counters]) => ({
      kind,
      messages: counters[MESSAGES] ?? 0,
      crashes: counters[CRASHES] ?? 0,
      restarts: counters[RESTARTS] ?? 0,
      busyMs: counters[BUSY_MS] ?? 0,
      longestMs: counters[LONGEST_MS] ?? 0,
      mailboxMessages: counters[MAILBOX_MESSAGES] ?? 0,
      mailboxBytes: counters[MAILBOX_BYTES] ?? 0,
    }));
  }
}

export function add(counters: Counters, field: number, amount: number): void {
  counters[field] = (counters[field] ?? 0) + amount;
}

/** Counts one message whose handler took `tookMs`. */
export function countTurn(counters: Counters, tookMs: number): void {
  add(counters, MESSAGES, 1);
  add(counters, BUSY_MS, tookMs);
  if (tookMs > (counters[LONGEST_MS] ?? 0)) counters[LONGEST_MS] = tookMs;
}
