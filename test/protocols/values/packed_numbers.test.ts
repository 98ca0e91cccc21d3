import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseEvents } from "../../../actors/ingest/http/http_events.ts";
import { recordReader } from "../../../actors/sources/records/record_reader.ts";
import { type AppendFrame, type Event, SUBPROTOCOL_JSON } from "../../../protocols/mod.ts";
import { decodeEvents, decodeTrustedEvents, encodeEvent, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { eventJson, jsonEvent } from "../../../protocols/values/json_event.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS } from "../../../protocols/wire/codec.ts";
import { encodeBatch } from "../../../protocols/wire/encode_batch.ts";
import { readTyped, type Typed } from "../../support/clients/typed_msgpack.ts";

/** JSON text, the text that Headrace writes of it, and what a reader with types finds in the log. */
interface Sample {
  readonly text: string;
  readonly written: string;
  readonly typed: Typed;
}

const integer = (value: bigint, text = String(value)): Sample => {
  const isBeyond = value > 2n ** 53n || value < -(2n ** 53n);
  return { text, written: isBeyond ? `{"$int":"${value}"}` : String(value), typed: value };
};

function double(value: number, text = String(value)): Sample {
  if (Object.is(value, -0)) return { text: text === "0" ? "-0.0" : text, written: "-0.0", typed: -0 };
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 53) return integer(BigInt(value), text);
  const isWhole = Number.isInteger(value);
  // Digits alone would be an integer.
  const exact = isWhole ? value.toExponential() : String(value);
  return { text: isWhole ? exact : text, written: exact, typed: value };
}

const EDGES = [0n, 31n, 32n, 52n, 53n, 63n].flatMap((power) => [-1n, 0n, 1n].map((by) => 2n ** power + by));
const edge = fc
  .constantFrom(...EDGES, ...EDGES.map((value) => -value))
  .filter((value) => value >= -(2n ** 63n))
  .map((value) => integer(value));
const number = fc.oneof(
  edge,
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map((value) => integer(value)),
  fc.maxSafeInteger().map((value) => integer(BigInt(value))),
  fc.maxSafeInteger().map((value) => integer(BigInt(value), `${value}.0`)),
  fc.integer({ min: 0, max: 15 }).map((zeros) => integer(10n ** BigInt(zeros), `1e${zeros}`)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map((value) => integer(value, `{"$int":"${value}"}`)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => double(value)),
  fc.constantFrom("-0", "-0.0", "-0e7", "-1e-400").map((text) => double(-0, text)),
  fc.constantFrom(2 ** 53, -(2 ** 53), 2 ** 53 + 2, 1e300, 5e-324, 0.1 + 0.2).map((value) => double(value)),
);
const word = (value: unknown): Sample => ({
  text: JSON.stringify(value),
  written: JSON.stringify(value),
  typed: value as Typed,
});
const bytes = (value: Uint8Array): Sample => {
  const text = `{"$bytes":"${Buffer.from(value).toString("base64")}"}`;
  return { text, written: text, typed: `bytes ${Buffer.from(value).toString("hex")}` };
};
/** Texts, lengths and bytes that hold the bytes of a float's header. */
const LOOKS_LIKE_A_FLOAT = [
  word("A".repeat(203)),
  word("ˁABCÃÂB".repeat(40)),
  bytes(Uint8Array.from([0xcb, 0x41, 0xf0, 0, 0, 0, 0, 0, 0])),
  bytes(new Uint8Array(203).fill(0x42)),
  integer(203n),
  integer(0xcb42n),
  integer(0xcb42_0000n),
];
const leaf = fc.oneof(
  { weight: 4, arbitrary: number },
  { weight: 1, arbitrary: fc.constantFrom(...LOOKS_LIKE_A_FLOAT) },
  { weight: 1, arbitrary: fc.oneof(fc.string({ unit: "grapheme" }), fc.boolean(), fc.constant(null)).map(word) },
);
const joined = (samples: readonly Sample[], part: "text" | "written", keys?: readonly string[]): string =>
  samples.map((sample, at) => `${keys === undefined ? "" : `${JSON.stringify(keys[at])}:`}${sample[part]}`).join(",");
const listOf = (samples: readonly Sample[]): Sample => ({
  text: `[${joined(samples, "text")}]`,
  written: `[${joined(samples, "written")}]`,
  typed: samples.map(({ typed }) => typed),
});
const mapOf = (fields: readonly (readonly [string, Sample])[]): Sample => {
  const keys = fields.map(([key]) => key);
  const samples = fields.map(([, sample]) => sample);
  return {
    text: `{${joined(samples, "text", keys)}}`,
    written: `{${joined(samples, "written", keys)}}`,
    typed: Object.fromEntries(fields.map(([key, { typed }]) => [key, typed])),
  };
};
// Keys of few shapes, so that events share records; none looks like a number, whose place in a map would move.
const key = fc.constantFrom("a", "b", "ˁB", "A".repeat(203), "n");
const { map } = fc.letrec<{ map: Sample; value: Sample }>((tie) => ({
  value: fc.oneof({ depthSize: "small" }, leaf, fc.array(tie("value"), { maxLength: 20 }).map(listOf), tie("map")),
  map: fc.uniqueArray(fc.tuple(key, tie("value")), { selector: ([name]) => name, maxLength: 5 }).map(mapOf),
}));
const list = fc.array(map, { minLength: 1, maxLength: 6 });

const frame = (events: string, count: number): string =>
  `{"type":"append","stream":"s","partition":0,"producerEpoch":1,"previousSequence":null,"sequences":{"first":[1,1,0],"count":${count}},"events":${events}}`;
const sent = (events: readonly unknown[]): Uint8Array => {
  const slots = events.map((event) => ({ event }));
  const [batch] = encodeBatch({ stream: "s", partition: 0, slots } as never, FRAME_LIMITS.frameBytesMax);
  if (batch?.kind !== "encoded") throw new Error(batch?.reason ?? "there is no batch");
  return Uint8Array.from(batch.events);
};

/** Each way in by which JSON comes, up to the bytes in the log. */
const DOORS: Readonly<Record<string, (texts: readonly string[]) => Uint8Array | Promise<Uint8Array>>> = {
  "JSON over WebSocket": (texts) =>
    (decodeFrame(frame(`[${texts}]`, texts.length), SUBPROTOCOL_JSON) as AppendFrame).events,
  "JSON over HTTP": (texts) => sent(parseEvents("json", Buffer.from(`[${texts}]`)).map(({ event }) => event)),
  "NDJSON over HTTP": (texts) => sent(parseEvents("ndjson", Buffer.from(texts.join("\n"))).map(({ event }) => event)),
  "the command and the client library": (texts) => sent(texts.map((text) => jsonEvent(text))),
  "one event a batch": (texts) =>
    encodeEvents(
      texts.flatMap((text) => decodeTrustedEvents(sent([jsonEvent(text)]))),
      { asRecords: false },
    ),
  "a source of lines": async (texts) => {
    const reader = await recordReader({ format: "ndjson" } as never, "utf-8");
    const found = texts.map((text, at) => ({ bytes: Buffer.from(text), position: at, line: at + 1 }));
    const placed = await reader.read(found as never);
    return sent(placed.map(({ item }) => (item.kind === "event" ? item.event : assert.unreachable(item.reason))));
  },
};

/** Steps on the way of a record that decode events and encode them again. */
const REWRITINGS: Readonly<Record<string, (events: readonly Event[]) => Uint8Array>> = {
  "a derived stream": (events) => sent(events),
  "an outbox": (events) => Uint8Array.from(encodeEvents(events, { asRecords: true })),
  maps: (events) => Uint8Array.from(encodeEvents(events, { asRecords: false })),
};

test("JSON keeps the kind of its numbers through each way in, in the log, in a derived stream, and on its way out", async () => {
  await fc.assert(
    fc.asyncProperty(list, async (samples) => {
      const texts = samples.map(({ text }) => text);
      const typed = samples.map((sample) => sample.typed);
      for (const [door, take] of Object.entries(DOORS)) {
        const stored = Uint8Array.from(await take(texts));
        assertTyped(readTyped(stored), typed, door);
        const { events, verdicts } = decodeEvents(stored);
        assert.equal(verdicts, [], door);
        assertTexts(events as readonly Event[], samples, door);
        assertTexts(decodeTrustedEvents(stored), samples, door);
        for (const [step, write] of Object.entries(REWRITINGS))
          assertTyped(readTyped(write(decodeTrustedEvents(stored))), typed, `${door}, then ${step}`);
        const text = encodeFrame({ ...appended(samples.length), events: stored }, SUBPROTOCOL_JSON) as string;
        assert.ok(text.includes(`"events":[${samples.map(({ written }) => written)}]`), `${door}: ${text}`);
        const again = (decodeFrame(text, SUBPROTOCOL_JSON) as AppendFrame).events;
        assertTyped(readTyped(again), typed, `${door}, then JSON`);
      }
    }),
    { numRuns: 200 },
  );
});

const appended = (count: number): AppendFrame => decodeFrame(frame("[{}]", count), SUBPROTOCOL_JSON) as AppendFrame;

function assertTexts(events: readonly Event[], samples: readonly Sample[], door: string): void {
  for (const [at, event] of events.entries()) {
    const { written } = samples[at] as Sample;
    assert.is(exactJson(toJsonValue(event)), written, door);
    assert.is(exactJson(toJsonValue(jsonEvent(eventJson(event)))), written, door);
  }
}

/** Deep equality that tells -0 from 0 and floats from integers, and ignores the order of keys. */
function assertTyped(actual: Typed, expected: Typed, door: string): void {
  if (typeof expected !== "object" || expected === null) {
    assert.ok(Object.is(actual, expected), `${door}: ${String(expected)} came as ${typeof actual} ${String(actual)}`);
    return;
  }
  assert.equal(Object.keys(actual as object).sort(), Object.keys(expected).sort(), door);
  for (const [name, one] of Object.entries(expected))
    assertTyped((actual as Record<string, Typed>)[name] as Typed, one as Typed, door);
}

test("lengths that look like a float's header are passed over, in two and four bytes too", () => {
  const odd = { a: "C".repeat(0xcb41), b: new Uint8Array(0xcb43).fill(0x42), c: Array(0xcb).fill(2 ** 40), d: 2 ** 33 };
  const { a, b, c, d } = (readTyped(sent([odd, odd])) as readonly Record<string, Typed>[])[1] ?? {};
  assert.is(a, odd.a);
  assert.is(b, `bytes ${"42".repeat(0xcb43)}`);
  assert.equal(c, Array(0xcb).fill(2n ** 40n));
  assert.is(d, 2n ** 33n);
  const long = { a: "B".repeat(0xcb_41), b: "B".repeat(0x1_cb_42), d: 2 ** 33 };
  assert.is((readTyped(sent([long])) as readonly Record<string, Typed>[])[0]?.d, 2n ** 33n);
});

test("integers of every size from MessagePack stay integers where they are encoded again, and floats stay floats", () => {
  const samples = EDGES.flatMap((value) => [value, -value]).filter((value) => value >= -(2n ** 63n));
  const event = { list: samples, floats: [0.5, -0, 1e300, 2 ** 54], nested: { deep: [{ at: 1790000000000n }] } };
  const bytes = encodeEvents([event, event], { asRecords: true });
  const typed = readTyped(bytes);
  for (const [step, write] of Object.entries(REWRITINGS))
    assertTyped(readTyped(write(decodeEvents(bytes).events as readonly Event[])), typed, step);
});

test("whole floats from -2^53 to 2^53 become integers where values are encoded again; bytes that are passed on stay", () => {
  const bytes = Uint8Array.from(Buffer.from("9182a16181a162cb41f0000000000000a163ca4f800000", "hex"));
  assert.equal(readTyped(bytes), [{ a: { b: 2 ** 32 }, c: 2 ** 32 }]);
  for (const [step, write] of Object.entries(REWRITINGS))
    assert.equal(readTyped(write(decodeTrustedEvents(bytes))), [{ a: { b: 2n ** 32n }, c: 2n ** 32n }], step);
  const form: AppendFrame = { ...appended(1), events: bytes };
  const passed = decodeFrame(encodeFrame(form, "headrace.v1.msgpack"), "headrace.v1.msgpack") as AppendFrame;
  assert.equal(Uint8Array.from(passed.events), bytes);
});

test("a Map, with numbers as keys too, and the result of a `toJSON` keep the kind of their numbers", () => {
  const event = {
    map: new Map<unknown, unknown>([[2 ** 40, -(2 ** 40)]]),
    made: new (class {
      toJSON(): number {
        return 2 ** 41;
      }
    })(),
    instance: new (class {
      readonly at = 2 ** 42;
    })(),
  };
  const bytes = sent([event, event]);
  const text = Buffer.from(bytes).toString("hex");
  for (const value of ["cf0000010000000000", "d3ffffff0000000000", "cf0000020000000000", "cf0000040000000000"])
    assert.is(text.split(value).length - 1, 2, value);
});

test("-0 is a float wherever it lies, beside zeros that are integers; the event itself is not changed", () => {
  const event = { a: 0, b: -0, c: [0, -0, { d: -0 }], e: { f: [[-0]] } };
  const expected = { a: 0n, b: -0, c: [0n, -0, { d: -0 }], e: { f: [[-0]] } };
  for (const [step, write] of Object.entries(REWRITINGS))
    assertTyped(readTyped(write([event, event])), [expected, expected], step);
  assertTyped(readTyped(encodeEvent(event)), expected, "one value");
  assert.ok(Object.is(event.c[1], -0) && Object.is(event.e.f[0]?.[0], -0));
});

test.run();
