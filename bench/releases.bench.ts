/**
 * Ingest of this checkout beside ingest of another one: acknowledged events a second, and processor time of the node for each
 * event, on both logs, with and without file sinks, batched and one event a frame, and three sinks over steps. And frames with a trace context beside frames
 * without one, on this checkout. Contenders alternate within each round; only ratios within one run are to be quoted.
 *
 *   node --import tsx bench/releases.bench.ts <folder of the other checkout> [rounds] [ms of each measurement] [part of a name]
 */
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startRedis } from "../test/support/redis/redis_server.ts";
import { headraceLoad } from "./support/clients/headrace_client.ts";
import { cpuMs } from "./support/process_cpu.ts";
import { type NodeSettings, startHeadrace } from "./support/processes.ts";
import { median, medians, record } from "./support/results.ts";

const [other, rounds = "5", forMs = "5000", only = ""] = process.argv.slice(2);
if (other === undefined) throw new Error("Cannot compare as the folder of another checkout must be named");
const WARM_UP_MS = 1_500;
/** From the beginning of a slice to its measurement: connections and chains are opened meanwhile. */
const OPENING_MS = 300;
/** Slices of a measurement. */
const SLICES = 10;
const BATCHED = { partitions: 16, connections: 4, batchEvents: 500, inFlightEvents: 32_000 };
const SINGLE = { partitions: 16, connections: 4, batchEvents: 1, inFlightEvents: 1_000 };
const FILE_SINK = `
sinks: { files: { type: file, directory: ./out } }
pipelines: { all: { from: bench, steps: [], to: [files] } }
`;

/** Half of the workload's events pass the filter. */
const THREE_SINKS = `
sinks: { one: { type: file, directory: ./one }, two: { type: file, directory: ./two }, three: { type: file, directory: ./three } }
pipelines:
  all:
    from: bench
    steps: [{ filter: "event.count % 2 == 0" }, { map: { device: event.device, twice: event.count * 2 } }]
    to: [one, two, three]
`;
/** So few events under way that the sinks keep up with the load. */
const PACED = { partitions: 16, connections: 4, batchEvents: 100, inFlightEvents: 6_400 };

interface Case {
  readonly log: "lmdb" | "redis";
  readonly load: typeof BATCHED & { readonly isTraced?: boolean };
  readonly more?: string;
}
const CASES: Readonly<Record<string, Case>> = {
  "lmdb, batched, file sink": { log: "lmdb", load: BATCHED, more: FILE_SINK },
  "lmdb, single, file sink": { log: "lmdb", load: SINGLE, more: FILE_SINK },
  "lmdb, batches of 100, filter and map, three file sinks": { log: "lmdb", load: PACED, more: THREE_SINKS },
  "redis, batched": { log: "redis", load: BATCHED },
  "redis, single": { log: "redis", load: SINGLE },
};

interface Figures {
  /** Acknowledged events, and their time. */
  readonly events: number;
  readonly ms: number;
  /** Processor time of the node. */
  readonly cpuMs: number;
}

/** A node that waits to be loaded. */
interface Side {
  load(forMs: number): Promise<Figures>;
  stop(): Promise<void>;
}

async function start({ log, load, more = "" }: Case, checkout: string): Promise<Side> {
  const redis = log === "redis" ? await startRedis({ appendonly: "yes", appendfsync: "everysec" }) : undefined;
  const settings: NodeSettings =
    redis === undefined
      ? { log: "{ type: lmdb }", durability: "fsync", more, checkout }
      : { log: `{ type: redis, url: "${redis.url}" }`, durability: "everysec", more, checkout };
  const node = await startHeadrace(settings);
  const about = { endpoint: node.endpoint, stream: "bench", warmUpMs: OPENING_MS, ...load };
  return {
    async load(forMs) {
      const loading = headraceLoad({ ...about, measureMs: forMs });
      await delay(OPENING_MS);
      const before = cpuMs(node.pid);
      await delay(forMs);
      const used = cpuMs(node.pid) - before;
      return { events: ((await loading) * forMs) / 1_000, ms: forMs, cpuMs: used };
    },
    async stop() {
      await node.stop();
      await redis?.stop();
    },
  };
}

const runs: Record<string, number[]> = {};
const push = (name: string, value: number): void => {
  runs[name] = [...(runs[name] ?? []), value];
};

const sum = (parts: readonly Figures[], of: keyof Figures): number =>
  parts.reduce((total, figures) => total + figures[of], 0);
const perSecond = (parts: readonly Figures[]): number => (sum(parts, "events") * 1_000) / sum(parts, "ms");
const cpuNs = (parts: readonly Figures[]): number => (sum(parts, "cpuMs") * 1e6) / sum(parts, "events");

/**
 * Medians over the rounds of left over right. In each round both nodes are there, and are loaded in turns for a short slice of time:
 * the machine's other work, which comes and goes within seconds, meets both alike.
 */
async function compare(
  name: string,
  left: () => Promise<Side>,
  right: () => Promise<Side>,
): Promise<Record<string, number>> {
  const ratios = { perSecond: [] as number[], cpuNs: [] as number[] };
  for (let round = 0; round < Number(rounds); round += 1) {
    const sides = [await left(), await right()] as const;
    const parts = [[], []] as [Figures[], Figures[]];
    for (const side of sides) await side.load(WARM_UP_MS);
    for (let slice = 0; slice < SLICES; slice += 1) {
      for (const index of (slice + round) % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
        parts[index].push(await sides[index].load(Number(forMs) / SLICES));
    }
    for (const side of sides) await side.stop();
    const [one, two] = parts;
    ratios.perSecond.push(perSecond(one) / perSecond(two));
    ratios.cpuNs.push(cpuNs(one) / cpuNs(two));
    for (const [side, of] of Object.entries({ left: one, right: two })) {
      push(`${name}, ${side}, events/s`, Math.round(perSecond(of)));
      push(`${name}, ${side}, cpu ns an event`, Math.round(cpuNs(of)));
    }
    console.log(
      `${name}, round ${round + 1}: ${Math.round(perSecond(one))} and ${Math.round(perSecond(two))} events/s, ${Math.round(cpuNs(one))} and ${Math.round(cpuNs(two))} ns of cpu an event`,
    );
  }
  return { [`${name}: events/s`]: median(ratios.perSecond), [`${name}: cpu an event`]: median(ratios.cpuNs) };
}

const here = process.cwd();
const there = resolve(other);
const ratios: Record<string, number> = {};
for (const [name, one] of Object.entries(CASES)) {
  if (!name.includes(only)) continue;
  const of = (checkout: string) => () => start(one, checkout);
  Object.assign(ratios, await compare(`${name}, this / other`, of(here), of(there)));
}
const traced = (isTraced: boolean) => () => start({ log: "lmdb", load: { ...SINGLE, isTraced } }, here);
if ("traced".includes(only))
  Object.assign(ratios, await compare("lmdb, single, traced / untraced", traced(true), traced(false)));
console.log(ratios);
record({
  name: "releases",
  command: `node --import tsx bench/releases.bench.ts <other checkout> ${rounds} ${forMs}`,
  workload: "4 connections, 16 partitions; batches of 500 with 32,000 events in flight, or single events with 1,000",
  ...{ runs, median: medians(runs), ratios },
});
