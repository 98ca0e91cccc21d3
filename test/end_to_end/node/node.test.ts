import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { type Connect, Consumer, connectWebSocket } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_JSON } from "../../../protocols/wire/frames.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const ORDERS = `
log: { type: memory }
streams:
  orders:
    partitions: 4
    key: /customer
    durability: memory
    schema:
      type: object
      required: [customer, amount]
      properties: { customer: { type: string }, amount: { type: number, minimum: 0 } }
`;

interface Answer {
  readonly streams: readonly {
    readonly partitions: readonly { readonly partition: number; readonly endOffset: number }[];
  }[];
  readonly sinks: readonly { readonly lagRecords: number }[];
  readonly records: readonly { readonly event: Readonly<Record<string, unknown>> }[];
}

const get = async (node: TestNode, path: string): Promise<Answer> =>
  (await (await fetch(`${node.address}${path}`)).json()) as Answer;

test("acknowledged events can be read exactly once, in order for each key", async () => {
  const node = await runningNode(ORDERS);
  const producer = node.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 1_000; n += 1) await producer.send({ customer: `c${n % 7}`, amount: n });
  await producer.flush();
  const seen = new Map<string, number[]>();
  for (let partition = 0; partition < 4; partition += 1) {
    const { records } = await get(node, `/v1/streams/orders/partitions/${partition}/records?limit=1000`);
    for (const { event } of records) {
      const customer = String(event.customer);
      seen.set(customer, [...(seen.get(customer) ?? []), Number(event.amount)]);
    }
  }
  for (let key = 0; key < 7; key += 1) {
    const expected = Array.from({ length: 1_000 }, (_, n) => n).filter((n) => n % 7 === key);
    assert.equal(seen.get(`c${key}`), expected);
  }
  await producer.close();
  await node.end();
});

for (const subprotocol of ["headrace.v1.msgpack", "headrace.v1.json"] as const) {
  test(`an event that fails its schema is set aside alone, with its reason and its bytes (${subprotocol})`, async () => {
    const node = await runningNode(ORDERS);
    const rejected: { code: string; path: string }[] = [];
    const producer = node.producer(
      { producerId: "p", stream: "orders", onRejected: ({ code, path }) => rejected.push({ code, path }) },
      subprotocol,
    );
    await producer.send({ customer: "a", amount: 1 });
    await producer.send({ customer: "a", amount: -5 });
    await producer.send({ customer: "a", amount: 2 });
    await producer.flush();
    assert.equal(rejected, [{ code: "SCHEMA_VIOLATION", path: "/amount" }]);
    const { streams } = await get(node, "/v1/streams");
    const at = streams[0]?.partitions.find((one) => one.endOffset > 0);
    assert.is(at?.endOffset, 2);
    const path = `/v1/streams/orders/partitions/${at?.partition}/records?channel=rejected`;
    const letter = await eventually(async () => (await get(node, path)).records[0]);
    assert.is(letter.event.path, "/amount");
    assert.match(String(letter.event.reason), />= 0/);
    assert.ok((letter.event.original as { $bytes: string }).$bytes.length > 0);
    await producer.close();
    await node.end();
  });
}

const connect: Connect = connectWebSocket({ subprotocol: SUBPROTOCOL_JSON, webSocket: WebSocket as never });

test("a subscriber from the earliest record sees all stored records and then the new ones", async () => {
  const node = await runningNode(ORDERS);
  const producer = node.producer({ producerId: "p", stream: "orders" });
  const sendSome = async (from: number, to: number) => {
    for (let n = from; n < to; n += 1) await producer.send({ customer: `c${n}`, amount: n });
    await producer.flush();
  };
  await sendSome(0, 100);
  const consumer = new Consumer({ connect, addresses: [node.endpoint] });
  const seen = new Set<number>();
  let isSecondHalfSent = false;
  for await (const batch of consumer.subscribe({ stream: "orders", from: "earliest" })) {
    if (batch.kind === "records") for (const { event } of batch.records) seen.add(event.amount as number);
    if (seen.size === 100 && !isSecondHalfSent) {
      isSecondHalfSent = true;
      void sendSome(100, 200);
    }
    if (seen.size === 200) break;
  }
  assert.is(seen.size, 200);
  await consumer.close();
  await producer.close();
  await node.end();
});

test("records reach the file sink, and a node that starts again on its folder goes on from its position", async () => {
  const yaml = `
log: { type: lmdb }
streams: { orders: { partitions: 2, key: /customer } }
sinks: { archive: { type: file, directory: FOLDER/archive, format: ndjson } }
pipelines: { keep: { from: orders, to: [archive] } }
`;
  const folder = await mkdtemp(join(tmpdir(), "headrace-test-"));
  const text = yaml.replace("FOLDER", folder);
  for (const life of [0, 1]) {
    const node = await runningNode(text, { folder });
    const producer = node.producer({ producerId: "p", stream: "orders" });
    for (let n = 0; n < 50; n += 1) await producer.send({ customer: `c${n % 5}`, n: life * 50 + n });
    await producer.close();
    await eventually(async () => {
      const { sinks } = await get(node, "/v1/sinks");
      const lag = sinks.reduce((sum, sink) => sum + sink.lagRecords, 0);
      return sinks.length === 2 && lag === 0 ? true : undefined;
    });
    assert.equal(await node.end(), []);
  }
  const numbers: number[] = [];
  for (const entry of await readdir(join(folder, "archive"), { recursive: true, withFileTypes: true })) {
    if (!/\.(ndjson|part)$/.test(entry.name)) continue;
    const lines = (await readFile(join(entry.parentPath, entry.name), "utf8"))
      .split("\n")
      .filter((line) => line !== "");
    for (const line of lines) numbers.push(JSON.parse(line).n);
  }
  assert.equal(
    numbers.sort((left, right) => left - right),
    Array.from({ length: 100 }, (_, n) => n),
  );
  await rm(folder, { recursive: true });
});

test("a stream keeps its number of partitions, and a start with another one says so", async () => {
  const yaml = (partitions: number) => `log: { type: lmdb }\nstreams: { orders: { partitions: ${partitions} } }\n`;
  const folder = await mkdtemp(join(tmpdir(), "headrace-test-"));
  const first = await runningNode(yaml(2), { folder });
  await first.end();
  const refusal = await runningNode(yaml(3), { folder }).then(
    () => "it started",
    (error: Error) => error.message,
  );
  assert.match(refusal, /number of partitions must stay 2, so that a retry splits alike: current value is 3/);
  await rm(folder, { recursive: true });
});

test("a connection that ends gives its place and its memory to the next", async () => {
  const node = await runningNode(ORDERS);
  for (let n = 0; n < 150; n += 1) {
    const producer = node.producer({ producerId: `p${n}`, stream: "orders" });
    assert.is((await producer.sendAndConfirm({ customer: "a", amount: n })).kind, "stored");
    await producer.close();
  }
  await node.end();
});

test("a node whose port is in use names the port, and leaves its folder free", async () => {
  const node = await runningNode(ORDERS);
  const refusal = await runningNode(ORDERS, { port: node.port }).then(
    () => "it started",
    (error: Error) => error.message,
  );
  assert.match(refusal, new RegExp(`Cannot listen on 127.0.0.1:${node.port} as the port must be free`));
  await node.end();
});

test.run();
