import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { Consumer, connectWebSocket } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const YAML = "log: { type: memory }\nstreams: { events: { durability: memory } }\n";

test("a node with a connected producer and subscriber stops with no work left", async () => {
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

test("a stop does not wait for a client that never answers the closing of its connection", async () => {
  const node = await runningNode(YAML);
  const deaf = new WebSocket(node.endpoint, [SUBPROTOCOL_MSGPACK]);
  await once(deaf, "open");
  deaf.pause(); // its half of the closing handshake is never read, nor sent
  assert.equal(await node.end(), []);
  deaf.terminate();
});

/** The time that `headrace up` gives a node to stop, in ms. */
const STOP_WITHIN_MS = 9_000;

const endOffset = async ({ address }: TestNode, stream: string): Promise<number> => {
  const told = (await (await fetch(`${address}/v1/streams/${stream}`)).json()) as {
    readonly partitions: readonly { readonly endOffset: number }[];
  };
  return told.partitions.reduce((sum, partition) => sum + partition.endOffset, 0);
};

/** Sends events that count up, as fast as the node takes them, until it is gone. */
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

test("sources whose stream takes no more are given up within the node's time, all at once", async () => {
  const mute = createServer().listen(0, "127.0.0.1").unref();
  await once(mute, "listening");
  const folder = await mkdtemp(join(tmpdir(), "headrace-stopping-"));
  await writeFile(join(folder, "a.ndjson"), `{"n":1}\n`.repeat(1_000_000));
  const sources = ["one", "two", "three", "four", "five", "six"].map(
    (name) => `  ${name}: { type: file, path: ${join(folder, "a.ndjson")}, format: ndjson, stream: s }`,
  );
  const node = await runningNode(
    `
log: { type: memory }
streams: { s: { partitions: 1, durability: memory, retention: { size: 2000, onFull: refuse } } }
sinks: { mute: { type: http, url: "http://127.0.0.1:${(mute.address() as AddressInfo).port}/" } }
pipelines: { p: { from: s, to: [mute] } }
sources:
${sources.join("\n")}
`,
    { folder },
  );
  await eventually(async () => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${node.address}/v1/streams/s/events`, { method: "POST", body: "{}", headers });
    return answer.status === 429 ? true : undefined;
  });
  assert.equal(await node.stop(STOP_WITHIN_MS), []);
  await rm(folder, { recursive: true });
  mute.closeAllConnections();
  mute.close();
});

test("a request whose body never comes is answered 503 at a stop, during which the node says that it is not ready", async () => {
  const node = await runningNode(YAML);
  const socket = connectSocket(node.port, "127.0.0.1");
  let answer = "";
  socket.on("data", (bytes) => (answer += bytes));
  socket.write(
    "POST /v1/streams/events/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n{",
  );
  await eventually(() => (answer.includes("100 Continue") ? true : undefined));
  const closed = once(socket, "close");
  const ending = node.end();
  const probe = await fetch(`${node.address}/readyz`);
  assert.is(probe.status, 503);
  assert.equal(((await probe.json()) as { readonly reasons: unknown }).reasons, ["the node is stopping"]);
  assert.equal(await ending, []);
  await closed;
  assert.match(answer, /HTTP\/1\.1 503 /);
  assert.match(answer, /"STOPPING"/);
});

test.run();
