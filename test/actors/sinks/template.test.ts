import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileTemplate, RENDERED_CHARACTERS_MAX } from "../../../actors/sinks/template.ts";
import type { Event } from "../../../protocols/event.ts";
import { partitionId } from "../../../protocols/position.ts";

const PLACE = { stream: "orders", partition: partitionId(3) };
const TIME_MS = Date.parse("2026-03-09T04:05:06.789Z");

const render = (source: string, event: Event = {}, timeMs = TIME_MS) => {
  const rendered = compileTemplate(source, "'url'").render({ event, timeMs }, PLACE);
  return rendered.kind === "text" ? rendered.text : `${rendered.path} ${rendered.reason}`;
};

test("a template is filled with fields of the event, its time in UTC, and its place", () => {
  const event = { customer: { name: "a b" }, n: 7, big: 2n ** 60n, on: false, "x~/y": 1 };
  assert.is(
    render("/{{event.customer.name}}/{{ event.n }}/{{event.big}}/{{event.on}}", event),
    "/a b/7/1152921504606846976/false",
  );
  assert.is(render("{{time:%Y-%m-%d %H:%M:%S}} 100{{time:%%}}"), "2026-03-09 04:05:06 100%");
  assert.is(render("{{stream}}-{{partition}}"), "orders-3");
  assert.is(render("no part"), "no part");
});

test("a value is encoded for its place, and the text around it is not", () => {
  const template = compileTemplate("/a b/{{event.v}}", "'url'");
  const rendered = template.render({ event: { v: "c/d" }, timeMs: 0 }, PLACE, encodeURIComponent);
  assert.equal(rendered, { kind: "text", text: "/a b/c%2Fd" });
});

test("a record without a value that fits is named with the path", () => {
  for (const [event, kind] of [
    [{}, "absent"],
    [{ a: null }, "null"],
    [{ a: [1] }, "a list"],
    [{ a: { b: 1 } }, "a map"],
  ] as const)
    assert.is(
      render("{{event.a}}", event),
      `/a must be a text, a number or a boolean, as the sink's address needs it: it is ${kind}`,
    );
  assert.match(render("{{event.a/b.c}}"), /^\/a~1b\/c must/);
  assert.match(render("{{event.constructor}}"), /absent/);
  assert.match(render("{{time:%Y}}", {}, 1e15), /year of four digits/);
});

test("a rendered text is bounded", () => {
  assert.is(render("{{event.a}}", { a: "x".repeat(RENDERED_CHARACTERS_MAX) }).length, RENDERED_CHARACTERS_MAX);
  assert.match(render("-{{event.a}}", { a: "x".repeat(RENDERED_CHARACTERS_MAX) }), /at most 8192 characters/);
});

test("a template that cannot be used is refused with the character of the fault", () => {
  const reasons = [
    ["/{{event.a", /'url' at character 2 as '\{\{' must have its '\}\}'/],
    ["/ab/{{evnt.a}}", /at character 5 as a part must be event/],
    ["{{event}}", /a part must be/],
    ["{{event..a}}", /a part must be/],
    ["{{time:%Q}}", /a directive of time must be one of %Y %m %d %H %M %S %%: it is %Q/],
    ["{{time:%}}", /a directive of time/],
    ["{{stream}}".repeat(51), /at most 50 parts/],
  ] as const;
  for (const [source, reason] of reasons) assert.throws(() => compileTemplate(source, "'url'"), reason);
});

test.run();
