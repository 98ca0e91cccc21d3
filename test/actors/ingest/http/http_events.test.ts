import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseFormat, parseEvents } from "../../../../actors/ingest/http/http_events.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const formatOf = (type: string, allowed: readonly string[] = []) => {
  const chosen = chooseFormat(type, allowed);
  return chosen.kind === "format" ? chosen.format : chosen.reason;
};
const eventsOf = (format: "json" | "ndjson" | "form" | "text", body: string | Uint8Array) =>
  parseEvents(format, typeof body === "string" ? bytes(body) : body).map(({ event, fault }) => fault?.reason ?? event);

test("types that end in +json are JSON, whatever their case and parameters", () => {
  for (const type of ["application/json", "application/cloudevents+json; charset=UTF-8", "Application/Problem+JSON"]) {
    assert.is(formatOf(type), "json", type);
  }
  assert.is(formatOf("application/cloudevents-batch+json"), "json");
  assert.is(formatOf('application/x-ndjson;charset="utf-8"'), "ndjson");
  assert.match(formatOf("application/+json"), /must be JSON/);
  assert.match(formatOf(""), /current value is none/);
});

test("a charset other than UTF-8 is refused by its name", () => {
  assert.match(formatOf("application/json; charset=iso-8859-1"), /charset must be UTF-8: current value is iso-8859-1/);
  assert.match(formatOf("text/plain; charset=utf-16", ["text"]), /utf-16/);
});

test("forms and plain text are taken where the stream allows them", () => {
  assert.match(formatOf("text/plain"), /bodyFormats must name text/);
  assert.match(formatOf("application/x-www-form-urlencoded", ["text"]), /bodyFormats must name form/);
  assert.is(formatOf("text/plain", ["text"]), "text");
  assert.equal(eventsOf("form", "a=1&b=x+y%C3%A9&b=z&c"), [{ a: "1", b: ["x yé", "z"], c: "" }]);
  assert.equal(eventsOf("text", "one\ntwo"), [{ text: "one\ntwo" }]);
});

test("unreadable input keeps its true reason", () => {
  const broken = new Uint8Array([0x61, 0xff]);
  assert.equal(eventsOf("ndjson", broken), ["it is not UTF-8"]);
  assert.equal(eventsOf("form", "a=%ff"), ["a percent-encoded field of the form is not UTF-8"]);
  assert.equal(eventsOf("text", broken), ["it is not UTF-8"]);
  assert.match(String(eventsOf("ndjson", "{")[0]), /JSON/);
});

test("a value that no event can hold is named by its path, as a fault of the schema is", () => {
  const [tagged] = parseEvents("json", bytes('[{"a":9007199254740993,"b c":[{"$int":"x"}]}]'));
  assert.equal(tagged?.fault, {
    code: "MALFORMED_EVENT",
    path: "/b c/0/$int",
    reason: 'must hold the digits of an integer, as text: current value is "x"',
  });
  const [plain] = parseEvents("ndjson", bytes('{"a/b":99999999999999999999}'));
  assert.is(plain?.fault?.path, "/a~1b");
  assert.match(plain?.fault?.reason ?? "", /^must be an integer of 64 bits/);
});

test("an event that is set aside for an integer beyond 64 bits keeps its values as the sender wrote them", () => {
  const text =
    '{"a":{"$bytes":"AAE="},"n":[18446744073709551616,9007199254740993],"b":{"$int":"5"},"c":1.2345678901234567e+19}';
  const sent = parseEvents("json", bytes(`[${text}]`))[0]?.event as { original: Uint8Array };
  assert.is(new TextDecoder().decode(sent.original), text.replace("9007199254740993", '{"$int":"9007199254740993"}'));
});

test("a map of more keys than the encoder takes is that event's own fault", () => {
  const huge = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, 1]));
  assert.match(String(eventsOf("json", JSON.stringify([{ a: huge }]))[0]), /at most 65535 keys/);
});

test.run();
