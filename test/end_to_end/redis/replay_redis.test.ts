import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deliveryFolder } from "../../../actors/sinks/file/file_layout.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

/** Begins the replay `r` and waits for its end. */
async function replayed(node: TestNode): Promise<Record<string, unknown>> {
  await fetch(`${node.address}/v1/replays`, {
    method: "POST",
    body: JSON.stringify({ name: "r", stream: "orders", pipeline: "keep" }),
    headers: { "content-type": "application/json" },
  });
  return await eventually(async () => {
    const replay = (await (await fetch(`${node.address}/v1/replays/r`)).json()) as Record<string, unknown>;
    return replay.state === "running" ? undefined : replay;
  });
}

test("on Redis a replay is complete, and the next node knows it", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "everysec" });
  const folder = await mkdtemp(join(tmpdir(), "headrace-replay-"));
  const yaml = `
log: { type: redis, url: "${redis.url}" }
streams: { orders: { partitions: 2, durability: everysec } }
sinks: { a: { type: file, directory: a }, b: { type: file, directory: b } }
pipelines: { keep: { from: orders, steps: [{ filter: "int(event.n) % 2 == 0" }], to: [a, b] } }
`;
  const published = async () => {
    const files = join(deliveryFolder(join(folder, "data", "b"), { replay: "r" }), "orders");
    const found: number[] = [];
    for (const name of (await readdir(files, { recursive: true })).filter((one) => one.endsWith(".ndjson"))) {
      const lines = (await readFile(join(files, name), "utf8")).split("\n").slice(0, -1);
      found.push(...lines.map((line) => (JSON.parse(line) as { n: number }).n));
    }
    return found.sort((left, right) => left - right);
  };
  const first = await runningNode(yaml, { folder });
  const producer = first.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 40; n += 1) await producer.send({ n }, { partition: (n >> 1) % 2 });
  await producer.close();
  const done = await replayed(first);
  assert.equal([done.state, done.records, done.deliveredRecords], ["done", 80, 40]);
  const evens = Array.from({ length: 20 }, (_, n) => 2 * n);
  assert.equal(await published(), evens);
  await first.end();
  const second = await runningNode(yaml, { folder });
  const known = (await (await fetch(`${second.address}/v1/replays/r`)).json()) as Record<string, unknown>;
  assert.equal([known.state, known.doneRecords, known.deliveredRecords], ["done", 80, 40]);
  assert.is((await replayed(second)).deliveredRecords, 0);
  assert.equal(await published(), evens);
  await second.end();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

test.run();
