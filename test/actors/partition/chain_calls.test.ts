import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ReplyTo } from "../../../actors/partition/partition.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { epoch } from "../../../protocols/position.ts";
import { claim, kinds, partitionUnderTest, replyTo, written } from "../../support/fakes/partition_under_test.ts";

test("a chain is opened after the appends that its asker sent before, so that no ack comes after opened", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  const open = { type: "open_chain", requestId: 9, producerId: "p", producerEpoch: 1 } as const;
  assert.equal(kinds(tell({ ...open, replyTo: {} as ReplyTo })), ["call_chain"]);
  assert.equal(kinds(tell({ ...open, replyTo })), []);
  const effects = tell({ type: "appended", epoch: epoch(5), result: written(0) });
  assert.equal(kinds(effects), ["committed", "reply", "call_chain"]);
});

test("a call that failed under an earlier ownership is made again at once, and one of the present ownership waits", () => {
  const { tell } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  const [made] = tell({ type: "open_chain", requestId: 9, producerId: "p", producerEpoch: 1, replyTo });
  assert.ok(made?.type === "call_chain");
  const error = new UnavailableError("STORE_UNAVAILABLE", "away");
  tell({ type: "ownership_doubted", epoch: epoch(5), error });
  tell({ type: "claimed", claim: claim(6) });
  const [again] = tell({ type: "chain_failed", epoch: epoch(5), call: made.call, error });
  assert.ok(again?.type === "call_chain");
  assert.is(again.ownership.epoch, 6);
  const doubted = kinds(tell({ type: "chain_failed", epoch: epoch(6), call: again.call, error }));
  assert.not(doubted.includes("call_chain"));
  assert.ok(kinds(tell({ type: "claimed", claim: claim(7) })).includes("call_chain"));
});

test.run();
