/** Every field of every frame at its bound, one below, one beyond and at 65,536, in both subprotocols. */
import { Packr } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RejectedError } from "../../../protocols/errors.ts";
import { FIELD_LIMITS } from "../../../protocols/limits.ts";
import { encodeCompact, encodeEvent, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { decodeFrame, encodeFrame } from "../../../protocols/wire/codec.ts";
import { type Frame, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";

type Value = unknown;
/** Makes a value of a number of characters, bytes or elements, or the number itself. */
type Make = (size: number, subprotocol: typeof SUBPROTOCOL_JSON | typeof SUBPROTOCOL_MSGPACK) => Value;

const text = (size: number) => "x".repeat(size);
const number: Make = (size) => size;
/** The frames of this package have maps with two bytes of length. */
const position: Make = (size, subprotocol) => {
  const sizeOf = subprotocol === SUBPROTOCOL_JSON ? encodeCompact : encodeEvent;
  let value = { a: "" };
  for (let length = size; sizeOf(value).length !== size && length >= 0; length -= 1) value = { a: "x".repeat(length) };
  return value;
};
const starts: Make = (size) => Array.from({ length: size }, (_, partition) => ({ partition, from: "latest" }));
const listed: Make = (size) => ({ list: Array.from({ length: size }, (_, n) => [0, n, 0]) });

const place = { stream: "s", partition: 0 };
const events = encodeEvents([{ a: 1 }], { asRecords: false });
const FRAMES: Readonly<Record<string, Record<string, Value>>> = {
  hello: { client: "c", minor: 2, token: "t", producerId: "p", instance: "i", producerEpoch: 1, forward: true },
  open: { ...place, producerEpoch: 1 },
  append: {
    ...place,
    producerEpoch: 1,
    previousSequence: null,
    sequences: { first: [0, 0, 0], count: 1 },
    schemaVersion: 1,
    events,
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    position: { a: 1 },
  },
  lost: { ...place, producerEpoch: 1, from: null, to: [0, 1, 0] },
  subscribe: {
    subscription: 1,
    stream: "s",
    channel: "records",
    partitions: [{ partition: 0, from: "latest" }],
    creditBytes: 1,
  },
  unsubscribe: { subscription: 1 },
  credit: { subscription: 1, creditBytes: 1 },
  goodbye: {},
  opened: { ...place, lastSequence: null, position: { a: 1 } },
  ack: {
    ...place,
    lastSequence: [0, 1, 0],
    creditBytes: 1,
    verdicts: [{ sequence: [0, 1, 0], code: "X", path: "/a", reason: "r" }],
  },
  moved: { ...place, address: "ws://a" },
  moving: { ...place, address: "ws://a" },
  error: { code: "TIMEOUT", message: "m", retryAfterMs: 1, ...place, subscription: 1, creditBytes: 1 },
  trimmed: { subscription: 1, ...place, firstOffset: 1 },
  truncated: { subscription: 1, ...place, divergence: 1 },
};

const { nameCharactersMax, addressCharactersMax, codeCharactersMax, pathCharactersMax, messageCharactersMax } =
  FIELD_LIMITS;
const MAX = Number.MAX_SAFE_INTEGER;

/** The bound of each field that has one, and how a value of a size is made. A number's bound is its greatest value. */
const BOUNDED: readonly (readonly [frame: string, field: string, bound: number, make: Make])[] = [
  ["hello", "client", FIELD_LIMITS.clientCharactersMax, text],
  ["hello", "token", FIELD_LIMITS.tokenCharactersMax, text],
  ["hello", "producerId", nameCharactersMax, text],
  ["hello", "instance", nameCharactersMax, text],
  ["hello", "minor", MAX, number],
  ["hello", "producerEpoch", MAX, number],
  ["open", "stream", nameCharactersMax, text],
  ["open", "partition", MAX, number],
  ["open", "producerEpoch", MAX, number],
  ["append", "stream", nameCharactersMax, text],
  ["append", "partition", MAX, number],
  ["append", "schemaVersion", FIELD_LIMITS.schemaVersionMax, number],
  ["append", "position", FIELD_LIMITS.positionBytesMax, position],
  ["append", "sequences", FIELD_LIMITS.sequencesMax, listed],
  ["append", "sequences", MAX, (count) => ({ first: [0, 0, 0], count })],
  ["append", "sequences", MAX, (at) => ({ first: [0, at - 1, 0], count: 2 })],
  ["append", "previousSequence", MAX, (at) => [0, at, 0]],
  ["lost", "stream", nameCharactersMax, text],
  ["lost", "to", MAX, (at) => [at, 0, 0]],
  ["lost", "from", MAX, (at) => [0, 0, at]],
  ["subscribe", "subscription", MAX, number],
  ["subscribe", "stream", nameCharactersMax, text],
  ["subscribe", "partitions", FIELD_LIMITS.subscriptionPartitionsMax, starts],
  ["subscribe", "partitions", MAX, (offset) => [{ partition: 0, from: { offset } }]],
  ["subscribe", "partitions", MAX, (timeMs) => [{ partition: 0, from: { timeMs } }]],
  ["subscribe", "creditBytes", MAX, number],
  ["unsubscribe", "subscription", MAX, number],
  ["credit", "creditBytes", MAX, number],
  ["opened", "stream", nameCharactersMax, text],
  ["ack", "lastSequence", MAX, (at) => [0, at, 0]],
  ["ack", "verdicts", codeCharactersMax, (size) => [{ sequence: [0, 1, 0], code: text(size), path: "", reason: "" }]],
  ["ack", "verdicts", pathCharactersMax, (size) => [{ sequence: [0, 1, 0], code: "X", path: text(size), reason: "" }]],
  [
    "ack",
    "verdicts",
    messageCharactersMax,
    (size) => [{ sequence: [0, 1, 0], code: "X", path: "", reason: text(size) }],
  ],
  ["moved", "address", addressCharactersMax, text],
  ["moving", "address", addressCharactersMax, text],
  ["error", "code", codeCharactersMax, text],
  ["error", "message", messageCharactersMax, text],
  ["error", "stream", nameCharactersMax, text],
  ["trimmed", "firstOffset", MAX, number],
  ["truncated", "divergence", MAX, number],
];

/**
 * Fields bounded by the frame alone: bytes that are judged later, and a trace context, which is dropped where
 * malformed.
 */
const BOUNDED_ELSEWHERE = new Set(["append.events", "append.traceparent", "append.producerEpoch", "hello.forward"]);

function outcomeOf(
  type: string,
  fields: Record<string, Value>,
  subprotocol: typeof SUBPROTOCOL_JSON | typeof SUBPROTOCOL_MSGPACK,
) {
  const data = encodeFrame({ type, ...fields } as unknown as Frame, subprotocol);
  try {
    decodeFrame(data, subprotocol);
    return "taken";
  } catch (error) {
    assert.instance(error, RejectedError);
    return `${(error as RejectedError).code} ${(error as RejectedError).message}`;
  }
}

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  for (const [type, field, bound, make] of BOUNDED) {
    test(`${subprotocol}: ${field} of ${type} is taken up to ${bound} and named where it is beyond`, () => {
      const withSize = (size: number) =>
        outcomeOf(type, { ...FRAMES[type], [field]: make(size, subprotocol) }, subprotocol);
      assert.is(withSize(bound - 1), "taken");
      assert.is(withSize(bound), "taken");
      assert.match(withSize(bound + 1), new RegExp(`^MALFORMED_FRAME Cannot .* (as|must) .*${field}|fit 64 bits`));
      if (bound < 65_536) assert.match(withSize(65_536), /^MALFORMED_FRAME /);
    });
  }
}

test("a resume point counts in the bytes that it was sent in, whatever its encoder chose", () => {
  const { positionBytesMax } = FIELD_LIMITS;
  const compact = new Packr({ useRecords: false, variableMapSize: true });
  const sent = (fields: Record<string, Value>) => {
    try {
      decodeFrame(compact.pack({ type: "append", ...FRAMES.append, ...fields }), SUBPROTOCOL_MSGPACK);
      return "taken";
    } catch (error) {
      return (error as RejectedError).message;
    }
  };
  // Maps that this package's own encoder would write with two bytes more each.
  const maps = (size: number) => ({ a: Array(size - 6).fill({}) });
  assert.is(compact.pack(maps(positionBytesMax)).length, positionBytesMax);
  for (const size of [positionBytesMax - 1, positionBytesMax]) assert.is(sent({ position: maps(size) }), "taken");
  const beyond = sent({ position: maps(positionBytesMax + 1) });
  assert.match(beyond, /position must have at most 4096 bytes: current value is 4097/);
  // A frame with the field as its last, and a frame without it.
  assert.is(sent({ position: null, more: maps(positionBytesMax + 1) }), "taken");
});

test("no field is without a bound", () => {
  const known = new Set(BOUNDED.map(([type, field]) => `${type}.${field}`));
  const numeric = (value: Value) => typeof value === "number" || Array.isArray(value);
  const left = Object.entries(FRAMES).flatMap(([type, fields]) =>
    Object.entries(fields).flatMap(([field, value]) => {
      const name = `${type}.${field}`;
      const isText = typeof value === "string" && !["channel", "stream"].includes(field);
      return known.has(name) || BOUNDED_ELSEWHERE.has(name) || numeric(value) || !isText ? [] : [name];
    }),
  );
  assert.equal(left, []);
});

test("a required field must be present: an absent predecessor is not taken for null", () => {
  const { previousSequence: _, ...append } = FRAMES.append ?? {};
  const { from: __, ...lost } = FRAMES.lost ?? {};
  for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
    assert.match(outcomeOf("append", append, subprotocol), /MALFORMED_FRAME .*\/previousSequence/);
    assert.match(outcomeOf("lost", lost, subprotocol), /MALFORMED_FRAME .*\/from/);
  }
});

test.run();
