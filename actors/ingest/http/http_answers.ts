/** The memory for answers with records (http_memory.ts). An answer holds its memory until its client has taken all of it. */
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { type Holder, HttpMemory, MEMORY_LIMITS } from "./http_memory.ts";

export const ANSWER_LIMITS = {
  /** Text of records in one answer; the first record is in it, however large. */
  answerBytesMax: 1_048_576,
  /** All answers that are made or sent at one time. */
  allAnswersBytesMax: 33_554_432,
  /** The most that one answer counts: a record is answered however large its text is. */
  countedBytesMax: 16_777_216,
  /** An answer is handed over in pieces of this size, which shows that its client reads. */
  pieceBytes: 32_768,
} as const;

export const answerMemory = (bytesMax: number = ANSWER_LIMITS.allAnswersBytesMax, nowMs?: () => number): HttpMemory =>
  new HttpMemory({ ...MEMORY_LIMITS, bytesMax, action: "read records", things: "answers" }, nowMs);

type Taker = Pick<ServerResponse, "once" | "destroy" | "destroyed">;

/** Room for one answer until `taker` has taken it, or is gone. Throws `OverloadedError` where no room is free. */
export function beginAnswer(memory: HttpMemory, holder: Holder, taker: Taker) {
  const { answerBytesMax, countedBytesMax, pieceBytes } = ANSWER_LIMITS;
  const hold = memory.hold(holder, answerBytesMax, () => taker.destroy());
  taker.once("close", hold.release);
  if (taker.destroyed) hold.release();
  return {
    /** The body to send of the finished answer. Throws `OverloadedError` where the free room is smaller. */
    made: (answer: Buffer): Buffer | Readable => {
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
