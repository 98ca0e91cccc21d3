import { test } from "uvu";
import * as assert from "uvu/assert";
import { DecodedBatch } from "../../../actors/log/decoded_batch.ts";
import type { RecordBatch } from "../../../actors/log/log.ts";
import { epoch, offset, position } from "../../../protocols/position.ts";
import { decodeSlice, encodeEvents } from "../../../protocols/values/event_codec.ts";

/** Four events, of which the second one is rejected: three records. */
const stored = (more: Partial<RecordBatch> = {}): RecordBatch => ({
  ...{ epoch: epoch(2), firstOffset: offset(100), count: 3, appendedAtMs: 5, schemaVersion: 0, producerId: "p" },
  sequences: { first: [0, 0, 0], count: 4 },
  events: encodeEvents([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }], { asRecords: true }),
  rejected: Uint8Array.of(0b0010),
  ...more,
});

test("the columns have an entry for each record and none for a rejected event", () => {
  const batch = new DecodedBatch(stored());
  assert.equal(
    batch.events.map(({ n }) => n),
    [0, 2, 3],
  );
  assert.equal(
    batch.positions.map((at) => `${at.epoch}/${at.offset}`),
    ["2/100", "2/101", "2/102"],
  );
  assert.is(batch.events, batch.events, "decoded once");
});

test("a row's stored bytes and trace context are those of its own event, also asked first of all", () => {
  const traces = [{ index: 0 }, { index: 2, traceparent: "a" }, { index: 3, traceparent: "b" }];
  const contexts = new DecodedBatch(stored({ traces }));
  assert.equal(
    [contexts.traceparentOf(0), contexts.traceparentOf(1), contexts.traceparentOf(2)],
    [undefined, "a", "b"],
  );
  assert.equal(decodeSlice(new DecodedBatch(stored()).storedOf(1).bytes()), { n: 2 });
});

test("the rows behind a cursor begin at the record after the cursor", () => {
  const batch = new DecodedBatch(stored());
  const after = (at: number) => batch.firstRowAfter(position(2, at));
  assert.equal(
    [batch.firstRowAfter(undefined), after(5), after(99), after(100), after(102), after(500)],
    [0, 0, 0, 1, 3, 3],
  );
});

test("a derived value is made once for each key, and again after its promise rejected", async () => {
  const batch = new DecodedBatch(stored());
  const key = {};
  let made = 0;
  const fail = () => {
    made += 1;
    return Promise.reject(new Error("away"));
  };
  await batch.derived(key, fail).catch(() => undefined);
  await batch.derived(key, fail).catch(() => undefined);
  assert.is(made, 2);
  assert.is(
    batch.derived(key, () => "value"),
    "value",
  );
  assert.is(
    batch.derived(key, () => "other"),
    "value",
  );
  assert.is(
    batch.derived({}, () => "other"),
    "other",
  );
});

test.run();
