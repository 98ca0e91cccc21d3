import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ANSWER_LIMITS, answerMemory, beginAnswer } from "../../../../actors/ingest/http/http_answers.ts";
import { MEMORY_LIMITS } from "../../../../actors/ingest/http/http_memory.ts";
import { OverloadedError } from "../../../../protocols/errors.ts";

/** A client that takes an answer and reads none of it. */
class Taker extends EventEmitter {
  destroyed = false;
  destroy(): this {
    this.destroyed = true;
    this.emit("close");
    return this;
  }
}
const taker = () => new Taker() as Taker & ServerResponse;

const MIB = ANSWER_LIMITS.answerBytesMax;
const reader = (client: string) => ({ client, connection: {} });
const answerOf = (sizeBytes: number) => Buffer.alloc(sizeBytes, 0x20);

test("answers take no more than the memory for answers, whichever clients read them", () => {
  const memory = answerMemory(MEMORY_LIMITS.reserveBytes + 8 * MIB, () => 0);
  for (let n = 0; n < 6; n += 1) beginAnswer(memory, reader("one"), taker()).made(answerOf(MIB));
  assert.throws(
    () => beginAnswer(memory, reader("one"), taker()),
    (error: unknown) => error instanceof OverloadedError && error.retryAfterMs === MEMORY_LIMITS.retryAfterMs,
  );
  assert.is(memory.usedBytes, 6 * MIB);
});

test("a finished answer counts by its size, and no longer counts once its client has taken it", () => {
  const memory = answerMemory();
  const mine = taker();
  const room = beginAnswer(memory, reader("one"), mine);
  assert.is(memory.usedBytes, MIB);
  assert.is(room.made(answerOf(100)).constructor, Buffer);
  assert.is(memory.usedBytes, 100);
  mine.emit("close");
  room.release();
  room.made(answerOf(100));
  assert.is(memory.usedBytes, 0);
});

test("large answers that are not read leave room for small ones, and a refused large one was not begun", () => {
  const memory = answerMemory(undefined, () => 0);
  const mute = Array.from({ length: 60 }, taker);
  let refused = 0;
  for (const one of mute) {
    try {
      const room = beginAnswer(memory, reader("one"), one);
      try {
        room.made(answerOf(6 * MIB));
      } catch (error) {
        room.release();
        throw error;
      }
    } catch (error) {
      assert.instance(error, OverloadedError);
      refused += 1;
    }
  }
  assert.ok(refused > 0);
  for (let n = 0; n < 100; n += 1) beginAnswer(memory, reader("one"), taker()).made(answerOf(1_000));
});

test("a client that takes none of its answer keeps no other out; one that reads slowly keeps its answer", async () => {
  let nowMs = 0;
  const memory = answerMemory(MEMORY_LIMITS.reserveBytes + 4 * MIB, () => nowMs);
  const [making, mute, slow, later] = [taker(), taker(), taker(), taker()];
  beginAnswer(memory, reader("making"), making); // unfinished: the log is slow, not the client
  beginAnswer(memory, reader("mute"), mute).made(answerOf(MIB));
  const pieces = beginAnswer(memory, reader("slow"), slow).made(answerOf(MIB));
  nowMs = MEMORY_LIMITS.stillMs - 1;
  for await (const piece of pieces) {
    assert.is((piece as Buffer).byteLength, ANSWER_LIMITS.pieceBytes);
    break;
  }
  assert.throws(() => beginAnswer(memory, reader("later"), later), /Cannot read records/);
  nowMs = MEMORY_LIMITS.stillMs;
  beginAnswer(memory, reader("later"), later).made(answerOf(10));
  assert.ok(mute.destroyed && !making.destroyed && !slow.destroyed && !later.destroyed);
});

test("an answer whose client is gone already takes no memory", () => {
  const memory = answerMemory();
  beginAnswer(memory, reader("one"), taker().destroy());
  assert.is(memory.usedBytes, 0);
});

test.run();
