/**
 * The memory for answers with records (http_memory.ts). An answer holds its memory until its client has taken all of
 * it.
 */
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { type Holder, HttpMemory } from "./http_memory.ts";

export const ANSWER_LIMITS = {
  /** Text of records in one answer; the first record is in it, however large. */
  answerBytesMax: 1_048_576,
  /** All answers that are made or sent at one time. */
  allAnswersBytesMax: 33_554_432,
  /** The part of `allAnswersBytesMax` for answers of at most `smallBytesMax`: room for 64 of that size. */
  reserveBytes: 4_194_304,
  smallBytesMax: 65_536,
  /** The most that one answer counts: a record is answered however large its text is. */
  countedBytesMax: 16_777_216,
  /** An answer is handed over in pieces of this size, which shows that its client reads. */
  pieceBytes: 32_768,
  /** Milliseconds after which an answer that its client does not read gives way to others (http memory H5). */
  stillMs: 5_000,
  /** The time that a client is told to wait where all answers together take too much. */
  retryAfterMs: 1_000,
} as const;

export const answerMemory = (bytesMax: number = ANSWER_LIMITS.allAnswersBytesMax, nowMs?: () => number): HttpMemory =>
  new HttpMemory({ ...ANSWER_LIMITS, bytesMax, action: "read records", things: "answers" }, nowMs);

type Taker = Pick<ServerResponse, "once" | "destroy" | "destroyed">;

/** The memory of one answer. */
export interface AnswerRoom {
  /**
   * Turns the finished answer into the body to send. Throws `OverloadedError` where it is larger than the free room.
   */
  made(answer: Buffer): Buffer | Readable;
  release(): void;
}

/** Room for one answer until `taker` has taken it, or is gone. Throws `OverloadedError` where no room is free. */
export function beginAnswer(memory: HttpMemory, holder: Holder, taker: Taker): AnswerRoom {
  const { answerBytesMax, countedBytesMax, pieceBytes } = ANSWER_LIMITS;
  const hold = memory.hold(holder, answerBytesMax, () => taker.destroy());
  taker.once("close", hold.release);
  if (taker.destroyed) hold.release();
  return {
    made: (answer) => {
      hold.resize(Math.min(answer.byteLength, countedBytesMax));
      hold.waits();
      return answer.byteLength <= pieceBytes
        ? answer
        : Readable.from(piecesOf(answer, hold.moves), { highWaterMark: 1 });
    },
    release: hold.release,
  };
}

function* piecesOf(answer: Buffer, onTaken: () => void): Generator<Buffer> {
  for (let from = 0; from < answer.byteLength; from += ANSWER_LIMITS.pieceBytes) {
    onTaken();
    yield answer.subarray(from, from + ANSWER_LIMITS.pieceBytes);
  }
}
