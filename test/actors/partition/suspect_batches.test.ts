import { test } from "uvu";
import * as assert from "uvu/assert";
import type { AppendBatch } from "../../../actors/log/log.ts";
import type { PartitionState, Suspects } from "../../../actors/partition/partition_messages.ts";
import { clear, isRefused, isSuspect, suspect } from "../../../actors/partition/suspect_batches.ts";

const batch = (first: number, count = 1, producerId = "p"): AppendBatch => ({
  ...{ producerId, producerEpoch: 1, previousSequence: undefined, schemaVersion: 0, appendedAtMs: 0 },
  sequences: { first: [0, first, 0], count },
  events: new Uint8Array(),
});
const stateOf = (suspects: Suspects) => ({ suspects }) as PartitionState;

test("P11: batches that failed together are suspects, and one that failed alone is refused", () => {
  const suspects: Suspects = new Map();
  const state = stateOf(suspects);
  suspect(suspects, [{ batch: batch(0) }, { batch: batch(1) }]);
  assert.ok(isSuspect(state, batch(0)) && !isRefused(state, batch(0)));
  suspect(suspects, [{ batch: batch(1) }]);
  assert.ok(isRefused(state, batch(1)) && !isRefused(state, batch(0)));
  assert.not(isSuspect(state, batch(2)));
});

test("P11: suspects that begin within a written batch of their producer are cleared, and no others", () => {
  const suspects: Suspects = new Map();
  const state = stateOf(suspects);
  for (const one of [batch(3), batch(5), batch(9), batch(5, 1, "other")]) suspect(suspects, [{ batch: one }]);
  clear(state, [{ batch: batch(4, 3) }]);
  assert.equal(
    [batch(3), batch(5), batch(9), batch(5, 1, "other")].map((one) => isRefused(state, one)),
    [true, false, true, true],
  );
});

test("the oldest suspects are forgotten beyond a thousand", () => {
  const suspects: Suspects = new Map();
  for (let n = 0; n < 1_200; n++) suspect(suspects, [{ batch: batch(n) }]);
  assert.is(suspects.size, 1_000);
  assert.not(isSuspect(stateOf(suspects), batch(0)));
  assert.ok(isRefused(stateOf(suspects), batch(1_199)));
});

test.run();
