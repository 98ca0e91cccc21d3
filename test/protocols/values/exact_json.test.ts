import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Event } from "../../../protocols/mod.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { eventJson, jsonEvent } from "../../../protocols/values/json_event.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";
import { readInput } from "../../../scripts/console/records/read_input.ts";

const leaf = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(-0, 0, 2 ** 53, 2 ** 60, -(2 ** 63), 2 ** 64, 1e300, 5e-324),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 9 }),
  fc.tuple(fc.integer(), fc.integer({ min: 1, max: 999_999 })).map(([timeMs, rest]) => new PreciseDate(timeMs, rest)),
  fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true }),
);
const key = fc
  .oneof(fc.constantFrom("$int", "$time", "$bytes", "$map"), fc.string({ unit: "grapheme" }))
  .filter((name) => name !== "__proto__");
const { map } = fc.letrec<{ map: Event; value: unknown }>((tie) => ({
  value: fc.oneof({ depthSize: "small" }, leaf, fc.array(tie("value"), { maxLength: 3 }), tie("map")),
  map: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<Event>,
}));

/** An event as a consumer gets it. */
const stored = (event: Event): Event => decodeTrustedEvents(encodeEvents([event], { asRecords: false }))[0] as Event;

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

test("`produce` reads the text that `tail` prints of an event as the same event", async () => {
  await fc.assert(
    fc.asyncProperty(map, async (event) => {
      const before = stored(event);
      const text = `${exactJson(toJsonValue(before))}\n`;
      const found = [];
      const options = { name: "out.ndjson", isText: false, onBytes: () => undefined, remark: () => undefined };
      for await (const { event: read } of readInput(bytesOf(text), options)) found.push(read);
      assert.is(found.length, 1);
      assert.equal(stored(found[0] as Event), before, text);
      assert.equal(
        encodeEvents([found[0] as Event], { asRecords: false }),
        encodeEvents([before], { asRecords: false }),
      );
    }),
    { numRuns: 500 },
  );
});

test("indented text has one line for each field and reads back as the same event", () => {
  assert.is(
    eventJson({ a: [1, { b: 2n ** 60n }], none: {}, empty: [] }),
    '{\n  "a": [\n    1,\n    {\n      "b": {\n        "$int": "1152921504606846976"\n      }\n    }\n  ],\n  "none": {},\n  "empty": []\n}',
  );
  fc.assert(fc.property(map, (event) => assert.equal(stored(jsonEvent(eventJson(stored(event)))), stored(event))));
});

test("numbers are printed so that they read back as the same double", () => {
  assert.is(exactJson([-0, 2 ** 60, 0.1, 1e300]), "[-0.0,1.152921504606847e+18,0.1,1e+300]");
  assert.is(
    exactJson([2 ** 53, -(2 ** 53), 2 ** 53 + 2]),
    "[9007199254740992,-9007199254740992,9.007199254740994e+15]",
  );
  for (const value of [2 ** 60, 2 ** 53, 1e21, 1.7976931348623157e308]) assert.is(JSON.parse(exactJson(value)), value);
});

test.run();
