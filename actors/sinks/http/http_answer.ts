/**
 * Judges an HTTP answer: what becomes of the records of its request. Pure.
 *
 *   taken   2xx: the endpoint holds the records.
 *   wait    NO_FAULT_OF_A_RECORD: any record would meet this answer. The request is tried again; a person must act.
 *   retry   408, 425, 429 and any other 5xx: the endpoint may take the records later, after `Retry-After`.
 *   reject  any other 4xx: the records are at fault.
 */

export type Verdict = "taken" | "retry" | "wait" | "reject";

export const VERDICTS: readonly Verdict[] = ["taken", "retry", "wait", "reject"];

/** The configuration's verdicts, by status (`409`) or by class (`4xx`). */
export type AnswerOverrides = Readonly<Record<string, Verdict>>;

/** The same for each record: the node, the address, the method or the headers (RFC 9110, 6585, 7725). */
const NO_FAULT_OF_A_RECORD: ReadonlySet<number> = new Set([
  ...[401, 402, 403, 407, 511], // this node: its token, its payment, its proxy or its network
  ...[404, 410, 414, 421, 451], // the address: unknown, gone, too long, of another server, or barred by law
  ...[405, 501], // the method
  ...[406, 411, 415, 417, 428, 431], // the headers: types, length, conditions, size
  ...[426, 505], // the version of the protocol
]);
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 425, 429]);

const RETRY_AFTER_DEFAULT_MS = 1_000;
const RETRY_AFTER_MAX_MS = 300_000;

export function verdictOf(status: number, overrides: AnswerOverrides = {}): Verdict {
  const own = overrides[String(status)] ?? overrides[`${Math.floor(status / 100)}xx`];
  if (own !== undefined) return own;
  if (status >= 200 && status < 300) return "taken";
  if (status < 400 || NO_FAULT_OF_A_RECORD.has(status)) return "wait";
  return status >= 500 || WORTH_ANOTHER_TRY.has(status) ? "retry" : "reject";
}

/** The wait before the next try, in ms. Undefined where the answer names none; at least 1 s after 429. */
export function retryDelay(status: number, retryAfter: string | null, nowMs: number): number | undefined {
  if (retryAfter === null) return status === 429 ? RETRY_AFTER_DEFAULT_MS : undefined;
  return retryAfterMs(retryAfter, nowMs);
}

/** The wait that a `Retry-After` names by seconds or by a date (RFC 9110), in ms, within bounds. */
export function retryAfterMs(value: string, nowMs: number): number {
  const seconds = Number(value);
  const afterMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - nowMs;
  if (Number.isNaN(afterMs)) return RETRY_AFTER_DEFAULT_MS;
  return Math.min(RETRY_AFTER_MAX_MS, Math.max(0, afterMs));
}
