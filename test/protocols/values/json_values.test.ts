import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { fromJsonValue, toJsonValue } from "../../../protocols/values/json_values.ts";

const refused = (value: unknown, reason: RegExp) => assert.throws(() => fromJsonValue(value), reason);

test("a time that does not exist is refused, not changed to another", () => {
  refused({ $time: "2026-02-30T00:00:00Z" }, /\$time must hold a time of RFC 3339 in UTC.*2026-02-30/);
  refused({ $time: "2026-12-01T24:00:00Z" }, /\$time must hold/);
  refused({ $time: "2016-12-31T23:59:60Z" }, /\$time must hold/);
  refused({ $time: "2026-12-01T10:00:00" }, /\$time must hold/);
  refused({ $time: 5 }, /\$time must hold.*current value is 5/);
});

test("a time keeps its digits to the nanosecond, and finer ones are refused and not cut", () => {
  refused({ $time: "2026-12-01T10:00:00.1234567891Z" }, /\$time must hold/);
  for (const digits of ["123456", "123456789", "000000001", "000001"]) {
    for (const day of ["2026-12-01", "1969-12-31", "0000-01-01", "+012026-12-01", "-000001-01-01"]) {
      const time = { $time: `${day}T10:00:00.${digits}Z` };
      const read = fromJsonValue({ ...time });
      assert.equal(toJsonValue(read), time);
      assert.equal(toJsonValue(decodeEvents(encodeEvents([{ at: read }], { asRecords: true })).events[0]), {
        at: time,
      });
    }
  }
  assert.equal(fromJsonValue({ $time: "2026-12-01T10:00:00.123000000Z" }), new Date("2026-12-01T10:00:00.123Z"));
});

test("every time that a date holds is written and read back", () => {
  for (const timeMs of [0, 1_764_583_200_123, -62_167_219_200_001, 253_402_300_800_000, 8.64e15, -8.64e15]) {
    assert.equal(fromJsonValue(toJsonValue(new Date(timeMs))), new Date(timeMs));
  }
  assert.is(toJsonValue(new Date(Number.NaN)), null);
});

test("a tag with a value of another kind is refused with the kind that it needs", () => {
  refused({ $int: "x" }, /\$int must hold the digits of an integer, as text: current value is "x"/);
  refused({ $int: "99999999999999999999" }, /fit 64 bits/);
  refused({ $bytes: "*" }, /base64/);
  refused({ $map: 1 }, /\$map must hold a map/);
});

test("base64 that is not RFC 4648 with padding is refused, and no bit or character of it dropped", () => {
  for (const text of ["AAE", "AA\nE=", " AAE=", "AAF=", "AAE==", "-_8=", "A"]) {
    refused(
      { a: { $bytes: text } },
      /as \/a\/\$bytes must hold base64 of RFC 4648 with padding, as text: current value is "/,
    );
  }
  assert.equal(fromJsonValue({ $bytes: "AAE=" }), new Uint8Array([0, 1]));
  assert.equal(fromJsonValue({ $bytes: "" }), new Uint8Array(0));
});

test("a bad tag is named by its path", () => {
  refused(
    { ok: { $int: "1" }, "a/b": [0, [], { "c~": { $map: { $int: { $int: "x" } } } }] },
    /as \/a~1b\/2\/c~0\/\$map\/\$int\/\$int must hold/,
  );
});

test.run();
