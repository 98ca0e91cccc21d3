import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ANSWER_LIMITS, answerMemory, beginAnswer } from "../../../actors/ingest/http_answers.ts";
import { OverloadedError } from "../../../protocols/errors.ts";

/** Who takes an answer, and reads nothing of it. */
class Taker extends EventEmitter {
  destroyed = false;
  destroy(): this {
    this.destroyed = true;
    this.emit("close");
    return this;
  }
}
const taker = () => new Taker() as Taker & ServerResponse;

test("answers take no more than the memory for them, whoever reads them", () => {
  const nowMs = 0;
  const memory = answerMemory(4 * ANSWER_LIMITS.answerBytesMax, () => nowMs);
  for (let n = 0; n < 4; n += 1) beginAnswer(memory, taker()).made(ANSWER_LIMITS.answerBytesMax);
  assert.throws(
    () => beginAnswer(memory, taker()),
    (error: unknown) => error instanceof OverloadedError && error.retryAfterMs === ANSWER_LIMITS.retryAfterMs,
  );
  assert.is(memory.usedBytes, 4 * ANSWER_LIMITS.answerBytesMax);
});

test("an answer counts by its size once it is made, and not at all once it was taken", () => {
  const memory = answerMemory();
  const reader = taker();
  const room = beginAnswer(memory, reader);
  assert.is(memory.usedBytes, ANSWER_LIMITS.answerBytesMax);
  room.made(100);
  assert.is(memory.usedBytes, 100);
  reader.emit("close");
  room.release();
  room.made(100);
  assert.is(memory.usedBytes, 0);
});

test("a client that does not read its answer keeps nobody out: the one that was made first ends after a while", () => {
  let nowMs = 0;
  const memory = answerMemory(2 * ANSWER_LIMITS.answerBytesMax, () => nowMs);
  const [reading, mute, later] = [taker(), taker(), taker()];
  beginAnswer(memory, reading); // not made yet: the log is slow, not its client
  beginAnswer(memory, mute).made(ANSWER_LIMITS.answerBytesMax);
  nowMs = ANSWER_LIMITS.undisturbedMs - 1;
  assert.throws(() => beginAnswer(memory, later), /Cannot read records/);
  nowMs = ANSWER_LIMITS.undisturbedMs;
  beginAnswer(memory, later).made(10);
  assert.ok(mute.destroyed && !reading.destroyed && !later.destroyed);
});

test("an answer whose client has gone already takes nothing", () => {
  const memory = answerMemory();
  beginAnswer(memory, taker().destroy());
  assert.is(memory.usedBytes, 0);
});

test.run();
