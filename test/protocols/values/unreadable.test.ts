/** Input that could not be made an event keeps its reason and its bytes on the way to the dead letters. */
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createInspect } from "../../../actors/ingest/session/inspection.ts";
import {
  decodeEvents,
  decodeSlice,
  EVENT_LIMITS,
  encodeEvent,
  encodeEvents,
} from "../../../protocols/values/event_codec.ts";
import {
  readUnreadable,
  UNREADABLE_REASON_CHARACTERS_MAX,
  UnreadableInput,
  wireValue,
} from "../../../protocols/values/unreadable.ts";

const test = suite("input that is no event");

test("a reason, its bytes and its path come back as they were sent, of any length", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 400 }),
      fc.uint8Array({ maxLength: 70_000 }),
      fc.string({ unit: "grapheme", maxLength: 100 }),
      (reason, original, path) => {
        const found = readUnreadable(encodeEvent(wireValue(new UnreadableInput(reason, original, path))));
        assert.equal([found?.reason, found?.path], [reason, path]);
        assert.equal([...(found?.original ?? [])], [...original]);
      },
    ),
    { numRuns: 200 },
  );
});

test("other lists, and values cut short, are not taken for unreadable input", () => {
  for (const value of [[], ["a"], ["a", "b"], [1, new Uint8Array(1)], ["a", new Uint8Array(1), 1], { a: 1 }, "text"]) {
    assert.is(readUnreadable(encodeEvent(value)), undefined);
  }
  for (const place of [[], ["/a"]]) {
    const whole = encodeEvent(["why", new Uint8Array(40), ...place]);
    for (let length = 0; length < whole.length; length++)
      assert.is(readUnreadable(whole.subarray(0, length)), undefined);
  }
});

test("a reason is cut to its bound", () => {
  assert.is(new UnreadableInput("x".repeat(5_000), new Uint8Array()).reason.length, UNREADABLE_REASON_CHARACTERS_MAX);
});

test("a path that is too long is left out: a cut path would name another value", () => {
  assert.is(new UnreadableInput("why", new Uint8Array(), `/${"x".repeat(5_000)}`).path, "");
});

test("the verdict names the client's reason, and the dead letter holds the bytes alone", () => {
  const bytes = encodeEvents([{ a: 1 }, ["line 2 is not UTF-8", new Uint8Array([0xff, 0x0a])], [1, 2]], {
    asRecords: true,
  });
  const { verdicts, events } = decodeEvents(bytes);
  assert.equal(events[0], { a: 1 });
  assert.equal(
    verdicts.map(({ reason, path }) => [path, reason]),
    [
      ["", "line 2 is not UTF-8"],
      ["", "must be a map"],
    ],
  );
  const placed = encodeEvents([["must hold text", new Uint8Array([1]), "/a/$int"]], { asRecords: true });
  const verdict = { index: 0, code: "MALFORMED_EVENT", path: "/a/$int", reason: "must hold text" };
  assert.equal(decodeEvents(placed).verdicts, [verdict]);
  const inspect = createInspect(new Map(), EVENT_LIMITS);
  const { rejects } = inspect("s", bytes, { first: [0, 1, 0], count: 3 }, "p", undefined);
  const letters = decodeEvents(rejects?.events ?? new Uint8Array()).events;
  const original = letters[0]?.original as Uint8Array;
  assert.equal([...(decodeSlice(original) as unknown as Uint8Array)], [0xff, 0x0a]);
});

test.run();
