import { test } from "uvu";
import * as assert from "uvu/assert";
import { idempotencyKey, prepareRequest } from "../../../../actors/sinks/http/http_request.ts";
import { partitionId } from "../../../../protocols/position.ts";
import { sinkBatch } from "../../../support/fakes/fake_sink_context.ts";

const PARTITION = { stream: "readings", partition: partitionId(0) };
const { records } = sinkBatch(1, 0, 2);

test("sink S8: records that cannot be expressed are named by their index in the request", () => {
  const odd = records.map((record, at) => (at === 0 ? record : { ...record, event: { n: Number.NaN } }));
  const prepared = prepareRequest(odd, { partition: PARTITION, format: "json" });
  assert.equal(prepared.kind === "rejected" && prepared.records.map(({ at, path, isFinal }) => [at, path, isFinal]), [
    [1, "/n", true],
    [2, "/n", true],
  ]);
});

test("records become lines, or an array", () => {
  const lines = prepareRequest(records.slice(0, 2), { partition: PARTITION, format: "ndjson" });
  assert.is(lines.kind === "request" && lines.body, '{"at":0,"ofEpoch":1}\n{"at":1,"ofEpoch":1}\n');
  const list = prepareRequest(records.slice(0, 2), { partition: PARTITION, format: "json" });
  assert.is(list.kind === "request" && list.body, '[{"at":0,"ofEpoch":1},{"at":1,"ofEpoch":1}]');
});

test("the format `object` sends the record alone, as JSON", () => {
  const one = prepareRequest(records.slice(1, 2), { partition: PARTITION, format: "object" });
  assert.is(one.kind === "request" && one.body, '{"at":1,"ofEpoch":1}');
  assert.is(one.kind === "request" && one.headers["content-type"], "application/json");
});

test("the configuration's content type wins over the format's", () => {
  for (const format of ["ndjson", "json", "object"] as const) {
    const form = { partition: PARTITION, format, contentType: "application/vnd.a+json" };
    const prepared = prepareRequest(records.slice(0, 1), form);
    assert.is(prepared.kind === "request" && prepared.headers["content-type"], "application/vnd.a+json");
  }
});

test("numbers keep their kind: a whole float beyond 2^53 has an exponent, a big integer is the text of its digits", () => {
  const event = {
    a: 1.2345678901234567e19,
    b: [-1e20, -0, 2 ** 53 - 1],
    c: { big: 2n ** 63n },
    at: new Date(0),
    d: undefined,
  };
  const odd = [{ ...records[0], event }] as unknown as typeof records;
  const prepared = prepareRequest(odd, { partition: PARTITION, format: "ndjson" });
  const text =
    '{"a":1.2345678901234567e+19,"b":[-1e+20,-0.0,9007199254740991],"c":{"big":"9223372036854775808"},"at":"1970-01-01T00:00:00.000Z"}\n';
  assert.is(prepared.kind === "request" && prepared.body, text);
});

test("any name of a stream makes a key that a header can hold, and different names make different keys", () => {
  const names = ["a\nb", "a b", "\u2603", "\ud800", "\udbff", "a%20b", "\u{1f600}"];
  const keys = names.flatMap((stream) => {
    const partition = { stream, partition: partitionId(0) };
    return [idempotencyKey(partition, records), idempotencyKey(PARTITION, records, { replay: stream })];
  });
  for (const key of keys) assert.is(new Headers({ "idempotency-key": key }).get("idempotency-key"), key);
  assert.is(new Set(keys).size, keys.length);
});

test("the rest of a request has another key than the whole", () => {
  const [first, , last] = records;
  if (first === undefined || last === undefined) throw new Error("three records");
  assert.is.not(idempotencyKey(PARTITION, records), idempotencyKey(PARTITION, [first, last]));
});

test("keys of deliveries with different names differ, those of their replays too", () => {
  const stream = (name: string) => ({ stream: name, partition: partitionId(0) });
  const keys = [
    idempotencyKey(PARTITION, records),
    ...["0", "slow", "replay"].map((as) => idempotencyKey(PARTITION, records, { as })),
    ...["0", "slow"].map((as) => idempotencyKey(PARTITION, records, { as, replay: "r" })),
    idempotencyKey(PARTITION, records, { replay: "r" }),
    ...["slow", "as"].map((name) => idempotencyKey(stream(name), records)),
  ];
  assert.is(new Set(keys).size, keys.length);
  assert.match(keys[2] ?? "", /^@slow\/readings\/0\//);
});

test("a dead letter that is sent alone has the key of its record, whatever the letter's place and the replay's name", () => {
  const origin = { source: {}, firstIndex: 2, replayed: {}, key: "hook/orders of \ud800/0/1/7" };
  const letters = records.map((record) => ({ ...record, index: 0, origin }));
  const [first, second] = letters.map((letter, at) => idempotencyKey(PARTITION, [letter], { replay: `name ${at}` }));
  assert.is(first, "replay/~letter/hook/orders%20of%20%5Cud800/0/1/7.2");
  assert.is(second, first);
  assert.match(
    idempotencyKey(PARTITION, letters, { replay: "name" }),
    /^replay\/name\//,
    "several share a request of one replay",
  );
});

test.run();
