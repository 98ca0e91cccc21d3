import { test } from "uvu";
import * as assert from "uvu/assert";
import { Acknowledged, BEGINNINGS_MAX } from "../../../../protocols/client/producer/acknowledged.ts";

const WINDOW_MS = 1_000_000;

/** Batches of ten events each, one batch a second. The place of a batch is its number. */
function afterBatches(count: number): Acknowledged<number> {
  const acknowledged = new Acknowledged<number>();
  for (let batch = 0; batch < count; batch += 1) {
    acknowledged.begin(batch, [5, batch * 10, 0], batch * 1_000);
    acknowledged.acknowledge(0, [5, batch * 10 + 8, 0], batch * 1_000);
    acknowledged.acknowledge(1, [5, batch * 10 + 9, 0], batch * 1_000);
    acknowledged.settle();
  }
  return acknowledged;
}

const at = (offset: number) => [5, offset, 0] as const;

test("where each partition holds what it acknowledged, nothing is sent again", () => {
  assert.is(afterBatches(3).wayBack([at(28), at(40)], 3_000, WINDOW_MS), undefined);
});

test("events are sent again from the batch with the last event that is held", () => {
  assert.equal(afterBatches(5).wayBack([at(38), at(21)], 5_000, WINDOW_MS), { place: 2, isComplete: true });
});

test("of several partitions that have lost events, the one that lost most decides", () => {
  assert.equal(afterBatches(5).wayBack([at(12), at(31)], 5_000, WINDOW_MS), { place: 1, isComplete: true });
});

test("a partition that has lost its whole chain decides, beside one that has lost a part", () => {
  assert.equal(afterBatches(5).wayBack([at(31), undefined], 5_000, WINDOW_MS), { place: 0, isComplete: true });
  assert.equal(afterBatches(5).wayBack([undefined, at(31)], 5_000, WINDOW_MS), { place: 0, isComplete: true });
});

test("a loss that reaches back before this life is told as one that cannot be made good", () => {
  const acknowledged = new Acknowledged<number>();
  acknowledged.restart([at(99)], 0);
  acknowledged.begin(7, at(100), 1_000);
  acknowledged.acknowledge(0, at(109), 1_000);
  assert.equal(acknowledged.wayBack([at(99)], 2_000, WINDOW_MS), { place: 7, isComplete: true });
  assert.equal(acknowledged.wayBack([at(98)], 2_000, WINDOW_MS), { place: 7, isComplete: false });
  assert.equal(acknowledged.wayBack([undefined], 2_000, WINDOW_MS), { place: 7, isComplete: false });
});

test("a batch that is not settled is sent again, also where the loss lies behind it", () => {
  const acknowledged = afterBatches(3);
  acknowledged.begin(3, at(30), 3_000);
  acknowledged.begin(4, at(40), 4_000);
  acknowledged.acknowledge(0, at(48), 4_000); // partition 1 has acknowledged neither
  assert.equal(acknowledged.wayBack([at(45), at(29)], 5_000, WINDOW_MS), { place: 3, isComplete: true });
  acknowledged.settle();
  assert.equal(acknowledged.wayBack([at(45), at(39)], 5_000, WINDOW_MS), { place: 4, isComplete: true });
});

test("a batch that is begun again stands for its first try and for all behind it", () => {
  const acknowledged = afterBatches(3);
  for (const batch of [3, 4, 3]) acknowledged.begin(batch, at(batch * 10), 3_000);
  acknowledged.settle();
  acknowledged.acknowledge(0, at(38), 3_000);
  acknowledged.begin(4, at(40), 4_000);
  assert.equal(acknowledged.wayBack([at(35), at(29)], 5_000, WINDOW_MS)?.place, 3);
});

test("a chain that the log may have forgotten counts as no loss", () => {
  assert.is(afterBatches(5).wayBack([undefined, at(49)], 4_001 + WINDOW_MS / 2, WINDOW_MS), undefined);
});

test("the way back is at most half a dedupe window long, and tells that older events may be lost", () => {
  assert.equal(afterBatches(5).wayBack([at(2), undefined], 4_000, 4_000), { place: 2, isComplete: false });
});

test("beginnings are thinned out, and the way back of a late loss stays short", () => {
  const batches = BEGINNINGS_MAX * 20;
  const last = batches * 10 - 1;
  const way = afterBatches(batches).wayBack([at(last - 101), at(last)], batches * 1_000, batches * 4_000);
  const back = way?.place ?? 0;
  assert.ok(back * 10 <= last - 101 && back * 10 > last - 1_000, `it goes back to batch ${back} of ${batches}`);
});

test("after the chains were opened anew, only the events that they acknowledge from then on can be lost", () => {
  const acknowledged = afterBatches(5);
  acknowledged.restart([at(21), undefined], 5_000);
  assert.is(acknowledged.wayBack([at(21), undefined], 5_000, WINDOW_MS), undefined);
  acknowledged.acknowledge(1, at(35), 5_000);
  assert.equal(acknowledged.wayBack([at(21), at(31)], 5_000, WINDOW_MS), { place: 3, isComplete: true });
});

test("the answer to an event that is sent again does not lower what a partition has acknowledged", () => {
  const acknowledged = afterBatches(5);
  acknowledged.acknowledge(0, at(8), 5_000);
  assert.is(acknowledged.wayBack([at(31), at(49)], 5_000, WINDOW_MS)?.place, 3);
});

test.run();
