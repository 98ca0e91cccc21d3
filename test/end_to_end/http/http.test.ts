import { gzipSync } from "node:zlib";
import { Packr } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
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
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly code?: string;
    readonly accepted?: number;
    readonly rejected?: readonly { readonly index: number; readonly code: string; readonly path: string }[];
  };
}

async function post(
  node: TestNode,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
  stream = "orders",
): Promise<Answer> {
  const response = await fetch(`${node.address}/v1/streams/${stream}/events`, {
    method: "POST",
    body: body as never,
    headers: { "content-type": "application/json", ...headers },
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

interface Stored {
  readonly event: { readonly amount: number };
  readonly producerId: string;
  readonly traceparent?: string;
}

async function storedIn(node: TestNode): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for (let partition = 0; partition < 4; partition += 1) {
    const path = `/v1/streams/orders/partitions/${partition}/records?limit=1000`;
    all.push(...((await (await fetch(`${node.address}${path}`)).json()) as { records: Stored[] }).records);
  }
  return all;
}

const amounts = async (node: TestNode): Promise<number[]> =>
  (await storedIn(node)).map(({ event }) => event.amount).sort((left, right) => left - right);

const order = (amount: number) => ({ customer: `c${amount % 5}`, amount });
const orders = (count: number, from = 0) => Array.from({ length: count }, (_, n) => order(from + n));

test("one event, a list, lines and MessagePack, plain and gzip, are stored before they are answered", async () => {
  const node = await runningNode(ORDERS);
  const packed = (value: unknown) => new Packr({ useRecords: false }).pack(value);
  const lines = (events: readonly object[]) => `${events.map((event) => JSON.stringify(event)).join("\n")}\n`;
  const gzip = { "content-encoding": "gzip" };
  const tries: [string | Uint8Array, Record<string, string>, number][] = [
    [JSON.stringify(order(0)), {}, 1],
    [JSON.stringify(orders(2, 1)), {}, 2],
    [lines(orders(3, 3)), { "content-type": "application/x-ndjson; charset=utf-8" }, 3],
    [packed(orders(4, 6)), { "content-type": "application/msgpack" }, 4],
    [packed(order(10)), { "content-type": "application/msgpack" }, 1],
    [gzipSync(JSON.stringify(orders(5, 11))), gzip, 5],
  ];
  let expected = 0;
  for (const [body, headers, count] of tries) {
    const { status, body: answer } = await post(node, body, headers);
    assert.is(status, 200);
    assert.is(answer.accepted, count);
    expected += count;
    assert.is((await amounts(node)).length, expected);
  }
  assert.equal(
    await amounts(node),
    Array.from({ length: 16 }, (_, n) => n),
  );
  await node.end();
});

test("a bad event is named by its index and the others are stored; 422 where none was", async () => {
  const node = await runningNode(ORDERS);
  const mixed = [order(1), { customer: "a", amount: -1 }, 7, order(2)];
  const { status, body } = await post(node, JSON.stringify(mixed));
  assert.is(status, 200);
  assert.is(body.accepted, 2);
  assert.equal(
    body.rejected?.map(({ index, code, path }) => [index, code, path]),
    [
      [1, "SCHEMA_VIOLATION", "/amount"],
      [2, "MALFORMED_EVENT", ""],
    ],
  );
  const none = await post(node, JSON.stringify({ customer: 5 }));
  assert.is(none.status, 422);
  assert.is(none.body.accepted, 0);
  await node.end();
});

test("a request that cannot be read is refused with its reason: type, encoding, size, emptiness, stream, key", async () => {
  const node = await runningNode(ORDERS);
  const bomb = gzipSync(Buffer.alloc(60_000_000, 0x20));
  const rejection = async (answer: Promise<Answer>) => {
    const { status, body } = await answer;
    return `${status} ${body.code}`;
  };
  const gzip = { "content-encoding": "gzip" };
  assert.is(await rejection(post(node, "a,b", { "content-type": "text/csv" })), "415 UNSUPPORTED_MEDIA_TYPE");
  assert.is(await rejection(post(node, "{}", { "content-encoding": "br" })), "415 UNSUPPORTED_MEDIA_TYPE");
  const before = process.memoryUsage().rss;
  assert.is(await rejection(post(node, bomb, gzip)), "413 FRAME_TOO_LARGE");
  assert.ok(process.memoryUsage().rss - before < 120_000_000);
  assert.is(await rejection(post(node, "not gzip", gzip)), "400 MALFORMED_FRAME");
  assert.is(await rejection(post(node, new Uint8Array(17_000_000))), "413 FRAME_TOO_LARGE");
  const many = JSON.stringify(Array.from({ length: 10_001 }, () => ({})));
  assert.is(await rejection(post(node, many)), "413 BATCH_TOO_LARGE");
  assert.is(await rejection(post(node, "[]")), "400 EMPTY_BATCH");
  assert.is(await rejection(post(node, `${"[".repeat(50_000)}`)), "400 FRAME_TOO_COMPLEX");
  assert.is(await rejection(post(node, "{}", {}, "nowhere")), "404 UNKNOWN_STREAM");
  assert.is(await rejection(post(node, "{}", { "idempotency-key": "k".repeat(256) })), "400 MALFORMED_FRAME");
  assert.is((await post(node, JSON.stringify(order(1)))).status, 200);
  await node.end();
});

test("a request with a key is stored once, however often it is sent, at the same time too (http ingest K1, K3)", async () => {
  const node = await runningNode(ORDERS);
  const body = JSON.stringify([...orders(50), { customer: "x", amount: -1 }]);
  const key = { "idempotency-key": "order-17" };
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(node, body, key)));
  const again = await post(node, gzipSync(body), { ...key, "content-encoding": "gzip" });
  assert.is(again.headers.get("idempotency-replayed"), "true");
  for (const answer of answers) assert.equal(answer.body, again.body);
  assert.is((await storedIn(node)).length, 50);
  const other = await post(node, JSON.stringify(orders(1)), key);
  assert.is(`${other.status} ${other.body.code}`, "422 IDEMPOTENCY_KEY_REUSED");
  assert.is((await storedIn(node)).length, 50);
  await node.end();
});

test("a key is remembered by the log, so also by a node that starts again", async () => {
  const yaml = ORDERS.replace("memory }", "lmdb }").replace("durability: memory", "durability: fsync");
  const empty = await runningNode("log: { type: memory }\nstreams: {}\n");
  await empty.stop(5_000);
  const body = JSON.stringify(orders(30));
  for (const life of [0, 1]) {
    const node = await runningNode(yaml, { folder: empty.folder });
    const { status, headers } = await post(node, body, { "idempotency-key": "k" });
    assert.is(status, 200);
    assert.is(headers.get("idempotency-replayed"), life === 0 ? null : "true");
    const other = await post(node, "[]", { "idempotency-key": "k" });
    assert.is(other.body.code, "EMPTY_BATCH");
    assert.is((await storedIn(node)).length, 30);
    await node.stop(10_000);
  }
});

test("many requests at once share producers, and each is answered for its own events", async () => {
  const node = await runningNode(ORDERS);
  const requests = Array.from({ length: 500 }, (_, n) => post(node, JSON.stringify([order(n), { customer: n }])));
  for (const { body } of await Promise.all(requests)) {
    assert.is(body.accepted, 1);
    assert.equal(
      body.rejected?.map(({ index }) => index),
      [1],
    );
  }
  const producers = new Set((await storedIn(node)).map(({ producerId }) => producerId));
  assert.ok(producers.size <= 2, [...producers].join());
  assert.equal(
    await amounts(node),
    Array.from({ length: 500 }, (_, n) => n),
  );
  await node.end();
});

test("a well-formed traceparent is stored with the batch, another is left out", async () => {
  const node = await runningNode(ORDERS);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await post(node, JSON.stringify(order(1)), { traceparent });
  await post(node, JSON.stringify(order(2)), {
    traceparent: "00-00000000000000000000000000000000-b7ad6b7169203331-01",
  });
  const stored = await storedIn(node);
  assert.is(stored.find(({ event }) => event.amount === 1)?.traceparent, traceparent);
  assert.is(stored.find(({ event }) => event.amount === 2)?.traceparent, undefined);
  await node.end();
});

test("a token must allow to produce to the stream", async () => {
  const yaml = `${ORDERS}
security:
  tokens:
    - { name: writer, valueEnv: WRITER, scopes: ["produce:orders"] }
    - { name: reader, valueEnv: READER, scopes: [consume] }
`;
  const node = await runningNode(yaml, { secrets: { WRITER: "w".repeat(32), READER: "r".repeat(32) } });
  const statusWith = async (token?: string) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await post(node, JSON.stringify(order(1)), headers)).status;
  };
  assert.is(await statusWith(), 401);
  assert.is(await statusWith("nonsense"), 401);
  assert.is(await statusWith("r".repeat(32)), 403);
  assert.is(await statusWith("w".repeat(32)), 200);
  await node.end();
});

test("an event over the limit is set aside alone", async () => {
  const node = await runningNode(ORDERS);
  // A large event is stored as any other; one over the limit is set aside alone.
  const text = (length: number) => ({ ...order(1), text: "x".repeat(length) });
  const { body } = await post(node, JSON.stringify([text(900_000), text(1_100_000), text(4_500_000), order(2)]));
  assert.is(body.accepted, 2);
  assert.equal(
    body.rejected?.map(({ index, code }) => [index, code]),
    [
      [1, "EVENT_TOO_LARGE"],
      [2, "EVENT_TOO_LARGE"],
    ],
  );
  const letters = await eventually(async () => {
    const found: unknown[] = [];
    for (let partition = 0; partition < 4; partition += 1) {
      const path = `/v1/streams/orders/partitions/${partition}/records?channel=rejected`;
      found.push(...((await (await fetch(`${node.address}${path}`)).json()) as { records: unknown[] }).records);
    }
    return found.length > 0 ? found : undefined;
  });
  assert.is(letters.length, 1);
  await node.end();
});

test.run();
