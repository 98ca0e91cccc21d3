/**
 * One of several subscribers of large batches stops reading for a while: no record is missed or sent twice, and no
 * other subscriber waits.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RECORDS_LIMITS } from "../../../actors/ingest/session/records_budget.ts";
import { readRecords } from "../../../protocols/client/consumer/read_records.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { encodeFrame, wireBytes } from "../../../protocols/wire/codec.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const EVENT_BYTES = 600_000;
const EVENTS_PER_BATCH = 6;
const BATCHES = 3;
const RECORDS = EVENTS_PER_BATCH * BATCHES;
/** Bytes of a frame beside its events. */
const AROUND_BYTES = 2_048;

const node = nodeOfEachTest(test, "streams: { large: { partitions: 1, durability: memory } }");

test.before.each(async () => {
  const producer = await RawClient.open(node.endpoint);
  const producerEpoch = await producer.produceTo("large", "large", 0);
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const first = batch * EVENTS_PER_BATCH;
    const events = Array.from({ length: EVENTS_PER_BATCH }, (_, n) => ({ n: first + n, pad: "x".repeat(EVENT_BYTES) }));
    const answer = await producer.ask({
      ...{ type: "append", stream: "large", partition: 0, producerEpoch },
      previousSequence: batch === 0 ? null : [0, first - 1, 0],
      sequences: { first: [0, first, 0], count: EVENTS_PER_BATCH },
      events: encodeEvents(events, { asRecords: true }),
    });
    assert.is(answer?.type, "ack");
  }
  producer.end();
});

async function subscribe(subprotocol: Subprotocol, fromOffset: number): Promise<RawClient> {
  const client = await RawClient.open(node.endpoint, subprotocol);
  await client.ask({ type: "hello", client: "reader" });
  const partitions = [{ partition: 0, from: { offset: fromOffset } }];
  client.send({ type: "subscribe", subscription: 1, stream: "large", partitions, creditBytes: 67_108_864 });
  return client;
}

/** Offsets of all records from `fromOffset` on, as they come. */
async function readAll(client: RawClient, fromOffset: number): Promise<number[]> {
  const offsets: number[] = [];
  while (offsets.length < RECORDS - fromOffset) {
    const frame = await client.next();
    if (frame?.type !== "records") throw new Error(`no records: ${frame?.type}`);
    const sizeBytes = wireBytes(encodeFrame(frame, client.subprotocol));
    assert.ok(sizeBytes <= RECORDS_LIMITS.connectionBytesMax + AROUND_BYTES, `a frame of ${sizeBytes} bytes`);
    for (const { position, event } of readRecords(frame, 0)) {
      assert.is(event.n, position.offset);
      offsets.push(position.offset);
    }
  }
  return offsets;
}

const from = (first: number) => Array.from({ length: RECORDS - first }, (_, index) => first + index);
const socketOf = (client: RawClient) =>
  (client.socket as unknown as { _socket: { pause(): void; resume(): void } })._socket;

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`${subprotocol}: batches larger than a connection's share come in parts, each record once, from any offset`, async () => {
    for (const first of [0, 1, EVENTS_PER_BATCH, EVENTS_PER_BATCH + 4]) {
      const client = await subscribe(subprotocol, first);
      assert.equal(await readAll(client, first), from(first));
      client.end();
    }
  });

  test(`${subprotocol}: a subscriber that stops reading delays no other, and later reads on from its place`, async () => {
    const mute = await subscribe(subprotocol, 0);
    socketOf(mute).pause();
    const reader = await subscribe(subprotocol, 0);
    assert.equal(await readAll(reader, 0), from(0));
    socketOf(mute).resume();
    assert.equal(await readAll(mute, 0), from(0));
    reader.end();
    mute.end();
  });
}

test("an answer over HTTP holds as many records as fit a mebibyte, and reads on after them", async () => {
  const offsets: number[] = [];
  while (offsets.length < RECORDS) {
    const address = `http://127.0.0.1:${node.port}/v1/streams/large/partitions/0/records?from=${offsets.length}`;
    const text = await (await fetch(address)).text();
    assert.ok(text.length < 1_100_000, `an answer of ${text.length} bytes`);
    const { records } = JSON.parse(text) as { records: { position: { offset: number } }[] };
    assert.ok(records.length > 0);
    offsets.push(...records.map(({ position }) => position.offset));
  }
  assert.equal(offsets, from(0));
});

test.run();
