import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { visibleText } from "../../../protocols/values/visible_text.ts";

test("characters that steer a terminal, break a line, change the direction of reading or take no room are escaped", () => {
  const steering = [
    ...["\u0000", "\u0007", "\b", "\t", "\n", "\r", "\u001b", "\u007f", "\u0085", "\u009b", "\u009d"],
    ...["\u00ad", "\u061c", "\u200b", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069"],
    ...["\u2028", "\u2029", "\ufeff", "\ufff9", "\ud800", "\udfff", "\u{e0041}"],
  ];
  for (const character of steering) assert.match(visibleText(`a${character}b`), /^a(\\u[0-9a-f]{4}){1,2}b$/);
  assert.is(visibleText("\u001b]0;OWNED\u0007"), "\\u001b]0;OWNED\\u0007");
});

test("ordinary text stays as it is", () => {
  for (const text of ["", "plain text, 7 %", "Grüße, 東京, Привет", "שלום", "😀", "a\\u001b"])
    assert.is(visibleText(text), text);
});

test("JSON keeps its value, whatever its texts hold", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, text) => {
      const json = JSON.stringify({ value, text, "\u009b\u202e": 1 });
      assert.equal(JSON.parse(visibleText(json)), JSON.parse(json));
    }),
  );
});

test.run();
