/** Nodes that share a Redis answer every request under way when they stop, even if Redis does not answer. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunningCluster, readAll } from "../../support/processes/running_cluster.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

/** The time that `headrace up` gives a node to stop, in ms. */
const STOP_WITHIN_MS = 9_000;

/** Resolves with the status, and rejects if the connection ends without an answer. */
async function post(address: string, stream: string, more: Record<string, string> = {}): Promise<number> {
  const headers = { "content-type": "application/json", ...more };
  const answer = await fetch(`${address}/v1/streams/${stream}/events`, { method: "POST", body: "{}", headers });
  await answer.arrayBuffer();
  return answer.status;
}

/** One request without a key and two with one, which wait for the store. */
const requests = (address: string) => [
  post(address, "s"),
  post(address, "s", { "idempotency-key": "one" }),
  post(address, "s", { "idempotency-key": "two" }),
];

/** Waits for the turns of requests that came after those that wait for the store: these are under way then. */
async function underWay(address: string): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await (await fetch(`${address}/healthz`)).arrayBuffer();
}

const appended = async (address: string, stream: string): Promise<number> => {
  const told = (await (await fetch(`${address}/v1/streams/${stream}`)).json()) as {
    readonly partitions: readonly { readonly endOffset: number }[];
  };
  return told.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
};

for (const isBack of [true, false]) {
  const what = isBack ? "comes back meanwhile says that their events are stored" : "stays away says that nobody knows";
  test(`a stop while requests wait for a store that ${what}`, async () => {
    const redis = await startRedis({ appendfsync: "always" });
    const node = await runningNode(`log: { type: redis, url: "${redis.url}" }\nstreams: { s: { partitions: 2 } }\n`);
    assert.is(await post(node.address, "s"), 200);
    const goOn = redis.pause();
    const answers = requests(node.address);
    await underWay(node.address);
    const stopped = node.stop(STOP_WITHIN_MS);
    if (isBack) goOn();
    assert.equal(await Promise.all(answers), isBack ? [200, 200, 200] : [503, 503, 503]);
    assert.equal(await stopped, []);
    goOn();
    await redis.stop();
    await rm(node.folder, { recursive: true });
  });
}

const CLUSTER = `
streams: { s: { partitions: 4 }, out: { partitions: 4 } }
sinks: { copy: { type: stream, stream: out } }
pipelines: { p: { from: s, to: [copy] } }
security: { audit: {} }
`;

test("nodes of a cluster whose sink is busy with another of its streams stop one after the other, and repeat nothing", async () => {
  const cluster = await RunningCluster.start(CLUSTER, ["a", "b"], { appendfsync: "always" });
  const producer = cluster.producer({ producerId: "p", stream: "s", onInDoubt: () => undefined });
  let count = 0;
  let isOver = false;
  const sending = (async () => {
    for (; !isOver; count += 1) await producer.send({ n: count }, { partition: count % 4 });
  })();
  const address = cluster.node("b").address;
  await eventually(async () => ((await appended(address, "out")) > 20_000 ? true : undefined));
  const request = post(cluster.node("a").address, "s", { "idempotency-key": "once" });
  const beganMs = performance.now();
  assert.equal(await cluster.node("a").stop(STOP_WITHIN_MS), []);
  assert.ok(performance.now() - beganMs < STOP_WITHIN_MS - 1_000, "the last of the time was not needed");
  cluster.nodes.delete("a");
  assert.ok([200, 503].includes(await request), "the request under way was answered");
  isOver = true;
  await sending;
  await producer.flush();
  await producer.close();
  const total = await appended(address, "s");
  await eventually(async () => ((await appended(address, "out")) >= total ? true : undefined));
  assert.is(await appended(address, "out"), total);
  const consumer = cluster.consumer({ addresses: [cluster.node("b").endpoint] });
  const seen = (await readAll(consumer, "out", 4, total)).flat().filter((n) => n !== undefined);
  consumer.close();
  assert.is(seen.length, count);
  assert.is(new Set(seen).size, count);
  assert.equal(await cluster.node("b").stop(STOP_WITHIN_MS), []);
  cluster.nodes.delete("b");
  await cluster.end();
});

test("a node of a cluster whose store does not answer stops within its time, with a source and a sink under way", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-stopping-"));
  await writeFile(join(folder, "a.ndjson"), `{"n":1}\n`.repeat(1_000_000));
  const source = `sources: { f: { type: file, path: ${join(folder, "a.ndjson")}, format: ndjson, stream: s } }`;
  const cluster = await RunningCluster.start(`${CLUSTER}${source}\n`, ["a"], { appendfsync: "always" });
  const node = cluster.node("a");
  await eventually(async () => ((await appended(node.address, "out")) > 1_000 ? true : undefined));
  const goOn = cluster.redis.pause();
  const answers = requests(node.address);
  await underWay(node.address);
  assert.equal(await node.stop(STOP_WITHIN_MS), []);
  assert.equal(await Promise.all(answers), [503, 503, 503]);
  goOn();
  cluster.nodes.delete("a");
  await cluster.end();
  await rm(folder, { recursive: true });
});

test.run();
