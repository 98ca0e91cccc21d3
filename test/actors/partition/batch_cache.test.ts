import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RecordBatch } from "../../../actors/log/log.ts";
import { BatchCache } from "../../../actors/partition/batch_cache.ts";
import { epoch, offset } from "../../../protocols/position.ts";

const batch = (firstOffset: number, sizeBytes = 10): RecordBatch => ({
  ...{
    epoch: epoch(1),
    firstOffset: offset(firstOffset),
    count: 1,
    appendedAtMs: 0,
    schemaVersion: 0,
    producerId: "p",
  },
  sequences: { first: [0, 0, 0], count: 1 },
  events: new Uint8Array(sizeBytes),
});

/** A cache of things that are told apart by their identity. */
function cacheOf(bytesMax: number) {
  const cache = new BatchCache<object>(bytesMax, (_thing, { events }) => events.byteLength);
  return { cache, take: (of: RecordBatch, readers: number) => cache.take(of, readers, () => ({})) };
}

test("each of several readers is given the same thing, which is forgotten after the last one", () => {
  const { take } = cacheOf(100);
  const one = batch(0);
  const first = take(one, 3);
  assert.is(take(one, 3), first);
  assert.is(take(one, 3), first);
  assert.is.not(take(one, 3), first, "a reader that reads again makes it again");
});

test("a thing of a single reader is not kept", () => {
  const { cache, take } = cacheOf(100);
  const one = batch(0);
  assert.is.not(take(one, 1), take(one, 1));
  assert.is(cache.peek(one), undefined);
});

test("a reader that is not counted sees a thing without taking it from the others", () => {
  const { cache, take } = cacheOf(100);
  const one = batch(0);
  const first = take(one, 2);
  assert.is(cache.peek(one), first);
  assert.is(take(one, 2), first);
  assert.is(cache.peek(one), undefined);
});

test("a reader that lags keeps no more than the bound in memory: the oldest things are forgotten", () => {
  const { take } = cacheOf(25);
  const batches = [batch(0), batch(1), batch(2), batch(3, 26)];
  const made = batches.map((one) => take(one, 2));
  const isKept = (at: number) => take(batches[at] as RecordBatch, 2) === made[at];
  assert.equal([isKept(1), isKept(2), isKept(0), isKept(3)], [true, true, false, false]);
});

test.run();
