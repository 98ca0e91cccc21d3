import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import {
  decodeJsonFrame,
  encodeJsonBatch,
  encodeJsonFrame,
  encodeJsonRecords,
} from "../../../protocols/wire/codec_json.ts";
import type { RecordsFrame, WireBatch } from "../../../protocols/wire/frames.ts";

const LIMITS = { tokensMax: 1_000_000, depthMax: 64 };
const frame = (events: string): string =>
  `{"type":"append","stream":"s","partition":0,"producerEpoch":1,"previousSequence":null,"sequences":{"first":[1,1,0],"count":2},"events":${events}}`;

function decode(events: string) {
  const decoded = decodeJsonFrame(frame(events), LIMITS);
  return decoded.type === "append" ? decodeEvents(decoded.events) : (assert.unreachable(decoded.type) as never);
}

test("an event whose value cannot be converted is set aside alone, with its reason", () => {
  const bad = [
    '{"n":99999999999999999999}',
    '{"n":{"$int":"x"}}',
    '{"n":{"$time":"2026-02-30T00:00:00Z"}}',
    '{"n":{"$bytes":"*"}}',
  ];
  const { events, verdicts } = decode(`[{"a":1},${bad.join(",")},{"a":2}]`);
  assert.equal([events[0], events[5]], [{ a: 1 }, { a: 2 }]);
  assert.equal(
    verdicts.map(({ index, code, path }) => [index, code, path]),
    ["/n", "/n/$int", "/n/$time", "/n/$bytes"].map((path, at) => [at + 1, "MALFORMED_EVENT", path]),
  );
  assert.is(
    verdicts[0]?.reason,
    "must be an integer of 64 bits, or be written with an exponent: current value is 99999999999999999999",
  );
  assert.is(verdicts[1]?.reason, 'must hold the digits of an integer, as text: current value is "x"');
  assert.match(verdicts[2]?.reason ?? "", /2026-02-30/);
});

test("half a surrogate pair in a name is refused: names that differ only in halves would be stored alike", () => {
  const hello = (name: string) => `{"type":"hello","client":"c","producerId":"${name}","instance":"i"}`;
  for (const name of ["\\ud800x", "x\\udbff", "\\udc00"])
    assert.throws(() => decodeJsonFrame(hello(name), LIMITS), /\/producerId must be text of whole characters/);
  assert.is(decodeJsonFrame(hello("\\ud83d\\ude00"), LIMITS).type, "hello");
  const appended = frame('[{"a":1}]').replace('"s"', '"\\ud800"');
  assert.throws(() => decodeJsonFrame(appended, LIMITS), /\/stream must be text of whole characters/);
});

test("an event is set aside even where some of its values were converted before the fault", () => {
  const { verdicts } = decode('[{"a":9007199254740993,"b":{"$bytes":"YQ=="},"c":{"$int":"x"}}]');
  assert.is(verdicts[0]?.path, "/c/$int");
});

test("a map of more keys than MessagePack's encoder takes is set aside alone", () => {
  const huge = `{${Array.from({ length: 70_000 }, (_, index) => `"k${index}":1`).join(",")}}`;
  const { events, verdicts } = decode(`[{"a":1},${huge}]`);
  assert.equal(events[0], { a: 1 });
  assert.is(verdicts[0]?.index, 1);
});

test("a frame that is no JSON is refused whole", () => {
  assert.throws(() => decode('[{"a":012345678901234567890}]'), /well formed/);
  assert.throws(() => decode("5"), /be a list/);
});

test("whole floats beyond 2^53 are written with an exponent and read back as the same floats; integers keep their digits", () => {
  const events = [{ a: 1.2345678901234567e19, b: [2 ** 64 * 1.1, -(2 ** 54), 1e20], c: { n: 9007199254740993n } }];
  const bytes = encodeEvents(events, { asRecords: true });
  const append = decodeJsonFrame(frame("[{}]"), LIMITS);
  if (append.type !== "append") return assert.unreachable(append.type);
  const text = encodeJsonFrame({ ...append, events: bytes });
  assert.match(text, '"a":1.2345678901234567e+19,"b":[2.029141848108051e+19,-1.8014398509481984e+16,1e+20]');
  assert.match(text, '{"$int":"9007199254740993"}');
  const back = decodeJsonFrame(text, LIMITS);
  assert.equal(back.type === "append" && back.events, bytes);
});

/** A `records` frame with batches of these events. */
const recordsFrame = (...batches: readonly (readonly object[])[]): RecordsFrame => ({
  ...{ type: "records", subscription: 3, stream: "s", partition: 1 },
  batches: batches.map(
    (events): WireBatch => ({
      ...{ epoch: 1, firstOffset: 0, count: events.length, appendedAtMs: 5, schemaVersion: 0, producerId: "p" },
      rejected: Uint8Array.of(0b10),
      events: encodeEvents(events, { asRecords: true }),
    }),
  ),
  endOffset: 9,
});

const batchTexts = ({ batches }: RecordsFrame): readonly Uint8Array[] =>
  batches.map(({ events, ...batch }) => encodeJsonBatch(batch, decodeEvents(events).events));

test("a frame of batches that are JSON already is the frame that is encoded as a whole", () => {
  const odd = { a: 1.2345678901234567e19, ü: [9007199254740993n, new Date(5), Uint8Array.of(1)], c: { $int: "1" } };
  for (const frame of [recordsFrame(), recordsFrame([odd]), recordsFrame([{ n: 1 }, odd], [{ n: 2 }], [odd])]) {
    const text = new TextDecoder().decode(encodeJsonRecords(frame, batchTexts(frame)));
    assert.is(text, encodeJsonFrame(frame));
  }
});

test("a frame is a copy of the batches that it was made of: a change of its bytes changes no other frame", () => {
  const frame = recordsFrame([{ n: 1 }]);
  const texts = batchTexts(frame);
  encodeJsonRecords(frame, texts).fill(0);
  assert.is(new TextDecoder().decode(encodeJsonRecords(frame, texts)), encodeJsonFrame(frame));
});

test.run();
