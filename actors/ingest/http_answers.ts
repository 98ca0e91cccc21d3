/**
 * The memory for answers with records, shared among all requests that read them. Where it is spent, the answer that has waited
 * longest to be taken gives way, unless it was sent a moment ago: a client that does not read its answer keeps nobody out.
 */
import type { ServerResponse } from "node:http";
import { OverloadedError } from "../../protocols/errors.ts";

export const ANSWER_LIMITS = {
  /** Text of records in one answer; the first record is in it, however large. */
  answerBytesMax: 1_048_576,
  /** All answers that are made or sent at one time. */
  allAnswersBytesMax: 33_554_432,
  /** How long an answer may be sent before it gives way to others where all memory is taken. */
  undisturbedMs: 2_000,
  /** Told to clients when answers together take too much. */
  retryAfterMs: 1_000,
} as const;

type Taker = Pick<ServerResponse, "once" | "destroy" | "destroyed">;

/** The memory of one answer. */
export interface AnswerRoom {
  /** The answer is made, and has this size. */
  made(sizeBytes: number): void;
  release(): void;
}

interface Sending {
  bytes: number;
  madeAtMs: number;
  readonly taker: Taker;
}

export class AnswerBudget {
  readonly #bytesMax: number;
  readonly #nowMs: () => number;
  /** In the order of their coming. */
  readonly #sending = new Set<Sending>();
  #usedBytes = 0;

  constructor(bytesMax: number = ANSWER_LIMITS.allAnswersBytesMax, nowMs: () => number = () => performance.now()) {
    this.#bytesMax = bytesMax;
    this.#nowMs = nowMs;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Room for one answer until `taker` has taken it, or is gone. Throws `OverloadedError` where there is none. */
  begin(taker: Taker): AnswerRoom {
    const sending: Sending = { bytes: ANSWER_LIMITS.answerBytesMax, madeAtMs: Number.POSITIVE_INFINITY, taker };
    while (this.#usedBytes + sending.bytes > this.#bytesMax) this.#giveWay();
    this.#sending.add(sending);
    this.#usedBytes += sending.bytes;
    const release = () => this.#release(sending);
    taker.once("close", release);
    if (taker.destroyed) release();
    return {
      made: (sizeBytes) => {
        if (!this.#sending.has(sending)) return;
        this.#usedBytes += sizeBytes - sending.bytes;
        sending.bytes = sizeBytes;
        sending.madeAtMs = this.#nowMs();
      },
      release,
    };
  }

  #giveWay(): void {
    const before = this.#nowMs() - ANSWER_LIMITS.undisturbedMs;
    const longest = [...this.#sending].find(({ madeAtMs }) => madeAtMs <= before);
    if (longest === undefined) {
      throw new OverloadedError(
        "OUT_OF_CREDIT",
        `Cannot read records as answers together must stay below ${this.#bytesMax} bytes: current value is ${this.#usedBytes}`,
        ANSWER_LIMITS.retryAfterMs,
      );
    }
    this.#release(longest);
    longest.taker.destroy();
  }

  #release(sending: Sending): void {
    if (this.#sending.delete(sending)) this.#usedBytes -= sending.bytes;
  }
}
