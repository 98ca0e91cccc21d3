import fc from "fast-check";
import { Packr } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RejectedError } from "../../../protocols/errors.ts";
import { FIELD_LIMITS } from "../../../protocols/limits.ts";
import { readAppend, writeAppend } from "../../../protocols/wire/append_codec.ts";
import { decodeFrame, FRAME_LIMITS } from "../../../protocols/wire/codec.ts";
import { type AppendFrame, SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";

const packer = new Packr({ useRecords: false });

/** Decodes with the general codec: with one level less than an append may have, the direct reader is not used. */
function general(data: Uint8Array): unknown {
  try {
    return plain(decodeFrame(data, SUBPROTOCOL_MSGPACK, { ...FRAME_LIMITS, depthMax: 3 }));
  } catch (error) {
    assert.instance(error, RejectedError);
    return "refused";
  }
}

const plain = (frame: unknown): unknown =>
  JSON.parse(JSON.stringify(frame, (_, value) => (isBytes(value) ? bytesOf(value) : value)));
const isBytes = (value: unknown): boolean =>
  value instanceof Uint8Array ||
  (typeof value === "object" && value !== null && (value as { type?: string }).type === "Buffer");
const bytesOf = (value: unknown): number[] =>
  value instanceof Uint8Array ? [...value] : (value as { data: number[] }).data;

const count = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat());
const sequence = fc.tuple(count, count, count);
const append = fc.record(
  {
    type: fc.constant("append"),
    stream: fc.oneof(fc.constant("readings"), fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" })),
    partition: count,
    producerEpoch: count,
    previousSequence: fc.option(sequence),
    sequences: fc
      .record({ first: sequence, count })
      .filter(({ first, count: events }) => Number.isSafeInteger(first[1] + events)),
    schemaVersion: fc.oneof(fc.nat(300), fc.nat({ max: FIELD_LIMITS.schemaVersionMax })),
    traceparent: fc
      .array(fc.constantFrom(..."0123456789abcdef"), { minLength: 47, maxLength: 47 })
      .map((hex) => `00-1${hex.slice(0, 31).join("")}-1${hex.slice(31, 46).join("")}-0${hex[46]}`),
    events: fc.uint8Array({ maxLength: 300 }),
  },
  { requiredKeys: ["type", "stream", "partition", "producerEpoch", "previousSequence", "sequences", "events"] },
);
const shuffled = append.chain((frame) =>
  fc
    .shuffledSubarray(Object.entries(frame), { minLength: Object.keys(frame).length })
    .map((entries) => Object.fromEntries(entries)),
);

test("A1: an append that is read directly is the one that the general codec reads, in any order of its fields", () => {
  let direct = 0;
  fc.assert(
    fc.property(shuffled, (frame) => {
      const data = packer.pack(frame);
      const read = readAppend(data);
      if (read === undefined) return;
      direct += 1;
      assert.equal(plain(read), general(data));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(direct > 500, `${direct} were read directly`);
});

test("A2: a damaged or cut append is left to the general codec, or read as that codec reads it", () => {
  fc.assert(
    fc.property(
      shuffled,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.nat(40),
      (frame, damage, cut) => {
        const whole = Uint8Array.from(packer.pack(frame));
        for (const [place, byte] of damage) whole[place % whole.length] = byte;
        const data = whole.subarray(0, Math.max(1, whole.length - (cut % 3 === 0 ? cut : 0)));
        const read = readAppend(data);
        if (read !== undefined) assert.equal(plain(read), general(data));
      },
    ),
    { numRuns: 5_000 },
  );
});

test("an append that is written directly is read back as the same append, by both codecs", () => {
  fc.assert(
    fc.property(append, (made) => {
      const frame = made as AppendFrame;
      const data = writeAppend(frame);
      assert.ok(data !== undefined);
      assert.equal(general(data as Uint8Array), plain(frame));
      const read = readAppend(data as Uint8Array);
      if (read !== undefined) assert.equal(plain(read), plain(frame));
    }),
    { numRuns: 1_000 },
  );
});

test("A1: an append with seldom used fields is left to the general codec", () => {
  const frame: AppendFrame = {
    type: "append",
    stream: "readings",
    partition: 0,
    producerEpoch: 1,
    previousSequence: null,
    sequences: { first: [0, 0, 0], count: 1 },
    events: Uint8Array.of(0x91, 0x80),
  };
  assert.is(writeAppend({ ...frame, traceparent: "00-0" }), undefined);
  assert.is(writeAppend({ ...frame, position: {} }), undefined);
  assert.is(writeAppend({ ...frame, sequences: { list: [[0, 0, 0]] } }), undefined);
  assert.is(readAppend(packer.pack({ ...frame, traceparent: "00-0" })), undefined);
  assert.is(readAppend(packer.pack({ ...frame, sequences: { list: [[0, 0, 0]] } })), undefined);
  assert.is(readAppend(packer.pack({ ...frame, stream: "" })), undefined);
  assert.ok(readAppend(packer.pack(frame)) !== undefined);
});

test("A1: an append with a trace context is written and read directly", () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (const more of [{}, { schemaVersion: 3 }]) {
    const frame: AppendFrame = {
      ...{ type: "append", stream: "readings", partition: 0, producerEpoch: 1, previousSequence: null },
      sequences: { first: [0, 0, 0], count: 1 },
      traceparent,
      events: Uint8Array.of(0x91, 0x80),
      ...more,
    };
    const data = writeAppend(frame) as Uint8Array;
    assert.equal(plain(readAppend(data) as AppendFrame), plain(frame));
    assert.equal(general(data), plain(frame));
    assert.equal(plain(readAppend(packer.pack(frame)) as AppendFrame), plain(frame));
  }
});

test("A1: an append that the general codec refuses is left to it: unknown or repeated fields, numbers out of range", () => {
  const frame = {
    ...{ type: "append", stream: "readings", partition: 0, producerEpoch: 1, previousSequence: null, schemaVersion: 1 },
    ...{ sequences: { first: [0, 0, 0], count: 1 }, events: Uint8Array.of(0x91, 0x80) },
  };
  assert.ok(readAppend(packer.pack(frame)) !== undefined);
  const { schemaVersion: _, ...shorter } = frame;
  assert.is(readAppend(packer.pack({ ...shorter, unknown: 1 })), undefined);
  for (const wrong of [{ partition: -1 }, { partition: 0.5 }, { producerEpoch: -1 }, { schemaVersion: 2 ** 33 }])
    assert.is(readAppend(packer.pack({ ...frame, ...wrong })), undefined, JSON.stringify(wrong));
  const repeated = Buffer.from(packer.pack(frame));
  repeated.write("producerEpoch", repeated.indexOf("schemaVersion"));
  assert.is(readAppend(repeated), undefined, "producerEpoch is there twice");
  assert.is(general(repeated), "refused");
});

test.run();
