import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeJsonFrame } from "../../protocols/codec_json.ts";
import { decodeEvents } from "../../protocols/event_codec.ts";

const LIMITS = { tokensMax: 1_000_000, depthMax: 64 };
const frame = (events: string): string =>
  `{"type":"append","stream":"s","partition":0,"producerEpoch":1,"previousSequence":null,"sequences":{"first":[1,1,0],"count":2},"events":${events}}`;

function decode(events: string) {
  const decoded = decodeJsonFrame(frame(events), LIMITS);
  return decoded.type === "append" ? decodeEvents(decoded.events) : (assert.unreachable(decoded.type) as never);
}

test("an event whose value can not be converted is set aside alone, with its reason", () => {
  const bad = [
    '{"n":99999999999999999999}',
    '{"n":{"$int":"x"}}',
    '{"n":{"$time":"2026-02-30T00:00:00Z"}}',
    '{"n":{"$bytes":"*"}}',
  ];
  const { events, verdicts } = decode(`[{"a":1},${bad.join(",")},{"a":2}]`);
  assert.equal([events[0], events[5]], [{ a: 1 }, { a: 2 }]);
  assert.equal(
    verdicts.map(({ index, code }) => [index, code]),
    [1, 2, 3, 4].map((index) => [index, "MALFORMED_EVENT"]),
  );
  assert.match(verdicts[0]?.reason ?? "", /64 bits: current value is 99999999999999999999/);
  assert.match(verdicts[2]?.reason ?? "", /2026-02-30/);
});

test("what was converted before the fault does not keep the event from being set aside", () => {
  const { verdicts } = decode('[{"a":9007199254740993,"b":{"$bytes":"YQ=="},"c":{"$int":"x"}}]');
  assert.match(verdicts[0]?.reason ?? "", /\$int/);
});

test("a map of more keys than MessagePack's encoder takes is set aside alone", () => {
  const huge = `{${Array.from({ length: 70_000 }, (_, index) => `"k${index}":1`).join(",")}}`;
  const { events, verdicts } = decode(`[{"a":1},${huge}]`);
  assert.equal(events[0], { a: 1 });
  assert.is(verdicts[0]?.index, 1);
});

test("a frame that is no JSON is refused whole", () => {
  assert.throws(() => decode('[{"a":012345678901234567890}]'), /well formed/);
  assert.throws(() => decode("5"), /be a list/);
});

test.run();
