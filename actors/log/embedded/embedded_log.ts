/**
 * The durable log over an ordered store that one process owns. Turns the plans of partition_state.ts into writes, from the
 * partitions' state in memory; leaves judgement to partition_state.ts and commits to commit_queue.ts.
 *
 *   M1. The state in memory equals the store plus the queued writes, and is read anew after a failed commit. A call encodes
 *       its writes, queues the bytes, and only then changes the state, so that a throw before changes nothing (E25).
 *   M2. A call's answer waits for its commit, and for the flush where its tier is `fsync`. A claim and a checkpoint wait
 *       for the flush in every tier (E12).
 *   M3. Reads see the store alone, never a queued write.
 */
import { ConfigurationError, InvariantError } from "../../../protocols/errors.ts";
import {
  type Epoch,
  epoch,
  type Offset,
  offset,
  type PartitionReference,
  type Position,
  partitionName,
} from "../../../protocols/position.ts";
import { firstSequence, lastSequence, type Sequence } from "../../../protocols/sequence.ts";
import type * as Contract from "../log.ts";
import { newPlaceCounts, placeCountsOf } from "../rules/chain_places.ts";
import { LargeBatches } from "../rules/large_batches.ts";
import { answerRead, seekByTime } from "../rules/log_reading.ts";
import { lostBatch, outcomeOfLoss } from "../rules/lost_batch.ts";
import * as Decide from "../rules/partition_state.ts";
import type { ReadTurns } from "../rules/read_turns.ts";
import { decodeEntry, ENTRY_BYTES_TARGET, encodeEntry, type StoredBatch, storedBytes } from "../rules/record_batch.ts";
import { unencodable } from "../rules/unencodable.ts";
import { CommitQueue } from "./commit_queue.ts";
import type { OrderedStore } from "./ordered_store.ts";
import { StoreRegistry } from "./store_registry.ts";
import * as Stored from "./stored_state.ts";

export interface EmbeddedLogOptions {
  readonly kind: "memory" | "lmdb";
  readonly clusterId: string;
  readonly store: OrderedStore;
  /** The store's clock, in ms since 1970. */
  readonly nowMs: () => number;
  /** Throws `ConfigurationError` for a tier that the store cannot keep. */
  readonly checkTier: (tier: Contract.DurabilityTier) => void;
  /** Makes the bytes of an entry. Default: that of record_batch.ts; tests give one that fails. */
  readonly encodeEntry?: typeof encodeEntry;
  /** Spreads reads over turns of the event loop; absent where the store's reads take next to no time. */
  readonly readTurns?: ReadTurns;
}

type StateWrites = Map<string, Uint8Array | undefined>;

/** Entries that one commit of `trim` removes at most, so that a large trim holds up no other call for long. */
const TRIM_ENTRIES_MAX = 256;

export class EmbeddedLog implements Contract.Log {
  readonly kind: "memory" | "lmdb";
  readonly clusterId: string;
  readonly #store: OrderedStore;
  readonly #nowMs: () => number;
  readonly #checkTier: (tier: Contract.DurabilityTier) => void;
  readonly #encodeEntry: typeof encodeEntry;
  readonly #readTurns: ReadTurns | undefined;
  readonly #queue: CommitQueue;
  readonly #partitions = new Map<string, Decide.PartitionState>();
  readonly #registry: StoreRegistry;
  readonly #large = new LargeBatches();

  constructor(options: EmbeddedLogOptions) {
    this.kind = options.kind;
    this.clusterId = options.clusterId;
    this.#store = options.store;
    this.#nowMs = options.nowMs;
    this.#checkTier = options.checkTier;
    this.#encodeEntry = options.encodeEntry ?? encodeEntry;
    this.#readTurns = options.readTurns;
    this.#queue = new CommitQueue(options.store, () => this.#forget());
    this.#registry = new StoreRegistry(options.store, this.#queue, options.nowMs);
  }

  /** Forgets the state in memory, so that the store is read anew (M1). */
  #forget(): void {
    this.#partitions.clear();
    this.#registry.forget();
    this.#large.clear();
  }

  /** Rejects all queued calls: the store's life has ended, and their writes must not reach its next life (E8). */
  abandon(reason: Error): void {
    this.#forget();
    this.#queue.abandon(reason);
  }

  state(): Contract.StoreState {
    return this.#store.state();
  }

  onStateChange(listener: (state: Contract.StoreState) => void): void {
    this.#store.onStateChange(listener);
  }

  async claim(
    partition: PartitionReference,
    grant: Contract.Grant,
    atLeast: Epoch,
    settings: Contract.PartitionSettings,
  ): Promise<Contract.Claim> {
    this.#checkTier(settings.tier);
    const prefix = Stored.partitionPrefix(partition);
    const store = this.#store.identity;
    const known = this.#load(partition);
    const fence = known ?? { epoch: epoch(0), grant: { leaderEpoch: 0, tableVersion: 0 } };
    const claimed = Decide.claimEpoch(fence, grant, atLeast, this.#nowMs());
    const state: Decide.PartitionState = {
      epoch: claimed,
      grant,
      settings,
      channels: known?.channels ?? new Map([["records", Decide.newChannel()]]),
      chains: known?.chains ?? new Map(),
      places: known?.places ?? newPlaceCounts(),
    };
    const writes: StateWrites = new Map([[Stored.fenceKey(prefix), Stored.encodeFence(state)]]);
    if (known === undefined) writeChannels(writes, prefix, state.channels);
    const written = this.#queue.write(writes, true);
    this.#partitions.set(prefix, state);
    await written;
    // By now the former owner's queued writes are committed, and no others were made: the store is read anew.
    if (this.#partitions.get(prefix) === state) this.#partitions.delete(prefix);
    const channels = this.#guard(() => this.#channels(prefix));
    const checkpoints = await this.readCheckpoints(partition);
    return { ownership: { partition, epoch: claimed, store }, channels, checkpoints };
  }

  async openChain(
    ownership: Contract.Ownership,
    channel: Contract.Channel,
    producerId: string,
    producerEpoch: number,
    nowMs: number,
    owner?: string,
  ): Promise<Contract.OpenChainOutcome> {
    const { prefix, state } = this.#owned(ownership);
    const plan = Decide.planOpen(state, channel, producerId, producerEpoch, nowMs, owner);
    const writes: StateWrites = new Map();
    writeChains(writes, prefix, plan.chains);
    await this.#commit(writes, isFlushed(state), state, plan);
    return plan.outcome;
  }

  async append(ownership: Contract.Ownership, request: Contract.AppendRequest): Promise<Contract.AppendResult> {
    const { prefix, state } = this.#owned(ownership);
    const { plan, writes } = encoded(ownership.partition, () => {
      const plan = Decide.planAppend(state, request);
      const writes: StateWrites = new Map();
      writePlan(writes, this.#encodeEntry, { prefix, epoch: state.epoch }, request, plan);
      return { plan, writes };
    });
    await this.#commit(writes, isFlushed(state), state, plan);
    if (plan.duplicates.length === 0) return { outcomes: plan.outcomes, endOffset: plan.endOffset };
    const outcomes = plan.outcomes.map((outcome, index) => {
      const batch = request.batches[index];
      if (outcome.kind !== "duplicate" || batch === undefined || request.channel !== "records") return outcome;
      return { ...outcome, verdicts: this.#guard(() => this.#verdicts(prefix, batch)) };
    });
    return { outcomes, endOffset: plan.endOffset };
  }

  /** M1: queues the bytes of a plan, then applies it. */
  #commit(
    writes: StateWrites,
    isFlushed: boolean,
    state: Decide.PartitionState,
    changes: Decide.StateChanges,
  ): Promise<void> {
    const written = this.#queue.write(writes, isFlushed);
    Decide.applyChanges(state, changes);
    return written;
  }

  #verdicts(prefix: string, batch: Contract.AppendBatch): Contract.StoredVerdict[] {
    const verdicts = Stored.verdictsPrefix(prefix, batch.producerId);
    const from = verdicts + Stored.sequenceText(firstSequence(batch.sequences));
    const to = verdicts + Stored.sequenceText(lastSequence(batch.sequences));
    return Array.from(this.#store.range(from, `${to}\0`), ([, value]) => Stored.decodeVerdict(value));
  }

  async declareLost(
    ownership: Contract.Ownership,
    producerId: string,
    producerEpoch: number,
    from: Sequence | undefined,
    to: Sequence,
    nowMs: number,
    owner?: string,
  ): Promise<Contract.AppendOutcome> {
    const batch = lostBatch(producerId, producerEpoch, from, to, nowMs, owner);
    return outcomeOfLoss(await this.append(ownership, { channel: "records", batches: [batch] }));
  }

  async read(partition: PartitionReference, request: Contract.ReadRequest): Promise<Contract.ReadResult> {
    const turns = this.#readTurns;
    if (turns === undefined) return this.#read(partition, request);
    const turn = turns.begin();
    if (turn !== undefined) await turn;
    const beganMs = performance.now();
    try {
      return this.#read(partition, request);
    } finally {
      turns.spent(performance.now() - beganMs);
    }
  }

  #read(partition: PartitionReference, request: Contract.ReadRequest): Contract.ReadResult {
    return this.#guard(() => {
      const prefix = Stored.partitionPrefix(partition);
      const { after, channel, inParts = false } = request;
      const bounds = this.#channel(prefix, channel);
      const entries = Stored.entriesPrefix(prefix, channel);
      const kept = inParts ? this.#large.find(entries, after, bounds) : undefined;
      if (kept !== undefined) return answerRead(bounds, request, [[kept]]);
      const answer = answerRead(bounds, request, this.#entriesAfter(prefix, channel, after));
      if (inParts) this.#large.keep(entries, answer);
      return answer;
    });
  }

  *#entriesAfter(
    prefix: string,
    channel: Contract.Channel,
    after: Position | undefined,
  ): Iterable<Contract.RecordBatch[]> {
    const entries = Stored.entriesPrefix(prefix, channel);
    const from = after === undefined ? entries : Stored.entryKey(prefix, channel, after.epoch, after.offset + 1);
    for (const [key, value] of this.#store.range(from, Stored.rangeEnd(entries))) {
      const place = Stored.entryPlace(key);
      yield decodeEntry(value, epoch(place.epoch), place.lastOffset);
    }
  }

  async seek(partition: PartitionReference, channel: Contract.Channel, timeMs: number): Promise<Position | undefined> {
    const prefix = Stored.partitionPrefix(partition);
    const bounds = this.#guard(() => this.#channel(prefix, channel));
    return seekByTime(bounds, timeMs, async (at) =>
      this.#guard(() => {
        const before = { epoch: at.epoch, offset: offset(at.offset - 1) };
        for (const entry of this.#entriesAfter(prefix, channel, before)) return entry;
        return [];
      }),
    );
  }

  async describe(
    partition: PartitionReference,
  ): Promise<ReadonlyMap<Contract.Channel, Contract.ChannelBounds> | undefined> {
    return this.#guard(() => {
      const channels = this.#channels(Stored.partitionPrefix(partition));
      return channels.size === 0 ? undefined : channels;
    });
  }

  async trim(
    ownership: Contract.Ownership,
    channel: Contract.Channel,
    beforeOffset: Offset,
  ): Promise<Contract.ChannelBounds> {
    const { prefix } = this.#owned(ownership);
    for (;;) {
      const { state } = this.#owned(ownership);
      const bounds = state.channels.get(channel) ?? Decide.newChannel();
      const removal = this.#guard(() => this.#removal(prefix, channel, beforeOffset));
      if (removal.writes.size === 0) return bounds;
      const channels = new Map([[channel, Decide.trimmedChannel(bounds, removal.firstOffset, removal.sizeBytes)]]);
      writeChannels(removal.writes, prefix, channels);
      await this.#commit(removal.writes, isFlushed(state), state, { channels, chains: new Map() });
    }
  }

  /** Writes that remove the oldest entries which end before `beforeOffset`, with the verdicts of these entries. */
  #removal(prefix: string, channel: Contract.Channel, beforeOffset: Offset) {
    const entries = Stored.entriesPrefix(prefix, channel);
    const writes: StateWrites = new Map();
    let firstOffset = 0;
    let sizeBytes = 0;
    let entryCount = 0;
    for (const [key, value] of this.#store.range(entries, Stored.rangeEnd(entries))) {
      const { epoch: inEpoch, lastOffset } = Stored.entryPlace(key);
      if (lastOffset >= beforeOffset || entryCount === TRIM_ENTRIES_MAX) break;
      writes.set(key, undefined);
      firstOffset = lastOffset + 1;
      sizeBytes += value.length;
      entryCount += 1;
      if (channel !== "rejected") continue;
      for (const { producerId, sequences } of decodeEntry(value, epoch(inEpoch), lastOffset)) {
        const verdicts = Stored.verdictsPrefix(prefix, producerId);
        const list = "list" in sequences ? sequences.list : [];
        for (const sequence of list) writes.set(verdicts + Stored.sequenceText(sequence), undefined);
      }
    }
    return { writes, firstOffset, sizeBytes };
  }

  async expireChains(ownership: Contract.Ownership, nowMs: number): Promise<number> {
    const { prefix, state } = this.#owned(ownership);
    const writes: StateWrites = new Map();
    const changes = Decide.planExpiry(state, nowMs);
    for (const name of changes.chains.keys()) {
      writes.set(Stored.chainKey(prefix, name), undefined);
      if (!name.startsWith("records\0")) continue;
      const verdicts = Stored.verdictsPrefix(prefix, name.slice("records\0".length));
      for (const [key] of this.#guard(() => [...this.#store.range(verdicts, Stored.rangeEnd(verdicts))])) {
        writes.set(key, undefined);
      }
    }
    const written = this.#commit(writes, false, state, changes);
    const live = state.chains.size;
    await written;
    return live;
  }

  async checkpoint(ownership: Contract.Ownership, values: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    const { prefix } = this.#owned(ownership);
    const writes: StateWrites = new Map();
    writeCheckpoints(writes, prefix, values);
    await this.#queue.write(writes, true);
  }

  async readCheckpoints(partition: PartitionReference): Promise<ReadonlyMap<string, Uint8Array>> {
    return this.#guard(() => {
      const prefix = Stored.checkpointsPrefix(Stored.partitionPrefix(partition));
      const found = this.#store.range(prefix, Stored.rangeEnd(prefix));
      return new Map(Array.from(found, ([key, value]) => [key.slice(prefix.length), value]));
    });
  }

  welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner?: Contract.ProducerOwner,
  ): Promise<Contract.WelcomeOutcome> {
    return this.#registry.welcomeProducer(producerId, instance, heldEpoch, nowMs, owner);
  }

  async readMetadata(key: string): Promise<Contract.Metadata | undefined> {
    return this.#registry.readMetadata(key);
  }

  async listMetadata(prefix: string): Promise<ReadonlyMap<string, Contract.Metadata>> {
    return this.#registry.listMetadata(prefix);
  }

  writeMetadata(key: string, value: Uint8Array, expectedVersion: number): Promise<number | undefined> {
    return this.#registry.writeMetadata(key, value, expectedVersion);
  }

  probe(): Promise<void> {
    return this.#store.probe();
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  /** Throws `FencedError` unless the ownership is the newest (log L2). */
  #owned(ownership: Contract.Ownership): { readonly prefix: string; readonly state: Decide.PartitionState } {
    const prefix = Stored.partitionPrefix(ownership.partition);
    const state = this.#load(ownership.partition);
    Decide.checkOwnership(ownership, state?.epoch, this.#store.identity);
    if (state === undefined)
      throw new ConfigurationError(
        "STORE_MISCONFIGURED",
        `Cannot write to ${partitionName(ownership.partition)} as the partition must be claimed: it never was`,
      );
    return { prefix, state };
  }

  /** The partition's state, from memory or else from the store; undefined where the partition was never claimed. */
  #load(partition: PartitionReference): Decide.PartitionState | undefined {
    const prefix = Stored.partitionPrefix(partition);
    const inMemory = this.#partitions.get(prefix);
    if (inMemory !== undefined) {
      // A read of the store, so that one that is away refuses the call before anything is decided.
      this.#guard(() => this.#store.get(Stored.fenceKey(prefix)));
      return inMemory;
    }
    const loaded = this.#guard(() => this.#readState(prefix));
    if (loaded !== undefined) this.#partitions.set(prefix, loaded);
    return loaded;
  }

  #readState(prefix: string): Decide.PartitionState | undefined {
    const bytes = this.#store.get(Stored.fenceKey(prefix));
    if (bytes === undefined) return undefined;
    const fence = Stored.decodeFence(bytes);
    const chains = Stored.chainsPrefix(prefix);
    const loaded = Array.from(
      this.#store.range(chains, Stored.rangeEnd(chains)),
      ([key, value]) => [key.slice(chains.length), Stored.decodeChain(value)] as const,
    );
    return {
      epoch: epoch(fence.epoch),
      grant: fence.grant,
      settings: fence.settings,
      channels: this.#channels(prefix),
      chains: new Map(loaded),
      places: placeCountsOf(loaded),
    };
  }

  #channels(prefix: string): Map<Contract.Channel, Decide.ChannelState> {
    const channels = Stored.channelsPrefix(prefix);
    const found = this.#store.range(channels, Stored.rangeEnd(channels));
    return new Map(
      Array.from(found, ([key, value]) => [
        key.slice(channels.length) as Contract.Channel,
        Stored.decodeChannel(value),
      ]),
    );
  }

  #channel(prefix: string, channel: Contract.Channel): Decide.ChannelState {
    const bytes = this.#store.get(Stored.channelKey(prefix, channel));
    return bytes === undefined ? Decide.newChannel() : Stored.decodeChannel(bytes);
  }

  #guard<Value>(read: () => Value): Value {
    try {
      return read();
    } catch (error) {
      // A key that the store cannot hold is the caller's fault, and no reason to call the store unavailable.
      if (error instanceof RangeError) throw unreadable(error);
      throw this.#store.failure(error);
    }
  }
}

const unreadable = (error: RangeError): InvariantError =>
  new InvariantError(`Cannot read as the key must be one that the store can hold: ${error.message}`, { cause: error });

const isFlushed = ({ settings }: Decide.PartitionState): boolean => settings.tier === "fsync";

function writeCheckpoints(
  writes: StateWrites,
  prefix: string,
  values: ReadonlyMap<string, Uint8Array | undefined> | undefined,
): void {
  for (const [name, value] of values ?? []) writes.set(Stored.checkpointKey(prefix, name), value);
}

/** Makes the bytes of an append. A throw becomes `InvariantError`: it is a bug of this program, and nothing was written (E25). */
function encoded<Value>(partition: PartitionReference, encode: () => Value): Value {
  try {
    return encode();
  } catch (error) {
    throw unencodable(partition, error);
  }
}

/** The place of a partition's entries: the prefix of its keys, and the owner's epoch. */
interface Place {
  readonly prefix: string;
  readonly epoch: Epoch;
}

function writePlan(
  writes: StateWrites,
  encode: typeof encodeEntry,
  place: Place,
  request: Contract.AppendRequest,
  plan: Decide.AppendPlan,
): void {
  const { prefix } = place;
  const { channel } = request;
  const rejected = plan.rejects.map(({ stored }) => stored);
  writeEntries(writes, encode, place, channel, plan, plan.records);
  writeEntries(writes, encode, place, "rejected", plan, rejected);
  for (const { stored, source } of plan.rejects) {
    const verdicts = Stored.verdictsPrefix(prefix, source.producerId);
    const sequences = "list" in stored.sequences ? stored.sequences.list : [];
    for (const [at, verdict] of (source.rejects?.verdicts ?? []).entries()) {
      const sequence = sequences[at];
      if (sequence === undefined) continue;
      writes.set(verdicts + Stored.sequenceText(sequence), Stored.encodeVerdict(sequence, verdict));
    }
  }
  writeChannels(writes, prefix, plan.channels);
  writeChains(writes, prefix, plan.chains);
  if (plan.writesCheckpoints) writeCheckpoints(writes, prefix, request.checkpoints);
}

function writeEntries(
  writes: StateWrites,
  encode: typeof encodeEntry,
  { prefix, epoch: inEpoch }: Place,
  channel: Contract.Channel,
  { channels }: Decide.StateChanges,
  batches: readonly StoredBatch[],
): void {
  const endOffset = channels.get(channel)?.endOffset ?? 0;
  for (const entry of groupBatches(batches, endOffset)) {
    writes.set(Stored.entryKey(prefix, channel, inEpoch, entry.lastOffset), encode(entry.batches));
  }
}

/** Groups batches into entries, of which small batches share one. `endOffset` is one past the last record of all. */
function groupBatches(batches: readonly StoredBatch[], endOffset: number) {
  const entries: { lastOffset: number; readonly batches: StoredBatch[] }[] = [];
  let nextOffset = endOffset;
  for (const { count } of batches) nextOffset -= count;
  let entry: (typeof entries)[number] | undefined;
  let sizeBytes = 0;
  for (const batch of batches) {
    const batchBytes = storedBytes(batch);
    if (entry === undefined || sizeBytes + batchBytes > ENTRY_BYTES_TARGET) {
      entry = { lastOffset: 0, batches: [] };
      entries.push(entry);
      sizeBytes = 0;
    }
    sizeBytes += batchBytes;
    nextOffset += batch.count;
    entry.batches.push(batch);
    entry.lastOffset = nextOffset - 1;
  }
  return entries;
}

function writeChannels(writes: StateWrites, prefix: string, channels: Decide.StateChanges["channels"]): void {
  for (const [name, channel] of channels) writes.set(Stored.channelKey(prefix, name), Stored.encodeChannel(channel));
}

function writeChains(writes: StateWrites, prefix: string, chains: Decide.StateChanges["chains"]): void {
  for (const [name, chain] of chains) {
    if (chain !== undefined) writes.set(Stored.chainKey(prefix, name), Stored.encodeChain(chain));
  }
}
