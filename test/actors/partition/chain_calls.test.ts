import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ReplyTo } from "../../../actors/partition/partition.ts";
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

test.run();
