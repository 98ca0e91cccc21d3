import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { SUBPROTOCOL_MSGPACK } from "../../protocols/frames.ts";
import { Consumer, connectWebSocket } from "../../protocols/mod.ts";
import { eventually, runningNode, type TestNode } from "../support/running_node.ts";

const YAML = "log: { type: memory }\nstreams: { events: { durability: memory } }\n";

test("a node with a producer and a subscriber connected stops with nothing left undone", async () => {
  const node = await runningNode(YAML);
  const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });
  const consumer = new Consumer({ connect, addresses: [node.endpoint] });
  const items = consumer.subscribe({ stream: "events", from: "earliest" });
  const producer = node.producer({ producerId: "p", stream: "events" });
  await producer.sendAndConfirm({ hello: "world" });
  await items.next();
  assert.equal(await node.end(), []);
  consumer.close();
  await producer.close({ timeoutMs: 1 });
});

test("a client that never answers the closing of its connection is not waited for", async () => {
  const node = await runningNode(YAML);
  const deaf = new WebSocket(node.endpoint, [SUBPROTOCOL_MSGPACK]);
  await once(deaf, "open");
  deaf.pause(); // its half of the closing handshake is never read, nor sent
  assert.equal(await node.end(), []);
  deaf.terminate();
});

/** What `headrace up` gives a node that a signal ends. */
const STOP_WITHIN_MS = 9_000;

const endOffset = async ({ address }: TestNode, stream: string): Promise<number> => {
  const told = (await (await fetch(`${address}/v1/streams/${stream}`)).json()) as {
    readonly partitions: readonly { readonly endOffset: number }[];
  };
  return told.partitions.reduce((sum, partition) => sum + partition.endOffset, 0);
};

/** Sends events that count up, as fast as they are taken, until the node goes away. */
function sendsFlatOut(node: TestNode, stream: string): { end(): Promise<void> } {
  const producer = node.producer({ producerId: "p", stream, onInDoubt: () => undefined });
  const sending = (async () => {
    for (let n = 0; ; n += 1) await producer.send({ n });
  })().catch(() => undefined);
  return {
    async end() {
      await producer.close({ timeoutMs: 1 });
      await sending;
    },
  };
}

const STREAMS = [
  "{ s: { partitions: 1 }, out: { partitions: 1 } }",
  "{ out: { partitions: 1 }, s: { partitions: 1 } }",
];

for (const streams of STREAMS) {
  test(`a node whose sink writes to another of its streams stops at once, and repeats nothing: ${streams}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-stopping-"));
    const yaml = `
log: { type: lmdb }
streams: ${streams}
sinks: { copy: { type: stream, stream: out } }
pipelines: { p: { from: s, to: [copy] } }
`;
    const node = await runningNode(yaml, { folder });
    const sender = sendsFlatOut(node, "s");
    await eventually(async () => ((await endOffset(node, "out")) > 10_000 ? true : undefined));
    const beganMs = performance.now();
    assert.equal(await node.stop(STOP_WITHIN_MS), []);
    assert.ok(performance.now() - beganMs < STOP_WITHIN_MS / 3, "nothing waited for a deadline");
    await sender.end();

    const again = await runningNode(yaml, { folder });
    const count = await endOffset(again, "s");
    await eventually(async () => ((await endOffset(again, "out")) >= count ? true : undefined));
    const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });
    const consumer = new Consumer({ connect, addresses: [again.endpoint] });
    let expected = 0;
    for await (const item of consumer.subscribe({ stream: "out", from: "earliest" })) {
      if (item.kind !== "records") continue;
      for (const { event } of item.records) {
        const { n } = event as { readonly n: number };
        if (n !== expected) assert.is(n, expected);
        expected += 1;
      }
      if (expected >= count) break;
    }
    consumer.close();
    assert.is(await endOffset(again, "out"), count);
    assert.equal(await again.stop(STOP_WITHIN_MS), []);
    await rm(folder, { recursive: true });
  });
}

test("sinks whose endpoint never answers are given up within the node's time, all at once", async () => {
  let asked = 0;
  const mute = createServer(() => (asked += 1))
    .listen(0, "127.0.0.1")
    .unref();
  await once(mute, "listening");
  const node = await runningNode(`
log: { type: memory }
streams: { s: { partitions: 2, durability: memory } }
sinks:
  one: { type: http, url: "http://127.0.0.1:${(mute.address() as AddressInfo).port}/" }
  two: { type: http, url: "http://127.0.0.1:${(mute.address() as AddressInfo).port}/" }
pipelines: { p: { from: s, to: [one, two] } }
`);
  const producer = node.producer({ producerId: "p", stream: "s" });
  for (const partition of [0, 1]) await producer.sendAndConfirm({ partition }, { partition });
  await producer.close();
  await eventually(() => (asked === 4 ? true : undefined));
  assert.equal(await node.stop(STOP_WITHIN_MS), []);
  await rm(node.folder, { recursive: true });
  mute.closeAllConnections();
  mute.close();
});

test.run();
