/**
 * Ingest of this checkout beside ingest of another one: acknowledged events a second, and processor time of the node for each
 * event, on both logs, with and without a file sink, batched and one event a frame. And frames with a trace context beside frames
 * without one, on this checkout. Contenders alternate; only ratios within one run are to be quoted.
 *
 *   node --import tsx bench/releases.bench.ts <folder of the other checkout> [rounds] [ms of each measurement] [part of a name]
 */
import { resolve } from "node:path";
import { startRedis } from "../test/support/redis/redis_server.ts";
import { headraceLoad } from "./support/clients/headrace_client.ts";
import { cpuMs } from "./support/process_cpu.ts";
import { type NodeSettings, startHeadrace } from "./support/processes.ts";
import { median, medians, record } from "./support/results.ts";

const [other, rounds = "5", forMs = "3000", only = ""] = process.argv.slice(2);
if (other === undefined) throw new Error("Cannot compare as the folder of another checkout must be named");
const WARM_UP_MS = 1_000;
const BATCHED = { partitions: 16, connections: 4, batchEvents: 500, inFlightEvents: 32_000 };
const SINGLE = { partitions: 16, connections: 4, batchEvents: 1, inFlightEvents: 1_000 };
const FILE_SINK = `
sinks: { files: { type: file, directory: ./out } }
pipelines: { all: { from: bench, steps: [], to: [files] } }
`;

interface Case {
  readonly log: "lmdb" | "redis";
  readonly load: typeof BATCHED & { readonly isTraced?: boolean };
  readonly more?: string;
}
const CASES: Readonly<Record<string, Case>> = {
  "lmdb, batched, file sink": { log: "lmdb", load: BATCHED, more: FILE_SINK },
  "lmdb, single, file sink": { log: "lmdb", load: SINGLE, more: FILE_SINK },
  "redis, batched": { log: "redis", load: BATCHED },
  "redis, single": { log: "redis", load: SINGLE },
};

interface Figures {
  readonly perSecond: number;
  readonly cpuNs: number;
}

async function measure({ log, load, more = "" }: Case, checkout: string): Promise<Figures> {
  const redis = log === "redis" ? await startRedis({ appendonly: "yes", appendfsync: "everysec" }) : undefined;
  const settings: NodeSettings =
    redis === undefined
      ? { log: "{ type: lmdb }", durability: "fsync", more, checkout }
      : { log: `{ type: redis, url: "${redis.url}" }`, durability: "everysec", more, checkout };
  const node = await startHeadrace(settings);
  try {
    const about = { endpoint: node.endpoint, stream: "bench", warmUpMs: 0, ...load };
    await headraceLoad({ ...about, measureMs: WARM_UP_MS });
    const before = cpuMs(node.pid);
    const perSecond = await headraceLoad({ ...about, measureMs: Number(forMs) });
    const cpuNs = ((cpuMs(node.pid) - before) * 1e6) / ((perSecond * Number(forMs)) / 1_000);
    return { perSecond, cpuNs };
  } finally {
    await node.stop();
    await redis?.stop();
  }
}

const runs: Record<string, number[]> = {};
const push = (name: string, value: number): void => {
  runs[name] = [...(runs[name] ?? []), value];
};

type Side = () => Promise<Figures>;

/** Medians over the rounds of left over right, each pair measured one after the other, in turns. */
async function compare(name: string, left: Side, right: Side): Promise<Record<string, number>> {
  const ratios = { perSecond: [] as number[], cpuNs: [] as number[] };
  for (let round = 0; round < Number(rounds); round += 1) {
    const isLeftFirst = round % 2 === 0;
    const first = await (isLeftFirst ? left : right)();
    const second = await (isLeftFirst ? right : left)();
    const [one, two] = isLeftFirst ? [first, second] : [second, first];
    ratios.perSecond.push(one.perSecond / two.perSecond);
    ratios.cpuNs.push(one.cpuNs / two.cpuNs);
    for (const [side, { perSecond, cpuNs }] of Object.entries({ left: one, right: two })) {
      push(`${name}, ${side}, events/s`, Math.round(perSecond));
      push(`${name}, ${side}, cpu ns an event`, Math.round(cpuNs));
    }
    console.log(
      `${name}, round ${round + 1}: ${Math.round(one.perSecond)} and ${Math.round(two.perSecond)} events/s, ${Math.round(one.cpuNs)} and ${Math.round(two.cpuNs)} ns of cpu an event`,
    );
  }
  return { [`${name}: events/s`]: median(ratios.perSecond), [`${name}: cpu an event`]: median(ratios.cpuNs) };
}

const here = process.cwd();
const there = resolve(other);
const ratios: Record<string, number> = {};
for (const [name, one] of Object.entries(CASES)) {
  if (!name.includes(only)) continue;
  const of =
    (checkout: string): Side =>
    () =>
      measure(one, checkout);
  Object.assign(ratios, await compare(`${name}, this / other`, of(here), of(there)));
}
const traced =
  (isTraced: boolean): Side =>
  () =>
    measure({ log: "lmdb", load: { ...SINGLE, isTraced } }, here);
if ("traced".includes(only))
  Object.assign(ratios, await compare("lmdb, single, traced / untraced", traced(true), traced(false)));
console.log(ratios);
record({
  name: "releases",
  command: `node --import tsx bench/releases.bench.ts <other checkout> ${rounds} ${forMs}`,
  workload: "4 connections, 16 partitions; batches of 500 with 32,000 events in flight, or single events with 1,000",
  ...{ runs, median: medians(runs), ratios },
});
