/** A join of two streams on a cluster: partitions of one number may have different owners, and both move. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunningCluster, readAll } from "../../support/processes/running_cluster.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const PARTITIONS = 6;
const PAIRS = 240;
const YAML = `
streams:
  orders: { partitions: ${PARTITIONS}, key: /id, eventTime: /at, durability: everysec }
  payments: { partitions: ${PARTITIONS}, key: /order, eventTime: /at, durability: everysec }
  paid: { partitions: 2, durability: everysec }
sinks: { paid: { type: stream, stream: paid } }
pipelines:
  pay:
    from: [orders, payments]
    steps:
      - join: { on: { orders: event.id, payments: event.order }, within: 10m }
      - map: { n: event.payments.amount }
    time: { outOfOrder: 1m, idleAfter: 500ms }
    to: [paid]
`;

/** Records of a stream, in all partitions. */
async function storedIn(cluster: RunningCluster, stream: string): Promise<number> {
  const [node] = cluster.nodes.values();
  const response = await fetch(`${node?.address}/v1/streams/${stream}`);
  const { partitions } = (await response.json()) as { partitions: readonly { readonly endOffset: number }[] };
  return partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
}

test("each order meets its payment once, while nodes that own their partitions come and go", async () => {
  const cluster = await RunningCluster.start(YAML, ["a", "b"]);
  await cluster.settled();
  const startMs = Date.now();
  const orders = cluster.producer({ producerId: "orders", stream: "orders" });
  const payments = cluster.producer({ producerId: "payments", stream: "payments" });
  for (let n = 0; n < PAIRS; n += 1) {
    const id = `order-${n}`;
    await orders.send({ id, at: startMs + n });
    await payments.send({ order: id, amount: n, at: startMs + n + 1 });
    if (n % 40 === 20) await Promise.all([orders.flush(), payments.flush()]);
    if (n === 80) await cluster.add("c");
    if (n === 160) await cluster.stop("a");
  }
  for (const producer of [orders, payments]) assert.equal((await producer.close()).inDoubt, []);
  const consumer = cluster.consumer();
  const found = await readAll(consumer, "paid", 2, PAIRS);
  await consumer.close();
  assert.equal(
    found.flat().sort((left, right) => left - right),
    Array.from({ length: PAIRS }, (_, n) => n),
  );
  assert.is(await storedIn(cluster, "paid"), PAIRS, "no pair was joined twice");
  await cluster.end();
});

test.run();
