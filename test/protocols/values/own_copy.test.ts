import { test } from "uvu";
import * as assert from "uvu/assert";
import { ownCopy } from "../../../protocols/values/own_copy.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";

test("a copy equals its event, and no change of the copy reaches the event", () => {
  const event = {
    ...{ text: "a", count: 1, big: 2n ** 63n, none: null, list: [{ deep: [1] }], bytes: Uint8Array.of(1, 2) },
    ...{ at: new Date(5), finer: new PreciseDate(5, 7) },
  };
  const copy = ownCopy(event);
  assert.equal(copy, event);
  assert.is(copy.finer.toISOString(), event.finer.toISOString());
  copy.text = "b";
  copy.list[0]?.deep.push(2);
  copy.bytes[0] = 9;
  copy.at.setTime(6);
  copy.finer.setTime(6);
  assert.equal([event.text, event.list, event.bytes[0]], ["a", [{ deep: [1] }], 1]);
  assert.equal([event.at.getTime(), event.finer.getTime()], [5, 5]);
});

test("a field named __proto__ is copied as a field", () => {
  const event = JSON.parse('{"__proto__": {"a": 1}, "b": 2}') as object;
  const copy = ownCopy(event);
  assert.equal(Object.keys(copy), ["__proto__", "b"]);
  assert.is(JSON.stringify(copy), JSON.stringify(event));
});

test.run();
