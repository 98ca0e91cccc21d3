import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventTimeReader } from "../../../supervisors/node/event_time.ts";

const APPENDED = 77;

function read(at: unknown, unit: "s" | "ms" | "us" | "ns" = "ms"): number | "none" {
  let missing = 0;
  const timeOf = eventTimeReader({ pointer: "/at", unit }, () => {
    missing += 1;
  });
  const timeMs = timeOf(at === undefined ? {} : { at }, APPENDED);
  assert.is(timeMs === APPENDED, missing === 1, "an event without a time is counted once");
  return missing === 1 ? "none" : timeMs;
}

test("RFC 3339 text, timestamps and milliseconds are times", () => {
  assert.is(read("2026-12-01T10:00:00.5+01:00"), Date.UTC(2026, 11, 1, 9, 0, 0, 500));
  assert.is(read(new Date(5)), 5);
  assert.is(read(1_764_583_200_000), 1_764_583_200_000);
  assert.is(read(-1), -1);
});

test("numbers are in the configured unit", () => {
  assert.is(read(1_764_583_200, "s"), 1_764_583_200_000);
  assert.is(read(1_764_583_200.5, "s"), 1_764_583_200_500);
  assert.is(read(1_764_583_200_000_000, "us"), 1_764_583_200_000);
  assert.is(read(1_764_583_200_123_456_789n, "ns"), 1_764_583_200_123);
  assert.is(read("2026-12-01T00:00:00Z", "s"), Date.UTC(2026, 11, 1));
});

test("anything else is none and is counted: nothing is guessed", () => {
  const others = [
    "5",
    "12/01/2000",
    "2020-02-30T00:00:00Z",
    "2026-12-01T10:00:00",
    "2026-12-01",
    "",
    true,
    null,
    [],
    {},
  ];
  for (const other of [...others, undefined, Number.NaN, 1e300, 2n ** 63n, new Date(Number.NaN)]) {
    assert.is(read(other), "none", String(other));
  }
});

test("a property that every object inherits is no time", () => {
  const timeOf = eventTimeReader({ pointer: "/constructor/length", unit: "ms" });
  assert.is(timeOf({}, APPENDED), APPENDED);
});

test.run();
