import { test } from "uvu";
import * as assert from "uvu/assert";
import { BATCH_FRAME_BYTES, ChannelLedger } from "../../../../actors/pipeline/state/channel_ledger.ts";
import { offset } from "../../../../protocols/position.ts";

const frame = BATCH_FRAME_BYTES;

test("H1: batches are free from the beginning on, up to the first with a live key, and never the newest", () => {
  const ledger = new ChannelLedger();
  assert.is(ledger.freeBefore, undefined);
  const batches = [1, 2, 3].map((n) => ledger.add(offset(100 + n * 10), offset(90 + n * 10), n * 1_000));
  assert.equal(batches, [0, 1, 2]);
  ledger.hold(0, 2);
  ledger.hold(1, 1);
  assert.equal([ledger.settle(), ledger.freeBefore], [0, 100]);
  ledger.hold(1, -1);
  assert.is(ledger.settle(), 0, "the batch before it holds live keys");
  ledger.hold(0, -2);
  assert.equal([ledger.settle(), ledger.freeBefore], [3_000 + 2 * frame, 120]);
  assert.equal([ledger.settle(), ledger.freeBefore, ledger.sizeBytes], [0, 120, 3_000 + frame]);
});

test("H2: the bytes are those of the batches that are not free, over a million batches", () => {
  const ledger = new ChannelLedger();
  for (let n = 0; n < 1_000_000; n++) {
    const batch = ledger.add(offset(n + 1), offset(n), 72);
    ledger.hold(batch, 1);
    if (n >= 10) ledger.hold(batch - 10, -1);
    ledger.settle();
    if (n >= 10 && (ledger.sizeBytes !== 10 * (72 + frame) || ledger.freeBefore !== n - 9))
      assert.unreachable(`batch ${n}`);
  }
  assert.is(ledger.next, 1_000_000);
});

test.run();
