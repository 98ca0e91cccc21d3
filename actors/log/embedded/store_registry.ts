/**
 * The part of an ordered store that belongs to no partition: welcomed producers, and metadata. A change is decided on the
 * value that will be stored once all queued writes are made.
 */
import type { Log, Metadata } from "../log.ts";
import { isForgotten, judgeWelcome, type ProducerRecord } from "../rules/welcome.ts";
import type { CommitQueue } from "./commit_queue.ts";
import { guarded, type OrderedStore, rangeEnd } from "./ordered_store.ts";
import * as Stored from "./stored_state.ts";

/** Producers that each welcome looks at, to forget the old ones. */
const PRODUCERS_LOOKED_AT = 4;

export class StoreRegistry {
  readonly #store: OrderedStore;
  readonly #queue: CommitQueue;
  readonly #nowMs: () => number;
  /** Values that are queued and not yet in the store. Undefined: removed. */
  readonly #pending = new Map<string, Uint8Array | undefined>();
  #lookedAtProducer: string | undefined;
  /** Names of each principal, counted when they are first needed. */
  #names: Map<string, number> | undefined;

  constructor(store: OrderedStore, queue: CommitQueue, nowMs: () => number) {
    this.#store = store;
    this.#queue = queue;
    this.#nowMs = nowMs;
  }

  /** Forgets the queued values: a commit has failed, and these will not be stored. */
  forget(): void {
    this.#pending.clear();
    this.#names = undefined;
  }

  readonly welcomeProducer: Log["welcomeProducer"] = async (producerId, instance, heldEpoch, nowMs, owner) => {
    const key = Stored.producerKey(producerId);
    const bytes = this.#latest(key);
    const storeNowMs = this.#nowMs();
    const found = bytes === undefined ? undefined : Stored.unpack<ProducerRecord>(bytes);
    const known = found !== undefined && isForgotten(producerId, found, storeNowMs) ? undefined : found;
    const namesOf = (subject: string) => this.#namesOf(subject);
    const outcome = judgeWelcome(known, instance, heldEpoch, owner, storeNowMs, namesOf);
    const forgotten = this.#forgetProducers(key, storeNowMs);
    if (outcome.kind !== "welcomed") {
      if (forgotten.length > 0) await this.#writeLatest(forgotten);
      return outcome;
    }
    const ownedBy = known?.owner ?? owner?.subject;
    const base = { instance, producerEpoch: outcome.producerEpoch, seenAtMs: nowMs };
    const record: ProducerRecord = ownedBy === undefined ? base : { ...base, owner: ownedBy };
    this.#count(found?.owner, -1);
    this.#count(ownedBy, 1);
    await this.#writeLatest([[key, Stored.pack(record)], ...forgotten]);
    return outcome;
  };

  /** Each welcome looks at the next few stored producers, so that old ones are forgotten as new ones come (E5). */
  #forgetProducers(except: string, nowMs: number): [string, undefined][] {
    const all = Stored.producerKey("");
    const forgotten: [string, undefined][] = [];
    let looked = 0;
    const from = this.#lookedAtProducer ?? all;
    this.#lookedAtProducer = undefined;
    for (const [key, value] of guarded(this.#store, () => this.#store.range(from, rangeEnd(all)))) {
      if (looked === PRODUCERS_LOOKED_AT) {
        this.#lookedAtProducer = key;
        break;
      }
      looked += 1;
      if (key === except || this.#pending.has(key)) continue;
      const record = Stored.unpack<ProducerRecord>(value);
      if (!isForgotten(key.slice(all.length), record, nowMs)) continue;
      forgotten.push([key, undefined]);
      this.#count(record.owner, -1);
    }
    return forgotten;
  }

  /** Counts all names once, for the first principal with a bound. Later changes are counted as they happen. */
  #namesOf(subject: string): number {
    if (this.#names === undefined) {
      this.#names = new Map();
      const all = Stored.producerKey("");
      const stored = guarded(this.#store, () => [...this.#store.range(all, rangeEnd(all))]);
      const pending = [...this.#pending].filter(([key]) => key.startsWith(all));
      for (const [, value] of new Map([...stored, ...pending])) {
        if (value !== undefined) this.#count(Stored.unpack<ProducerRecord>(value).owner, 1);
      }
    }
    return this.#names.get(subject) ?? 0;
  }

  #count(subject: string | undefined, change: number): void {
    if (subject === undefined || this.#names === undefined) return;
    const names = (this.#names.get(subject) ?? 0) + change;
    if (names > 0) this.#names.set(subject, names);
    else this.#names.delete(subject);
  }

  readonly readMetadata: Log["readMetadata"] = async (key) => {
    const bytes = guarded(this.#store, () => this.#store.get(Stored.metadataKey(key)));
    return bytes === undefined ? undefined : Stored.unpack<Metadata>(bytes);
  };

  readonly listMetadata: Log["listMetadata"] = async (prefix) =>
    guarded(this.#store, () => {
      const found = new Map<string, Metadata>();
      const all = Stored.metadataKey("");
      for (const [key, value] of this.#store.range(all + prefix, rangeEnd(all))) {
        if (!key.startsWith(all + prefix)) break;
        found.set(key.slice(all.length), Stored.unpack<Metadata>(value));
      }
      return found;
    });

  readonly writeMetadata: Log["writeMetadata"] = async (key, value, expectedVersion) => {
    const storedKey = Stored.metadataKey(key);
    const bytes = this.#latest(storedKey);
    const version = bytes === undefined ? 0 : Stored.unpack<Metadata>(bytes).version;
    if (version !== expectedVersion) return undefined;
    await this.#writeLatest([[storedKey, Stored.pack({ value, version: version + 1 })]]);
    return version + 1;
  };

  /** The value that the key will have once the queue is empty. */
  #latest(key: string): Uint8Array | undefined {
    return this.#pending.has(key) ? this.#pending.get(key) : guarded(this.#store, () => this.#store.get(key));
  }

  async #writeLatest(entries: readonly (readonly [string, Uint8Array | undefined])[]): Promise<void> {
    for (const [key, value] of entries) this.#pending.set(key, value);
    await this.#queue.write(entries, true);
    for (const [key, value] of entries) if (this.#pending.get(key) === value) this.#pending.delete(key);
  }
}
