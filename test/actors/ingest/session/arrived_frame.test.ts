import { test } from "uvu";
import * as assert from "uvu/assert";
import { arrived, decodeArrived } from "../../../../actors/ingest/session/arrived_frame.ts";
import { RejectedError } from "../../../../protocols/errors.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { AppendFrame } from "../../../../protocols/wire/frames.ts";

const GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const APPEND: AppendFrame = {
  type: "append",
  stream: "readings",
  partition: 0,
  producerEpoch: 7,
  previousSequence: null,
  sequences: { first: [0, 0, 0], count: 1 },
  events: encodeEvents([{ n: 1 }], { asRecords: false }),
};

test("a malformed trace context is left out and counted, and its append is taken", () => {
  let dropped = 0;
  const of = (traceparent: string) => arrived({ ...APPEND, traceparent }, 9, () => dropped++);
  assert.equal(of(GOOD), { type: "frame", frame: { ...APPEND, traceparent: GOOD }, wireBytes: 9 });
  assert.is(dropped, 0);
  const bad = [
    "x",
    `${GOOD}\r\nX: 1`,
    "a".repeat(70_000),
    GOOD.toUpperCase(),
    GOOD.replace("00-", "ff-"),
    `00-${"0".repeat(32)}${GOOD.slice(35)}`,
  ];
  for (const traceparent of bad) assert.equal(of(traceparent), { type: "frame", frame: APPEND, wireBytes: 9 });
  assert.is(dropped, bad.length);
});

test("bytes that are no frame arrive as their refusal, and a fault of the decoder is thrown", () => {
  const decoded = (error: Error) =>
    decodeArrived(
      { data: "", wireBytes: 0 },
      () => {
        throw error;
      },
      () => undefined,
    );
  const refusal = new RejectedError("MALFORMED_FRAME", "Cannot read a frame");
  assert.equal(decoded(refusal), { type: "malformed", error: refusal });
  assert.throws(() => decoded(new TypeError("a fault")), /a fault/);
});

test.run();
