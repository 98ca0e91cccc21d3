/**
 * A memory that all requests of a kind share: bodies that arrive (http_body.ts), answers that are taken (http_answers.ts). A client
 * that sends or reads little keeps nobody out.
 *   H1. What is held together stays at or below `bytesMax`.
 *   H2. Where it is spent, the slowest of those that wait for their client gives way, and none before it had `undisturbedMs`; where
 *       there is none, whoever asks is refused.
 */
import { OverloadedError } from "../../protocols/errors.ts";

export interface MemoryTerms {
  readonly bytesMax: number;
  readonly undisturbedMs: number;
  readonly retryAfterMs: number;
  /** What is held, and what can not be done without it, for the words of a refusal. */
  readonly things: string;
  readonly action: string;
  /** How fast a client is, from what it holds and how long it is waited for: the lowest gives way. */
  readonly paceOf: (heldBytes: number, waitedMs: number) => number;
}

/** The part of one request. */
export interface Hold {
  /** Takes more. Throws `OverloadedError` where the memory is spent and nobody is to give way (H2). */
  take(bytes: number): void;
  /** It waits for its client from now on, and may have to give way. */
  waits(): void;
  /** It gives way to nobody any more. */
  settles(): void;
  /** Gives back all but so much: what was taken was more than is needed, or less. */
  resize(bytes: number): void;
  /** Gives all back. Nothing is done to it afterwards. */
  release(): void;
}

export class HttpMemory {
  readonly #terms: MemoryTerms;
  readonly #nowMs: () => number;
  readonly #parts = new Set<Part>();
  #usedBytes = 0;

  constructor(terms: MemoryTerms, nowMs: () => number = () => performance.now()) {
    this.#terms = terms;
    this.#nowMs = nowMs;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Takes the first bytes, as `take` does.
   *
   * @param giveWay called once where it has to give way; its memory is taken back with it
   */
  hold(bytes: number, giveWay: (reason: OverloadedError) => void): Hold {
    const part: Part = { bytes: 0, waitsSinceMs: undefined, giveWay };
    this.#take(part, bytes);
    this.#parts.add(part);
    return {
      take: (bytes) => this.#take(part, bytes),
      waits: () => {
        part.waitsSinceMs = this.#nowMs();
      },
      settles: () => {
        part.waitsSinceMs = undefined;
      },
      resize: (bytes) => {
        if (this.#parts.has(part)) this.#resize(part, bytes);
      },
      release: () => this.#release(part),
    };
  }

  #take(part: Part, bytes: number): void {
    while (this.#usedBytes + bytes > this.#terms.bytesMax) {
      const slowest = this.#slowest(part);
      if (slowest === undefined) throw this.#spent();
      this.#release(slowest);
      slowest.giveWay(this.#spent());
    }
    this.#resize(part, part.bytes + bytes);
  }

  #slowest(except: Part): Part | undefined {
    const { paceOf, undisturbedMs } = this.#terms;
    const nowMs = this.#nowMs();
    let slowest: { readonly part: Part; readonly pace: number } | undefined;
    for (const part of this.#parts) {
      const { bytes, waitsSinceMs } = part;
      if (part === except || bytes === 0 || waitsSinceMs === undefined || nowMs - waitsSinceMs < undisturbedMs)
        continue;
      const pace = paceOf(bytes, nowMs - waitsSinceMs);
      if (slowest === undefined || pace < slowest.pace) slowest = { part, pace };
    }
    return slowest?.part;
  }

  #resize(part: Part, bytes: number): void {
    this.#usedBytes += bytes - part.bytes;
    part.bytes = bytes;
  }

  #release(part: Part): void {
    this.#resize(part, 0);
    this.#parts.delete(part);
  }

  #spent(): OverloadedError {
    const { action, things, bytesMax, retryAfterMs } = this.#terms;
    return new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot ${action} as ${things} together must stay below ${bytesMax} bytes: current value is ${this.#usedBytes}`,
      retryAfterMs,
    );
  }
}

interface Part {
  bytes: number;
  waitsSinceMs: number | undefined;
  readonly giveWay: (reason: OverloadedError) => void;
}
