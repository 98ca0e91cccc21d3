/** The latest readings of the stream `host_metrics`, by metric. */
import type { Consumer } from "../protocols/mod.ts";
import { Changes } from "./changes.ts";
import { followTail, type TailRecord } from "./tail.ts";

export const MACHINE_STREAM = "host_metrics";
const READINGS_MAX = 120;

export interface Metric {
  readonly unit: string;
  /** Oldest first. */
  readonly values: readonly number[];
}

export class MachineMetrics {
  readonly changes = new Changes();
  readonly metrics = new Map<string, Metric>();
  host = "";
  readonly #ending = new AbortController();

  constructor(consumer: Consumer, partitions: number) {
    const from = { timeMs: Date.now() - READINGS_MAX * 1_000 };
    followTail(consumer, {
      stream: MACHINE_STREAM,
      channel: "records",
      starts: Array.from({ length: partitions }, (_, partition) => ({ partition, from })),
      signal: this.#ending.signal,
      onRecords: (records) => this.#take(records),
      onSkipped: () => this.metrics.clear(), // a line over skipped readings would be wrong
    }).catch(() => this.metrics.clear()); // the panel of records shows the node's refusal
  }

  stop(): void {
    this.#ending.abort();
  }

  #take(records: readonly TailRecord[]): void {
    for (const { event } of records) {
      const { metric, value, unit, host } = event;
      if (typeof metric !== "string" || typeof value !== "number" || typeof unit !== "string") continue;
      const values = [...(this.metrics.get(metric)?.values ?? []), value].slice(-READINGS_MAX);
      this.metrics.set(metric, { unit, values });
      if (typeof host === "string") this.host = host;
    }
    this.changes.announce();
  }
}
