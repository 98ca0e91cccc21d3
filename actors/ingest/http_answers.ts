/** The memory for answers with records (http_memory.ts): of those that were sent and not taken, the one made first gives way. */
import type { ServerResponse } from "node:http";
import { HttpMemory } from "./http_memory.ts";

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

export const answerMemory = (bytesMax: number = ANSWER_LIMITS.allAnswersBytesMax, nowMs?: () => number): HttpMemory => {
  const paceOf = (_bytes: number, waitedMs: number) => -waitedMs;
  return new HttpMemory({ ...ANSWER_LIMITS, bytesMax, action: "read records", things: "answers", paceOf }, nowMs);
};

type Taker = Pick<ServerResponse, "once" | "destroy" | "destroyed">;

/** The memory of one answer. */
export interface AnswerRoom {
  /** The answer is made, and has this size. */
  made(sizeBytes: number): void;
  release(): void;
}

/** Room for one answer until `taker` has taken it, or is gone. Throws `OverloadedError` where there is none. */
export function beginAnswer(memory: HttpMemory, taker: Taker): AnswerRoom {
  const hold = memory.hold(ANSWER_LIMITS.answerBytesMax, () => taker.destroy());
  taker.once("close", hold.release);
  if (taker.destroyed) hold.release();
  return {
    made: (sizeBytes) => {
      hold.resize(sizeBytes);
      hold.waits();
    },
    release: hold.release,
  };
}
