import { test } from "uvu";
import * as assert from "uvu/assert";
import { cutEvents, joinEvents } from "../../../protocols/values/cut_events.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";

const events = Array.from({ length: 5 }, (_, n) => ({ n, name: `event ${n}` }));

test("E2: the rest of a batch whose first events are stored decodes by itself, as maps and as records", () => {
  for (const asRecords of [false, true]) {
    const bytes = encodeEvents(events, { asRecords });
    for (let first = 0; first <= events.length; first++) {
      assert.equal(decodeTrustedEvents(cutEvents(bytes, first)), events.slice(first), `from ${first}`);
    }
  }
});

test("events that were encoded one by one are one array", () => {
  const alone = events.map((event) => encodeEvents([event], { asRecords: false }).subarray(1));
  assert.equal(decodeTrustedEvents(joinEvents(alone)), events);
  assert.equal(decodeTrustedEvents(joinEvents([])), []);
});

test.run();
