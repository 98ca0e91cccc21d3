import * as fc from "fast-check";
import { pack, Unpackr } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference } from "../../../../actors/kernel/actor.ts";
import { decodePeerFrame, encodePeerFrame } from "../../../../actors/transport/peer/peer_codec.ts";
import {
  FRAME_NUMBERS,
  PEER_LIMITS,
  type PeerFrame,
  type WireReference,
} from "../../../../actors/transport/peer/peer_frames.ts";
import {
  CONFIGURATION_CODES,
  errorFromCode,
  FENCED_CODES,
  HeadraceError,
  INVARIANT_CODES,
  InvariantError,
  OVERLOADED_CODES,
  OverloadedError,
  REJECTED_CODES,
  RejectedError,
  UNAVAILABLE_CODES,
} from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import { PreciseDate } from "../../../../protocols/values/precise_date.ts";
import { cpuTimeMs } from "../../../support/cpu_time.ts";

const messageOf = (message: unknown): Extract<PeerFrame, { type: "message" }> => ({
  type: "message",
  lane: "data",
  to: "owner",
  weightBytes: 7,
  message,
});

function roundTrip(message: unknown): unknown {
  const frame = decodePeerFrame(encodePeerFrame(messageOf(message)));
  assert.is(frame.type, "message");
  return (frame as Extract<PeerFrame, { type: "message" }>).message;
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof HeadraceError) return error.code;
    throw error;
  }
  return "accepted";
}

/** Replaces binary values by their bytes, so that views of different kinds compare equal. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return ["bytes", ...value];
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return new Map([...value].map(([key, element]) => [plain(key), plain(element)]));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

const FRAMES: readonly Exclude<PeerFrame, { type: "unknown" }>[] = [
  {
    type: "hello",
    minor: 0,
    cluster: "c",
    node: nodeId("a"),
    incarnation: 3,
    to: nodeId("b"),
    nonce: Uint8Array.of(1, 2, 3),
    grant: { targetBytesMax: 1_000, targetMessagesMax: 5, linkBytesMax: 70_000 },
    turn: 4,
  },
  {
    type: "welcome",
    minor: 0,
    cluster: "c",
    node: nodeId("b"),
    incarnation: 9,
    nonce: Uint8Array.of(4),
    grant: { targetBytesMax: 1, targetMessagesMax: 1, linkBytesMax: 1 },
    proof: undefined,
  },
  { type: "proof", proof: Uint8Array.of(5, 6) },
  { type: "ready", turn: 12 },
  { type: "refusal", code: "FORBIDDEN", message: "no" },
  { type: "message", lane: "control", to: 17, weightBytes: 0, message: { type: "ack" } },
  messageOf({ type: "append" }),
  {
    type: "credit",
    returned: [
      { to: "owner", bytes: 70_000, messages: 3 },
      { to: 4, bytes: 0, messages: 1 },
    ],
  },
  { type: "watch", name: "member" },
  { type: "unwatch", name: "member" },
  { type: "terminated", to: 3, termination: { kind: "stopped" } },
  { type: "heartbeat" },
];

test("every frame comes back as it was sent", () => {
  for (const frame of FRAMES) assert.equal(plain(decodePeerFrame(encodePeerFrame(frame))), plain(frame), frame.type);
});

test("every value that a message may hold comes back as it was sent", () => {
  const leaf = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.double(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.uint8Array({ maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  );
  const key = fc.string().filter((name) => name !== "__proto__");
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("value"), { maxLength: 20 }),
      fc.dictionary(key, tie("value"), { noNullPrototype: true, maxKeys: 20 }),
      fc.array(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie("value"))).map((entries) => new Map(entries)),
    ),
  }));
  fc.assert(
    fc.property(value, (message) => {
      assert.equal(plain(roundTrip(message)), plain(message));
    }),
    { numRuns: 500 },
  );
});

test("a time keeps its nanoseconds between nodes, as in a resume point that is forwarded", () => {
  const { at } = roundTrip({ at: new PreciseDate(1_796_131_337_729, 123_456) }) as { at: Date };
  assert.is(at.toISOString(), "2026-12-01T13:22:17.729123456Z");
  assert.not.instance((roundTrip({ at: new Date(5) }) as { at: Date }).at, PreciseDate);
});

test("a field that is undefined arrives as undefined, and an absent field stays absent", () => {
  const back = roundTrip({ known: undefined, list: [undefined, null] }) as Record<string, unknown>;
  assert.equal(Object.keys(back), ["known", "list"]);
  assert.equal(back, { known: undefined, list: [undefined, null] });
  assert.ok(Object.is(roundTrip(-0), -0));
  assert.ok(Number.isNaN(roundTrip(Number.NaN)));
});

test("every error of Headrace arrives as its class with its code and message", () => {
  const codes = [
    ...REJECTED_CODES,
    ...UNAVAILABLE_CODES,
    ...OVERLOADED_CODES,
    ...FENCED_CODES,
    ...CONFIGURATION_CODES,
    ...INVARIANT_CODES,
  ];
  for (const code of codes) {
    const sent = errorFromCode(code, `because of ${code}`, 250);
    const { error } = roundTrip({ error: sent }) as { error: HeadraceError };
    assert.is(error.constructor, sent.constructor, code);
    assert.equal([error.code, error.message], [code, `because of ${code}`]);
    if (error instanceof OverloadedError) assert.is(error.retryAfterMs, 250);
  }
  const foreign = roundTrip(new TypeError("x is not a function")) as InvariantError;
  assert.instance(foreign, InvariantError);
  assert.is(foreign.message, "TypeError: x is not a function");
});

test("binary arrives as a view of the frame, and is copied once on the way out", () => {
  const events = new Uint8Array(100_000).fill(7);
  const bytes = encodePeerFrame(messageOf({ events }));
  events.fill(8);
  const { events: arrived } = roundTripOf(bytes) as { events: Uint8Array };
  assert.is(arrived.buffer, bytes.buffer);
  assert.ok(arrived.every((byte) => byte === 7));
});

function roundTripOf(bytes: Uint8Array): unknown {
  return (decodePeerFrame(bytes) as Extract<PeerFrame, { type: "message" }>).message;
}

test("frames laid side by side in memory do not touch each other", () => {
  const frames = Array.from({ length: 2_000 }, (_, index) =>
    encodePeerFrame(messageOf({ index, text: "x".repeat(index % 200), bytes: new Uint8Array(index % 90).fill(index) })),
  );
  frames.forEach((bytes, index) => {
    const { index: at, text, bytes: binary } = roundTripOf(bytes) as { index: number; text: string; bytes: Uint8Array };
    assert.equal([at, text.length, binary.length], [index, index % 200, index % 90]);
    assert.ok(binary.every((byte) => byte === index % 256));
  });
});

test("a reference arrives with the number or name that its own node gave it", () => {
  const actor = { path: "root/session", tell: () => undefined, send: async () => true, trySend: () => true };
  const seen: WireReference[] = [];
  const back = { ...actor, path: "imported" } as ActorReference<never>;
  const importing = (wire: WireReference) => {
    seen.push(wire);
    return back;
  };
  const sent = encodePeerFrame(messageOf({ replyTo: actor, items: [] }), (reference) => ({
    kind: "mine",
    id: 5,
    path: reference.path,
  }));
  const frame = decodePeerFrame(sent, importing) as { message: { replyTo: unknown } };
  assert.is(frame.message.replyTo, back);
  decodePeerFrame(
    encodePeerFrame(messageOf([actor]), () => ({ kind: "yours", target: "member" })),
    importing,
  );
  assert.equal(seen, [
    { kind: "mine", id: 5, path: "root/session" },
    { kind: "yours", target: "member" },
  ]);
});

test("a value that cannot be sent is the sender's bug, and spoils no later frame", () => {
  const loop: unknown[] = [];
  loop.push(loop);
  const deep = (levels: number): unknown => (levels === 0 ? 0 : [deep(levels - 1)]);
  for (const message of [
    { run: () => undefined },
    new Set([1]),
    Symbol("x"),
    loop,
    deep(PEER_LIMITS.depthMax + 1),
    JSON.parse('{"__proto__": 1}'),
    new Array(PEER_LIMITS.tokensMax + 1).fill(0),
    new Uint8Array(PEER_LIMITS.frameBytesMax),
    2n ** 64n,
    new (class Odd {})(),
  ]) {
    assert.throws(
      () => encodePeerFrame(messageOf({ before: "x".repeat(100), message })),
      (error: Error) => error instanceof InvariantError,
    );
    assert.equal(roundTrip({ fine: true }), { fine: true });
  }
});

test("the reader accepts every frame that the writer makes at its limits", () => {
  const deep = (levels: number): unknown => (levels === 0 ? new Map([[1, [new Date(5)]]]) : { a: deep(levels - 1) });
  assert.equal(roundTrip(deep(PEER_LIMITS.depthMax - 3)), deep(PEER_LIMITS.depthMax - 3));
  const many = new Array(PEER_LIMITS.tokensMax - 20).fill(undefined);
  assert.is((roundTrip(many) as unknown[]).length, many.length);
  const large = new Uint8Array(PEER_LIMITS.frameBytesMax - 100);
  assert.is((roundTrip(large) as Uint8Array).length, large.length);
});

test("limits are checked before decoding", () => {
  const startedMs = cpuTimeMs();
  const maps = new Uint8Array(8_000_000).fill(0x80);
  maps.set([0xdd, 0x00, 0x7a, 0x11, 0xf0]);
  assert.is(
    codeOf(() => decodePeerFrame(maps)),
    "FRAME_TOO_COMPLEX",
  );
  const nested = new Uint8Array(10_000).fill(0x91);
  nested.set([0x92, FRAME_NUMBERS.refusal]);
  assert.is(
    codeOf(() => decodePeerFrame(nested)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    codeOf(() => decodePeerFrame(new Uint8Array(PEER_LIMITS.frameBytesMax + 1))),
    "FRAME_TOO_LARGE",
  );
  assert.ok(cpuTimeMs() - startedMs < 500);
});

test("bytes that are no frame are malformed, however they were cut or changed", () => {
  const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
  for (const bytes of [
    hex(""),
    hex("90"),
    hex("c0"),
    hex("91a161"),
    hex("9107"), // a message without fields
    hex("9208c1"),
    hex("920991a0"),
    pack([FRAME_NUMBERS.watch, 5]),
    pack([FRAME_NUMBERS.terminated, 0, null]),
    pack([FRAME_NUMBERS.terminated, -4, null]),
    pack([FRAME_NUMBERS.credit, [1, 2]]),
    pack([FRAME_NUMBERS.credit, [1, -2, 1]]),
    pack([FRAME_NUMBERS.message, 1, "x", -1, 0]),
    pack([FRAME_NUMBERS.message, 1, "x", Number.POSITIVE_INFINITY, 0]),
    pack([FRAME_NUMBERS.hello, { minor: 0 }]),
    pack([FRAME_NUMBERS.hello, []]),
    hex("9207c9000000ff6300"), // an extension beyond the end
    hex("9209a2c328"), // no UTF-8
  ]) {
    assert.is(
      codeOf(() => decodePeerFrame(bytes)),
      "MALFORMED_FRAME",
      Buffer.from(bytes).toString("hex"),
    );
  }
  for (const frame of FRAMES) {
    const bytes = encodePeerFrame(frame);
    for (let length = 0; length < bytes.length; length += 1) {
      assert.is(
        codeOf(() => decodePeerFrame(bytes.subarray(0, length))),
        "MALFORMED_FRAME",
        `${frame.type} cut to ${length}`,
      );
    }
  }
});

test("whatever the bytes, the decoder throws nothing but a RejectedError", () => {
  const sample = encodePeerFrame(
    messageOf({
      map: new Map([[1, "ä"]]),
      error: new RejectedError("FORBIDDEN", "x"),
      at: new Date(9),
      none: undefined,
    }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1 }),
      (edits) => {
        const bytes = Uint8Array.from(sample);
        for (const [at, byte] of edits) bytes[at] = byte;
        try {
          decodePeerFrame(bytes);
        } catch (error) {
          assert.instance(error, RejectedError, String(error));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});

test("fields and types of a later minor version are ignored", () => {
  assert.equal(decodePeerFrame(pack([FRAME_NUMBERS.watch, "member", { since: 4 }, [1]])), {
    type: "watch",
    name: "member",
  });
  assert.equal(decodePeerFrame(pack([99, { anything: [1, 2] }])), { type: "unknown", number: 99 });
  const hello = FRAMES[0] as Extract<PeerFrame, { type: "hello" }>;
  const newer = { ...hello, minor: 7, compression: "zstd" };
  assert.equal(plain(decodePeerFrame(encodePeerFrame(newer))), plain({ ...hello, minor: 7 }));
});

test("vectors: the bytes that minor version 0 sends are still read", () => {
  const vectors: readonly (readonly [string, PeerFrame])[] = [
    ["9106", { type: "heartbeat" }],
    ["9204cce9", { type: "ready", turn: 233 }],
    ["9209a66d656d626572", { type: "watch", name: "member" }],
    ["930ba66d656d626572d40000", { type: "terminated", to: "member", termination: { kind: "stopped" } }],
    [
      "950701a16f0282a474797065a178a16ed40000",
      { ...messageOf(0), to: "o", weightBytes: 2, message: { type: "x", n: undefined } },
    ],
    [
      "950700050081a16dc900000003018101c0",
      { type: "message", lane: "control", to: 5, weightBytes: 0, message: { m: new Map([[1, null]]) } },
    ],
    ["920893010201", { type: "credit", returned: [{ to: 1, bytes: 2, messages: 1 }] }],
  ];
  for (const [hex, frame] of vectors) {
    assert.equal(plain(decodePeerFrame(Buffer.from(hex, "hex"))), plain(frame), hex);
  }
});

test("frames are MessagePack that other decoders read too", () => {
  const bytes = encodePeerFrame({
    ...messageOf({ type: "append", count: 70_000, events: Uint8Array.of(1), ok: true }),
  });
  assert.equal(plain(new Unpackr({ useRecords: false }).unpack(bytes)), [
    FRAME_NUMBERS.message,
    1,
    "owner",
    7,
    { type: "append", count: 70_000, events: ["bytes", 1], ok: true },
  ]);
});

test.run();
