import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { isSameTime, PreciseDate } from "../../../protocols/values/precise_date.ts";

const bytes = (hex: string) => Buffer.from(hex, "hex");
/** One event `{t: time}` with the time's bytes as another client would write them. */
const decoded = (extension: string) => decodeEvents(bytes(`9181a174${extension}`)).events[0]?.t as Date;
const encoded = (time: Date) => {
  const hex = Buffer.from(encodeEvents([{ t: time }], { asRecords: false })).toString("hex");
  return hex.slice(hex.indexOf("a174") + 4);
};

test("a timestamp of 64 or 96 bits is read and written with its nanoseconds", () => {
  const inText: readonly (readonly [string, string])[] = [
    ["d7ff1d6f345465920080", "2024-01-01T00:00:00.123456789Z"],
    ["d7ff0000000465920080", "2024-01-01T00:00:00.000000001Z"],
    ["c70cff075bcd15ffffffffffffffff", "1969-12-31T23:59:59.123456789Z"],
    ["c70cff075bcd150000003afff44180", "+010000-01-01T00:00:00.123456789Z"],
  ];
  for (const [extension, text] of inText) {
    const time = decoded(extension);
    assert.is(time.toISOString(), text);
    assert.is(encoded(time), extension);
  }
});

test("a time of whole milliseconds is a plain Date", () => {
  for (const extension of ["d6ff65920080", "d7ff1d53530065920080"]) {
    const time = decoded(extension);
    assert.not.instance(time, PreciseDate);
    assert.is(encoded(time), extension);
  }
});

test("a timestamp that is no time is set aside, not changed to another time", () => {
  for (const extension of [
    "d7ffee6b280000000000",
    "d7ffffffffff00000001",
    "c70cff3b9aca000000000000000000",
    "c70cff000000017fffffffffffffff",
  ]) {
    const { verdicts } = decodeEvents(bytes(`9181a174${extension}`));
    assert.is(verdicts[0]?.path, "/t");
    assert.match(verdicts[0]?.reason ?? "", /must be a time that exists/);
  }
});

test("two times are the same only to the nanosecond", () => {
  const at = (nanoseconds: number) => new PreciseDate(5, nanoseconds);
  assert.ok(isSameTime(at(7), at(7)));
  assert.not.ok(isSameTime(at(7), at(8)));
  assert.not.ok(isSameTime(at(7), new Date(5)));
  assert.ok(isSameTime(new Date(5), new Date(5)));
});

test.run();
