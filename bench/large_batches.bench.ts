/**
 * Measures the processor time of a node that serves a batch of nearly a frame in parts, beside the same records in
 * batches of 100 events. The readers are one subscriber, 64 connections with a subscriber each, and one subscriber that
 * gets the smallest parts, as 40 connections that never read hold all shares. One node; the two kinds of batches
 * alternate.
 *
 *   node --import tsx bench/large_batches.bench.ts [runs]
 */
import { readFileSync } from "node:fs";
import { encodeEvents } from "../protocols/values/event_codec.ts";
import { SUBPROTOCOL_MSGPACK } from "../protocols/wire/frames.ts";
import { RawClient } from "../test/support/clients/raw_client.ts";
import { type RunningNode, startHeadrace } from "./support/processes.ts";
import { median, medians, record } from "./support/results.ts";
import { workloadEvent } from "./workload.ts";

const [runs = "5"] = process.argv.slice(2);
/** Events of the large batch, together nearly 4 MiB. */
const EVENTS = 10_000;
const SITE = "x".repeat(280);
const EVENTS_OF_SMALL = 100;
const [LARGE, SMALL, MUTE] = [0, 1, 2];
const MUTE_BATCHES = 6;
const MUTE_CONNECTIONS = 40;
const READERS = 64;
/** Unit of `utime` and `stime` in /proc, in ms. */
const TICK_MS = 10;
const SETTLE_MS = 1_500;

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function processorMs({ pid }: RunningNode): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function store({ endpoint }: RunningNode, partition: number, count: number, batches: number): Promise<void> {
  const client = await RawClient.open(endpoint);
  const producerEpoch = await client.produceTo(`fill-${partition}`, "bench", partition);
  for (let batch = 0; batch < batches; batch += 1) {
    const first = batch * count;
    const events = Array.from({ length: count }, (_, n) => ({ ...workloadEvent(0, first + n), site: SITE }));
    const answer = await client.ask({
      ...{ type: "append", stream: "bench", partition, producerEpoch },
      previousSequence: batch === 0 ? null : [0, first - 1, 0],
      sequences: { first: [0, first, 0], count },
      events: encodeEvents(events, { asRecords: true }),
    });
    if (answer?.type !== "ack") throw new Error(`not taken: ${JSON.stringify(answer)}`);
  }
  client.end();
}

async function subscribe({ endpoint }: RunningNode, partition: number): Promise<RawClient> {
  const client = await RawClient.open(endpoint, SUBPROTOCOL_MSGPACK);
  await client.ask({ type: "hello", client: "reader" });
  const partitions = [{ partition, from: "earliest" as const }];
  client.send({ type: "subscribe", subscription: 1, stream: "bench", partitions, creditBytes: 67_108_864 });
  return client;
}

/** Reads all records of a partition; answers how many frames they came in. */
async function readAll(node: RunningNode, partition: number): Promise<number> {
  const client = await subscribe(node, partition);
  let frames = 0;
  for (let next = 0; next < EVENTS; frames += 1) {
    const frame = await client.next();
    if (frame?.type !== "records") throw new Error(`no records: ${frame?.type}`);
    const last = frame.batches.at(-1);
    next = last === undefined ? next : last.firstOffset + last.count;
  }
  client.end();
  return frames;
}

async function measure(node: RunningNode, readers: number, partition: number): Promise<number> {
  await delay(SETTLE_MS);
  const before = processorMs(node);
  const frames = await Promise.all(Array.from({ length: readers }, () => readAll(node, partition)));
  const tookMs = processorMs(node) - before;
  console.log(
    `${readers} readers, ${partition === LARGE ? "large" : "small"}: ${tookMs} ms, ${median(frames)} frames each`,
  );
  return tookMs;
}

const times: Record<string, number[]> = {};
const node = await startHeadrace({ log: "{ type: lmdb }", durability: "everysec" });
try {
  await store(node, LARGE, EVENTS, 1);
  await store(node, SMALL, EVENTS_OF_SMALL, EVENTS / EVENTS_OF_SMALL);
  await store(node, MUTE, EVENTS, MUTE_BATCHES);
  const both = async (name: string, readers: number) => {
    for (const [kind, partition] of [
      ["large", LARGE],
      ["small", SMALL],
    ] as const) {
      times[`${name}, ${kind} batches`] ??= [];
      times[`${name}, ${kind} batches`]?.push(await measure(node, readers, partition));
    }
  };
  await measure(node, 4, LARGE); // warms up
  for (let run = 0; run < Number(runs); run += 1) {
    await both("one subscriber", 1);
    await both(`${READERS} subscribers`, READERS);
  }
  const mutes = await Promise.all(Array.from({ length: MUTE_CONNECTIONS }, () => subscribe(node, MUTE)));
  for (const mute of mutes) (mute.socket as unknown as { _socket: { pause(): void } })._socket.pause();
  for (let run = 0; run < Number(runs); run += 1) await both("one subscriber of least parts", 1);
  for (const mute of mutes) mute.end();
} finally {
  await node.stop();
}
console.log("ms of the processor", times);
const found = medians(times);
record({
  name: "large_batches",
  command: `node --import tsx bench/large_batches.bench.ts ${runs}`,
  workload: `ms of a node's processor to serve ${EVENTS} events of about 400 bytes, in one batch and in batches of ${EVENTS_OF_SMALL}, embedded log`,
  runs: times,
  median: found,
  ratios: Object.fromEntries(
    ["one subscriber", `${READERS} subscribers`, "one subscriber of least parts"].map((name) => [
      `${name}, large to small`,
      (found[`${name}, large batches`] ?? Number.NaN) / (found[`${name}, small batches`] ?? Number.NaN),
    ]),
  ),
});
