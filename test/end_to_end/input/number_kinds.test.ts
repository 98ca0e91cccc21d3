import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type AppendFrame,
  type Event,
  encodeEvents,
  encodeFrame,
  jsonEvent,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from "../../../protocols/mod.ts";
import { EVENT_LEVELS_MAX } from "../../../protocols/values/event_complexity.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { readTyped, type Typed } from "../../support/clients/typed_msgpack.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const CONFIGURATION = `
log: { type: memory }
streams:
  events: { durability: memory, partitions: 1 }
  copy: { durability: memory, partitions: 1 }
sinks: { copied: { type: stream, stream: copy } }
pipelines: { p: { from: events, steps: [{ filter: "true" }], to: [copied] } }
`;

/** The records of the stream as a typed reader finds them, once there are `count`. */
async function typedRecords(node: TestNode, stream: string, count: number): Promise<readonly Typed[]> {
  const client = await RawClient.open(node.endpoint);
  await client.ask({ type: "hello", client: "typed" });
  client.send({
    type: "subscribe",
    subscription: 1,
    stream,
    channel: "records",
    partitions: [{ partition: 0, from: "earliest" }],
    creditBytes: 10_000_000,
  });
  const found: Typed[] = [];
  while (found.length < count) {
    const frame = await client.next();
    if (frame === undefined) throw new Error("the connection ended");
    if (frame.type !== "records") continue;
    for (const { events } of frame.batches) found.push(...(readTyped(events) as readonly Typed[]));
  }
  client.end();
  return found;
}

test("an integer that comes as JSON over WebSocket or HTTP is an integer in the stream and in a derived stream", async () => {
  const node = await runningNode(CONFIGURATION);
  const text =
    '{"at":1790000000000,"below":-4294967297,"most":9007199254740992,"beyond":18446744073709551615,"zero":-0.0,"half":0.5}';
  const typed = {
    at: 1_790_000_000_000n,
    below: -4_294_967_297n,
    most: 2n ** 53n,
    beyond: 2n ** 64n - 1n,
    zero: -0,
    half: 0.5,
  };
  const post = (type: string, body: string) =>
    fetch(`${node.address}/v1/streams/events/events`, { method: "POST", headers: { "content-type": type }, body });
  assert.is((await post("application/json", text)).ok, true);
  assert.is((await post("application/x-ndjson", `${text}\n`)).ok, true);
  for (const subprotocol of [SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK] as const) {
    const producer = node.producer({ producerId: subprotocol, stream: "events" }, subprotocol);
    await producer.send(jsonEvent(text));
    await producer.close({ timeoutMs: 5_000 });
  }
  for (const stream of ["events", "copy"]) {
    const records = await typedRecords(node, stream, 4);
    assert.equal(records, [typed, typed, typed, typed], stream);
    for (const record of records) assert.ok(Object.is((record as { zero: number }).zero, -0), stream);
  }
  const page = await (await fetch(`${node.address}/v1/streams/copy/partitions/0/records`)).text();
  const written = text.replace("18446744073709551615", '{"$int":"18446744073709551615"}');
  assert.is(page.split(`"event":${written}`).length - 1, 4, page);
  await node.end();
});

test(`an event of ${EVENT_LEVELS_MAX} levels goes in and out by every door; one of more is refused`, async () => {
  const node = await runningNode(CONFIGURATION);
  const nested = (levels: number): Event => {
    let event: Event = { at: 2n ** 60n };
    for (let level = 1; level < levels; level++) event = { a: event };
    return event;
  };
  const json = (levels: number) => `${'{"a":'.repeat(levels - 1)}{"at":1152921504606846976}${"}".repeat(levels - 1)}`;
  const post = async (type: string, body: string) => {
    const headers = { "content-type": type };
    const answer = await fetch(`${node.address}/v1/streams/events/events`, { method: "POST", headers, body });
    return { status: answer.status, text: await answer.text() };
  };
  for (const [type, wrap] of [
    ["application/json", (text: string) => text],
    ["application/json", (text: string) => `[${text}]`],
    ["application/x-ndjson", (text: string) => text],
  ] as const) {
    const taken = await post(type, wrap(json(EVENT_LEVELS_MAX)));
    assert.ok(taken.status < 300, taken.text);
    const refused = await post(type, wrap(json(EVENT_LEVELS_MAX + 1)));
    assert.ok(refused.status >= 400 && refused.status < 500, refused.text);
    assert.match(refused.text, /64 levels/);
  }
  for (const subprotocol of [SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK] as const) {
    const producer = node.producer({ producerId: subprotocol, stream: "events" }, subprotocol);
    await producer.send(nested(EVENT_LEVELS_MAX));
    assert.equal((await producer.close({ timeoutMs: 5_000 })).stored, 1);
  }
  for (const stream of ["events", "copy"]) {
    assert.equal((await typedRecords(node, stream, 5)).length, 5);
    const path = `${node.address}/v1/streams/${stream}/partitions/0/records`;
    const page = await eventually(async () => {
      const { records } = jsonEvent(await (await fetch(path)).text(), 3) as { records: { event: Event }[] };
      return records.length === 5 ? records : undefined;
    });
    assert.equal(
      page.map(({ event }) => event),
      Array(5).fill(nested(EVENT_LEVELS_MAX)),
    );
  }
  for (const subprotocol of [SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK] as const) {
    const client = await RawClient.open(node.endpoint, subprotocol);
    const producerEpoch = await client.produceTo(`deep ${subprotocol}`, "events", 0);
    const frame: AppendFrame = {
      type: "append",
      stream: "events",
      partition: 0,
      producerEpoch,
      previousSequence: null,
      sequences: { first: [1, 1, 0], count: 1 },
      events: encodeEvents([nested(EVENT_LEVELS_MAX + 1)], { asRecords: false }),
    };
    // `encodeFrame` refuses to write such an event in JSON.
    const { events: _bytes, ...rest } = frame;
    const text = JSON.stringify(rest).replace(/}$/, `,"events":[${json(EVENT_LEVELS_MAX + 1)}]}`);
    client.raw(subprotocol === SUBPROTOCOL_JSON ? text : encodeFrame(frame, subprotocol));
    const answer = await client.next();
    assert.is(answer?.type === "error" && answer.code, "FRAME_TOO_COMPLEX", subprotocol);
    client.end();
  }
  await node.end();
});

test.run();
