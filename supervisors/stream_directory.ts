/** The streams of a node and who to ask for each of their partitions: filled by the supervisors, read by sessions. */
import type { PartitionEntry, StreamDirectory } from "../actors/ingest/session.ts";
import type { ActorReference } from "../actors/kernel/actor.ts";
import type { PartitionRequest } from "../actors/partition/partition.ts";
import type { PartitionFeed } from "../actors/partition/partition_feed.ts";
import type { StreamDescription } from "../protocols/frames.ts";

class Entry implements PartitionEntry {
  readonly #listeners = new Set<() => void>();
  reference: ActorReference<PartitionRequest>;
  feed: PartitionFeed | undefined;

  constructor(reference: ActorReference<PartitionRequest>) {
    this.reference = reference;
  }

  onFeedChange(listener: () => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  setFeed(feed: PartitionFeed | undefined): void {
    this.feed = feed;
    for (const listener of this.#listeners) listener();
  }
}

export class NodeDirectory implements StreamDirectory {
  readonly #streams: Readonly<Record<string, StreamDescription>>;
  readonly #entries = new Map<string, Entry[]>();

  constructor(streams: Readonly<Record<string, StreamDescription>>) {
    this.#streams = streams;
  }

  describe(): Readonly<Record<string, StreamDescription>> {
    return this.#streams;
  }

  partition(stream: string, partition: number): PartitionEntry | undefined {
    return this.#entries.get(stream)?.[partition];
  }

  /** All partitions that are here, by stream. */
  *all(): Iterable<{ readonly stream: string; readonly partition: number; readonly entry: PartitionEntry }> {
    for (const [stream, entries] of this.#entries) {
      for (const [partition, entry] of entries.entries()) yield { stream, partition, entry };
    }
  }

  register(stream: string, partition: number, reference: ActorReference<PartitionRequest>): void {
    const entries = this.#entries.get(stream) ?? [];
    this.#entries.set(stream, entries);
    const known = entries[partition];
    if (known === undefined) entries[partition] = new Entry(reference);
    else known.reference = reference;
  }

  setFeed(stream: string, partition: number, feed: PartitionFeed | undefined): void {
    this.#entries.get(stream)?.[partition]?.setFeed(feed);
  }
}
