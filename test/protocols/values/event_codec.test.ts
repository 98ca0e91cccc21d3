import * as fc from "fast-check";
import { Packr, pack } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RejectedError } from "../../../protocols/errors.ts";
import {
  countEvents,
  decodeEvents,
  decodeSlice,
  EVENT_LIMITS,
  encodeEvents,
} from "../../../protocols/values/event_codec.ts";
import { sliceEvent, sliceEvents } from "../../../protocols/values/slice_events.ts";
import { cpuTimeMs } from "../../support/cpu_time.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const key = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => text !== "__proto__");
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: "grapheme" }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 63n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) - 1n }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.date({ min: new Date("1970-01-01T00:00:00Z"), max: new Date("2100-01-01T00:00:00Z"), noInvalidDate: true }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(key, tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
}));
const event = fc.dictionary(key, value, { maxKeys: 8, noNullPrototype: true });

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof RejectedError) return error.code;
    throw error;
  }
  return "accepted";
}

test("events come back as they were sent, as maps and as records, each slice too", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), fc.boolean(), (events, asRecords) => {
      const bytes = encodeEvents(events, { asRecords });
      const decoded = decodeEvents(bytes);
      assert.equal(decoded.verdicts, []);
      assert.equal(decoded.events, events);
      assert.is(countEvents(bytes), events.length);
      assert.equal(
        sliceEvents(
          bytes,
          events.map((_, index) => index),
        ).map(decodeSlice),
        events,
      );
    }),
    { numRuns: 300 },
  );
});

test("two batches of one encoder share no state: each decodes by itself (E11)", () => {
  const first = encodeEvents(
    [
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ],
    { asRecords: true },
  );
  const second = encodeEvents([{ a: 5, b: 6 }], { asRecords: true });
  assert.equal(decodeEvents(second).events, [{ a: 5, b: 6 }]);
  assert.equal(decodeEvents(first).events, [
    { a: 1, b: 2 },
    { a: 3, b: 4 },
  ]);
  assert.equal(Buffer.from(encodeEvents([{ a: 5, b: 6 }], { asRecords: true })), Buffer.from(second));
});

test("C3: a record that this batch did not define is an integer, never another batch's record", () => {
  decodeEvents(encodeEvents([{ a: 1 }, { a: 2 }], { asRecords: true }));
  assert.equal(
    decodeEvents(hex("92 81a16140 40")).verdicts.map((verdict) => verdict.index),
    [1],
  );
  assert.equal(decodeEvents(hex("91 81a16140")).events, [{ a: 64 }]);
});

/** A batch of one definition whose key has `keyBytes`, and a list of as many references to it, each of two bytes. */
function references(keyBytes: number, count: number): Buffer {
  const key = Buffer.concat([Buffer.from([0xdb, 0, 0, 0, 0]), Buffer.alloc(keyBytes, "k")]);
  key.writeUInt32BE(keyBytes, 1);
  const list = Buffer.alloc(5, 0xdd);
  list.writeUInt32BE(count + 1, 1);
  const definition = Buffer.concat([hex("d47240 91"), key, hex("01")]);
  return Buffer.concat([hex("91 81a16c"), list, definition, Buffer.from("4001".repeat(count), "hex")]);
}

test("C1: records are judged by their size as maps: a few bytes that stand for many are refused", () => {
  assert.is(decodeEvents(references(1_000, 900)).verdicts.length, 0);
  const { verdicts } = decodeEvents(references(1_000, 1_100));
  assert.equal(
    verdicts.map(({ code }) => code),
    ["EVENT_TOO_LARGE"],
  );
  assert.is(
    refusal(() => decodeEvents(references(1_000, 17_000))),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeEvents(references(500_000, 100))),
    "FRAME_TOO_COMPLEX",
  );
});

test("a path of a verdict is cut, however long the keys are", () => {
  const key = "k".repeat(60_000);
  const { verdicts } = decodeEvents(encodeEvents([{ [key]: Number.NaN }], { asRecords: false }));
  assert.is(verdicts[0]?.path.length, 256);
});

test("C2: one bad event is named with its path and the others are kept", () => {
  const bad: readonly (readonly [string, string, string])[] = [
    ["not a number", "81a178cb7ff8000000000000", "/x"],
    ["infinity", "81a178ca7f800000", "/x"],
    ["negative infinity in a list", "81a1789101".replace("01", "cbfff0000000000000"), "/x/0"],
    ["invalid UTF-8", "81a178a2c328", "/x"],
    ["a surrogate in UTF-8", "81a178a3eda080", "/x"],
    ["a repeated key", "82a17801a17802", ""],
    ["a __proto__ key", "81a95f5f70726f746f5f5f81a16101", "/__proto__"],
    ["a nested __proto__ key", "81a17881a95f5f70726f746f5f5f01", "/x/__proto__"],
    ["an unknown extension", "81a178d40105", "/x"],
    ["a regular expression of msgpackr", "81a178c7037892a161", "/x"],
    ["a number as key", "810102", ""],
    ["a list instead of a map", "9101", ""],
    ["nothing", "c0", ""],
    ["binary instead of a map", "c4020102", ""],
  ];
  for (const [name, event, path] of bad) {
    for (const [before, after] of [
      ["81a16101", "81a16102"],
      ["d4724091a16101", "4002"],
    ] as const) {
      const bytes = hex(`93${before}${event}${after}`);
      const decoded = decodeEvents(bytes);
      assert.equal(decoded.events, [{ a: 1 }, undefined, { a: 2 }], name);
      assert.is(decoded.verdicts.length, 1, name);
      const [verdict] = decoded.verdicts;
      assert.is(verdict?.code, "MALFORMED_EVENT", name);
      assert.is(verdict?.index, 1, name);
      if (!name.includes("as key")) assert.is(verdict?.path, path, name);
      assert.equal(Buffer.from(sliceEvent(bytes, 1)).toString("hex"), event, name);
    }
  }
});

test("a flaw within a record is named by the record's own key", () => {
  const decoded = decodeEvents(hex("92 d4724092a161a162 01 02  40 01 cb7ff8000000000000"));
  assert.equal(decoded.verdicts, [
    { index: 1, code: "MALFORMED_EVENT", path: "/b", reason: "must be a finite number" },
  ]);
  assert.equal(decoded.events, [{ a: 1, b: 2 }, undefined]);
});

test("a flaw in a definition's keys is the flaw of every record of it, and of no other", () => {
  for (const keys of ["92a161a1d7", "92a161a161", "92a161a95f5f70726f746f5f5f"]) {
    // The first event has a flaw of its own before the definition, which must not hide that of the keys.
    const bytes = hex(`94 82a178cb7ff8000000000000a179d47240${keys}0102 400304 81a17a400506 81a17a05`);
    const decoded = decodeEvents(bytes);
    assert.equal(
      decoded.verdicts.map(({ index }) => index),
      [0, 1, 2],
      keys,
    );
    assert.equal(decoded.events[3], { z: 5 });
  }
});

test("keys named constructor and prototype are ordinary keys", () => {
  const events = [{ constructor: "x", prototype: 1, toString: 2 }];
  const [decoded] = decodeEvents(encodeEvents(events, { asRecords: true })).events;
  assert.equal(Object.entries(decoded ?? {}), Object.entries(events[0] as object));
  assert.is(({} as { x?: unknown }).x, undefined);
});

test("many keys are searched for repeats as well", () => {
  const fields = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`key${index}`, index]));
  const bytes = Buffer.from(encodeEvents([fields], { asRecords: false }));
  assert.equal(decodeEvents(bytes).verdicts, []);
  const at = bytes.indexOf("key199");
  bytes.write("key198", at);
  assert.is(decodeEvents(bytes).verdicts[0]?.reason, "must not have a key twice");
});

test("C1: broken framing refuses the whole batch", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["nothing at all", ""],
    ["not a list", "81a16101"],
    ["a list cut short", "9281a16101"],
    ["text beyond the end", "9181a161d9ff61"],
    ["a list of four billion", "ddffffffff"],
    ["a map of four billion", "91dfffffffff"],
    ["binary of four billion", "91c6ffffffff"],
    ["an extension beyond the end", "91c9ffffffff01"],
    ["bytes after the end", "9181a1610101"],
    ["the byte without meaning", "91c1"],
    ["a record with keys that are no text", "91d472409101"],
    ["a record with an id out of range", "91d4722091a16101"],
    ["a definition cut short", "91d472"],
    ["a float cut short", "91cb00"],
  ];
  for (const [name, bytes] of cases)
    assert.is(
      refusal(() => decodeEvents(hex(bytes))),
      "MALFORMED_FRAME",
      name,
    );
});

test("every cut of a good batch is refused, and no flip of a bit escapes as another error", () => {
  const bytes = Uint8Array.from(
    encodeEvents(
      [
        { a: "text", n: [1, 2.5, { z: new Date(0) }] },
        { a: "more", n: null },
      ],
      { asRecords: true },
    ),
  );
  for (let length = 0; length < bytes.length; length++)
    assert.is(
      refusal(() => decodeEvents(bytes.subarray(0, length))),
      "MALFORMED_FRAME",
    );
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    refusal(() => {
      const { verdicts, events } = decodeEvents(flipped);
      sliceEvents(
        flipped,
        events.map((_, index) => index),
      );
      for (const verdict of verdicts) assert.is(events[verdict.index], undefined);
    });
  }
});

test("random bytes are refused or decoded, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 15 }), (noise, count) => {
      const bytes = Uint8Array.from([0x90 | count, ...noise]);
      refusal(() => decodeEvents(bytes));
    }),
    { numRuns: 5_000 },
  );
});

test("an event that survives a mangled batch says the same when it is cut out alone", () => {
  const events = [
    { a: "text", n: [1, 2.5] },
    { a: "more", n: null },
    { a: "x", n: { a: 1, n: 2 } },
    { q: 70, r: { q: 1, r: 2 } },
  ];
  const bytes = Uint8Array.from(encodeEvents(events, { asRecords: true }));
  const byte = fc.oneof(fc.constantFrom(0xd4, 0x72, 0x40, 0x41, 0x80, 0x91, 0xc0), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: bytes.length - 1 }), byte), { minLength: 1, maxLength: 3 }),
      (changes) => {
        const mangled = Uint8Array.from(bytes);
        for (const [at, changed] of changes) mangled[at] = changed;
        refusal(() => {
          const decoded = decodeEvents(mangled);
          const slices = sliceEvents(
            mangled,
            decoded.events.map((_, index) => index),
          );
          decoded.events.forEach((kept, index) => {
            const alone = decodeEvents(Uint8Array.from([0x91, ...(slices[index] ?? [])]));
            if (kept !== undefined) assert.equal(alone.events, [kept]);
          });
        });
      },
    ),
    { numRuns: 20_000 },
  );
});

test("C1: five megabytes of empty maps are refused within 100 ms of processor time", () => {
  const bytes = new Uint8Array(5_000_005).fill(0x80);
  bytes.set([0xdd, 0x00, 0x4c, 0x4b, 0x40]);
  const nested = new Uint8Array(5_000_000).fill(0x80);
  nested.set([0x91, 0xdd, 0x00, 0x4c, 0x4b, 0x3a]);
  const startedMs = cpuTimeMs();
  assert.is(
    refusal(() => decodeEvents(bytes)),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeEvents(nested)),
    "FRAME_TOO_COMPLEX",
  );
  assert.ok(cpuTimeMs() - startedMs < 100);
});

test("C1: a depth of ten thousand is refused, the deepest allowed is taken", () => {
  const deep = (levels: number) => Uint8Array.from([0x91, 0x81, 0xa1, 0x61, ...new Array(levels).fill(0x91), 0xc0]);
  assert.is(
    refusal(() => decodeEvents(deep(10_000))),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeEvents(deep(EVENT_LIMITS.depthMax))),
    "FRAME_TOO_COMPLEX",
  );
  assert.is(
    refusal(() => decodeEvents(deep(EVENT_LIMITS.depthMax - 1))),
    "accepted",
  );
});

test("C1: more record definitions than a decoder should compile are refused, and our encoder writes fewer", () => {
  const shapes = Array.from({ length: 1_000 }, (_, index) => ({ [`key${index}`]: index }));
  assert.is(
    refusal(() => decodeEvents(new Packr({ useRecords: true }).pack(shapes))),
    "FRAME_TOO_COMPLEX",
  );
  assert.equal(decodeEvents(encodeEvents(shapes, { asRecords: true })).events, shapes);
});

test("a batch of too many events is refused, a too large event alone", () => {
  const limits = { ...EVENT_LIMITS, batchEventsMax: 3, eventBytesMax: 100 };
  assert.is(
    refusal(() => decodeEvents(pack([{}, {}, {}, {}]), limits)),
    "BATCH_TOO_LARGE",
  );
  const decoded = decodeEvents(
    encodeEvents([{ a: 1 }, { a: "x".repeat(200) }, { a: 2 }], { asRecords: false }),
    limits,
  );
  assert.equal(decoded.events, [{ a: 1 }, undefined, { a: 2 }]);
  assert.equal(
    decoded.verdicts.map(({ index, code }) => ({ index, code })),
    [{ index: 1, code: "EVENT_TOO_LARGE" }],
  );
});

test("binary, timestamps and 64-bit integers keep their kind", () => {
  const event = { b: new Uint8Array([1, 2]), t: new Date(1_700_000_000_123), i: 2n ** 62n, u: 2n ** 63n + 1n, s: 5n };
  const [decoded] = decodeEvents(encodeEvents([event], { asRecords: true })).events;
  assert.equal(Uint8Array.from(decoded?.b as Uint8Array), event.b);
  assert.is(Number(decoded?.t), 1_700_000_000_123);
  assert.is(decoded?.i, 2n ** 62n);
  assert.is(decoded?.u, 2n ** 63n + 1n);
  assert.is(decoded?.s, 5);
});

test("undefined becomes null", () => {
  assert.equal(plain(decodeEvents(encodeEvents([{ a: undefined, b: 1 }], { asRecords: true })).events), [
    { a: null, b: 1 },
  ]);
});

test.run();
