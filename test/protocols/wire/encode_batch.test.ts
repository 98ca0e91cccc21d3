import { test } from "uvu";
import * as assert from "uvu/assert";
import type { OpenBatch, Slot } from "../../../protocols/client/producer/event_batcher.ts";
import type { Event } from "../../../protocols/event.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { encodeBatch } from "../../../protocols/wire/encode_batch.ts";
import { WIRE_DEFAULTS } from "../../../protocols/wire/frames.ts";

const unset = { stream: "s", sequence: undefined, position: undefined, traceparent: undefined, confirm: undefined };
const slotOf = (event: Event, stored?: Slot["stored"]): Slot => ({ event, partition: 0, ...unset, stored });
const batchOf = (slots: readonly Slot[]): OpenBatch => ({ stream: "s", partition: 0, slots: [...slots] });
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const encode = (slots: readonly Slot[], frameBytesMax: number = WIRE_DEFAULTS.frameBytesMax) =>
  encodeBatch(batchOf(slots), frameBytesMax).map((encoded) =>
    encoded.kind === "encoded" ? hexOf(encoded.events) : encoded.code,
  );

/** Two records whose number is a float: a JavaScript encoder writes the same event with an integer. */
const STORED = Uint8Array.from(Buffer.from("92d4724091a16ecb3ff000000000000040cb4000000000000000", "hex"));
const stored = decodeTrustedEvents(STORED).map((event, index) => slotOf(event, { batch: STORED, index }));

test("events that are stored as records are sent as they are stored, behind the header of the batch", () => {
  assert.equal(encode(stored), [`dd00000002${hexOf(STORED.subarray(1))}`]);
});

test("a batch with an event that is not stored is encoded, and so is one event alone", () => {
  const anew = (events: readonly Event[]) => hexOf(encodeEvents(events, { asRecords: events.length > 1 }));
  assert.equal(encode([...stored, slotOf({ n: 3 })]), [anew([{ n: 1 }, { n: 2 }, { n: 3 }])]);
  assert.equal(encode(stored.slice(1)), [anew([{ n: 2 }])]);
});

test("stored events that exceed a frame are sent in halves", () => {
  const events = [1, 2, 3, 4].map((n) => ({ n, text: "x".repeat(30_000) }));
  const batch = encodeEvents(events, { asRecords: true });
  const slots = events.map((event, index) => slotOf(event, { batch, index }));
  const halves = encode(slots, 65_536 + 70_000).map((bytes) => decodeTrustedEvents(Buffer.from(bytes, "hex")));
  assert.equal(halves, [events.slice(0, 2), events.slice(2)]);
});

test("a stored event with more keys than the encoder can write is refused as it is alone, whatever lies beside it", () => {
  const wide = Object.fromEntries(Array.from({ length: 66_000 }, (_, n) => [`k${n}`, 1]));
  const batch = encodeEvents([{ n: 1 }, wide], { asRecords: true });
  const slots = [slotOf({ n: 1 }, { batch, index: 0 }), slotOf(wide, { batch, index: 1 })];
  assert.equal(encode(slots), [hexOf(encodeEvents([{ n: 1 }], { asRecords: false })), "MALFORMED_EVENT"]);
});

test.run();
