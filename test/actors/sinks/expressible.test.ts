import { test } from "uvu";
import * as assert from "uvu/assert";
import { DEPTH_MAX, EVENT_FORM, JSON_FORM, judgeValue } from "../../../actors/sinks/expressible.ts";

test("a value without a form is named with its path", () => {
  const event = { a: [{ "b/c~d": Number.NaN }] };
  assert.equal(judgeValue(event, JSON_FORM), { path: "/a/0/b~1c~0d", reason: "must be a finite number: it is NaN" });
});

test("values that need more than plain JSON are told from those that do not", () => {
  assert.is(judgeValue({ a: [1, "b", null, true, new Date(0)] }, JSON_FORM), "plain");
  assert.is(judgeValue({ a: [1n] }, JSON_FORM), "special");
  assert.is(judgeValue({ a: [2 ** 54] }, JSON_FORM), "special");
  assert.is(judgeValue({ a: new Uint8Array(1) }, JSON_FORM), "special");
});

test("half of a surrogate pair has an escape in JSON, and no form in UTF-8; a whole pair has both", () => {
  assert.is(judgeValue({ "\ud800": "\udc00" }, JSON_FORM), "plain");
  assert.equal(judgeValue({ a: "\udc00" }, EVENT_FORM), {
    path: "/a",
    reason: "must be text in UTF-8: it holds half of a surrogate pair",
  });
  assert.is(judgeValue({ "\u{1f600}": "\u{1f600}" }, EVENT_FORM), "plain");
});

test("depth is bounded, and one level below the bound is accepted", () => {
  const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
  assert.is(judgeValue(nested(DEPTH_MAX), JSON_FORM), "plain");
  assert.type(judgeValue(nested(DEPTH_MAX + 1), JSON_FORM), "object");
});

test("objects without a prototype are maps, instances of classes are not", () => {
  assert.is(judgeValue(Object.assign(Object.create(null), { a: 1 }), JSON_FORM), "plain");
  assert.equal(judgeValue({ a: new Map() }, JSON_FORM), {
    path: "/a",
    reason: "must be data: it is an instance of Map",
  });
});

test.run();
