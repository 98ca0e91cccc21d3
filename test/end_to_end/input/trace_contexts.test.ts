import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import {
  Consumer,
  connectWebSocket,
  encodeEvents,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from "../../../protocols/mod.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const configuration = (log: string) => `
log: ${log}
streams:
  events: { partitions: 1 }
`;
const FRAMES = 50;
const traceOf = (n: number): string => `00-${String(n + 1).padStart(32, "0")}-b7ad6b7169203331-0${n % 2}`;

/** Frames of one event each, at once, as a client sends them that batches nothing; resolves once all are acknowledged. */
async function sendFrames(node: TestNode): Promise<void> {
  const client = await RawClient.open(node.endpoint);
  const hello = { type: "hello", client: "c", producerId: "p", instance: "1" } as const;
  const welcome = await client.ask(hello);
  const producerEpoch = welcome?.type === "welcome" ? (welcome.producerEpoch ?? 0) : 0;
  await client.ask({ type: "open", stream: "events", partition: 0, producerEpoch });
  for (let n = 0; n < FRAMES; n++) {
    client.send({
      ...{ type: "append", stream: "events", partition: 0, producerEpoch },
      previousSequence: n === 0 ? null : [0, n - 1, 0],
      sequences: { first: [0, n, 0], count: 1 },
      ...(n % 10 === 9 ? {} : { traceparent: traceOf(n) }),
      events: encodeEvents([{ n }], { asRecords: false }),
    });
  }
  for (let last = -1; last < FRAMES - 1; ) {
    const frame = await client.next();
    assert.ok(frame?.type === "ack" || frame?.type === "credit", JSON.stringify(frame));
    if (frame?.type === "ack") last = frame.lastSequence[1];
  }
  client.end();
}

async function batchesOf(node: TestNode): Promise<number> {
  const metrics = await (await fetch(`${node.address}/metrics`)).text();
  return Number(/headrace_batches_appended_total\{[^}]*stream="events"[^}]*\} (\d+)/.exec(metrics)?.[1]);
}

const expected = Array.from({ length: FRAMES }, (_, n) => (n % 10 === 9 ? undefined : traceOf(n)));

async function showEverywhere(node: TestNode): Promise<void> {
  await sendFrames(node);
  const batches = await batchesOf(node);
  assert.ok(batches >= 1 && batches <= 10, `${FRAMES} frames are ${batches} batches`);
  for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
    const consumer = new Consumer({
      connect: connectWebSocket({ webSocket: WebSocket as never, subprotocol }),
      addresses: [node.endpoint],
    });
    const told: (string | undefined)[] = [];
    for await (const item of consumer.subscribe({ stream: "events", from: "earliest" })) {
      if (item.kind === "records") told.push(...item.records.map(({ traceparent }) => traceparent));
      if (told.length >= FRAMES) break;
    }
    await consumer.close();
    assert.equal(told, expected, subprotocol);
  }
  const page = await fetch(`${node.address}/v1/streams/events/partitions/0/records?limit=1000`);
  const { records } = (await page.json()) as { records: readonly { traceparent?: string }[] };
  assert.equal(
    records.map(({ traceparent }) => traceparent),
    expected,
  );
}

test("frames with trace contexts are stored as few batches, and each record is told with the context of its frame", async () => {
  const node = await runningNode(configuration("{ type: lmdb }"));
  await showEverywhere(node);
  await node.end();
});

test("the same over Redis", async () => {
  const redis = await startRedis({ appendfsync: "always" });
  const node = await runningNode(configuration(`{ type: redis, url: "${redis.url}" }`));
  await showEverywhere(node);
  await node.end();
  await redis.stop();
});

test.run();
