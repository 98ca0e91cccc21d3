import { test } from "uvu";
import * as assert from "uvu/assert";
import { comparePositions, cursorBefore, epoch, judgeCursor, offset, position } from "../../protocols/position.ts";

const epochs = [
  { epoch: epoch(5), firstOffset: offset(0) },
  { epoch: epoch(8), firstOffset: offset(100) },
];
const judge = (cursor: ReturnType<typeof position> | undefined, first = 0, end = 120) =>
  judgeCursor(cursor, epochs, offset(first), offset(end));

test("a cursor on the last record of an old epoch is valid after a new one has begun", () => {
  assert.equal(judge(position(5, 99)), { kind: "valid" });
});

test("a cursor past the first record of the next epoch is told where its history ends", () => {
  assert.equal(judge(position(5, 103)), { kind: "truncated", divergence: 100 });
});

test("a cursor past the end of the newest epoch is told the end", () => {
  assert.equal(judge(position(8, 130)), { kind: "truncated", divergence: 120 });
});

test("a cursor of an epoch that this log never had is truncated, not trimmed", () => {
  assert.equal(judge(position(7, 99)), { kind: "truncated", divergence: 100 });
  assert.equal(judge(position(9, 110)), { kind: "truncated", divergence: 120 });
});

test("a cursor below retention is trimmed only when a record between them is gone", () => {
  assert.equal(judge(position(5, 49), 50), { kind: "valid" });
  assert.equal(judge(position(5, 48), 50), { kind: "trimmed", firstOffset: 50 });
  assert.equal(judge(undefined, 50), { kind: "trimmed", firstOffset: 50 });
});

test("a cursor older than the epochs that retention has left is trimmed", () => {
  const cut = [{ epoch: epoch(8), firstOffset: offset(100) }];
  assert.equal(judgeCursor(position(5, 40), cut, offset(100), offset(120)), { kind: "trimmed", firstOffset: 100 });
});

test("the cursor before any offset kept is valid, also where retention has cut the table right there", () => {
  for (const first of [0, 40, 100, 110]) {
    const cut = epochs.filter((_entry, index) => first < (epochs[index + 1]?.firstOffset ?? Number.POSITIVE_INFINITY));
    for (let at = first; at <= 120; at += 1) {
      const cursor = cursorBefore(cut, at);
      if (at > 0 || first === 0)
        assert.is(judgeCursor(cursor, cut, offset(first), offset(120)).kind, "valid", `${first} ${at}`);
    }
  }
});

test("an undefined cursor sorts below the first offset of the first epoch", () => {
  assert.ok(comparePositions(undefined, position(1, 0)) < 0);
});

test.run();
