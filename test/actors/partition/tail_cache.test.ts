import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RecordBatch } from "../../../actors/log/log.ts";
import { TAIL_BATCHES_MAX, TailCache } from "../../../actors/partition/tail_cache.ts";
import { epoch, offset, type Position, position } from "../../../protocols/position.ts";

const batch = (ofEpoch: number, first: number, count: number, sizeBytes = 10): RecordBatch => ({
  epoch: epoch(ofEpoch),
  firstOffset: offset(first),
  count,
  appendedAtMs: 0,
  schemaVersion: 0,
  producerId: "p",
  sequences: { first: [0, first, 0], count },
  events: new Uint8Array(sizeBytes),
});

test("a reader at the newest record gets no batch, and one at the beginning of a whole log gets all", () => {
  const cache = new TailCache();
  cache.push(batch(7, 0, 5));
  cache.push(batch(7, 5, 5));
  assert.equal(cache.read(position(7, 9), 1e6), []);
  assert.equal(
    cache.read(undefined, 1e6)?.map((one) => one.firstOffset),
    [0, 5],
  );
});

test("a reader whose record is not cached is sent to the log", () => {
  const cache = new TailCache();
  assert.is(cache.read(undefined, 1e6), undefined);
  cache.push(batch(7, 100, 5));
  assert.is(cache.read(position(7, 99), 1e6), undefined);
  assert.is(cache.read(undefined, 1e6), undefined);
});

test("a cursor of another epoch is never judged by the cache", () => {
  const cache = new TailCache();
  cache.push(batch(7, 100, 5));
  assert.is(cache.read(position(6, 102), 1e6), undefined);
  assert.is(cache.read(position(7, 200), 1e6), undefined);
});

test("the cache holds at most TAIL_BATCHES_MAX batches, however small they are", () => {
  const cache = new TailCache();
  const pushed = 10 * TAIL_BATCHES_MAX;
  for (let n = 0; n < pushed; n++) cache.push(batch(7, n, 1));
  const oldest = pushed - TAIL_BATCHES_MAX;
  assert.is(cache.read(position(7, oldest - 1), 1e6), undefined);
  assert.is(cache.read(position(7, oldest), 1e6)?.length, TAIL_BATCHES_MAX - 1);
});

test("batches that retention has taken are not served, and the others are", () => {
  const cache = new TailCache();
  for (const first of [0, 5, 10]) cache.push(batch(7, first, 5));
  cache.trim(offset(5));
  assert.is(cache.read(undefined, 1e6), undefined);
  assert.equal(
    cache.read(position(7, 7), 1e6)?.map((one) => one.firstOffset),
    [5, 10],
  );
  cache.trim(offset(15));
  assert.is(cache.read(position(7, 14), 1e6), undefined);
  cache.push(batch(7, 15, 5));
  assert.is(cache.read(position(7, 15), 1e6)?.length, 1);
});

test("whatever is pushed and read, a reader sees every record once and in order, or is sent to the log", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 99 }),
      (counts, readBytes) => {
        const cache = new TailCache(200);
        let end = 0;
        let cursor: Position | undefined;
        for (const count of counts) {
          cache.push(batch(3, end, count));
          end += count;
          if (end % 3 === 0) continue; // a slow reader
          const found = cache.read(cursor, readBytes);
          if (found === undefined) {
            cursor = position(3, end - 1);
            continue;
          }
          for (const one of found) {
            const next = cursor === undefined ? 0 : cursor.offset + 1;
            assert.ok(one.firstOffset <= next && next < one.firstOffset + one.count);
            cursor = position(3, one.firstOffset + one.count - 1);
          }
        }
      },
    ),
  );
});

test.run();
