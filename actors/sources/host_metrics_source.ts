/**
 * The metrics of this machine, read from the operating system: each core, load, memory, disk, network and this process.
 * Metrics that a platform does not offer are left out. A reading cannot be repeated, so each start is a term of its
 * own. The resume point counts the terms, as a clock may be set back (E24).
 */
import { readFile, statfs } from "node:fs/promises";
import { cpus, freemem, hostname, loadavg, totalmem } from "node:os";
import { pause } from "../../protocols/clock.ts";
import type { Event } from "../../protocols/event.ts";
import type { SourceBatch, SourceContext, SourceDefinition, SourceReader } from "./source.ts";

export interface HostMetricsOptions {
  readonly everyMs?: number;
  readonly disk?: string;
}

/** The schema of one reading, which the demo's stream is declared with. */
export const HOST_METRIC_SCHEMA = {
  type: "object",
  required: ["at", "host", "metric", "value", "unit"],
  properties: {
    at: { type: "string", format: "date-time", description: "Time of the reading." },
    host: { type: "string", description: "Name of the machine." },
    metric: { type: "string", description: "What was measured, such as cpu.core.0 or memory.used." },
    value: { type: "number", description: "The reading." },
    unit: { enum: ["ratio", "bytes", "bytes_per_second", "processes", "seconds"], description: "Unit of the value." },
  },
  additionalProperties: false,
} as const;

type Unit = (typeof HOST_METRIC_SCHEMA.properties.unit.enum)[number];
type Reading = readonly [metric: string, value: number, unit: Unit];

export const hostMetricsSource: SourceDefinition<HostMetricsOptions> = {
  type: "host_metrics",
  readsOwnMachine: true,
  optionsSchema: {
    type: "object",
    properties: {
      everyMs: { type: "integer", minimum: 100, default: 1_000, description: "Milliseconds between readings." },
      disk: { type: "string", default: "/", description: "Folder whose file system is measured." },
    },
    additionalProperties: false,
  },
  open: async (options, context, resume) => {
    const runs = resume?.runs;
    return new HostMetricsReader(options, context, typeof runs === "number" ? runs + 1 : 1);
  },
};

type ReadText = (path: string) => Promise<string>;

export class HostMetricsReader implements SourceReader {
  readonly #options: HostMetricsOptions;
  readonly #context: Pick<SourceContext, "nowMs" | "log">;
  readonly #term: number;
  readonly #readText: ReadText;
  readonly #host = hostname();
  readonly #rates = new Map<string, { readonly total: number; readonly atMs: number }>();
  #cores = cpus();
  #failure: string | undefined;

  /** @param readText reads the system's counters; tests give their own */
  constructor(
    options: HostMetricsOptions,
    context: Pick<SourceContext, "nowMs" | "log">,
    term: number,
    readText: ReadText = (path) => readFile(path, "utf8"),
  ) {
    this.#readText = readText;
    this.#options = options;
    this.#context = context;
    this.#term = term;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    const term = this.#term;
    const resume = { runs: term };
    let position = 0;
    yield { items: [], resume }; // stored before the first event of this term
    while (!signal.aborted) {
      const atMs = this.#context.nowMs();
      const readings = await this.#readings(atMs);
      const at = new Date(atMs).toISOString();
      const items = readings.map(([metric, value, unit]) => {
        const event: Event = { at, host: this.#host, metric, value, unit };
        position += 1;
        return { item: { kind: "event", event } as const, term, position: position - 1 };
      });
      yield { items, resume };
      await pause(this.#options.everyMs ?? 1_000, signal);
    }
  }

  async close(): Promise<void> {}

  async #readings(atMs: number): Promise<readonly Reading[]> {
    const total = totalmem();
    const used = total - freemem();
    const process_ = process.memoryUsage();
    const [load = 0] = loadavg();
    return [
      ...this.#processor(),
      ["load.1m", load, "processes"],
      ["memory.used", used, "bytes"],
      ["memory.utilization", used / total, "ratio"],
      ["process.memory", process_.rss, "bytes"],
      ["process.uptime", process.uptime(), "seconds"],
      ...(await this.#diskSpace()),
      ...(await this.#networkRates(atMs)),
      ...(await this.#diskRates(atMs)),
    ];
  }

  /** How busy each core, and all cores together, were since the last reading, as a share from 0 to 1. */
  #processor(): readonly Reading[] {
    const now = cpus();
    const shares = now.map((core, index) => {
      const before = this.#cores[index]?.times ?? core.times;
      const idle = core.times.idle - before.idle;
      const all = sum(core.times) - sum(before);
      return all <= 0 ? 0 : 1 - idle / all;
    });
    this.#cores = now;
    const mean = shares.reduce((total, share) => total + share, 0) / Math.max(1, shares.length);
    return [
      ["cpu.utilization", mean, "ratio"],
      ...shares.map((share, index): Reading => [`cpu.core.${index}`, share, "ratio"]),
    ];
  }

  async #diskSpace(): Promise<readonly Reading[]> {
    const { disk = "/" } = this.#options;
    const found = await this.#attempt(`the file system of ${disk}`, () => statfs(disk));
    if (found === undefined || found.blocks === 0) return [];
    const usedBytes = (found.blocks - found.bfree) * found.bsize;
    return [
      ["disk.used", usedBytes, "bytes"],
      ["disk.utilization", 1 - found.bavail / found.blocks, "ratio"],
    ];
  }

  async #networkRates(atMs: number): Promise<readonly Reading[]> {
    if (process.platform !== "linux") return [];
    const text = await this.#attempt("/proc/net/dev", () => this.#readText("/proc/net/dev"));
    if (text === undefined) return [];
    let received = 0;
    let sent = 0;
    for (const line of text.split("\n").slice(2)) {
      const [name, counters] = line.split(":");
      if (counters === undefined || name?.trim() === "lo") continue;
      const fields = counters.trim().split(/\s+/).map(Number);
      received += fields[0] ?? 0;
      sent += fields[8] ?? 0;
    }
    return [...this.#rate("network.received", received, atMs), ...this.#rate("network.sent", sent, atMs)];
  }

  async #diskRates(atMs: number): Promise<readonly Reading[]> {
    if (process.platform !== "linux") return [];
    const text = await this.#attempt("/proc/diskstats", () => this.#readText("/proc/diskstats"));
    if (text === undefined) return [];
    let read = 0;
    let written = 0;
    for (const line of text.split("\n")) {
      const fields = line.trim().split(/\s+/);
      // Whole disks only: the sectors of a disk include those of its partitions.
      if (!/^(sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/.test(fields[2] ?? "")) continue;
      read += Number(fields[5]) * 512;
      written += Number(fields[9]) * 512;
    }
    return [...this.#rate("disk.read", read, atMs), ...this.#rate("disk.written", written, atMs)];
  }

  #rate(metric: string, total: number, atMs: number): readonly Reading[] {
    const before = this.#rates.get(metric);
    this.#rates.set(metric, { total, atMs });
    if (before === undefined || atMs <= before.atMs || total < before.total) return [];
    return [[metric, ((total - before.total) * 1_000) / (atMs - before.atMs), "bytes_per_second"]];
  }

  /** Answers undefined for a reading that fails, and logs the first failure of each kind. */
  async #attempt<Value>(what: string, read: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await read();
    } catch (error) {
      const reason = `Cannot read ${what} as the system must allow it: ${(error as Error).message}`;
      if (reason !== this.#failure) this.#context.log("warn", reason);
      this.#failure = reason;
      return undefined;
    }
  }
}

const sum = (times: Readonly<Record<string, number>>): number =>
  Object.values(times).reduce((total, part) => total + part, 0);
