import { test } from "uvu";
import * as assert from "uvu/assert";
import { readRecords } from "../../../../protocols/client/consumer/read_records.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { RecordsFrame, WireBatch } from "../../../../protocols/wire/frames.ts";

const batchOf = (firstOffset: number, names: readonly string[], more: Partial<WireBatch> = {}): WireBatch => ({
  ...{ epoch: 4, firstOffset, count: names.length, appendedAtMs: 17, schemaVersion: 2, producerId: "p" },
  events: encodeEvents(
    names.map((name) => ({ name })),
    { asRecords: false },
  ),
  ...more,
});
const frameOf = (...batches: WireBatch[]): RecordsFrame => ({
  ...{ type: "records", subscription: 1, stream: "s", partition: 0, endOffset: 100 },
  batches,
});
const shown = (frame: RecordsFrame, from: number) =>
  readRecords(frame, from).map(({ position, event }) => `${position.epoch}/${position.offset} ${event.name}`);

test("records have consecutive offsets; those before the place that was asked for are left out", () => {
  const frame = frameOf(batchOf(7, ["a", "b", "c"]), batchOf(10, ["d"]));
  assert.equal(shown(frame, 0), ["4/7 a", "4/8 b", "4/9 c", "4/10 d"]);
  assert.equal(shown(frame, 9), ["4/9 c", "4/10 d"]);
});

test("an event that was rejected has no offset, and is left out", () => {
  const rejected = Uint8Array.of(0b101);
  assert.equal(shown(frameOf(batchOf(7, ["bad", "a", "bad", "b"], { count: 2, rejected })), 0), ["4/7 a", "4/8 b"]);
});

test("a record is told with the trace context of its batch, or with the one that holds at its event", () => {
  const traces = [{ index: 0, traceparent: "x" }, { index: 1 }, { index: 2, traceparent: "y" }];
  const contexts = (more: Partial<WireBatch>) =>
    readRecords(frameOf(batchOf(0, ["a", "b", "c", "d"], more)), 0).map(({ traceparent }) => traceparent);
  assert.equal(contexts({}), [undefined, undefined, undefined, undefined]);
  assert.equal(contexts({ traceparent: "t" }), ["t", "t", "t", "t"]);
  assert.equal(contexts({ traces }), ["x", undefined, "y", "y"]);
});

test.run();
