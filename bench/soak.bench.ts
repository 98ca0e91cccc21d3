/**
 * Sends many events through one node while one of its sinks is frozen for the whole run. Checks that memory stays flat,
 * that the other sink is not disturbed, and that the frozen one catches up without a lost, repeated or reordered
 * record. Both logs, one after the other; a quarter of an hour each at the default of 20 million events.
 *
 *   node --import tsx bench/soak.bench.ts [millions of events] [events a second] [redis|lmdb ...]
 */
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startRedis } from "../test/support/redis/redis_server.ts";
import { BenchConnection } from "./support/bench_connection.ts";
import { startHeadrace, startReceiver } from "./support/processes.ts";
import { median, quantile, record } from "./support/results.ts";
import { workloadEvent } from "./workload.ts";

const [millions = "20", rate = "80000", ...logs] = process.argv.slice(2);
const EVENTS = Number(millions) * 1_000_000;
const EVENTS_PER_SECOND = Number(rate);
const CONNECTIONS = 4;
const PARTITIONS = 16;
const BATCH_EVENTS = 500;
const LOOK_EVERY_MS = 250;
const CATCH_UP_WITHIN_MS = 1_200_000;

interface Standing {
  readonly sink: string;
  readonly lagRecords: number;
  readonly lastDelayMs?: number;
}

interface Look {
  readonly atMs: number;
  /** Anonymous resident memory of the node, in MiB. */
  readonly rssAnonMiB: number;
  /** Delay from append to commit in the working sink, of each partition's last batch. */
  readonly delaysMs: readonly number[];
}

async function soak(log: "redis" | "lmdb") {
  const redis = log === "redis" ? await startRedis({ appendonly: "yes", appendfsync: "everysec" }) : undefined;
  const receiver = await startReceiver();
  const node = await startHeadrace({
    log: redis === undefined ? "{ type: lmdb }" : `{ type: redis, url: "${redis.url}" }`,
    durability: redis === undefined ? "fsync" : "everysec",
    retention: "{ size: 8GiB, onFull: refuse }",
    more: `
sinks:
  archive: { type: file, directory: archive }
  frozen: { type: http, url: "${receiver.endpoint}", recordsPerRequest: 1000 }
pipelines:
  keep: { from: bench, to: [archive, frozen] }
`,
  });
  try {
    receiver.freeze();
    const beginMs = performance.now();
    const looks: Look[] = [];
    const standings = async () => {
      const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as { sinks: Standing[] };
      return sinks;
    };
    const lagOf = async (sink: string) =>
      (await standings()).reduce((sum, one) => sum + (one.sink === sink ? one.lagRecords : 0), 0);
    let isSending = true;
    const looking = (async () => {
      while (isSending) {
        const ofArchive = (await standings()).filter(({ sink }) => sink === "archive");
        looks.push({
          atMs: performance.now() - beginMs,
          rssAnonMiB: rssAnonMiB(node.pid),
          delaysMs: ofArchive.flatMap(({ lastDelayMs }) => lastDelayMs ?? []),
        });
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    })();
    await send(node.endpoint);
    isSending = false;
    await looking;
    const sentMs = performance.now() - beginMs;
    console.log(`${log}: ${EVENTS} events acknowledged in ${(sentMs / 1_000).toFixed(0)} s`);
    receiver.thaw();
    const thawedMs = performance.now();
    while ((await lagOf("frozen")) + (await lagOf("archive")) > 0) {
      if (performance.now() - thawedMs > CATCH_UP_WITHIN_MS) throw new Error("the frozen sink does not catch up");
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS * 4));
    }
    const caughtUpMs = performance.now() - thawedMs;
    return {
      ...summary(looks, sentMs),
      sentS: sentMs / 1_000,
      caughtUpS: caughtUpMs / 1_000,
      frozen: (await (await fetch(receiver.endpoint)).json()) as Record<string, number>,
      archive: await checkFiles(join(node.data, "archive", "bench")),
    };
  } finally {
    receiver.thaw();
    await node.stop();
    await receiver.stop();
    await redis?.stop();
  }
}

function summary(looks: readonly Look[], sentMs: number) {
  const quarter = (from: number, to: number) =>
    median(looks.filter(({ atMs }) => atMs >= sentMs * from && atMs < sentMs * to).map((look) => look.rssAnonMiB));
  const delays = looks.flatMap(({ delaysMs }) => delaysMs);
  const [second, last] = [quarter(0.25, 0.5), quarter(0.75, 1)];
  return {
    rssAnonSecondQuarterMiB: second,
    rssAnonLastQuarterMiB: last,
    "last / second quarter": last / second,
    deliveryDelayP50Ms: quantile(delays, 0.5),
    deliveryDelayP99Ms: quantile(delays, 0.99),
  };
}

function rssAnonMiB(pid: number): number {
  const kiB = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kiB) / 1_024;
}

/** Sends batches on schedule, below the limits of the node and the working sink. */
async function send(endpoint: string): Promise<void> {
  let acked = 0;
  let onDone: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    onDone = resolve;
  });
  const openLane = async (client: number): Promise<BenchConnection> => {
    const connection: BenchConnection = await BenchConnection.open({
      endpoint,
      stream: "bench",
      partitions: PARTITIONS,
      producerId: `soak-${client}`,
      onAck: (ack) => {
        acked += connection.countAcked(ack);
        if (acked === EVENTS) onDone();
      },
    });
    return connection;
  };
  const lanes = await Promise.all(Array.from({ length: CONNECTIONS }, (_, client) => openLane(client)));
  const failed = Promise.race(lanes.map(({ closed }) => closed));
  const startMs = performance.now();
  let sent = 0;
  const numbers = lanes.map(() => 0);
  const tick = () => {
    const due = Math.min(EVENTS, ((performance.now() - startMs) / 1_000) * EVENTS_PER_SECOND);
    for (; sent + BATCH_EVENTS <= due; sent += BATCH_EVENTS) {
      const batch = sent / BATCH_EVENTS;
      const client = batch % CONNECTIONS;
      const from = numbers[client] ?? 0;
      numbers[client] = from + BATCH_EVENTS;
      const events = Array.from({ length: BATCH_EVENTS }, (_, at) => workloadEvent(client, from + at));
      lanes[client]?.append(Math.floor(batch / CONNECTIONS) % PARTITIONS, events);
    }
    if (sent < EVENTS) setTimeout(tick, 2);
  };
  tick();
  await Promise.race([done, failed]);
  for (const connection of lanes) connection.close();
}

/** Checks that the file sink holds every event once, and each producer's events in order. */
async function checkFiles(folder: string) {
  const found = { records: 0, reordered: 0 };
  for (const partition of readdirSync(folder)) {
    const path = join(folder, partition);
    const files = readdirSync(path).filter((name) => !name.endsWith(".index") && !name.startsWith("."));
    const isSegment = (name: string) => name.startsWith("segment-");
    const newest = new Map<string, number>();
    for (const name of [...files.filter(isSegment).sort(), ...files.filter((name) => !isSegment(name))]) {
      for await (const line of createInterface({ input: createReadStream(join(path, name)) })) {
        const [, producer = "", number = ""] = /"id":"(\d+)-(\d+)-/.exec(line) ?? [];
        found.records += 1;
        if ((newest.get(producer) ?? -1) >= Number(number)) found.reordered += 1;
        newest.set(producer, Number(number));
      }
    }
  }
  return found;
}

for (const log of (logs.length === 0 ? ["redis", "lmdb"] : logs) as ("redis" | "lmdb")[]) {
  const { frozen, archive, "last / second quarter": ratio, ...figures } = await soak(log);
  console.log(log, figures, ratio, { frozen, archive });
  const isClean =
    frozen.records === EVENTS &&
    frozen.skipped === 0 &&
    frozen.reordered === 0 &&
    archive.records === EVENTS &&
    archive.reordered === 0;
  record({
    name: "soak",
    command: `node --import tsx bench/soak.bench.ts ${millions} ${rate} ${log}`,
    workload: `${log}: ${EVENTS} events at ${EVENTS_PER_SECOND}/s in batches of ${BATCH_EVENTS}, one of two sinks frozen until the end`,
    runs: {},
    median: figures,
    ratios: { "RssAnon, last quarter / second quarter": ratio },
    frozen,
    archive,
    isClean,
  });
  if (!isClean) process.exitCode = 1;
}
