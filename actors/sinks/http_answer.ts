/**
 * What an HTTP answer says of the records of its request. Pure.
 *
 *   taken   2xx: they are in the endpoint.
 *   retry   408, 425, 429, 5xx: it may take them later. `Retry-After` is waited for.
 *   wait    401, 403, 404, 407: the endpoint refuses this node and not the records. Tried again too; a person must act.
 *   reject  any other 4xx: the records are at fault.
 */

export type Verdict = "taken" | "retry" | "wait" | "reject";

export const VERDICTS: readonly Verdict[] = ["taken", "retry", "wait", "reject"];

/** Verdicts of the configuration, by status (`409`) or by class (`4xx`). */
export type AnswerOverrides = Readonly<Record<string, Verdict>>;

const NO_FAULT_OF_A_RECORD: ReadonlySet<number> = new Set([401, 403, 404, 407]);
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 425, 429]);

const RETRY_AFTER_DEFAULT_MS = 1_000;
const RETRY_AFTER_MAX_MS = 300_000;

export function verdictOf(status: number, overrides: AnswerOverrides = {}): Verdict {
  const own = overrides[String(status)] ?? overrides[`${Math.floor(status / 100)}xx`];
  if (own !== undefined) return own;
  if (status >= 200 && status < 300) return "taken";
  if (status >= 500 || WORTH_ANOTHER_TRY.has(status)) return "retry";
  return status >= 400 && !NO_FAULT_OF_A_RECORD.has(status) ? "reject" : "wait";
}

/** How long to wait before the next try, ms; undefined where the answer does not say. 429 says a second at least. */
export function retryDelay(status: number, retryAfter: string | null, nowMs: number): number | undefined {
  if (retryAfter === null) return status === 429 ? RETRY_AFTER_DEFAULT_MS : undefined;
  return retryAfterMs(retryAfter, nowMs);
}

/** Seconds or a date (RFC 9110), bounded. */
export function retryAfterMs(value: string, nowMs: number): number {
  const seconds = Number(value);
  const afterMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - nowMs;
  if (Number.isNaN(afterMs)) return RETRY_AFTER_DEFAULT_MS;
  return Math.min(RETRY_AFTER_MAX_MS, Math.max(0, afterMs));
}
