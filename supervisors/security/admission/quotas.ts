/**
 * Bounds the use of one principal: events and bytes a second and connections on this node, and producers' names in the
 * store. A connection beyond its principal's rate is not read for a while, and a request is answered 429: no accepted
 * event is lost. The rate is a token bucket that saves up one second (the leaky bucket as a meter of ITU-T I.371).
 */
import type { AppendQuota } from "../../../actors/ingest/session.ts";
import { OverloadedError } from "../../../protocols/errors.ts";

export interface QuotaTerms {
  readonly eventsPerSecond?: number;
  readonly bytesPerSecond?: number;
  readonly connections?: number;
  readonly producers?: number;
}

/** The name of the terms for principals without terms of their own. */
export const EVERY_PRINCIPAL = "*";

/** Most buckets in memory. Buckets of long idle principals are full, and can be made again. */
const PRINCIPALS_MAX = 10_000;
const CONNECT_RETRY_MS = 2_000;

export class Quotas {
  #terms: Readonly<Record<string, QuotaTerms>>;
  readonly #nowMs: () => number;
  /** By subject, the last used one at the end. */
  readonly #principals = new Map<string, PrincipalQuota>();

  constructor(terms: Readonly<Record<string, QuotaTerms>>, nowMs: () => number) {
    this.#terms = terms;
    this.#nowMs = nowMs;
  }

  /** The quota of a principal on this node, shared by all its connections. Unbounded if none is configured. */
  of(subject: string): PrincipalQuota {
    const known = this.#principals.get(subject) ?? new PrincipalQuota(subject, this.#termsOf(subject), this.#nowMs);
    this.#principals.delete(subject);
    this.#principals.set(subject, known);
    for (const [oldest, quota] of this.#principals) {
      if (this.#principals.size <= PRINCIPALS_MAX) break;
      if (quota.isIdle) this.#principals.delete(oldest);
      else break;
    }
    return known;
  }

  /** Sets new terms, which hold at once for open connections too. Use so far still counts. */
  change(terms: Readonly<Record<string, QuotaTerms>>): void {
    this.#terms = terms;
    for (const [subject, quota] of this.#principals) quota.change(this.#termsOf(subject));
  }

  #termsOf(subject: string): QuotaTerms {
    return (Object.hasOwn(this.#terms, subject) ? this.#terms[subject] : this.#terms[EVERY_PRINCIPAL]) ?? NO_BOUNDS;
  }
}

const NO_BOUNDS: QuotaTerms = {};

export class PrincipalQuota implements AppendQuota {
  readonly #subject: string;
  #terms: QuotaTerms = NO_BOUNDS;
  readonly #nowMs: () => number;
  #events: Bucket | undefined;
  #bytes: Bucket | undefined;
  #connections = 0;

  constructor(subject: string, terms: QuotaTerms, nowMs: () => number) {
    this.#subject = subject;
    this.#nowMs = nowMs;
    this.change(terms);
  }

  /** A changed rate begins with a full second. An unchanged one keeps its debt. */
  change(terms: QuotaTerms): void {
    const { eventsPerSecond, bytesPerSecond } = terms;
    if (eventsPerSecond !== this.#terms.eventsPerSecond) this.#events = this.#bucket(eventsPerSecond);
    if (bytesPerSecond !== this.#terms.bytesPerSecond) this.#bytes = this.#bucket(bytesPerSecond);
    this.#terms = terms;
  }

  #bucket(perSecond: number | undefined): Bucket | undefined {
    return perSecond === undefined ? undefined : new Bucket(perSecond, this.#nowMs());
  }

  get hasRates(): boolean {
    return this.#events !== undefined || this.#bytes !== undefined;
  }

  get producersMax(): number | undefined {
    return this.#terms.producers;
  }

  get isIdle(): boolean {
    return this.#connections === 0 && this.take(0, 0) === 0;
  }

  take(events: number, sizeBytes: number): number {
    const nowMs = this.#nowMs();
    return Math.max(this.#events?.take(events, nowMs) ?? 0, this.#bytes?.take(sizeBytes, nowMs) ?? 0);
  }

  admit(): void {
    const waitMs = this.take(0, 0);
    if (waitMs === 0) return;
    const { eventsPerSecond = "any number of", bytesPerSecond = "any number of" } = this.#terms;
    throw new OverloadedError(
      "QUOTA_EXCEEDED",
      `Cannot append as ${this.#subject} may send ${eventsPerSecond} events and ${bytesPerSecond} bytes a second to this node: more was sent`,
      waitMs,
    );
  }

  /** Counts a connection until the answered function is called. Throws `OverloadedError` at the principal's bound. */
  connect(): () => void {
    const { connections = Number.POSITIVE_INFINITY } = this.#terms;
    if (this.#connections >= connections) {
      throw new OverloadedError(
        "QUOTA_EXCEEDED",
        `Cannot connect as ${this.#subject} may have ${connections} connections to this node: current value is ${this.#connections}`,
        CONNECT_RETRY_MS,
      );
    }
    this.#connections += 1;
    let isCounted = true;
    return () => {
      if (isCounted) this.#connections -= 1;
      isCounted = false;
    };
  }
}

class Bucket {
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  constructor(perSecond: number, atMs: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#atMs = atMs;
  }

  /** Takes `amount` from the bucket, and answers for how many ms nothing more may be taken. */
  take(amount: number, nowMs: number): number {
    const gained = (Math.max(0, nowMs - this.#atMs) * this.#perSecond) / 1_000;
    this.#left = Math.min(this.#perSecond, this.#left + gained) - amount;
    this.#atMs = nowMs;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1_000) / this.#perSecond);
  }
}
