/** Replays into sinks and pipelines on a cluster: every node delivers the partitions that it owns. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connectRedisLog } from "../../../actors/log/redis/redis_log.ts";
import { positionCheckpoint } from "../../../actors/sinks/delivery/delivery_actor.ts";
import { deliveryFolder } from "../../../actors/sinks/file/file_layout.ts";
import { partitionId } from "../../../protocols/position.ts";
import type { ReplayDescription } from "../../../supervisors/replay/replays.ts";
import { type ClusterNodeUnderTest, RunningCluster } from "../../support/processes/running_cluster.ts";
import { eventually } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const PARTITIONS = 6;

async function inCluster(
  yaml: (folder: string) => string,
  body: (cluster: RunningCluster, folder: string) => Promise<void>,
) {
  const folder = await mkdtemp(join(tmpdir(), "headrace-replays-"));
  const streams = `streams: { orders: { partitions: ${PARTITIONS}, durability: everysec } }`;
  const cluster = await RunningCluster.start(`${streams}\n${yaml(folder)}`, ["a", "b", "c"]);
  try {
    await body(cluster, folder);
  } finally {
    await cluster.end();
    await rm(folder, { recursive: true });
  }
}

async function send(cluster: RunningCluster, from: number, to: number): Promise<void> {
  const producer = cluster.producer({ producerId: `p-${from}`, stream: "orders" });
  for (let n = from; n < to; n += 1) await producer.send({ n }, { partition: n % PARTITIONS });
  assert.equal((await producer.close()).inDoubt, []);
}

async function call(node: ClusterNodeUnderTest, method: string, path: string, body?: unknown) {
  const response = await fetch(`${node.address}/v1/replays${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return { status: response.status, body: (await response.json()) as ReplayDescription & { message: string } };
}

async function begin(node: ClusterNodeUnderTest, request: { readonly name: string; readonly [key: string]: unknown }) {
  return eventually(async () => {
    const { status, body } = await call(node, "POST", "", { stream: "orders", ...request });
    // A partition that is being claimed: try again.
    if (status === 503) return undefined;
    assert.is(status, 200, body.message);
    return body;
  });
}

/** Asks a node for the replay until the replay has ended. */
const ended = (node: ClusterNodeUnderTest, name: string): Promise<ReplayDescription> =>
  eventually(async () => {
    const { status, body } = await call(node, "GET", `/${name}`);
    return status !== 200 || body.state === "running" ? undefined : body;
  });

/** `n` of the replayed records in the file sink's folder, by partition. */
async function filed(cluster: RunningCluster, directory: string, sink: string, replay: string): Promise<number[][]> {
  const log = await connectRedisLog({ url: cluster.redis.url, prefix: "headrace:" });
  const read = async (partition: number) => {
    const reference = { stream: "orders", partition: partitionId(partition) };
    const checkpoint = (await log.readCheckpoints(reference)).get(positionCheckpoint({ name: sink, replay }));
    const texts = await readFileSink(deliveryFolder(directory, { replay }), reference, checkpoint);
    return texts
      .flatMap((text) => text.split("\n").filter(Boolean))
      .map((line) => (JSON.parse(line) as { n: number }).n);
  };
  const all = await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => read(partition)));
  await log.close();
  return all;
}

const expected = (count: number) =>
  Array.from({ length: PARTITIONS }, (_, partition) =>
    Array.from({ length: count / PARTITIONS }, (_, index) => index * PARTITIONS + partition),
  );

const FILES = (folder: string) => `
sinks: { archive: { type: file, directory: ${JSON.stringify(folder)}, shared: true } }
pipelines: { keep: { from: orders, to: [archive] } }
`;

test("all nodes deliver a replay that one node was asked for, each record once; any node shows it, and a second run repeats nothing", () =>
  inCluster(FILES, async (cluster, folder) => {
    await send(cluster, 0, 300);
    const [a, b, c] = ["a", "b", "c"].map((name) => cluster.node(name)) as [
      ClusterNodeUnderTest,
      ClusterNodeUnderTest,
      ClusterNodeUnderTest,
    ];
    const { body: dry } = await call(a, "POST", "", { name: "r", stream: "orders", sink: "archive", isDryRun: true });
    assert.is(dry.records, 300);
    await begin(a, { name: "r", pipeline: "keep" });
    const first = await ended(a, "r");
    assert.equal([first.state, first.records, first.doneRecords, first.deliveredRecords], ["done", 300, 300, 300]);
    assert.equal(await filed(cluster, folder, "archive", "r"), expected(300));
    assert.equal(await ended(b, "r"), first, "another node shows the same replay");
    await begin(c, { name: "r", pipeline: "keep" });
    const second = await ended(b, "r");
    assert.equal([second.state, second.deliveredRecords, second.doneRecords], ["done", 0, 300]);
    await send(cluster, 300, 360);
    await begin(b, { name: "r", pipeline: "keep" });
    const third = await ended(c, "r");
    assert.equal([third.deliveredRecords, third.doneRecords], [60, 360], "a replay with a later end continues");
    assert.equal(await filed(cluster, folder, "archive", "r"), expected(360));
    const other = await call(c, "POST", "", { name: "r", stream: "orders", sink: "archive" });
    assert.match(other.body.message, /another one of that name/);
  }));

test("a replay goes on while partitions move and nodes restart: its files hold every record once and in order", () =>
  inCluster(FILES, async (cluster, folder) => {
    await send(cluster, 0, 30_000);
    await begin(cluster.node("a"), { name: "r", sink: "archive" });
    await fetch(`${cluster.node("a").address}/v1/cluster/nodes/b/drain`, { method: "POST" });
    assert.equal(await cluster.stop("a"), []);
    await begin(cluster.node("c"), { name: "s", sink: "archive" });
    await cluster.add("a");
    assert.equal(await cluster.stop("c"), []);
    for (const name of ["r", "s"]) {
      const { state, doneRecords } = await ended(cluster.node("a"), name);
      assert.equal([state, doneRecords], ["done", 30_000]);
      assert.equal(await filed(cluster, folder, "archive", name), expected(30_000));
    }
  }));

/** An endpoint that refuses requests until it is opened. */
async function gate() {
  let isOpen = false;
  const bodies = new Map<string, string>();
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    if (isOpen) bodies.set(String(request.headers["idempotency-key"]), text);
    response.writeHead(isOpen ? 200 : 503).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const open = () => {
    isOpen = true;
  };
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url, open, bodies, close };
}

/** Waits until the node shows the replay waiting for the endpoint in each partition. */
const waitsEverywhere = (node: ClusterNodeUnderTest, name: string): Promise<true> =>
  eventually(async () => {
    const { waiting } = (await call(node, "GET", `/${name}`)).body;
    return new Set(waiting.map(({ partition }) => partition)).size === PARTITIONS ? true : undefined;
  });

test("the next owner of a partition continues its replay, and any node can cancel a replay", async () => {
  const endpoint = await gate();
  const yaml = () => `sinks: { warehouse: { type: http, url: "${endpoint.url}" } }`;
  await inCluster(yaml, async (cluster) => {
    await send(cluster, 0, 60);
    for (const name of ["kept", "ended"]) await begin(cluster.node("a"), { name, sink: "warehouse" });
    for (const name of ["kept", "ended"]) await waitsEverywhere(cluster.node("b"), name);
    assert.is((await call(cluster.node("c"), "DELETE", "/ended")).body.state, "cancelled");
    assert.equal(await cluster.stop("a"), []);
    await cluster.settled();
    await waitsEverywhere(cluster.node("c"), "kept");
    endpoint.open();
    const { state, doneRecords } = await ended(cluster.node("b"), "kept");
    assert.equal([state, doneRecords], ["done", 60]);
    const found = [...endpoint.bodies]
      .filter(([key]) => key.startsWith("replay/kept/"))
      .flatMap(([, text]) =>
        text
          .split("\n")
          .filter(Boolean)
          .map((line) => (JSON.parse(line) as { n: number }).n),
      );
    assert.equal(
      [...new Set(found)].sort((left, right) => left - right),
      Array.from({ length: 60 }, (_, n) => n),
    );
    assert.is((await call(cluster.node("b"), "GET", "/ended")).body.state, "cancelled");
    const restarted = await begin(cluster.node("b"), { name: "ended", sink: "warehouse" });
    assert.is(restarted.state, "running");
    assert.equal((await ended(cluster.node("c"), "ended")).doneRecords, 60);
  });
  await endpoint.close();
});

test.run();
