/**
 * Decides which events become entries of the audit stream. The first of several like events is an entry at once. The
 * others within a window are counted, and become one entry at the window's end: a sum. Pure.
 *   A1. A window makes at most `likenessesMax` entries and as many sums, however many callers there are. Further events
 *       are counted by their kind alone.
 *   A2. No event is left out: the entries and sums of a window together count every event in it.
 */

export type AuditKind = "admin_call" | "refused_login" | "refused_scope" | "refused_request" | "reload";

export interface AuditEvent {
  readonly kind: AuditKind;
  /** The principal; undefined if none was recognised. */
  readonly subject?: string | undefined;
  /** The caller's network address; undefined for the node itself. */
  readonly address?: string | undefined;
  /** The attempted action, such as `POST /v1/cluster/rebalance`. */
  readonly action: string;
  /** The outcome, as a code or an HTTP status. */
  readonly outcome: string;
}

export interface AuditEntry extends AuditEvent {
  readonly node: string;
  /** How often the event happened; above 1 in a sum. */
  readonly count: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

export const AUDIT_LIMITS = {
  windowMs: 10_000,
  /** Most different events in one window, by kind, subject, address, action and outcome. */
  likenessesMax: 200,
  textCharactersMax: 200,
} as const;

interface Counted {
  readonly event: AuditEvent;
  count: number;
  firstAtMs: number;
  lastAtMs: number;
}

export interface AuditState {
  readonly node: string;
  windowEndsAtMs: number | undefined;
  /** The different events of this window, each with the count of its repetitions. */
  readonly counted: Map<string, Counted>;
}

export const createAudit = (node: string): AuditState => ({ node, windowEndsAtMs: undefined, counted: new Map() });

/** The entries to write now, and the time of the next look; undefined if nothing is counted. */
export interface AuditStep {
  readonly entries: readonly AuditEntry[];
  readonly lookAtMs: number | undefined;
}

export function recordAudit(state: AuditState, given: AuditEvent, nowMs: number): AuditStep {
  const { entries } = lookAtAudit(state, nowMs);
  state.windowEndsAtMs ??= nowMs + AUDIT_LIMITS.windowMs;
  const event = shortened(given);
  const known = state.counted.get(likeness(event));
  const isOver = known === undefined && state.counted.size >= AUDIT_LIMITS.likenessesMax;
  const crowd: AuditEvent = isOver ? { kind: event.kind, action: "various", outcome: "various" } : event; // A1
  const counted = known ?? state.counted.get(likeness(crowd));
  if (counted !== undefined) {
    if (counted.count === 0) counted.firstAtMs = nowMs;
    counted.count += 1;
    counted.lastAtMs = nowMs;
    return { entries, lookAtMs: state.windowEndsAtMs };
  }
  const count = isOver ? 1 : 0; // the first event is an entry of its own, and no part of the sum
  state.counted.set(likeness(crowd), { event: crowd, count, firstAtMs: nowMs, lastAtMs: nowMs });
  const first = isOver ? [] : [entryOf(state, { event, count: 1, firstAtMs: nowMs, lastAtMs: nowMs })];
  return { entries: [...entries, ...first], lookAtMs: state.windowEndsAtMs };
}

/** Sums up the window if it is over, or if `isLast`. */
export function lookAtAudit(state: AuditState, nowMs: number, isLast = false): AuditStep {
  const { windowEndsAtMs } = state;
  if (windowEndsAtMs === undefined || (nowMs < windowEndsAtMs && !isLast)) {
    return { entries: [], lookAtMs: windowEndsAtMs };
  }
  const sums = [...state.counted.values()].filter(({ count }) => count > 0).map((one) => entryOf(state, one)); // A2
  state.counted.clear();
  state.windowEndsAtMs = undefined;
  return { entries: sums, lookAtMs: undefined };
}

const likeness = ({ kind, subject = "", address = "", action, outcome }: AuditEvent): string =>
  [kind, subject, address, action, outcome].join("\n");

function shortened({ kind, subject, address, action, outcome }: AuditEvent): AuditEvent {
  const short = (text: string): string => text.slice(0, AUDIT_LIMITS.textCharactersMax);
  return {
    kind,
    ...(subject === undefined ? {} : { subject: short(subject) }),
    ...(address === undefined ? {} : { address: short(address) }),
    ...{ action: short(action), outcome: short(outcome) },
  };
}

const entryOf = ({ node }: AuditState, { event, ...times }: Counted): AuditEntry => ({ ...event, node, ...times });
