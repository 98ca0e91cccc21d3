import { test } from "uvu";
import * as assert from "uvu/assert";
import { AppendCredit } from "../../../../protocols/client/producer/append_credit.ts";
import type { AppendFrame } from "../../../../protocols/wire/frames.ts";

const frameOf = (partition: number, n: number): AppendFrame => ({
  type: "append",
  stream: "readings",
  partition,
  producerEpoch: 1,
  previousSequence: n === 0 ? null : [0, n - 1, 0],
  sequences: { first: [0, n, 0], count: 1 },
  events: Uint8Array.of(0x90),
});

function creditOf(bytes: number, ...chains: string[]): AppendCredit {
  const credit = new AppendCredit();
  credit.reset(bytes);
  for (const chain of chains) credit.settle(chain); // opened
  return credit;
}

test("C2: one append may always be under way, however large", () => {
  const credit = creditOf(100, "a");
  assert.ok(credit.mayTake("a", 5_000));
  credit.setAside("a", frameOf(0, 0), 5_000);
  assert.not(credit.mayTake("a", 1));
});

test("C3: a lone partition may take all credit; beside others it may take three quarters", () => {
  const credit = creditOf(1_000, "a");
  for (let n = 0; n < 9; n += 1) credit.setAside("a", frameOf(0, n), 100);
  assert.ok(credit.mayTake("a", 100));
  credit.settle("b");
  assert.not(credit.mayTake("a", 50));
  assert.ok(credit.mayTake("b", 100));
  credit.acknowledge("a", [0, 4, 0]);
  credit.give(500);
  assert.ok(credit.mayTake("a", 350));
  assert.not(credit.mayTake("a", 351));
});

test("C1: an answer gives back the credit that it names: more than its append took, or less", () => {
  const credit = creditOf(1_000, "a");
  credit.setAside("a", frameOf(0, 0), 400);
  credit.acknowledge("a", [0, 0, 0]);
  credit.give(1_400);
  assert.is(credit.availableBytes, 2_000);
  credit.setAside("a", frameOf(0, 1), 400);
  credit.acknowledge("a", [0, 1, 0]);
  credit.give(100);
  assert.is(credit.availableBytes, 1_700);
  assert.not(credit.isOwed);
});

test("the size of an append on the wire replaces its estimate", () => {
  const credit = creditOf(1_000, "a");
  const frame = frameOf(0, 0);
  credit.setAside("a", frame, 700);
  credit.correct("a", frame, 200, 700);
  assert.is(credit.availableBytes, 800);
  credit.acknowledge("a", [0, 0, 0]);
  credit.give(200);
  assert.is(credit.availableBytes, 1_000);
});

test("appends that shared one refusal are settled by the next opened", () => {
  const credit = creditOf(1_000, "a");
  for (let n = 0; n < 3; n += 1) credit.setAside("a", frameOf(0, n), 100);
  credit.refuse("a");
  credit.give(300);
  assert.ok(credit.isOwed);
  credit.settle("a");
  assert.not(credit.isOwed);
  assert.is(credit.availableBytes, 1_000);
});

test.run();
