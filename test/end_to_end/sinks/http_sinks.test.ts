/** HTTP in, HTTP out: the answer to a request, and its log lines, while a sink does not take its records. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { partitionOfKey } from "../../../protocols/partitioner.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly code?: string;
    readonly message?: string;
    readonly accepted?: number;
    readonly refused?: readonly number[];
  };
}

async function post(node: TestNode, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const response = await fetch(`${node.address}/v1/streams/orders/events`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

/** The sink's endpoint: answers every request with `status`, and keeps the bodies. */
async function startReceiver() {
  const taken: string[] = [];
  const receiver = {
    status: 503,
    taken,
    port: 0,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
  const server = createServer((request, response) => {
    const { status } = receiver;
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      if (status === 200) taken.push(...body.split("\n").filter((line) => line !== ""));
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  receiver.port = (server.address() as AddressInfo).port;
  return receiver;
}

test("a partition that a lagging sink has filled answers 429 at once with the sink's name, and takes events again later", async () => {
  const receiver = await startReceiver();
  const node = await runningNode(`
log: { type: memory }
streams:
  orders:
    partitions: 4
    key: /customer
    durability: memory
    retention: { size: 2000, onFull: refuse }
sinks: { hook: { type: http, url: "http://127.0.0.1:${receiver.port}/", recordsPerRequest: 100 } }
pipelines: { keep: { from: orders, to: [hook] } }
`);
  const one = { customer: "c1", amount: 0 };
  let stored = 0;
  const refusal = await eventually(async () => {
    const startedAt = performance.now();
    const answer = await post(node, JSON.stringify({ ...one, text: "x".repeat(500), amount: stored }));
    if (answer.status === 200) stored += 1;
    else assert.ok(performance.now() - startedAt < 5_000, "not after the 30 s that an answer may take");
    return answer.status === 200 ? undefined : answer;
  });
  assert.is(`${refusal.status} ${refusal.body.code}`, "429 STORE_FULL");
  assert.is(refusal.headers.get("retry-after"), "1");
  assert.match(refusal.body.message ?? "", /sink\/hook has not read/);
  // Another partition has room: a request to both is answered with the events that were stored and those that were not.
  const key = { "idempotency-key": "both" };
  const full = partitionOfKey("c1", 4);
  const elsewhere = ["c2", "c3", "c4", "c5"].find((customer) => partitionOfKey(customer, 4) !== full);
  const both = JSON.stringify([one, { customer: elsewhere, amount: 1_000 }]);
  const mixed = await eventually(async () => {
    const answer = await post(node, both, key);
    return answer.body.refused === undefined ? undefined : answer;
  });
  assert.is(mixed.status, 429);
  assert.equal([mixed.body.accepted, mixed.body.refused], [1, [0]]);
  receiver.status = 200;
  const taken = await eventually(async () => {
    const answer = await post(node, both, key);
    return answer.status === 200 ? answer : undefined;
  });
  assert.is(taken.body.accepted, 2);
  const ofBoth = () => receiver.taken.filter((line) => line.includes('"amount":1000'));
  await eventually(() => (ofBoth().length > 0 ? true : undefined));
  assert.is(ofBoth().length, 1, "stored once");
  await node.end();
  await receiver.close();
});

test("log lines of a delivery that failed and of records set aside name the trace of their request", async () => {
  const receiver = await startReceiver();
  const node = await runningNode(`
log: { type: memory }
streams: { orders: { partitions: 1, durability: memory } }
sinks: { hook: { type: http, url: "http://127.0.0.1:${receiver.port}/" } }
pipelines: { keep: { from: orders, to: [hook] } }
`);
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  await post(node, JSON.stringify({ amount: 1 }), { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  const line = (message: string) =>
    eventually(() => node.logged.find((text) => text.includes(message) && text.includes(`"traceId":"${traceId}"`)));
  await line("trying again");
  receiver.status = 400;
  await line("records were set aside");
  await node.end();
  await receiver.close();
});

test.run();
