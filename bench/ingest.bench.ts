/**
 * From a WebSocket producer to acknowledged, side by side: Headrace on Redis (everysec) and on the embedded log (fsync), the
 * bare server of `support/bare_server.ts`, and NATS JetStream. Clients, servers and stores share this machine; contenders
 * alternate, and only ratios within one run are to be quoted.
 *
 *   node --import tsx bench/ingest.bench.ts [rounds] [ms of each measurement]
 */
import { spawnSync } from "node:child_process";
import { startRedis } from "../test/support/redis/redis_server.ts";
import { bareLoad } from "./support/clients/bare_client.ts";
import { headraceLoad } from "./support/clients/headrace_client.ts";
import { natsLoad } from "./support/clients/nats_client.ts";
import { startBare, startHeadrace, startNats } from "./support/processes.ts";
import { medians, record } from "./support/results.ts";

const [rounds = "5", forMs = "3000"] = process.argv.slice(2);
const measure = { warmUpMs: 1_000, measureMs: Number(forMs) };

/** 4 connections, 16 partitions, batches of 500, 64 batches in flight. */
const BATCHED = { partitions: 16, connections: 4, batchEvents: 500, inFlightEvents: 32_000, ...measure };
const SINGLE = { partitions: 16, connections: 4, batchEvents: 1, inFlightEvents: 1_000, ...measure };

type Contender = () => Promise<number>;

async function onHeadrace(log: "redis" | "lmdb", load: typeof BATCHED): Promise<number> {
  const redis = log === "redis" ? await startRedis({ appendonly: "yes", appendfsync: "everysec" }) : undefined;
  const node = await startHeadrace(
    redis === undefined
      ? { log: "{ type: lmdb }", durability: "fsync" }
      : { log: `{ type: redis, url: "${redis.url}" }`, durability: "everysec" },
  );
  try {
    return await headraceLoad({ endpoint: node.endpoint, stream: "bench", ...load });
  } finally {
    await node.stop();
    await redis?.stop();
  }
}

async function onBare(load: typeof BATCHED): Promise<number> {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "everysec" });
  const server = await startBare(redis.url);
  try {
    return await bareLoad({ endpoint: server.endpoint, stream: "bench", ...load });
  } finally {
    await server.stop();
    await redis.stop();
  }
}

async function onNats(transport: "tcp" | "ws", clients: number, inFlightEvents: number): Promise<number> {
  const nats = await startNats();
  try {
    const url = transport === "tcp" ? nats.endpoint : nats.webSocket;
    return await natsLoad({ url, clients, inFlightEvents, ...measure });
  } finally {
    await nats.stop();
  }
}

const hasNats = spawnSync("nats-server", ["--version"]).status === 0;
if (!hasNats) console.log("nats-server is not installed: measured without it");
const natsContenders = (inFlight: number): Record<string, Contender> =>
  Object.fromEntries(
    (hasNats ? (["tcp", "ws"] as const) : []).flatMap((transport) =>
      [1, 2, 4].map(
        (clients) => [`nats ${transport} x${clients}`, () => onNats(transport, clients, inFlight)] as const,
      ),
    ),
  );

async function compare(name: string, workload: string, contenders: Readonly<Record<string, Contender>>): Promise<void> {
  const runs: Record<string, number[]> = {};
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const [contender, run] of Object.entries(contenders)) {
      const rate = Math.round(await run());
      runs[contender] = [...(runs[contender] ?? []), rate];
      console.log(`${workload}, round ${round + 1}: ${contender.padEnd(16)} ${rate.toLocaleString("en")} events/s`);
    }
  }
  const median = medians(runs);
  const bestNats = Math.max(
    ...Object.entries(median).flatMap(([key, value]) => (key.startsWith("nats") ? [value] : [])),
  );
  const redis = median["headrace redis"] ?? Number.NaN;
  const lmdb = median["headrace lmdb"] ?? Number.NaN;
  const ratios = {
    "redis / bare": redis / (median["bare redis"] ?? Number.NaN),
    "lmdb / redis": lmdb / redis,
    ...(hasNats ? { "redis / best nats": redis / bestNats, "lmdb / best nats": lmdb / bestNats } : {}),
  };
  console.log(median, ratios);
  record({
    name,
    command: `node --import tsx bench/ingest.bench.ts ${rounds} ${forMs}`,
    workload,
    runs,
    median,
    ratios,
  });
}

await compare("ingest_batched", "4 connections, 16 partitions, batches of 500, 32,000 events in flight", {
  "headrace redis": () => onHeadrace("redis", BATCHED),
  "headrace lmdb": () => onHeadrace("lmdb", BATCHED),
  "bare redis": () => onBare(BATCHED),
  ...natsContenders(2_000),
});
await compare("ingest_single", "one event a frame, 4 connections, 16 partitions, 1,000 in flight", {
  "headrace redis": () => onHeadrace("redis", SINGLE),
  "headrace lmdb": () => onHeadrace("lmdb", SINGLE),
  "bare redis": () => onBare(SINGLE),
  ...natsContenders(1_000),
});
