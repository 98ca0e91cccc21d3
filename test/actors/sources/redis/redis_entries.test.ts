import { test } from "uvu";
import * as assert from "uvu/assert";
import { comparePlaces, itemOf, placeOf } from "../../../../actors/sources/redis/redis_entries.ts";
import { encodeCompact } from "../../../../protocols/values/event_codec.ts";

const fields = (...texts: readonly (string | Uint8Array)[]) => texts.map((text) => Buffer.from(text as string));

test("without a payload, the event is a map of the entry's fields; bytes that are no text stay bytes", () => {
  const item = itemOf(fields("a", "1", "b", Uint8Array.of(0xff), "__proto__", "x"), 7, {});
  assert.is(item.kind, "event");
  if (item.kind !== "event") return;
  assert.equal(Object.entries(item.event), [
    ["a", "1"],
    ["b", Uint8Array.of(0xff)],
    ["__proto__", "x"],
  ]);
  assert.is(item.timeMs, 7);
});

test("a field that comes several times is a list of its values", () => {
  assert.equal(itemOf(fields("a", "1", "a", "2", "a", "3"), 0, {}), {
    ...{ kind: "event", event: { a: ["1", "2", "3"] }, timeMs: 0 },
  });
});

test("a payload is JSON or MessagePack, and the other fields are headers, key and trace context", () => {
  const expected = { kind: "event", event: { n: 1 }, headers: { id: "k", traceparent: "t" }, key: "k", timeMs: 5 };
  for (const payload of ['{"n":1}', encodeCompact({ n: 1 })]) {
    const item = itemOf(fields("id", "k", "p", payload, "traceparent", "t"), 5, { payload: "p", key: "id" });
    assert.equal(item, { ...expected, traceparent: "t" });
  }
});

test("what cannot be read is a malformed item with its own bytes and a reason", () => {
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ["[1]", /map/],
    ["{ no", /JSON/],
    ["", /JSON|map/],
    [Uint8Array.of(0xff), /neither/],
    [Uint8Array.of(0x81, 0xa1), /./],
    [Uint8Array.of(0x80, 0x80), /./],
  ];
  for (const [payload, reason] of cases) {
    const item = itemOf(fields("p", payload), 0, { payload: "p" });
    assert.is(item.kind, "malformed", String(payload));
    if (item.kind !== "malformed") continue;
    assert.match(item.reason, reason);
    assert.equal(Buffer.from(item.original), Buffer.from(payload as string));
  }
  const without = itemOf(fields("a", "1"), 0, { payload: "p" });
  assert.ok(without.kind === "malformed" && without.reason.includes("must have the field p"));
  assert.is(itemOf(fields(Uint8Array.of(0xff), "1"), 0, {}).kind, "malformed");
});

test("ids are compared by both parts, and ids beyond 2^53 have no place", () => {
  const place = (id: string) => placeOf(id) ?? { ms: -1, count: -1 };
  assert.ok(comparePlaces(place("5-10"), place("5-9")) > 0);
  assert.ok(comparePlaces(place("10-0"), place("9-999")) > 0);
  assert.is(placeOf("1-18446744073709551615"), undefined);
});

test.run();
