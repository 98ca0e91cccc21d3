import { test } from "uvu";
import * as assert from "uvu/assert";
import { compareSequences, judgeChain, lastSequence, type Sequence, sequenceAt } from "../../protocols/sequence.ts";

const plain = (n: number): Sequence => [0, n, 0];

test("nothing stored sorts below sequence 0", () => {
  assert.ok(compareSequences(undefined, plain(0)) < 0);
  assert.is(judgeChain(undefined, undefined, plain(0)), "accept");
});

test("a batch whose last event is stored is a duplicate, whatever it claims to follow", () => {
  assert.is(judgeChain(plain(9), plain(3), plain(9)), "duplicate");
  assert.is(judgeChain(plain(9), undefined, plain(4)), "duplicate");
});

test("a batch that overlaps the stored events is a gap, which the client cuts", () => {
  assert.is(judgeChain(plain(9), plain(4), plain(14)), "gap");
});

test("a batch that follows a sequence that was never stored is a gap", () => {
  assert.is(judgeChain(plain(9), plain(12), plain(14)), "gap");
});

test("terms come before positions, positions before indexes", () => {
  assert.ok(compareSequences([6, 100, 0], [5, 109, 0]) > 0);
  assert.ok(compareSequences([5, 100, 1], [5, 100, 0]) > 0);
});

test("dense sequences count positions and listed ones are as listed", () => {
  assert.equal(sequenceAt({ first: [2, 7, 0], count: 3 }, 2), [2, 9, 0]);
  assert.equal(lastSequence({ list: [plain(1), [0, 1, 1]] }), [0, 1, 1]);
  assert.throws(() => sequenceAt({ first: plain(0), count: 1 }, 1), /current value is 1/);
});

test.run();
