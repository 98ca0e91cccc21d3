import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DecodedBatch } from "../../../actors/log/decoded_batch.ts";
import type { Channel, RecordBatch } from "../../../actors/log/log.ts";
import { BatchSharing, TEXT_BYTES_MAX } from "../../../actors/partition/batch_sharing.ts";
import { epoch, offset } from "../../../protocols/position.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";

const batch = (firstOffset: number): RecordBatch => ({
  ...{ epoch: epoch(1), firstOffset: offset(firstOffset), count: 1, appendedAtMs: 0, schemaVersion: 0 },
  ...{ producerId: "p", sequences: { first: [0, 0, 0], count: 1 } },
  events: encodeEvents([{ n: firstOffset }], { asRecords: false }),
});

/** The sharing of a partition whose tail holds the given batches, with the number of texts made and of batches decoded. */
function sharingOf(tail: readonly RecordBatch[], textBytes = 10) {
  const decoded = new Set<DecodedBatch>();
  const sharing = new BatchSharing((channel, of) => channel === "records" && tail.includes(of));
  let texts = 0;
  const make = (values: DecodedBatch) => {
    texts += 1;
    decoded.add(values);
    return new Uint8Array(textBytes);
  };
  return {
    sharing,
    text: (of: RecordBatch, channel: Channel = "records") => sharing.text(channel, of, make),
    values: (of: RecordBatch) => decoded.add(sharing.values("records", of)),
    counts: () => ({ texts, decoded: decoded.size }),
  };
}

test("a hundred readers of the text and two of the values decode a batch once, and make one text", () => {
  const one = batch(0);
  const { sharing, text, values, counts } = sharingOf([one]);
  for (let reader = 0; reader < 100; reader += 1) sharing.join("records", "text");
  for (let reader = 0; reader < 2; reader += 1) sharing.join("records", "values");
  sharing.join("records", "bytes");
  const first = text(one);
  values(one);
  for (let reader = 1; reader < 100; reader += 1) assert.is(text(one), first);
  values(one);
  assert.equal(counts(), { texts: 1, decoded: 1 });
  text(one);
  assert.equal(counts(), { texts: 2, decoded: 2 }, "all have taken the batch: nothing of it is kept");
});

test("a reader of the text alone shares the values with a delivery", () => {
  const one = batch(0);
  const { sharing, text, values, counts } = sharingOf([one]);
  sharing.join("records", "text");
  sharing.join("records", "values");
  values(one);
  text(one);
  assert.equal(counts(), { texts: 1, decoded: 1 });
});

test("a reader that is not counted sees the values, and the others still find them", () => {
  const one = batch(0);
  const { sharing, values, counts } = sharingOf([one]);
  for (let reader = 0; reader < 2; reader += 1) sharing.join("records", "values");
  const taken = sharing.values("records", one);
  assert.is(sharing.peek(one), taken);
  values(one);
  assert.is(counts().decoded, 1);
  assert.is.not(sharing.peek(one), taken, "all have taken them");
});

test("a batch that the tail does not hold is its reader's own, and so is one of another channel", () => {
  const one = batch(0);
  const { sharing, text, counts } = sharingOf([one]);
  for (const channel of ["records", "rejected"] as const)
    for (let reader = 0; reader < 2; reader += 1) sharing.join(channel, "text");
  const ofLog = batch(0);
  assert.is.not(text(ofLog), text(ofLog));
  assert.is.not(text(one, "rejected"), text(one, "rejected"));
  assert.equal(counts(), { texts: 4, decoded: 4 });
});

test("texts that a reader has not taken stay within their bound, and a text beyond it is not kept", () => {
  const batches = [0, 1, 2, 3].map(batch);
  const { sharing, text } = sharingOf(batches, TEXT_BYTES_MAX / 2);
  for (let reader = 0; reader < 2; reader += 1) sharing.join("records", "text");
  const made = batches.map((one) => text(one));
  const isKept = [3, 2, 1, 0].map((at) => text(batches[at]!) === made[at]);
  assert.equal(isKept, [true, true, false, false]);
  const large = sharingOf(batches, TEXT_BYTES_MAX + 1);
  for (let reader = 0; reader < 2; reader += 1) large.sharing.join("records", "text");
  assert.is.not(large.text(batches[0]!), large.text(batches[0]!));
});

test("readers that have left leave nothing behind for a single reader", () => {
  const one = batch(0);
  const { sharing, text, counts } = sharingOf([one]);
  for (let reader = 0; reader < 2; reader += 1) sharing.join("records", "text");
  text(one);
  sharing.leave("records", "text");
  text(one);
  assert.equal(counts(), { texts: 2, decoded: 2 });
});

test.run();
