import { test } from "uvu";
import * as assert from "uvu/assert";
import { Acknowledged, ENDS_MAX } from "../../../../actors/sinks/stream/acknowledged.ts";
import { position } from "../../../../protocols/position.ts";

const WINDOW_MS = 1_000_000;

/** Batches of ten records each: the first follows `undefined`, the second offset 9, and so on. One batch each second. */
function afterBatches(count: number): Acknowledged {
  const acknowledged = new Acknowledged();
  for (let batch = 0; batch < count; batch += 1) {
    acknowledged.begin(batch === 0 ? undefined : position(5, batch * 10 - 1), batch * 1_000);
    acknowledged.acknowledge(0, [5, batch * 10 + 8, 0], batch * 1_000);
    acknowledged.acknowledge(1, [5, batch * 10 + 9, 0], batch * 1_000);
  }
  return acknowledged;
}

test("where each partition holds what it acknowledged, nothing is written again", () => {
  const acknowledged = afterBatches(3);
  const opened = [[5, 28, 0] as const, [5, 40, 0] as const];
  assert.is(acknowledged.wayBack(opened, 3_000, WINDOW_MS), undefined);
});

test("stream sink T4: records are written again from the end of the batch before the first lost one", () => {
  const acknowledged = afterBatches(5);
  const way = acknowledged.wayBack(
    [
      [5, 38, 0],
      [5, 21, 0],
    ],
    5_000,
    WINDOW_MS,
  );
  assert.equal(way, { position: position(5, 19), isComplete: true });
});

test("stream sink T4: of several partitions that have lost records, the one that lost most decides", () => {
  const acknowledged = afterBatches(5);
  const way = acknowledged.wayBack(
    [
      [5, 12, 0],
      [5, 31, 0],
    ],
    5_000,
    WINDOW_MS,
  );
  assert.equal(way, { position: position(5, 9), isComplete: true });
});

test("a partition that has lost its whole chain is written again from the first batch", () => {
  const acknowledged = afterBatches(5);
  assert.equal(acknowledged.wayBack([undefined, [5, 49, 0]], 5_000, WINDOW_MS), {
    position: undefined,
    isComplete: true,
  });
});

test("stream sink T4: a partition that has lost its whole chain decides, beside one that has lost a part", () => {
  const acknowledged = afterBatches(5);
  assert.is(acknowledged.wayBack([[5, 31, 0], undefined], 5_000, WINDOW_MS)?.position, undefined);
  assert.ok(acknowledged.wayBack([[5, 31, 0], undefined], 5_000, WINDOW_MS)?.isComplete);
});

test("a chain that the log may have forgotten counts as no loss", () => {
  const acknowledged = afterBatches(5);
  assert.is(acknowledged.wayBack([undefined, [5, 49, 0]], 4_001 + WINDOW_MS / 2, WINDOW_MS), undefined);
});

test("the way back is at most half a dedupe window long, and tells that older records may be lost", () => {
  const acknowledged = afterBatches(5);
  const way = acknowledged.wayBack([[5, 2, 0], undefined], 4_000, 4_000);
  assert.equal(way, { position: position(5, 19), isComplete: false });
});

test("the ends of batches are thinned out, and the way back of a late loss stays short", () => {
  const batches = ENDS_MAX * 20;
  const acknowledged = afterBatches(batches);
  const last = batches * 10 - 1;
  const way = acknowledged.wayBack(
    [
      [5, last - 101, 0],
      [5, last, 0],
    ],
    batches * 1_000,
    batches * 4_000,
  );
  const back = way?.position?.offset ?? 0;
  assert.ok(back < last - 101 && back > last - 1_000, `the position is ${back} of ${last}`);
});

test("after the chains were opened anew, only what they acknowledge from then on can be lost", () => {
  const acknowledged = afterBatches(5);
  acknowledged.restart([[5, 21, 0], undefined], 5_000);
  assert.is(acknowledged.wayBack([[5, 21, 0], undefined], 5_000, WINDOW_MS), undefined);
  acknowledged.acknowledge(1, [5, 35, 0], 5_000);
  assert.equal(
    acknowledged.wayBack(
      [
        [5, 21, 0],
        [5, 31, 0],
      ],
      5_000,
      WINDOW_MS,
    ),
    {
      position: position(5, 29),
      isComplete: true,
    },
  );
});

test("the answer to a record that is written again does not lower what a partition has acknowledged", () => {
  const acknowledged = afterBatches(5);
  acknowledged.acknowledge(0, [5, 8, 0], 5_000);
  const opened = [[5, 31, 0] as const, [5, 49, 0] as const];
  assert.equal(acknowledged.wayBack(opened, 5_000, WINDOW_MS)?.position, position(5, 29));
});

test.run();
