/** When a node gives credit back to a peer: with its next frame, or by itself where that frame takes too long. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CreditReturn } from "../../../../actors/transport/peer/peer_frames.ts";
import { CreditReturns } from "../../../../actors/transport/peer/peer_returns.ts";

const LIMITS = { targetBytesMax: 100, targetMessagesMax: 16, linkBytesMax: 300 };

function returnsUnderTest() {
  const sent: (readonly CreditReturn[])[] = [];
  const timers: { readonly delayMs: number; readonly fire: () => void; isCancelled: boolean }[] = [];
  const returns = new CreditReturns(
    LIMITS,
    (delayMs, fire) => {
      const timer = { delayMs, fire, isCancelled: false };
      timers.push(timer);
      return {
        cancel() {
          timer.isCancelled = true;
        },
      };
    },
    (returned) => sent.push(returned),
  );
  return { returns, sent, timers };
}

test("V1: little credit goes with the next frame, gathered by actor, and its timer is cancelled", async () => {
  const { returns, sent, timers } = returnsUnderTest();
  returns.add("x", 10);
  returns.add("y", 0);
  returns.add("x", 5);
  await Promise.resolve();
  assert.equal(sent, []);
  returns.flush();
  const gathered = [
    { to: "x", bytes: 15, messages: 2 },
    { to: "y", bytes: 0, messages: 1 },
  ];
  assert.equal(sent, [gathered]);
  assert.equal([timers.length, timers[0]?.isCancelled], [1, true]);
  returns.flush();
  assert.is(sent.length, 1, "there is no more");
});

test("V1: without a next frame all waiting credit goes by itself after some milliseconds", () => {
  const { returns, sent, timers } = returnsUnderTest();
  returns.add("x", 10);
  returns.add("y", 10);
  assert.is(timers.length, 1);
  assert.ok((timers[0]?.delayMs ?? 0) <= 10);
  timers[0]?.fire();
  assert.is(sent.flat().length, 2);
  returns.add("x", 1);
  assert.is(timers.length, 2, "the next waits anew");
});

for (const [what, given] of [
  ["bytes of an actor", [["x", 25]]],
  ["messages of an actor", Array.from({ length: 4 }, () => ["x", 1] as const)],
  ["bytes of the link", ["v", "w", "x", "y"].map((to) => [to, 20] as const)],
] as const) {
  test(`V2: a quarter of the ${what} goes back at the end of the turn`, async () => {
    const { returns, sent } = returnsUnderTest();
    for (const [to, bytes] of given) returns.add(to, bytes);
    returns.add("z", 1); // of the same turn
    assert.equal(sent, []);
    await Promise.resolve();
    assert.is(sent.length, 1);
    assert.ok(sent[0]?.some(({ to }) => to === "z"));
  });
}

test("credit of a link that has ended is not sent", async () => {
  const { returns, sent, timers } = returnsUnderTest();
  returns.add("x", 10);
  returns.add("y", 90);
  returns.clear();
  await Promise.resolve();
  returns.flush();
  assert.equal(sent, []);
  assert.ok(timers.every(({ isCancelled }) => isCancelled));
});

test.run();
