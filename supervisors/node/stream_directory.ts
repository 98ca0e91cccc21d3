/**
 * The streams of a node and who to ask for each of their partitions: filled by the supervisors of partitions and by the
 * cluster's member, read by sessions. What is placed here is asked here, whatever is known of owners elsewhere.
 */
import type { PartitionEntry, StreamDirectory } from "../../actors/ingest/session.ts";
import type { ActorReference } from "../../actors/kernel/actor.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import type { PartitionFeed, PartitionView } from "../../actors/partition/partition_feed.ts";
import type { HeadraceError } from "../../protocols/errors.ts";
import { type PartitionReference, partitionId } from "../../protocols/position.ts";
import type { StreamDescription } from "../../protocols/wire/frames.ts";

/** An entry as the node's own parts see it. */
export interface DirectoryEntry extends PartitionEntry {
  readonly blockedBy: HeadraceError | undefined;
  /** The partition is placed here, whether or not it is owned yet. */
  readonly isHere: boolean;
}

export interface OwnerElsewhere {
  readonly reference: ActorReference<PartitionRequest>;
  /** The URL at which clients reach the owner. */
  readonly address: string;
  readonly view: PartitionView;
}

class Entry implements DirectoryEntry {
  readonly #listeners = new Set<() => void>();
  wasPlaced = false;
  /** The partition is about to be handed over. */
  isLeaving = false;
  here: ActorReference<PartitionRequest> | undefined;
  elsewhere: OwnerElsewhere | undefined;
  feed: PartitionFeed | undefined;
  /** Why the partition cannot be claimed now; undefined otherwise. */
  blockedBy: HeadraceError | undefined;

  get reference(): ActorReference<PartitionRequest> | undefined {
    return this.here ?? this.elsewhere?.reference;
  }

  get view(): PartitionView | undefined {
    return this.here === undefined ? this.elsewhere?.view : this.feed;
  }

  get ownerAddress(): string | undefined {
    return this.here === undefined ? this.elsewhere?.address : undefined;
  }

  get nextAddress(): string | undefined {
    return this.here !== undefined && this.isLeaving ? this.elsewhere?.address : undefined;
  }

  get isHere(): boolean {
    return this.here !== undefined;
  }

  onChange(listener: () => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  setFeed(feed: PartitionFeed | undefined): void {
    this.feed = feed;
    if (feed !== undefined) this.blockedBy = undefined;
    this.notify();
  }

  setBlocked(error: HeadraceError): void {
    const isNews = this.blockedBy?.message !== error.message;
    this.blockedBy = error;
    if (isNews) this.notify();
  }

  notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

export class NodeDirectory implements StreamDirectory {
  readonly #streams: Readonly<Record<string, StreamDescription>>;
  readonly #entries: ReadonlyMap<string, readonly Entry[]>;
  /** The cached answer with the current owners; undefined once an owner has changed. */
  #described: Readonly<Record<string, StreamDescription>> | undefined;
  #missing: number;
  #onComplete: () => void = () => {};

  /** Resolves once each partition of each stream has been placed here: a single node listens only afterwards. */
  readonly complete: Promise<void>;

  constructor(streams: Readonly<Record<string, StreamDescription>>) {
    this.#streams = streams;
    this.#entries = new Map(
      Object.entries(streams).map(([name, { partitions }]) => [
        name,
        Array.from({ length: partitions }, () => new Entry()),
      ]),
    );
    this.#missing = Object.values(streams).reduce((sum, { partitions }) => sum + partitions, 0);
    this.complete = this.#missing === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onComplete = resolve));
  }

  describe(): Readonly<Record<string, StreamDescription>> {
    return this.#streams;
  }

  describeWithOwners(): Readonly<Record<string, StreamDescription>> {
    this.#described ??= Object.fromEntries(
      Object.entries(this.#streams).map(([name, stream]) => {
        const owners = this.#ownersOf(name);
        return [name, Object.keys(owners).length === 0 ? stream : { ...stream, owners }];
      }),
    );
    return this.#described;
  }

  #ownersOf(stream: string): Readonly<Record<string, string>> {
    const owners: Record<string, string> = {};
    for (const [partition, { ownerAddress }] of (this.#entries.get(stream) ?? []).entries()) {
      if (ownerAddress !== undefined) owners[partition] = ownerAddress;
    }
    return owners;
  }

  partition(stream: string, partition: number): DirectoryEntry | undefined {
    return this.#entries.get(stream)?.[partition];
  }

  /** All partitions, by stream. */
  *all(): Iterable<{ readonly stream: string; readonly partition: number; readonly entry: DirectoryEntry }> {
    for (const [stream, entries] of this.#entries) {
      for (const [partition, entry] of entries.entries()) yield { stream, partition, entry };
    }
  }

  *partitions(): Iterable<PartitionReference> {
    for (const { stream, partition } of this.all()) yield { stream, partition: partitionId(partition) };
  }

  /** Records that the partition is placed here, and the actor that answers for it. */
  place({ stream, partition }: PartitionReference, reference: ActorReference<PartitionRequest>): void {
    const entry = this.#entries.get(stream)?.[partition];
    if (entry === undefined) return;
    entry.here = reference;
    entry.isLeaving = false;
    this.#changed(entry);
    if (entry.wasPlaced) return;
    entry.wasPlaced = true;
    this.#missing -= 1;
    if (this.#missing === 0) this.#onComplete();
  }

  /** Marks the partition as about to move to the known next owner; requests still come here until it is removed. */
  leave({ stream, partition }: PartitionReference): void {
    const entry = this.#entries.get(stream)?.[partition];
    if (entry?.here === undefined) return;
    entry.isLeaving = true;
    entry.notify();
  }

  /** Records that the partition is no longer placed here. */
  remove({ stream, partition }: PartitionReference): void {
    const entry = this.#entries.get(stream)?.[partition];
    if (entry?.here === undefined) return;
    entry.here = undefined;
    entry.isLeaving = false;
    entry.feed = undefined;
    entry.blockedBy = undefined;
    this.#changed(entry);
  }

  /** The owner on another node, as far as this node knows. */
  setElsewhere({ stream, partition }: PartitionReference, owner: OwnerElsewhere | undefined): void {
    const entry = this.#entries.get(stream)?.[partition];
    if (entry === undefined || (entry.elsewhere === undefined && owner === undefined)) return;
    entry.elsewhere = owner;
    this.#changed(entry);
  }

  #changed(entry: Entry): void {
    this.#described = undefined;
    entry.notify();
  }

  setFeed({ stream, partition }: PartitionReference, feed: PartitionFeed | undefined): void {
    this.#entries.get(stream)?.[partition]?.setFeed(feed);
  }

  setBlocked({ stream, partition }: PartitionReference, error: HeadraceError): void {
    this.#entries.get(stream)?.[partition]?.setBlocked(error);
  }
}
