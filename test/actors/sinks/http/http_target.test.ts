import { test } from "uvu";
import * as assert from "uvu/assert";
import { HttpTargets } from "../../../../actors/sinks/http/http_target.ts";
import type { Event } from "../../../../protocols/event.ts";
import { partitionId } from "../../../../protocols/position.ts";

const PLACE = { stream: "orders", partition: partitionId(0) };
const targetOf = (options: ConstructorParameters<typeof HttpTargets>[0], event: Event) => {
  const target = new HttpTargets(options).of({ event, timeMs: 0 }, PLACE);
  return target.kind === "fault" ? target.reason : `${target.url} ${JSON.stringify(target.headers)}`;
};

test("values are percent-encoded, so that they change neither the host nor the segments of the path", () => {
  const url = "https://example.org/v1/{{event.tenant}}?at={{event.at}}";
  assert.is(
    targetOf({ url }, { tenant: "a/../b@c:80#?", at: "x&y=1" }),
    "https://example.org/v1/a%2F..%2Fb%40c%3A80%23%3F?at=x%26y%3D1 {}",
  );
  for (const tenant of [".", "..", "\ud800"]) {
    const text = targetOf({ url }, { tenant, at: 1 });
    if (tenant.startsWith(".")) assert.match(text, /must not make a segment '\.' or '\.\.'/);
    else assert.match(text, /v1\/%EF%BF%BD\?/);
  }
  assert.match(
    targetOf({ url: "https://example.org/{{event.a}}{{event.b}}" }, { a: ".", b: "." }),
    /must not make a segment/,
  );
});

test("a template that could change the host is refused", () => {
  for (const url of [
    "https://{{event.host}}/",
    "https://example.org{{event.path}}",
    "https://example.org:{{event.port}}/",
  ])
    assert.throws(() => new HttpTargets({ url }), /must stand behind the host/);
});

test("a value that a header cannot hold sets its record aside, and never begins another header", () => {
  const options = { url: "https://example.org/", headers: { "x-tenant": "t-{{event.tenant}}" } };
  assert.is(targetOf(options, { tenant: "a" }), 'https://example.org/ {"x-tenant":"t-a"}');
  for (const tenant of ["a\r\nx-admin: 1", "a\nb", "\u0000", "\u4e00"])
    assert.match(targetOf(options, { tenant }), /must make a value that the header x-tenant can hold/);
});

test("records share a text where they share address and headers", () => {
  const targets = new HttpTargets({ url: "https://example.org/{{event.a}}", headers: { b: "{{event.b}}" } });
  const text = (event: Event) => targets.textOf({ event, timeMs: 0 }, PLACE);
  assert.is(text({ a: 1, b: 2, c: 3 }), text({ a: 1, b: 2 }));
  assert.is.not(text({ a: 1, b: 2 }), text({ a: 1, b: 3 }));
  assert.is(new HttpTargets({ url: "https://example.org/" }).isFixed, true);
});

test.run();
