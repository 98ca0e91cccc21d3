/** The application's calls of `open` that await the log's answer, by partition. */
import { type PartitionPlace, partitionName } from "../../position.ts";
import type { OpenedPartition } from "./producer_options.ts";

interface Opener {
  resolve(opened: OpenedPartition): void;
  reject(error: Error): void;
}

export class Openers {
  private readonly openers = new Map<string, Opener[]>();

  wait(place: PartitionPlace): Promise<OpenedPartition> {
    const key = partitionName(place);
    return new Promise((resolve, reject) => {
      this.openers.set(key, [...(this.openers.get(key) ?? []), { resolve, reject }]);
    });
  }

  resolve(place: PartitionPlace, opened: OpenedPartition): void {
    for (const opener of this.take(partitionName(place))) opener.resolve(opened);
  }

  reject(place: PartitionPlace, error: Error): void {
    for (const opener of this.take(partitionName(place))) opener.reject(error);
  }

  rejectAll(error: Error): void {
    for (const key of [...this.openers.keys()]) for (const opener of this.take(key)) opener.reject(error);
  }

  private take(key: string): readonly Opener[] {
    const openers = this.openers.get(key) ?? [];
    this.openers.delete(key);
    return openers;
  }
}
