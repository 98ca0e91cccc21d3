/**
 * The durable log over an ordered store that one process owns. Turns the plans of stored_partition.ts and append_plan.ts into writes, from the
 * partitions' state in memory; leaves their bytes to planned_writes.ts, commits to commit_queue.ts, reads to
 * embedded_reads.ts, and what belongs to no partition to store_registry.ts.
 *
 *   M1. The state in memory equals the store plus the queued writes, and is read anew after a failed commit. A call encodes
 *       its writes, queues the bytes, and only then changes the state, so that a throw before changes nothing (E25).
 *   M2. A call's answer waits for its commit, and for the flush where its tier is `fsync`. A claim and a checkpoint wait
 *       for the flush in every tier (E12).
 *   M3. Reads see the store alone, never a queued write.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import { EMPTY_BOUNDS } from "../bounds.ts";
import type { Channel, DurabilityTier, Log, Ownership } from "../log.ts";
import { planAppend } from "../rules/append_plan.ts";
import { declareLostBy } from "../rules/lost_batch.ts";
import type { ReadTurns } from "../rules/read_turns.ts";
import { decodeEntry, encodeEntry } from "../rules/record_batch.ts";
import * as Decide from "../rules/stored_partition.ts";
import { encoded } from "../rules/unencodable.ts";
import { CommitQueue } from "./commit_queue.ts";
import { EmbeddedReads } from "./embedded_reads.ts";
import { guarded, type OrderedStore, rangeEnd } from "./ordered_store.ts";
import { appendWrites, type StateWrites, writeChanges, writeCheckpoints } from "./planned_writes.ts";
import { StoreRegistry } from "./store_registry.ts";
import * as Stored from "./stored_state.ts";

export interface EmbeddedLogOptions {
  readonly kind: "memory" | "lmdb";
  readonly clusterId: string;
  readonly store: OrderedStore;
  /** The store's clock, in ms since 1970. */
  readonly nowMs: () => number;
  /** Throws `ConfigurationError` for a tier that the store cannot keep. */
  readonly checkTier: (tier: DurabilityTier) => void;
  /** Makes the bytes of an entry. Default: that of record_batch.ts; tests give one that fails. */
  readonly encodeEntry?: typeof encodeEntry;
  /** Spreads reads over turns of the event loop; absent where the store's reads take next to no time. */
  readonly readTurns?: ReadTurns;
}

/** Entries that one commit of `trim` removes at most, so that a large trim holds up no other call for long. */
const TRIM_ENTRIES_MAX = 256;

export class EmbeddedLog implements Log {
  readonly kind: "memory" | "lmdb";
  readonly clusterId: string;
  readonly #options: EmbeddedLogOptions;
  readonly #store: OrderedStore;
  readonly #queue: CommitQueue;
  readonly #partitions = new Map<string, Decide.PartitionState>();
  readonly #registry: StoreRegistry;
  readonly #reads: EmbeddedReads;

  constructor(options: EmbeddedLogOptions) {
    const { store } = options;
    this.kind = options.kind;
    this.clusterId = options.clusterId;
    this.#options = options;
    this.#store = store;
    this.#queue = new CommitQueue(store, () => this.#forget());
    this.#registry = new StoreRegistry(store, this.#queue, options.nowMs);
    this.#reads = new EmbeddedReads(store, options.readTurns);
  }

  /** Forgets the state in memory, so that the store is read anew (M1). */
  #forget(): void {
    this.#partitions.clear();
    this.#registry.forget();
    this.#reads.forget();
  }

  /** Rejects all queued calls: the store's life has ended, and their writes must not reach its next life (E8). */
  abandon(reason: Error): void {
    this.#forget();
    this.#queue.abandon(reason);
  }

  readonly claim: Log["claim"] = async (partition, grant, atLeast, settings) => {
    this.#options.checkTier(settings.tier);
    const prefix = Stored.partitionPrefix(partition);
    const store = this.#store.identity;
    const known = this.#load(prefix);
    const state = Decide.claimedState(known, grant, atLeast, settings, this.#options.nowMs());
    const writes: StateWrites = new Map([[Stored.fenceKey(prefix), Stored.encodeFence(state)]]);
    if (known === undefined) writeChanges(writes, prefix, state);
    const written = this.#queue.write(writes, true);
    this.#partitions.set(prefix, state);
    await written;
    // By now the former owner's queued writes are committed, and no others were made: the store is read anew.
    if (this.#partitions.get(prefix) === state) this.#partitions.delete(prefix);
    const channels = this.#reads.channels(prefix);
    const checkpoints = await this.readCheckpoints(partition);
    return { ownership: { partition, epoch: state.epoch, store }, channels, checkpoints };
  };

  readonly openChain: Log["openChain"] = async (ownership, ...request) => {
    const { prefix, state } = this.#owned(ownership);
    const plan = Decide.planOpen(state, ...request);
    await this.#change(prefix, state, plan, isFlushed(state));
    return plan.outcome;
  };

  readonly append: Log["append"] = async (ownership, request) => {
    const { prefix, state } = this.#owned(ownership);
    const { plan, writes } = encoded(ownership.partition, () => {
      const plan = planAppend(state, request);
      return { plan, writes: appendWrites(this.#options.encodeEntry ?? encodeEntry, prefix, state, request, plan) };
    });
    const written = this.#queue.write(writes, isFlushed(state));
    Decide.applyChanges(state, plan);
    await written;
    const { endOffset, attachedEnds } = plan;
    const ends = attachedEnds.length === 0 ? { endOffset } : { endOffset, attachedEnds };
    if (plan.duplicates.length === 0) return { outcomes: plan.outcomes, ...ends };
    const outcomes = plan.outcomes.map((outcome, index) => {
      const batch = request.batches[index];
      if (outcome.kind !== "duplicate" || batch === undefined || request.channel !== "records") return outcome;
      return { ...outcome, verdicts: this.#reads.verdicts(prefix, batch) };
    });
    return { outcomes, ...ends };
  };

  readonly declareLost = declareLostBy(this.append);

  /** M1: queues the bytes of a plan, beside `writes`, then applies the plan. */
  #change(
    prefix: string,
    state: Decide.PartitionState,
    plan: Decide.StateChanges,
    isFlushed: boolean,
    writes: StateWrites = new Map(),
  ): Promise<void> {
    writeChanges(writes, prefix, plan);
    const written = this.#queue.write(writes, isFlushed);
    Decide.applyChanges(state, plan);
    return written;
  }

  readonly trim: Log["trim"] = async (ownership, channel, beforeOffset) => {
    for (;;) {
      const { prefix, state } = this.#owned(ownership);
      const bounds = state.channels.get(channel) ?? EMPTY_BOUNDS;
      const { writes, firstOffset, sizeBytes } = guarded(this.#store, () =>
        this.#removal(prefix, channel, beforeOffset),
      );
      if (writes.size === 0) return bounds;
      const channels = new Map([[channel, Decide.trimmedChannel(bounds, firstOffset, sizeBytes)]]);
      await this.#change(prefix, state, { channels, chains: new Map() }, isFlushed(state), writes);
    }
  };

  /** Writes that remove the oldest entries which end before `beforeOffset`, with the verdicts of these entries. */
  #removal(prefix: string, channel: Channel, beforeOffset: number) {
    const entries = Stored.entriesPrefix(prefix, channel);
    const writes: StateWrites = new Map();
    let firstOffset = 0;
    let sizeBytes = 0;
    let entryCount = 0;
    for (const [key, value] of this.#store.range(entries, rangeEnd(entries))) {
      const { epoch, lastOffset } = Stored.entryPlace(key);
      if (lastOffset >= beforeOffset || entryCount === TRIM_ENTRIES_MAX) break;
      writes.set(key, undefined);
      firstOffset = lastOffset + 1;
      sizeBytes += value.length;
      entryCount += 1;
      if (channel !== "rejected") continue;
      for (const { producerId, sequences } of decodeEntry(value, epoch, lastOffset)) {
        const verdicts = Stored.verdictsPrefix(prefix, producerId);
        const list = "list" in sequences ? sequences.list : [];
        for (const sequence of list) writes.set(verdicts + Stored.sequenceText(sequence), undefined);
      }
    }
    return { writes, firstOffset, sizeBytes };
  }

  readonly expireChains: Log["expireChains"] = async (ownership, nowMs) => {
    const { prefix, state } = this.#owned(ownership);
    const writes: StateWrites = new Map();
    const changes = Decide.planExpiry(state, nowMs);
    guarded(this.#store, () => {
      for (const name of changes.chains.keys()) {
        if (!name.startsWith("records\0")) continue;
        const verdicts = Stored.verdictsPrefix(prefix, name.slice("records\0".length));
        for (const [key] of this.#store.range(verdicts, rangeEnd(verdicts))) writes.set(key, undefined);
      }
    });
    const written = this.#change(prefix, state, changes, false, writes);
    const live = state.chains.size;
    await written;
    return live;
  };

  readonly checkpoint: Log["checkpoint"] = async (ownership, values) => {
    const { prefix } = this.#owned(ownership);
    const writes: StateWrites = new Map();
    writeCheckpoints(writes, prefix, values);
    await this.#queue.write(writes, true);
  };

  /** Throws `FencedError` unless the ownership is the newest (log L2). */
  #owned(ownership: Ownership): { readonly prefix: string; readonly state: Decide.PartitionState } {
    const prefix = Stored.partitionPrefix(ownership.partition);
    const state = this.#load(prefix);
    Decide.checkOwnership(ownership, state?.epoch, this.#store.identity);
    if (state === undefined)
      throw new ConfigurationError(
        "STORE_MISCONFIGURED",
        `Cannot write to ${partitionName(ownership.partition)} as the partition must be claimed: it never was`,
      );
    return { prefix, state };
  }

  /** The partition's state, from memory or else from the store; undefined where the partition was never claimed. */
  #load(prefix: string): Decide.PartitionState | undefined {
    const inMemory = this.#partitions.get(prefix);
    if (inMemory !== undefined) {
      // A read of the store, so that one that is away refuses the call before anything is decided.
      guarded(this.#store, () => this.#store.get(Stored.fenceKey(prefix)));
      return inMemory;
    }
    const loaded = this.#reads.state(prefix);
    if (loaded !== undefined) this.#partitions.set(prefix, loaded);
    return loaded;
  }

  readonly read: Log["read"] = (...request) => this.#reads.read(...request);
  readonly seek: Log["seek"] = (...request) => this.#reads.seek(...request);
  readonly describe: Log["describe"] = (partition) => this.#reads.describe(partition);
  readonly readCheckpoints: Log["readCheckpoints"] = (partition) => this.#reads.readCheckpoints(partition);
  readonly welcomeProducer: Log["welcomeProducer"] = (...arrival) => this.#registry.welcomeProducer(...arrival);
  readonly readMetadata: Log["readMetadata"] = (key) => this.#registry.readMetadata(key);
  readonly listMetadata: Log["listMetadata"] = (prefix) => this.#registry.listMetadata(prefix);
  readonly writeMetadata: Log["writeMetadata"] = (...value) => this.#registry.writeMetadata(...value);
  readonly state: Log["state"] = () => this.#store.state();
  readonly onStateChange: Log["onStateChange"] = (listener) => this.#store.onStateChange(listener);
  readonly probe: Log["probe"] = () => this.#store.probe();
  close: Log["close"] = () => this.#store.close();
}

const isFlushed = ({ settings }: Decide.PartitionState): boolean => settings.tier === "fsync";
