/** The streams of a node and who to ask for each of their partitions: filled by the supervisors, read by sessions. */
import type { PartitionEntry, StreamDirectory } from "../actors/ingest/session.ts";
import type { ActorReference } from "../actors/kernel/actor.ts";
import type { PartitionRequest } from "../actors/partition/partition.ts";
import type { PartitionFeed } from "../actors/partition/partition_feed.ts";
import type { HeadraceError } from "../protocols/errors.ts";
import type { StreamDescription } from "../protocols/frames.ts";

/** An entry as the node's own parts see it. */
export interface DirectoryEntry extends PartitionEntry {
  readonly blockedBy: HeadraceError | undefined;
}

class Entry implements DirectoryEntry {
  readonly #listeners = new Set<() => void>();
  reference: ActorReference<PartitionRequest>;
  feed: PartitionFeed | undefined;
  /** Why the partition can not be claimed, while it can not. */
  blockedBy: HeadraceError | undefined;

  constructor(reference: ActorReference<PartitionRequest>) {
    this.reference = reference;
  }

  onFeedChange(listener: () => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  setFeed(feed: PartitionFeed | undefined): void {
    this.feed = feed;
    if (feed !== undefined) this.blockedBy = undefined;
    this.#notify();
  }

  setBlocked(error: HeadraceError): void {
    const isNews = this.blockedBy?.message !== error.message;
    this.blockedBy = error;
    if (isNews) this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

export class NodeDirectory implements StreamDirectory {
  readonly #streams: Readonly<Record<string, StreamDescription>>;
  readonly #entries = new Map<string, Entry[]>();

  /** Resolves when every partition of every stream has an actor to ask: nothing may listen before. */
  readonly complete: Promise<void>;
  #missing: number;
  #onComplete: () => void = () => {};

  constructor(streams: Readonly<Record<string, StreamDescription>>) {
    this.#streams = streams;
    this.#missing = Object.values(streams).reduce((sum, { partitions }) => sum + partitions, 0);
    this.complete = this.#missing === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onComplete = resolve));
  }

  describe(): Readonly<Record<string, StreamDescription>> {
    return this.#streams;
  }

  partition(stream: string, partition: number): PartitionEntry | undefined {
    return this.#entries.get(stream)?.[partition];
  }

  /** All partitions that are here, by stream. */
  *all(): Iterable<{ readonly stream: string; readonly partition: number; readonly entry: DirectoryEntry }> {
    for (const [stream, entries] of this.#entries) {
      for (const [partition, entry] of entries.entries()) yield { stream, partition, entry };
    }
  }

  register(stream: string, partition: number, reference: ActorReference<PartitionRequest>): void {
    const entries = this.#entries.get(stream) ?? [];
    this.#entries.set(stream, entries);
    const known = entries[partition];
    if (known !== undefined) {
      known.reference = reference;
      return;
    }
    entries[partition] = new Entry(reference);
    this.#missing -= 1;
    if (this.#missing === 0) this.#onComplete();
  }

  setFeed(stream: string, partition: number, feed: PartitionFeed | undefined): void {
    this.#entries.get(stream)?.[partition]?.setFeed(feed);
  }

  setBlocked(stream: string, partition: number, error: HeadraceError): void {
    this.#entries.get(stream)?.[partition]?.setBlocked(error);
  }
}
