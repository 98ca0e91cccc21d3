/**
 * Open loop: 20,000 events a second over 20 connections, one event a frame, sent at scheduled times whatever the node
 * does. Latency is counted from the scheduled time, so that a node that falls behind is charged for waiting events (no
 * coordinated omission): to the ack, and to the commit in a file sink. Both logs in turn, and the bare server's acks as
 * the floor of this machine.
 *
 *   node --import tsx bench/open_loop.bench.ts [rounds] [ms of each measurement]
 */
import { readdirSync, readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { encodeEvents } from "../protocols/values/event_codec.ts";
import { startRedis } from "../test/support/redis/redis_server.ts";
import { BenchConnection } from "./support/bench_connection.ts";
import { GatheredSocket } from "./support/clients/gathered_socket.ts";
import { startBare, startHeadrace } from "./support/processes.ts";
import { medians, quantile, record } from "./support/results.ts";
import { workloadEvent } from "./workload.ts";

const [rounds = "5", forMs = "10000"] = process.argv.slice(2);
const EVENTS_PER_SECOND = 20_000;
const CONNECTIONS = 20;
const PARTITIONS = 16;
const WARM_UP_MS = 3_000;
/** Time between looks at the sink's position, in ms: the most that they add to a commit's latency. */
const LOOK_EVERY_MS = 5;
const WITH_FILE_SINK = `
sinks:
  archive: { type: file, directory: archive }
pipelines:
  keep: { from: bench, to: [archive] }
`;

interface Latencies {
  readonly ackP50: number;
  readonly ackP99: number;
  readonly commitP50: number;
  readonly commitP99: number;
}

/** Committed offsets of one partition, with the time of each: two lists of equal length. */
interface Commits {
  readonly nextOffsets: number[];
  readonly atMs: number[];
}

async function measure(log: "redis" | "lmdb"): Promise<Latencies> {
  const redis = log === "redis" ? await startRedis({ appendonly: "yes", appendfsync: "everysec" }) : undefined;
  const node = await startHeadrace({
    log: redis === undefined ? "{ type: lmdb }" : `{ type: redis, url: "${redis.url}" }`,
    durability: redis === undefined ? "fsync" : "everysec",
    retention: "{ size: 4GiB, onFull: refuse }",
    more: WITH_FILE_SINK,
  });
  try {
    const watch = watchSink(node.address);
    const { acks, startMs } = await send(openHeadraceLane(node.endpoint));
    const commits = await watch.end();
    const sinkLatencies = latenciesOfSink(join(node.data, "archive", "bench"), commits, startMs);
    return {
      ackP50: quantile(acks, 0.5),
      ackP99: quantile(acks, 0.99),
      commitP50: quantile(sinkLatencies, 0.5),
      commitP99: quantile(sinkLatencies, 0.99),
    };
  } finally {
    await node.stop();
    await redis?.stop();
  }
}

async function measureBare(): Promise<Pick<Latencies, "ackP50" | "ackP99">> {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "everysec" });
  const server = await startBare(redis.url);
  try {
    const { acks } = await send(openBareLane(server.endpoint));
    return { ackP50: quantile(acks, 0.5), ackP99: quantile(acks, 0.99) };
  } finally {
    await server.stop();
    await redis.stop();
  }
}

/** One connection of the load. */
interface Lane {
  /** Sends event `n`, due at `atMs`. */
  send(n: number, partition: number, atMs: number): void;
  /** Settles when the connection has ended. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Opens a lane that calls `onAck` with the scheduled times of acknowledged events. */
type OpenLane = (client: number, onAck: (scheduledMs: readonly number[]) => void) => Promise<Lane>;

const openHeadraceLane =
  (endpoint: string): OpenLane =>
  async (client, onAck) => {
    /** Scheduled times of the events under way in each partition, oldest first. */
    const scheduled: number[][] = Array.from({ length: PARTITIONS }, () => []);
    const connection: BenchConnection = await BenchConnection.open({
      endpoint,
      stream: "bench",
      partitions: PARTITIONS,
      producerId: `open-loop-${client}`,
      onAck: (ack) => onAck(scheduled[ack.partition]?.splice(0, connection.countAcked(ack)) ?? []),
    });
    return {
      send(n, partition, atMs) {
        scheduled[partition]?.push(atMs);
        connection.append(partition, [eventOf(client, n, atMs)]);
      },
      closed: connection.closed,
      close: () => connection.close(),
    };
  };

const openBareLane =
  (endpoint: string): OpenLane =>
  (client, onAck) =>
    new Promise((resolve, reject) => {
      const socket = new GatheredSocket(endpoint);
      const scheduled: number[] = [];
      const closed = new Promise<void>((ended) => socket.on("close", ended));
      socket.on("error", reject);
      socket.on("message", () => onAck(scheduled.splice(0, 1)));
      const send = (n: number, partition: number, atMs: number) => {
        scheduled.push(atMs);
        const events = encodeEvents([eventOf(client, n, atMs)], { asRecords: false });
        socket.sendGathered(Buffer.concat([Uint8Array.of(partition), events]));
      };
      socket.on("open", () => resolve({ send, closed, close: () => socket.close() }));
    });

/** The count carries the scheduled time into the sink, in microseconds. */
const eventOf = (client: number, n: number, atMs: number) => ({
  ...workloadEvent(client, n),
  count: Math.round(atMs * 1_000),
});

/** Sends on schedule. `acks`: from scheduled time to ack, in ms; scheduled times count from `startMs`. */
async function send(openLane: OpenLane): Promise<{ readonly acks: number[]; readonly startMs: number }> {
  const total = Math.floor(((WARM_UP_MS + Number(forMs)) / 1_000) * EVENTS_PER_SECOND);
  const acks: number[] = [];
  let acked = 0;
  let onDone: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    onDone = resolve;
  });
  const onAck = (scheduledMs: readonly number[]) => {
    const now = performance.now() - startMs;
    for (const atMs of scheduledMs) if (atMs >= WARM_UP_MS) acks.push(now - atMs);
    acked += scheduledMs.length;
    if (acked === total) onDone();
  };
  const lanes = await Promise.all(Array.from({ length: CONNECTIONS }, (_, client) => openLane(client, onAck)));
  const startMs = performance.now() + 100;
  let n = 0;
  const tick = () => {
    const now = performance.now() - startMs;
    for (; n < total && (n * 1_000) / EVENTS_PER_SECOND <= now; n += 1) {
      const partition = Math.imul(n, 0x9e37_79b1) >>> 28; // one of 16, as a hash of a key would have it
      lanes[n % CONNECTIONS]?.send(n, partition, (n * 1_000) / EVENTS_PER_SECOND);
    }
    if (n < total) setTimeout(tick, 1);
  };
  tick();
  await Promise.race([done, ...lanes.map(({ closed }) => closed)]);
  for (const lane of lanes) lane.close();
  return { acks, startMs };
}

/** Follows the sink's progress over the public HTTP interface. */
function watchSink(address: string): { end(): Promise<readonly Commits[]> } {
  const commits = Array.from({ length: PARTITIONS }, (): Commits => ({ nextOffsets: [], atMs: [] }));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let isEnding = false;
  let lagRecords = Number.POSITIVE_INFINITY;
  const look = () =>
    new Promise<void>((resolve, reject) => {
      get(`${address}/v1/sinks`, { agent }, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => {
          const atMs = performance.now();
          lagRecords = 0;
          for (const standing of (JSON.parse(text) as { sinks: Standing[] }).sinks) {
            const known = commits[standing.partition];
            lagRecords += standing.lagRecords;
            if (known === undefined || known.nextOffsets.at(-1) === standing.nextOffset) continue;
            known.nextOffsets.push(standing.nextOffset);
            known.atMs.push(atMs);
          }
          resolve();
        });
      }).on("error", reject);
    });
  const watching = (async () => {
    while (!isEnding || lagRecords > 0) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    agent.destroy();
    return commits;
  })();
  return {
    end: () => {
      isEnding = true;
      return watching;
    },
  };
}

interface Standing {
  readonly partition: number;
  readonly nextOffset: number;
  readonly lagRecords: number;
}

/** From scheduled time to commit, of every record in the sink's files: line k of a partition is its offset k. */
function latenciesOfSink(folder: string, commits: readonly Commits[], startMs: number): number[] {
  const latencies: number[] = [];
  for (const [partition, { nextOffsets, atMs }] of commits.entries()) {
    const path = join(folder, String(partition));
    const files = readdirSync(path).filter((name) => !name.endsWith(".index") && !name.startsWith("."));
    const segments = files.filter((name) => name.startsWith("segment-")).sort();
    const lines = [...segments, ...files.filter((name) => !name.startsWith("segment-"))].flatMap((name) =>
      readFileSync(join(path, name), "utf8").split("\n").slice(0, -1),
    );
    if (lines.length !== nextOffsets.at(-1)) {
      throw new Error(
        `the sink tells of ${nextOffsets.at(-1)} records of partition ${partition}, and holds ${lines.length}`,
      );
    }
    let look = 0;
    for (const [offset, line] of lines.entries()) {
      while ((nextOffsets[look] ?? Number.POSITIVE_INFINITY) <= offset) look += 1;
      const scheduledMs = countOf(line) / 1_000;
      if (scheduledMs >= WARM_UP_MS) latencies.push((atMs[look] ?? Number.POSITIVE_INFINITY) - startMs - scheduledMs);
    }
  }
  return latencies;
}

const countOf = (line: string): number => {
  const parsed = JSON.parse(line) as { count?: number; event?: { count: number } };
  return parsed.count ?? parsed.event?.count ?? Number.NaN;
};

const runs: Record<string, number[]> = {};
for (let round = 0; round < Number(rounds); round += 1) {
  for (const of of ["redis", "lmdb", "bare"] as const) {
    const found = of === "bare" ? await measureBare() : await measure(of);
    console.log(`round ${round + 1}: ${of}`, found);
    for (const [name, value] of Object.entries(found)) {
      const key = `${of} ${name} ms`;
      runs[key] = [...(runs[key] ?? []), Math.round(value * 100) / 100];
    }
  }
}
const median = medians(runs);
const floor = median["bare ackP99 ms"] ?? Number.NaN;
const ratios = {
  "redis / bare, ackP99": (median["redis ackP99 ms"] ?? Number.NaN) / floor,
  "lmdb / bare, ackP99": (median["lmdb ackP99 ms"] ?? Number.NaN) / floor,
};
console.log(median, ratios);
record({
  name: "open_loop",
  command: `node --import tsx bench/open_loop.bench.ts ${rounds} ${forMs}`,
  workload: `${EVENTS_PER_SECOND} events/s on schedule, ${CONNECTIONS} connections, one event a frame, file sink (bare server: none); from scheduled time`,
  runs,
  median,
  ratios,
});
