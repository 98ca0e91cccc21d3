/** Counts the load of each partition of a node as batches become durable, and reports rates (`PartitionLoad`). */
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";
import type { PartitionLoad, PartitionName } from "../cluster.ts";

interface Counted {
  bytes: number;
  records: number;
}

export class PartitionLoads {
  #counted = new Map<PartitionName, Counted>();
  #sinceMs: number;
  #cpuMs: number;
  readonly #stopwatchMs: () => number;
  readonly #usedCpuMs: () => number;

  /** @param usedCpuMs the processor time that the process has used so far, in ms */
  constructor(stopwatchMs: () => number, usedCpuMs: () => number) {
    this.#stopwatchMs = stopwatchMs;
    this.#usedCpuMs = usedCpuMs;
    this.#sinceMs = stopwatchMs();
    this.#cpuMs = usedCpuMs();
  }

  count(partition: PartitionReference, records: number, bytes: number): void {
    const name = partitionName(partition);
    const counted = this.#counted.get(name) ?? { bytes: 0, records: 0 };
    counted.bytes += bytes;
    counted.records += records;
    this.#counted.set(name, counted);
  }

  /** Rates since the last call. The process's processor time is shared out by records, which cost most of it. */
  take(here: Iterable<PartitionName>): readonly PartitionLoad[] {
    const [nowMs, cpuMs] = [this.#stopwatchMs(), this.#usedCpuMs()];
    const seconds = Math.max(0.001, (nowMs - this.#sinceMs) / 1_000);
    const cores = (cpuMs - this.#cpuMs) / 1_000 / seconds;
    const counted = this.#counted;
    this.#counted = new Map();
    this.#sinceMs = nowMs;
    this.#cpuMs = cpuMs;
    let records = 0;
    for (const one of counted.values()) records += one.records;
    return [...here].map((partition) => {
      const one = counted.get(partition) ?? { bytes: 0, records: 0 };
      const share = records === 0 ? 0 : one.records / records;
      const [bytesPerSecond, recordsPerSecond] = [one.bytes / seconds, one.records / seconds];
      return { partition, bytesPerSecond, recordsPerSecond, cpu: cores * share };
    });
  }
}
