import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isRfc3339, isRfc3339Date, isRfc3339Time, readRfc3339 } from "../../../protocols/values/rfc3339.ts";

test("every time of a date object is read back, with any offset", () => {
  const time = fc.date({
    min: new Date("0001-01-02T00:00:00Z"),
    max: new Date("9999-12-30T00:00:00Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(time, fc.integer({ min: -1_439, max: 1_439 }), (at, offsetMinutes) => {
      assert.is(readRfc3339(at.toISOString())?.timeMs, at.getTime());
      const local = new Date(at.getTime() + offsetMinutes * 60_000).toISOString().slice(0, -1);
      const minutes = Math.abs(offsetMinutes);
      const two = (value: number) => String(value).padStart(2, "0");
      const offset = `${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
      assert.is(readRfc3339(`${local}${offset}`)?.timeMs, at.getTime());
    }),
  );
});

test("a day is valid exactly where the calendar has it", () => {
  for (const year of [1900, 2000, 2023, 2024, 2100]) {
    for (let month = 1; month <= 13; month += 1) {
      for (let day = 0; day <= 32; day += 1) {
        const text = `${year}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
        const date = new Date(Date.UTC(year, month - 1, day));
        const exists = month <= 12 && day > 0 && date.getUTCMonth() === month - 1;
        assert.is(isRfc3339Date(text), exists, text);
        assert.is(isRfc3339(`${text}T00:00:00Z`), exists, text);
      }
    }
  }
});

test("times without an offset, of other shapes and of 24 hours are no times", () => {
  for (const text of [
    "5",
    "12/01/2000",
    "2026-12-01",
    "2026-12-01T10:00:00",
    "2026-12-01T24:00:00Z",
    "20261201T100000Z",
  ]) {
    assert.is(readRfc3339(text), undefined, text);
  }
  assert.not(isRfc3339Time("24:00:00Z"));
});

test("a leap second is valid where a month ends in UTC, and is read as the second after it", () => {
  assert.is(readRfc3339("2016-12-31T23:59:60Z")?.timeMs, Date.UTC(2017, 0, 1));
  assert.is(readRfc3339("2016-12-31T15:59:60-08:00")?.timeMs, Date.UTC(2017, 0, 1));
  assert.is(readRfc3339("2016-12-30T23:59:60Z"), undefined);
  assert.is(readRfc3339("2016-12-31T22:59:60Z"), undefined);
});

test("digits finer than a millisecond are told in nanoseconds", () => {
  assert.equal(readRfc3339("2026-12-01T10:00:00.123456Z"), {
    timeMs: Date.UTC(2026, 11, 1, 10, 0, 0, 123),
    nanoseconds: 456_000,
  });
  assert.is(readRfc3339("2026-12-01T10:00:00.1200000Z")?.nanoseconds, 0);
  assert.is(readRfc3339("2026-12-01T10:00:00.1234567899+01:00")?.nanoseconds, 456_789);
  assert.is(readRfc3339("2026-12-01T10:00:00.5Z")?.nanoseconds, 0);
  assert.is(readRfc3339("2026-12-01T10:00:00.5+01:00")?.timeMs, Date.UTC(2026, 11, 1, 9, 0, 0, 500));
});

test.run();
