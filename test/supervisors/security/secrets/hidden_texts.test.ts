import { test } from "uvu";
import * as assert from "uvu/assert";
import { HiddenTexts } from "../../../../supervisors/security/secrets/hidden_texts.ts";

function hiding(...values: readonly string[]): HiddenTexts {
  const hidden = new HiddenTexts();
  for (const value of values) hidden.add(value);
  return hidden;
}

test("the token in a value of scheme and token is hidden without its scheme too", () => {
  const hidden = hiding("Bearer sekret-7f3a9c", "Basic\tdXNlcjpwYXNz", "ApiKey  0123456789+/=\r\n");
  assert.is(hidden.hide("no sekret-7f3a9c here"), "no [hidden] here");
  assert.is(hidden.hide("got 'Bearer sekret-7f3a9c'"), "got '[hidden]'");
  assert.is(hidden.hide("dXNlcjpwYXNz or 0123456789+/="), "[hidden] or [hidden]");
  assert.is(hidden.hide("0123456789%2B%2F%3D"), "[hidden]");
  assert.is(hidden.hide("Bearer of news"), "Bearer of news");
});

test("a short token, and the words of a longer text, stay readable", () => {
  const hidden = hiding("Bearer 1234567", "pass of many-words here");
  assert.is(hidden.hide("1234567, many-words"), "1234567, many-words");
});

test("a value is hidden also without the space around it", () => {
  assert.is(hiding(" sekret-7f3a9c \n").hide("<sekret-7f3a9c>"), "<[hidden]>");
});

test("a secret that the end of a text cuts off is hidden if at least 8 characters are left", () => {
  const hidden = hiding("Bearer sekret-7f3a9c-of-the-test");
  assert.is(hidden.hide("400 no sekret-7f3a9c-of-t"), "400 no [hidden]");
  assert.is(hidden.hide("400 no sekret-7"), "400 no [hidden]");
  assert.is(hidden.hide("400 no sekret-"), "400 no sekret-");
  assert.is(hidden.hide("sekret-sekret-7f3"), "sekret-[hidden]");
  assert.is(hidden.hide("sekret-7f3 and more"), "sekret-7f3 and more");
});

test("the host of an address stays readable at the end of a text", () => {
  const hidden = new HiddenTexts();
  hidden.addAddress("https://hooks.example/services/sekret-7f3a9c-of-the-test");
  assert.is(hidden.hide("Cannot reach https://hooks.example"), "Cannot reach https://hooks.example");
});

test.run();
