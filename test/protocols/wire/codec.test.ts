import * as fc from "fast-check";
import { pack } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RejectedError } from "../../../protocols/errors.ts";
import { decodeEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS, wireBytes } from "../../../protocols/wire/codec.ts";
import { type Frame, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { VECTOR_FRAMES as SAMPLE_FRAMES } from "../../../scripts/vector_samples.ts";
import { cpuTimeMs } from "../../support/cpu_time.ts";

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof RejectedError) return error.code;
    throw error;
  }
  return "accepted";
}

/** Compares binary by its bytes and events by their values, as JSON carries no encoded events. */
function comparable(value: unknown, key = ""): unknown {
  if (key === "events" && value instanceof Uint8Array)
    return decodeEvents(value).events.map((event) => comparable(event));
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map((element) => comparable(element));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, comparable(field, name)]));
}

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`every frame comes back as it was sent over ${subprotocol}`, () => {
    for (const frame of SAMPLE_FRAMES) {
      assert.equal(
        comparable(decodeFrame(encodeFrame(frame, subprotocol), subprotocol)),
        comparable(frame),
        frame.type,
      );
    }
  });

  test(`a field that a frame does not know is no error over ${subprotocol}`, () => {
    for (const frame of SAMPLE_FRAMES) {
      const newer = { ...frame, fieldOfALaterVersion: { deep: [1] } } as unknown as Frame;
      assert.is(decodeFrame(encodeFrame(newer, subprotocol), subprotocol).type, frame.type);
    }
  });

  test(`a missing or mistyped field is refused and named over ${subprotocol}`, () => {
    for (const frame of SAMPLE_FRAMES) {
      for (const name of Object.keys(frame)) {
        if (name === "events" || name === "batches") continue;
        const broken = { ...frame, [name]: name === "type" ? 7 : [[true]] } as unknown as Frame;
        assert.throws(
          () => decodeFrame(encodeFrame(broken, subprotocol), subprotocol),
          (error: Error) =>
            error instanceof RejectedError && error.code === "MALFORMED_FRAME" && error.message.includes(`/${name}`),
          `${frame.type}.${name}`,
        );
      }
    }
  });
}

test("a frame of an unknown type is UNKNOWN_FRAME, and one without a type malformed", () => {
  for (const [data, code] of [
    [{ type: "shout" }, "UNKNOWN_FRAME"],
    [{ kind: 1 }, "MALFORMED_FRAME"],
    [[], "MALFORMED_FRAME"],
    [null, "MALFORMED_FRAME"],
    [{ type: "constructor" }, "UNKNOWN_FRAME"],
  ] as const) {
    assert.is(
      refusal(() => decodeFrame(pack(data), SUBPROTOCOL_MSGPACK)),
      code,
    );
    assert.is(
      refusal(() => decodeFrame(JSON.stringify(data), SUBPROTOCOL_JSON)),
      code,
    );
  }
});

test("limits come before decoding in both subprotocols", () => {
  const startedMs = cpuTimeMs();
  const maps = new Uint8Array(4_000_000).fill(0x80);
  maps.set([0xdd, 0x00, 0x3d, 0x08, 0xfb]);
  assert.is(
    refusal(() => decodeFrame(maps, SUBPROTOCOL_MSGPACK)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeFrame(`[${"{},".repeat(1_200_000)}{}]`, SUBPROTOCOL_JSON)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeFrame("[".repeat(10_000), SUBPROTOCOL_JSON)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeFrame(new Uint8Array(10_000).fill(0x91), SUBPROTOCOL_MSGPACK)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeFrame(new Uint8Array(FRAME_LIMITS.frameBytesMax + 1), SUBPROTOCOL_MSGPACK)),
    "FRAME_TOO_LARGE",
  );
  assert.is(
    refusal(() => decodeFrame(" ".repeat(FRAME_LIMITS.frameBytesMax + 1), SUBPROTOCOL_JSON)),
    "FRAME_TOO_LARGE",
  );
  assert.ok(cpuTimeMs() - startedMs < 500);
});

test("malformed frames are refused: cut, repeated keys, prototypes, bad UTF-8, the wrong kind of message", () => {
  const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
  const hello = encodeFrame({ type: "hello", client: "x" }, SUBPROTOCOL_MSGPACK) as Uint8Array;
  for (let length = 0; length < hello.length; length++) {
    assert.is(
      refusal(() => decodeFrame(hello.subarray(0, length), SUBPROTOCOL_MSGPACK)),
      "MALFORMED_FRAME",
    );
  }
  for (const bytes of [
    "82a16101a16102",
    "81a95f5f70726f746f5f5f80",
    "81a474797065a2c328",
    "81a474797065d40105",
    "81a474797065cb7ff8000000000000",
  ]) {
    assert.is(
      refusal(() => decodeFrame(hex(bytes), SUBPROTOCOL_MSGPACK)),
      "MALFORMED_FRAME",
      bytes,
    );
  }
  assert.is(
    refusal(() => decodeFrame("{}", SUBPROTOCOL_MSGPACK)),
    "MALFORMED_FRAME",
  );
  for (const text of [
    "",
    "{",
    '{"type":"hello","type":"hello"}',
    '{"a":{"b":1,"\\u0062":2}}',
    '{"type":"hello","client":{"$int":"x"}}',
    "nonsense",
  ]) {
    assert.is(
      refusal(() => decodeFrame(text, SUBPROTOCOL_JSON)),
      "MALFORMED_FRAME",
      text,
    );
  }
  assert.is(
    refusal(() => decodeFrame(hex("22c32822"), SUBPROTOCOL_JSON)),
    "MALFORMED_FRAME",
  );
});

test("sequences must be triples in ascending order", () => {
  const append = SAMPLE_FRAMES.find((frame) => frame.type === "append") as Extract<Frame, { type: "append" }>;
  for (const list of [
    [
      [0, 2, 0],
      [0, 1, 0],
    ],
    [
      [0, 1, 0],
      [0, 1, 0],
    ],
    [[0, 1]],
    [[0, -1, 0]],
    [[0, 1.5, 0]],
  ]) {
    const frame = { ...append, sequences: { list } } as unknown as Frame;
    assert.is(
      refusal(() => decodeFrame(encodeFrame(frame, SUBPROTOCOL_MSGPACK), SUBPROTOCOL_MSGPACK)),
      "MALFORMED_FRAME",
    );
  }
});

test("tags carry values that JSON has no form for, and a map that looks like a tag stays a map", () => {
  const position = {
    big: 2n ** 63n,
    small: -(2n ** 60n),
    bytes: new Uint8Array([0, 255]),
    at: new Date(1_700_000_000_123),
    lookalike: { $int: "5" },
    wrapped: { $map: { $time: 1 } },
    two: { $int: 1, other: 2 },
  };
  const frame: Frame = { type: "opened", stream: "s", partition: 0, lastSequence: null, position };
  const text = encodeFrame(frame, SUBPROTOCOL_JSON) as string;
  assert.ok(text.includes('{"$int":"9223372036854775808"}') && text.includes('{"$bytes":"AP8="}'));
  assert.equal(comparable(decodeFrame(text, SUBPROTOCOL_JSON)), comparable(frame));
});

test("a __proto__ key in a JSON event becomes a verdict, and pollutes nothing", () => {
  const text =
    '{"type":"append","stream":"s","partition":0,"producerEpoch":1,"previousSequence":null,"sequences":{"first":[0,0,0],"count":2},"events":[{"__proto__":{"x":{"$int":"9"}}},{"a":1}]}';
  const frame = decodeFrame(text, SUBPROTOCOL_JSON);
  assert.is(frame.type, "append");
  if (frame.type !== "append") return;
  const { events, verdicts } = decodeEvents(frame.events);
  assert.equal(events, [undefined, { a: 1 }]);
  assert.is(verdicts[0]?.path, "/__proto__");
  assert.is(({} as { x?: unknown }).x, undefined);
});

test("numbers too large for JSON, and lone surrogates, reject their event alone", () => {
  const prefix =
    '{"type":"append","stream":"s","partition":0,"producerEpoch":1,"previousSequence":null,"sequences":{"first":[0,0,0],"count":3},"events":';
  const frame = decodeFrame(`${prefix}[{"a":1e999},{"a":"\\ud800"},{"a":"\\ud83d\\ude00"}]}`, SUBPROTOCOL_JSON);
  if (frame.type !== "append") throw new Error("not an append");
  assert.equal(
    decodeEvents(frame.events).events.map((event) => event !== undefined),
    [false, false, true],
  );
});

test("random text and bytes are refused with a code, or are frames", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.json(), (bytes, json) => {
      refusal(() => decodeFrame(bytes, SUBPROTOCOL_MSGPACK));
      refusal(() => decodeFrame(json, SUBPROTOCOL_JSON));
    }),
    { numRuns: 1_000 },
  );
});

test("wire bytes count UTF-8", () => {
  assert.is(wireBytes("é"), 2);
  assert.is(wireBytes(new Uint8Array(5)), 5);
  assert.ok(encodeEvents([{}], { asRecords: false }).length > 0);
});

test("a frame keeps no more memory than its bytes, however large the frames before it were", () => {
  const place = { subscription: 1, stream: "s", partition: 0 };
  const about = { epoch: 1, firstOffset: 0, count: 1, appendedAtMs: 1, schemaVersion: 0 };
  const frames: Frame[] = [
    { type: "records", ...place, endOffset: 1, batches: [{ ...about, events: new Uint8Array(100_000) }] },
    { type: "ack", stream: "s", partition: 0, lastSequence: [0, 1, 0], creditBytes: 1 },
    { type: "records", ...place, endOffset: 1, batches: [{ ...about, events: new Uint8Array(1_000) }] },
  ];
  for (const frame of frames) {
    const bytes = encodeFrame(frame, SUBPROTOCOL_MSGPACK) as Uint8Array;
    assert.is(bytes.buffer.byteLength, bytes.byteLength, frame.type);
  }
});

test.run();
