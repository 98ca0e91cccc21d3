/**
 * Measures how much a client can take from others. Memory: by subscribing and never reading (small batches, and batches
 * as large as a frame in JSON), or by the largest resume points. Time: by a flood of small frames. Memory is RssAnon of
 * the node's process before and after, each on a fresh node. The flood comes from a process of its own, and alternates
 * with quiet.
 *
 *   node --import tsx bench/hostile_clients.bench.ts [runs] [connections] [producers]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { Producer } from "../protocols/client/producer/producer.ts";
import { connectWebSocket } from "../protocols/client/websocket_connection.ts";
import { FIELD_LIMITS } from "../protocols/limits.ts";
import { encodeEvent, encodeEvents } from "../protocols/values/event_codec.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from "../protocols/wire/frames.ts";
import { RawClient } from "../test/support/clients/raw_client.ts";
import { FLOODS, type Flood, subscribeToAll } from "./support/clients/flood.ts";
import { type RunningNode, startHeadrace } from "./support/processes.ts";
import { median, quantile, record } from "./support/results.ts";
import { workloadEvent } from "./workload.ts";

const [runs = "3", connections = "1000", producers = "10000"] = process.argv.slice(2);
const PARTITIONS = 16;
const MIB = 1_048_576;
/** Events in the log for subscribers that never read. */
const STORED_EVENTS = 150_000;
/** Events in a batch of nearly a frame. */
const LARGE_EVENTS = 4;
const LARGE_EVENT_BYTES = 900_000;
const SETTLE_MS = 10_000;
const FLOOD_MS = 6_000;
const FLOOD_CLIENT = fileURLToPath(new URL("./support/clients/flood_client.ts", import.meta.url));

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const node = () => startHeadrace({ log: "{ type: lmdb }", durability: "everysec" });

/** Memory of the process that no file backs, so without LMDB's mapped pages. */
function anonBytes({ pid }: { readonly pid: number }): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024;
}

/** Memory in MiB, after a wait in which most garbage is collected. */
async function settledMiB(of: { readonly pid: number }): Promise<number> {
  await delay(SETTLE_MS);
  return anonBytes(of) / MIB;
}

async function fill({ endpoint }: RunningNode): Promise<void> {
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
    addresses: [endpoint],
    producerId: "fill",
    stream: "bench",
  });
  for (let n = 0; n < STORED_EVENTS; n += 1) await producer.send(workloadEvent(0, n), { partition: n % PARTITIONS });
  await producer.close({ timeoutMs: 60_000 });
}

/** A batch of nearly 4 MiB in each partition. */
async function fillLarge({ endpoint }: RunningNode): Promise<void> {
  const event = { ...workloadEvent(0, 0), site: "x".repeat(LARGE_EVENT_BYTES) };
  const events = encodeEvents(Array(LARGE_EVENTS).fill(event), { asRecords: true });
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const client = await RawClient.open(endpoint);
    const producerEpoch = await client.produceTo(`large-${partition}`, "bench", partition);
    const place = { stream: "bench", partition, producerEpoch, previousSequence: null };
    const sequences = { first: [0, 0, 0] as const, count: LARGE_EVENTS };
    await client.ask({ type: "append", ...place, sequences, events });
    client.end();
  }
}

interface Mute {
  readonly fill: (running: RunningNode) => Promise<void>;
  readonly subprotocol: Subprotocol;
}
const SMALL: Mute = { fill, subprotocol: SUBPROTOCOL_MSGPACK };
const LARGE: Mute = { fill: fillLarge, subprotocol: SUBPROTOCOL_JSON };

/** Memory in MiB for `count` connections with `subscriptions` each, none of which is ever read. */
async function muteMiB(count: number, subscriptions: number, mute: Mute): Promise<number> {
  const filled = await node();
  await mute.fill(filled);
  // A fresh process, so that memory freed after the filling cannot be used again.
  const running = await filled.restart();
  try {
    const before = await settledMiB(running);
    const clients: RawClient[] = [];
    for (let n = 0; n < count; n += 1) {
      const client = await RawClient.open(running.endpoint, mute.subprotocol);
      await client.ask({ type: "hello", client: "mute" });
      (client.socket as unknown as { _socket: { pause(): void } })._socket.pause();
      for (let id = 0; id < subscriptions; id += 1) client.send(subscribeToAll(id, PARTITIONS, "earliest"));
      clients.push(client);
    }
    const after = await settledMiB(running);
    for (const client of clients) client.end();
    return after - before;
  } finally {
    await running.stop();
  }
}

/** The largest position that a node takes, of many small values, which take the most memory once decoded. */
function largestPosition(): Record<string, unknown> {
  const list: unknown[] = [];
  while (encodeEvent({ a: [...list, []] }).length <= FIELD_LIMITS.positionBytesMax) list.push([]);
  return { a: list };
}

/** Memory of the producers with such a position and without one, while the node runs and after a restart. */
async function producersMiB(
  position: Record<string, unknown> | undefined,
): Promise<{ live: number; restarted: number }> {
  let running = await node();
  try {
    const before = await settledMiB(running);
    const events = encodeEvents([workloadEvent(0, 0)], { asRecords: false });
    for (let n = 0; n < Number(producers); n += 1) {
      const client = await RawClient.open(running.endpoint);
      const partition = n % PARTITIONS;
      const producerEpoch = await client.produceTo(`large-${n}`, "bench", partition);
      const sequences = { first: [0, 0, 0] as const, count: 1 };
      const place = { stream: "bench", partition, producerEpoch, previousSequence: null };
      await client.ask({
        type: "append",
        ...place,
        sequences,
        events,
        ...(position === undefined ? {} : { position }),
      });
      client.end();
    }
    const live = (await settledMiB(running)) - before;
    running = await running.restart();
    return { live, restarted: (await settledMiB(running)) - before };
  } finally {
    await running.stop();
  }
}

/** Starts a client in a process of its own that floods small frames, and resolves once it does. */
async function startFlood(endpoint: string, flood: Flood): Promise<ChildProcess> {
  const child = fork(FLOOD_CLIENT, [endpoint, flood], { execArgv: ["--import", "tsx"] });
  await once(child, "message");
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** Time from append to ack of one event after another, in ms, with a flood beside it or none. */
async function ackTimes(endpoint: string, flood: Flood | undefined): Promise<number[]> {
  const flooder = flood === undefined ? undefined : await startFlood(endpoint, flood);
  const honest = await RawClient.open(endpoint);
  const producerEpoch = await honest.produceTo(`honest-${Date.now()}-${Math.random()}`, "bench", 1);
  const times: number[] = [];
  const events = encodeEvents([workloadEvent(0, 1)], { asRecords: false });
  const endMs = performance.now() + FLOOD_MS;
  for (let n = 0; performance.now() < endMs; n += 1) {
    const startMs = performance.now();
    const place = { stream: "bench", partition: 1, producerEpoch };
    await honest.ask({
      ...{ type: "append", ...place, events },
      previousSequence: n === 0 ? null : [0, n - 1, 0],
      sequences: { first: [0, n, 0], count: 1 },
    });
    times.push(performance.now() - startMs);
  }
  honest.end();
  if (flooder !== undefined) await end(flooder);
  return times;
}

const memory: Record<string, number[]> = {
  "64 mute subscriptions": [],
  "mute connections": [],
  "64 mute subscriptions, large batches": [],
  "mute connections, large batches": [],
  "largest positions": [],
  "largest positions, restarted": [],
};
memory["64 mute subscriptions"]?.push(await muteMiB(1, 64, SMALL));
memory["mute connections"]?.push(await muteMiB(Number(connections), 1, SMALL));
memory["64 mute subscriptions, large batches"]?.push(await muteMiB(1, 64, LARGE));
memory["mute connections, large batches"]?.push(await muteMiB(Number(connections), 1, LARGE));
const [plain, large] = [await producersMiB(undefined), await producersMiB(largestPosition())];
memory["largest positions"]?.push(large.live - plain.live);
memory["largest positions, restarted"]?.push(large.restarted - plain.restarted);
console.log("MiB more", memory);

const p50: Record<string, number[]> = { quiet: [] };
const running = await node();
for (let run = 0; run < Number(runs); run += 1) {
  p50.quiet?.push(quantile(await ackTimes(running.endpoint, undefined), 0.5));
  for (const flood of FLOODS) {
    p50[flood] ??= [];
    p50[flood].push(quantile(await ackTimes(running.endpoint, flood), 0.5));
  }
}
await running.stop();
console.log("ack p50 in ms", p50);
const quiet = median(p50.quiet ?? []);
record({
  name: "hostile_clients",
  command: `node --import tsx bench/hostile_clients.bench.ts ${runs} ${connections} ${producers}`,
  workload: `RssAnon beyond a node at rest: 64 subscriptions of one connection, ${connections} connections of one each, both of small batches and of batches of ${LARGE_EVENTS} events of ${LARGE_EVENT_BYTES} bytes in JSON, ${producers} producers with positions of ${FIELD_LIMITS.positionBytesMax} bytes beyond as many without; ack p50 of one event at a time beside a connection that floods small frames`,
  runs: { ...memory, ...p50 },
  median: {
    ...Object.fromEntries(Object.entries({ ...memory, ...p50 }).map(([name, values]) => [name, median(values)])),
  },
  ratios: Object.fromEntries(FLOODS.map((flood) => [`${flood} flood to quiet`, median(p50[flood] ?? []) / quiet])),
});
