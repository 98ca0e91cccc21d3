import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const yaml = (url: string, durability = "everysec") => `
log: { type: redis, url: "${url}" }
streams: { orders: { partitions: 2, key: /n, durability: ${durability} } }
sinks: { archive: { type: file, directory: archive } }
pipelines: { keep: { from: orders, to: [archive] } }
`;

const json = async <Value>(node: TestNode, path: string): Promise<Value> =>
  (await (await fetch(`${node.address}${path}`)).json()) as Value;

async function stored(node: TestNode): Promise<readonly number[]> {
  const numbers: number[] = [];
  for (const partition of [0, 1]) {
    const { records } = await json<{ records: { event: { n: number } }[] }>(
      node,
      `/v1/streams/orders/partitions/${partition}/records?limit=1000`,
    );
    numbers.push(...records.map(({ event }) => event.n));
  }
  return numbers.sort((left, right) => left - right);
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test("Redis killed and started again under load: producers wait, no event is lost or repeated, and the node goes on", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  const node = await runningNode(yaml(redis.url, "fsync"));
  const producer = node.producer({ producerId: "p", stream: "orders", lingerMs: 1 });
  for (let n = 0; n < 100; n += 1) await producer.send({ n });
  await producer.flush();
  await redis.kill();
  for (let n = 100; n < 200; n += 1) await producer.send({ n });
  await eventually(async () => ((await fetch(`${node.address}/readyz`)).status === 503 ? true : undefined));
  const posted = await fetch(`${node.address}/v1/streams/orders/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"n":1000}',
  });
  assert.equal([posted.status, posted.headers.get("retry-after")], [503, "1"], "told at once that the store is away");
  await redis.restart();
  for (let n = 200; n < 300; n += 1) await producer.send({ n });
  await producer.flush();
  assert.equal(await stored(node), upTo(300));
  await eventually(async () => ((await fetch(`${node.address}/readyz`)).status === 200 ? true : undefined));
  await eventually(async () => {
    const { sinks } = await json<{ sinks: { lagRecords: number }[] }>(node, "/v1/sinks");
    return sinks.every((sink) => sink.lagRecords === 0) ? true : undefined;
  });
  assert.equal((await producer.close()).inDoubt, []);
  assert.equal(await node.end(), []);
  await redis.stop();
});

test("a Redis that is frozen for a while slows producers and loses no event", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "everysec" });
  const node = await runningNode(yaml(redis.url));
  const producer = node.producer({ producerId: "p", stream: "orders", lingerMs: 1 });
  for (let n = 0; n < 50; n += 1) await producer.send({ n });
  await producer.flush();
  const thaw = redis.pause();
  for (let n = 50; n < 150; n += 1) await producer.send({ n });
  const flushed = producer.flush();
  assert.is(
    await Promise.race([
      flushed.then(() => "acknowledged"),
      new Promise((resolve) => setTimeout(resolve, 300, "waiting")),
    ]),
    "waiting",
  );
  thaw();
  await flushed;
  assert.equal(await stored(node), upTo(150));
  await producer.close();
  await node.end();
  await redis.stop();
});

test("a Redis that comes back empty is STORE_LOST: no event is accepted, and the node reports it", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  const node = await runningNode(yaml(redis.url, "fsync"));
  const producer = node.producer({ producerId: "p", stream: "orders", lingerMs: 1 });
  await producer.send({ n: 0 });
  await producer.flush();
  await redis.kill();
  await rm(join(redis.folder, "appendonlydir"), { recursive: true });
  await redis.restart();
  await producer.send({ n: 1 });
  const reasons = await eventually(async () => {
    const answer = await json<{ reasons?: string[] }>(node, "/readyz");
    return answer.reasons?.some((reason) => reason.includes("STORE_LOST")) ? answer.reasons : undefined;
  });
  assert.ok(reasons.length > 0);
  const { inDoubt } = await producer.close({ timeoutMs: 200 });
  assert.is(inDoubt.length, 1, "what could not be stored is handed back");
  await node.end();
  await redis.stop();
});

test("a Redis whose settings contradict the stream's tier is refused, and the error names the setting", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "everysec" });
  const outcome = await Promise.race([
    runningNode(yaml(redis.url, "fsync")).then(
      async (node) => {
        await node.end();
        return "it started";
      },
      (error: Error) => error.message,
    ),
    new Promise<string>((resolve) => setTimeout(resolve, 5_000, "it waits for ever")),
  ]);
  assert.match(outcome, /appendfsync/);
  await redis.stop();
});

test.run();
