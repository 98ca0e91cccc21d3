import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ChannelBounds, RecordBatch } from "../../../../actors/log/log.ts";
import { LARGE_BATCH_BYTES_MIN, LargeBatches } from "../../../../actors/log/rules/large_batches.ts";
import { epoch, offset, position } from "../../../../protocols/position.ts";

const batchAt = (firstOffset: number, sizeBytes = LARGE_BATCH_BYTES_MIN, inEpoch = 1): RecordBatch => ({
  ...{ epoch: epoch(inEpoch), firstOffset: offset(firstOffset), count: 10, appendedAtMs: 0, schemaVersion: 1 },
  ...{ producerId: "p", sequences: { first: [0, firstOffset, 0], count: 10 }, events: new Uint8Array(sizeBytes) },
});
const answer = (...batches: RecordBatch[]) => ({ kind: "records", batches }) as const;
const bounds = (endOffset: number, ...epochs: [number, number][]): ChannelBounds => ({
  epochs: epochs.map(([of, first]) => ({ epoch: epoch(of), firstOffset: offset(first) })),
  ...{ firstOffset: offset(0), endOffset: offset(endOffset), sizeBytes: 0 },
});

test("a kept batch is found for a cursor before it and within it, and for no other", () => {
  const large = new LargeBatches();
  const batch = batchAt(10);
  large.keep("orders/0", answer(batch));
  const found = (after: number, of = "orders/0") => large.find(of, position(epoch(1), after), bounds(100, [1, 0]));
  assert.equal(
    [found(9), found(18), found(8), found(19), found(12, "orders/1")],
    [...[batch, batch, undefined, undefined, undefined]],
  );
  large.keep("orders/0", answer(batchAt(0)));
  assert.is(large.find("orders/0", undefined, bounds(100, [1, 0]))?.firstOffset, 0, "from the beginning");
  large.clear();
  assert.is(found(12), undefined);
});

test("K1: the batch that was read longest ago goes first, one that is too large is not kept, and none is kept twice", () => {
  const large = new LargeBatches(3 * LARGE_BATCH_BYTES_MIN + 1_000);
  for (const first of [0, 10, 20]) large.keep("orders/0", answer(batchAt(first)));
  const isKept = (first: number) =>
    large.find("orders/0", position(epoch(1), first + 1), bounds(100, [1, 0])) !== undefined;
  assert.ok(isKept(0), "it is the one read last now");
  large.keep("orders/0", answer(batchAt(30), batchAt(30)));
  assert.equal([0, 10, 20, 30].map(isKept), [true, false, true, true]);
  large.keep("orders/0", answer(batchAt(40, 4 * LARGE_BATCH_BYTES_MIN), batchAt(50, 1_000)));
  assert.equal([0, 20, 30, 40, 50].map(isKept), [true, true, true, false, false]);
  assert.ok(large.usedBytes <= 3 * LARGE_BATCH_BYTES_MIN + 1_000);
});

test("K2: a kept batch is not answered once the log has lost it, or holds another at its offsets", () => {
  const large = new LargeBatches();
  large.keep("orders/0", answer(batchAt(10)));
  const after = position(epoch(1), 11);
  assert.ok(large.find("orders/0", after, bounds(20, [1, 0])) !== undefined);
  assert.is(large.find("orders/0", after, bounds(19, [1, 0])), undefined, "its end is gone");
  assert.is(large.find("orders/0", after, bounds(40, [1, 0], [2, 10])), undefined, "its offsets are of a later epoch");
});

test.run();
