/**
 * What of an ordered store belongs to no partition: the producers that were welcomed, and metadata. Both are changed by
 * comparing with the value that they will have once all that is queued is written.
 */
import type { CommitQueue } from "./commit_queue.ts";
import type { Metadata, WelcomeOutcome } from "./log.ts";
import type { OrderedStore } from "./ordered_store.ts";
import * as Stored from "./stored_state.ts";
import { isForgotten, judgeWelcome, type ProducerRecord } from "./welcome.ts";

/** Producers that each welcome looks at, to forget the old. */
const PRODUCERS_LOOKED_AT = 4;

export class StoreRegistry {
  readonly #store: OrderedStore;
  readonly #queue: CommitQueue;
  readonly #nowMs: () => number;
  /** Queued, and not yet in the store. */
  readonly #pending = new Map<string, Uint8Array>();
  #lookedAtProducer: string | undefined;

  constructor(store: OrderedStore, queue: CommitQueue, nowMs: () => number) {
    this.#store = store;
    this.#queue = queue;
    this.#nowMs = nowMs;
  }

  /** A commit has failed: what was queued will not come to be. */
  forget(): void {
    this.#pending.clear();
  }

  async welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner: string | undefined,
  ): Promise<WelcomeOutcome> {
    const key = Stored.producerKey(producerId);
    const bytes = this.#latest(key);
    const storeNowMs = this.#nowMs();
    const found = bytes === undefined ? undefined : Stored.unpack<ProducerRecord>(bytes);
    const known = found !== undefined && isForgotten(producerId, found, storeNowMs) ? undefined : found;
    const outcome = judgeWelcome(known, { instance, heldEpoch, owner }, storeNowMs);
    if (outcome.kind !== "welcomed") return outcome;
    const ownedBy = known?.owner ?? owner;
    const { producerEpoch } = outcome;
    const base = { instance, producerEpoch, seenAtMs: nowMs };
    const record: ProducerRecord = ownedBy === undefined ? base : { ...base, owner: ownedBy };
    const forgotten = this.#forgetProducers(key, storeNowMs);
    await this.#writeLatest(key, Stored.pack(record), forgotten);
    return outcome;
  }

  /** Each welcome looks at the next few producers, in turn, so that their number stays in proportion (E5). */
  #forgetProducers(except: string, nowMs: number): [string, undefined][] {
    const all = Stored.producerKey("");
    const forgotten: [string, undefined][] = [];
    let looked = 0;
    const from = this.#lookedAtProducer ?? all;
    this.#lookedAtProducer = undefined;
    for (const [key, value] of this.#guard(() => this.#store.range(from, Stored.rangeEnd(all)))) {
      if (looked === PRODUCERS_LOOKED_AT) {
        this.#lookedAtProducer = key;
        break;
      }
      looked += 1;
      if (key === except || this.#pending.has(key)) continue;
      if (isForgotten(key.slice(all.length), Stored.unpack<ProducerRecord>(value), nowMs))
        forgotten.push([key, undefined]);
    }
    return forgotten;
  }

  readMetadata(key: string): Metadata | undefined {
    const bytes = this.#guard(() => this.#store.get(Stored.metadataKey(key)));
    return bytes === undefined ? undefined : Stored.unpack<Metadata>(bytes);
  }

  listMetadata(prefix: string): ReadonlyMap<string, Metadata> {
    return this.#guard(() => {
      const all = Stored.metadataKey("");
      const found = new Map<string, Metadata>();
      for (const [key, value] of this.#store.range(all + prefix, Stored.rangeEnd(all))) {
        if (!key.startsWith(all + prefix)) break;
        found.set(key.slice(all.length), Stored.unpack<Metadata>(value));
      }
      return found;
    });
  }

  async writeMetadata(key: string, value: Uint8Array, expectedVersion: number): Promise<number | undefined> {
    const storedKey = Stored.metadataKey(key);
    const bytes = this.#latest(storedKey);
    const version = bytes === undefined ? 0 : Stored.unpack<Metadata>(bytes).version;
    if (version !== expectedVersion) return undefined;
    await this.#writeLatest(storedKey, Stored.pack({ value, version: version + 1 }));
    return version + 1;
  }

  /** The value that the key will have once the queue is empty: what compare-and-set compares. */
  #latest(key: string): Uint8Array | undefined {
    return this.#pending.get(key) ?? this.#guard(() => this.#store.get(key));
  }

  async #writeLatest(
    key: string,
    value: Uint8Array,
    others: readonly (readonly [string, undefined])[] = [],
  ): Promise<void> {
    this.#pending.set(key, value);
    await this.#queue.write([[key, value], ...others], true);
    if (this.#pending.get(key) === value) this.#pending.delete(key);
  }

  #guard<Value>(read: () => Value): Value {
    try {
      return read();
    } catch (error) {
      throw this.#store.failure(error);
    }
  }
}
