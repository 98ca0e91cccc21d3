import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PartitionEffect } from "../../../actors/partition/partition_messages.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { epoch, offset } from "../../../protocols/position.ts";
import {
  answersIn,
  batch,
  claim,
  fault,
  kinds,
  partitionUnderTest,
  refusedIn,
  replyTo,
  requestsIn,
  written,
} from "../../support/fakes/partition_under_test.ts";

test("P1: an append is not answered before the log has answered it", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  assert.equal(kinds(append(0)), ["append"]);
  const effects = tell({ type: "appended", epoch: epoch(5), result: written(0) });
  assert.equal(kinds(effects), ["committed", "reply"]);
  assert.is(answersIn(effects)[0]?.requestId, 0);
});

test("P2: batches that arrive while an append is in flight go together in the next one", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  assert.equal(append(1), []);
  assert.equal(append(2, 3), []);
  const effects = tell({ type: "appended", epoch: epoch(5), result: written(0) });
  const next = effects.find((effect) => effect.type === "append");
  assert.is(next?.type === "append" && next.batches.length, 3);
});

test("P13: batches have the time of their owner's clock as they leave, and no earlier one where the clock goes back", () => {
  const { tell, append } = partitionUnderTest();
  const timesIn = (effects: readonly PartitionEffect[]) =>
    effects.flatMap((effect) => (effect.type === "append" ? effect.batches.map((one) => one.appendedAtMs) : []));
  tell({ type: "claimed", claim: claim(5) });
  assert.equal(timesIn(append(0)), [1_000]);
  append(1, 2);
  assert.equal(timesIn(tell({ type: "appended", epoch: epoch(5), result: written(0) }, 1_700)), [1_700, 1_700]);
  append(3);
  const late = tell({ type: "appended", epoch: epoch(5), result: written(1, 2) }, 1_200);
  assert.equal(timesIn(late), [1_700]);
});

test("P13: a new owner's times follow the newest record's, unless the clocks are more than a minute apart", () => {
  for (const [newestMs, expectedMs] of [
    [400, 1_000],
    [1_900, 1_900],
    [9_000_000, 61_000],
  ] as const) {
    const { tell, append } = partitionUnderTest();
    tell({ type: "claimed", claim: claim(5), newestMs });
    const [appended] = append(0);
    assert.is(appended?.type === "append" && appended.batches[0]?.appendedAtMs, expectedMs);
  }
});

test("P7: while groups are large, waiting batches go at the next tick; a few senders do not wait", () => {
  const { tell, append } = partitionUnderTest();
  const appended = (...ns: number[]) => tell({ type: "appended", epoch: epoch(5), result: written(...ns) });
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  append(1, 2, 3, 4);
  assert.ok(kinds(appended(0)).includes("append"), "a group of one makes none wait");
  append(5);
  const effects = appended(1, 2, 3, 4);
  assert.equal(kinds(effects), ["committed", "reply", "wait"]);
  const wait = effects.at(-1);
  assert.equal(wait, { type: "wait", delayMs: 2, message: { type: "gathered" } });
  assert.equal(append(6), [], "it joins those that wait");
  const [group] = tell({ type: "gathered" });
  assert.is(group?.type === "append" && group.batches.length, 2);
  append(7);
  assert.ok(kinds(appended(5, 6)).includes("append"), "after a small group none waits");
});

test("P7: a large group does not wait for a tick, and a tick after the ownership ended writes nothing", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "claimed", claim: claim(5) });
  append(0, 1, 2, 3);
  tell({ type: "append", items: [{ requestId: 4, batch: batch(4, 70_000) }], replyTo });
  assert.ok(kinds(tell({ type: "appended", epoch: epoch(5), result: written(0, 1, 2, 3) })).includes("append"));
  append(5, 6, 7, 8);
  tell({ type: "appended", epoch: epoch(5), result: written(4) });
  append(9);
  assert.ok(kinds(tell({ type: "appended", epoch: epoch(5), result: written(5, 6, 7, 8) })).includes("wait"));
  const error = new UnavailableError("STORE_UNAVAILABLE", "away");
  tell({ type: "ownership_doubted", epoch: epoch(5), error });
  assert.equal(tell({ type: "gathered" }), []);
  const again = tell({ type: "claimed", claim: claim(6) }).at(-1);
  assert.equal(again, { type: "wait", delayMs: 2, message: { type: "gathered" } });
  assert.equal(kinds(tell({ type: "gathered" })), ["append"]);
});

test("P11: of a group that fails by a bug of the program, only the faulty batch is refused", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  assert.equal(requestsIn(append(0, 1, 2)), [[0, 1, 2]]);
  assert.equal(kinds(tell({ type: "append_failed", epoch: epoch(1), error: fault })), ["disowned", "claim"]);
  assert.equal(requestsIn(append(3)), []);
  assert.equal(requestsIn(tell({ type: "claimed", claim: claim(2) })), [[0]]);
  assert.equal(requestsIn(tell({ type: "appended", epoch: epoch(2), result: written(0) })), [[1]]);
  assert.equal(refusedIn(tell({ type: "append_failed", epoch: epoch(2), error: fault })), [[1, "INVARIANT_VIOLATED"]]);
  assert.equal(requestsIn(tell({ type: "claimed", claim: claim(3) })), [[2]]);
  assert.equal(requestsIn(tell({ type: "appended", epoch: epoch(3), result: written(2) })), [[3]]);
  // When the batch is sent again it is refused at once, without a claim.
  assert.equal(refusedIn(append(1)), [[1, "INVARIANT_VIOLATED"]]);
});

test("P11: a batch that the log judged to lie behind a gap stays suspect, as none of its events was written", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  append(0, 1, 2);
  tell({ type: "append_failed", epoch: epoch(1), error: fault });
  assert.equal(requestsIn(tell({ type: "claimed", claim: claim(2) })), [[0]]);
  const gap = { outcomes: [{ kind: "gap" as const, stored: undefined }], endOffset: offset(0) };
  assert.equal(requestsIn(tell({ type: "appended", epoch: epoch(2), result: gap })), [[1]]);
  tell({ type: "appended", epoch: epoch(2), result: written(1) });
  append(0, 3);
  assert.equal(
    requestsIn(tell({ type: "appended", epoch: epoch(2), result: written(2) })),
    [[0]],
    "it goes alone again",
  );
});

test("P11: a batch that fails alone is refused at its first failure, and the partition goes on", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  append(0);
  assert.equal(refusedIn(tell({ type: "append_failed", epoch: epoch(1), error: fault })), [[0, "INVARIANT_VIOLATED"]]);
  tell({ type: "claimed", claim: claim(2) });
  assert.equal(requestsIn(append(1)), [[1]]);
});

test("P11: a failure of the store makes no batch suspect", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  append(0, 1);
  tell({ type: "append_failed", epoch: epoch(1), error: new UnavailableError("TIMEOUT", "silent") });
  assert.equal(requestsIn(tell({ type: "claimed", claim: claim(2) })), [[0, 1]]);
});

test("P11: a refused batch is accepted again once its first event was written within another batch", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  append(1);
  tell({ type: "append_failed", epoch: epoch(1), error: fault });
  tell({ type: "claimed", claim: claim(2) });
  const wider = { ...batch(0), sequences: { first: [0, 0, 0], count: 3 } } as const;
  tell({ type: "append", items: [{ requestId: 0, batch: wider }], replyTo });
  assert.equal(refusedIn(append(1)), [[1, "INVARIANT_VIOLATED"]]);
  tell({ type: "appended", epoch: epoch(2), result: written(0) });
  assert.equal(requestsIn(append(1)), [[1]]);
});

test.run();
