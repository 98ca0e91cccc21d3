/** Several nodes on one Redis: owners, clients that follow owners or stay, and partitions that move under load. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connectRedisLog } from "../../../actors/log/redis/redis_log.ts";
import { partitionId } from "../../../protocols/position.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { PROTOCOL_MINOR } from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { RunningCluster, readAll } from "../../support/processes/running_cluster.ts";
import { eventually } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const PARTITIONS = 12;
const YAML = `streams: { readings: { partitions: ${PARTITIONS}, durability: everysec } }`;

/** Sends events numbered from 0 until told to stop; resolves with how many there were, all acknowledged. */
function sendUntil(
  cluster: RunningCluster,
  producerId: string,
  isEnough: (count: number) => boolean,
  forward: boolean,
) {
  const producer = cluster.producer({
    producerId,
    stream: "readings",
    forward,
    bufferEventsMax: 500,
    batchEventsMax: 20,
  });
  const sent: { count: number; rejected: number } = { count: 0, rejected: 0 };
  const done = (async () => {
    for (; !isEnough(sent.count) || sent.count % PARTITIONS !== 0; sent.count += 1) {
      await producer.send({ n: sent.count }, { partition: sent.count % PARTITIONS });
      if (sent.count % 100 === 0) await producer.flush();
    }
    await producer.flush();
    assert.equal((await producer.close()).inDoubt, []);
    return sent.count;
  })();
  return { sent, done };
}

const expected = (count: number) =>
  Array.from({ length: PARTITIONS }, (_, partition) =>
    Array.from({ length: count / PARTITIONS }, (_, index) => index * PARTITIONS + partition),
  );

test("three nodes share the partitions; producers that follow owners or stay are acknowledged, and each event is read once", async () => {
  const cluster = await RunningCluster.start(YAML, ["a", "b", "c"]);
  const { coordinator, nodes } = await cluster.settled();
  assert.equal(
    nodes.map(({ name, partitions }) => [name, partitions]),
    [
      ["a", 4],
      ["b", 4],
      ["c", 4],
    ],
  );
  assert.ok(nodes.filter(({ isCoordinator }) => isCoordinator).every(({ name }) => name === coordinator?.node));
  for (const forward of [false, true]) {
    const { done } = sendUntil(cluster, `p-${forward}`, (count) => count >= 1_200, forward);
    await done;
  }
  // One subscriber follows owners, and one reads everything through a single node.
  for (const forward of [false, true]) {
    const consumer = cluster.consumer({ addresses: [cluster.node("b").endpoint], forward });
    const seen = await readAll(consumer, "readings", PARTITIONS, 2_400);
    const each = seen.map((ns) => [...ns].sort((left, right) => left - right));
    assert.equal(
      each,
      expected(1_200).map((ns) => ns.flatMap((n) => [n, n])),
    );
    consumer.close();
  }
  await cluster.end();
});

for (const forward of [false, true]) {
  test(`nodes join, are drained and leave while a producer ${forward ? "stays" : "follows"} and a subscriber reads: nothing is lost, repeated or out of order`, async () => {
    const cluster = await RunningCluster.start(YAML, ["a", "b"]);
    let isEnough = false;
    const { sent, done } = sendUntil(cluster, "p", () => isEnough, forward);
    const consumer = cluster.consumer({ forward });
    const more = async (count: number) => {
      const from = sent.count;
      await eventually(() => (sent.count >= from + count ? true : undefined));
    };
    const seen: number[][] = Array.from({ length: PARTITIONS }, () => []);
    let read = 0;
    const stopReading = new AbortController();
    const reading = (async () => {
      const options = { stream: "readings", from: "earliest", signal: stopReading.signal } as const;
      for await (const item of consumer.subscribe(options)) {
        if (item.kind !== "records") continue;
        for (const { event } of item.records) seen[item.partition]?.push(event.n as number);
        read += item.records.length;
      }
    })().catch(() => undefined);
    await more(200);
    await cluster.add("c");
    await cluster.settled();
    await more(200);
    const drained = await fetch(`${cluster.node("b").address}/v1/cluster/nodes/a/drain`, { method: "POST" });
    assert.is(drained.status, 202);
    await eventually(async () => {
      const { nodes } = await cluster.node("b").overview();
      return nodes.find(({ name }) => name === "a")?.partitions === 0 ? true : undefined;
    });
    await more(200);
    // A rolling restart of the node that was drained, and of the coordinator's or another.
    assert.equal(await cluster.stop("b"), []);
    await more(200);
    await cluster.add("b");
    await more(200);
    isEnough = true;
    const count = await done;
    await eventually(() => (read >= count ? true : undefined));
    stopReading.abort();
    consumer.close();
    await reading;
    assert.equal(seen, expected(count));
    await cluster.end();
  });
}

test("a planned move is announced to the partition's producers and readers with its next owner, while the partition is served", async () => {
  const cluster = await RunningCluster.start(YAML, ["a", "b"]);
  const { partitions } = await cluster.settled();
  const partition = partitions.find(({ owner }) => owner === "a")?.partition ?? -1;
  const about = { stream: "readings", partition } as const;
  const producer = await RawClient.open(cluster.node("a").endpoint);
  const producerEpoch = await producer.produceTo("p", "readings", partition, PROTOCOL_MINOR);
  const reader = await RawClient.open(cluster.node("a").endpoint);
  await reader.ask({ type: "hello", client: "raw", minor: PROTOCOL_MINOR });
  await reader.ask({
    ...{ type: "subscribe", subscription: 1, stream: "readings", creditBytes: 1_000_000 },
    partitions: [{ partition, from: "latest" }],
  });
  await fetch(`${cluster.node("b").address}/v1/cluster/nodes/a/drain`, { method: "POST" });
  const appended = (n: number) =>
    producer.ask({
      ...{ type: "append", ...about, producerEpoch, previousSequence: n === 0 ? null : [0, n - 1, 0] },
      sequences: { first: [0, n, 0], count: 1 },
      events: encodeEvents([{ n }], { asRecords: false }),
    });
  const told = new Set<string>();
  for (let n = 0; !told.has("moved"); n += 1) {
    // After `moving` the client hears `moved` without sending again.
    const frame = await (told.has("moving") ? producer.next() : appended(n));
    if (frame === undefined) break;
    told.add(frame.type);
    if (frame.type === "moving" || frame.type === "moved") assert.is(frame.address, cluster.node("b").endpoint);
  }
  assert.equal([...told], ["ack", "moving", "moved"]);
  const toldReader: string[] = [];
  for (let frame = await reader.next(); frame !== undefined; frame = await reader.next()) {
    if (frame.type === "moving" || frame.type === "moved") toldReader.push(frame.type);
    if (frame.type === "moved") break;
  }
  assert.equal(toldReader, ["moving", "moved"]);
  producer.end();
  reader.end();
  await cluster.end();
});

test("the explanation of a partition tells its reason and its decision", async () => {
  const cluster = await RunningCluster.start(YAML, ["a"]);
  await cluster.add("b");
  const { partitions } = await cluster.settled();
  const moved = partitions.find(({ owner }) => owner === "b");
  const at = async (path: string) =>
    (await (await fetch(`${cluster.node("a").address}/v1/cluster/${path}`)).json()) as never;
  const explanation: { reason: string; decision: { text: string; moves: number } } = await at(
    `partitions/readings/${moved?.partition}`,
  );
  assert.match(explanation.reason, /moved from a to b, as b joined/);
  assert.is(explanation.decision.moves, 6);
  const { decisions }: { decisions: { text: string }[] } = await at("decisions");
  assert.match(decisions[0]?.text ?? "", /b joined: 6 of 12 partitions move/);
  const unknown = await fetch(`${cluster.node("a").address}/v1/cluster/nodes/zzz/drain`, { method: "POST" });
  assert.is(unknown.status, 404);
  await cluster.end();
});

/** The committed records of the file sink, read from its folder: `n` of each record by partition. */
async function inFiles(cluster: RunningCluster, folder: string): Promise<number[][]> {
  const log = await connectRedisLog({ url: cluster.redis.url, prefix: "headrace:" });
  const read = async (partition: number) => {
    const reference = { stream: "readings", partition: partitionId(partition) };
    const checkpoint = (await log.readCheckpoints(reference)).get("sink/archive");
    const lines = (await readFileSink(folder, reference, checkpoint)).join("").split("\n").filter(Boolean);
    return lines.map((line) => (JSON.parse(line) as { n: number }).n);
  };
  const all = await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => read(partition)));
  await log.close();
  return all;
}

test("deliveries move with their partitions: the sink's files hold every record once and in order", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-archive-"));
  const sinks = `sinks: { archive: { type: file, directory: ${JSON.stringify(folder)}, shared: true } }`;
  const pipelines = "pipelines: { keep: { from: readings, to: [archive] } }";
  const cluster = await RunningCluster.start([YAML, sinks, pipelines].join("\n"), ["a", "b"]);
  let isEnough = false;
  const { sent, done } = sendUntil(cluster, "p", () => isEnough, false);
  for (const node of ["a", "b"]) {
    const from = sent.count;
    await eventually(() => (sent.count >= from + 300 ? true : undefined));
    for (const command of ["drain", "undrain"]) {
      await fetch(`${cluster.node("a").address}/v1/cluster/nodes/${node}/${command}`, { method: "POST" });
      // Balance by load need not give each node half of the partitions.
      const isDone = (partitions: number) => (command === "drain" ? partitions === 0 : partitions > 0);
      await eventually(async () => {
        const { nodes, moves } = await cluster.node("a").overview();
        const isSo = nodes.some(({ name, partitions }) => name === node && isDone(partitions));
        return isSo && moves.length === 0 ? true : undefined;
      });
    }
  }
  isEnough = true;
  const count = await done;
  const files = await eventually(async () => {
    const all = await inFiles(cluster, folder);
    return all.flat().length >= count ? all : undefined;
  });
  assert.equal(files, expected(count));
  await cluster.end();
  await rm(folder, { recursive: true, force: true });
});

test("a file sink in a folder of a single node is refused, as its partitions move between nodes", async () => {
  const sinks = "sinks: { archive: { type: file, directory: archive } }";
  const pipelines = "pipelines: { keep: { from: readings, to: [archive] } }";
  const cluster = await RunningCluster.start([YAML, sinks, pipelines].join("\n"), []);
  const refusal = await cluster.add("a").then(
    () => "started",
    (error: Error) => error.message,
  );
  assert.match(refusal, /sinks\.archive: Cannot write from a cluster as all nodes must write to one folder/);
  await cluster.end();
});

test.run();
