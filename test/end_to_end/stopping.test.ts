import { once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { SUBPROTOCOL_MSGPACK } from "../../protocols/frames.ts";
import { Consumer, connectWebSocket } from "../../protocols/mod.ts";
import { runningNode } from "../support/running_node.ts";

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

test.run();
