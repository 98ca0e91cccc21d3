/**
 * A log's decisions about one partition, without a store: which owner may write, how a batch is judged, which chains live.
 * A decision is first a plan, which changes nothing. The embedded log encodes the plan, queues its bytes, and only then
 * applies it. redis_library.ts holds the same rules in Lua, and the conformance suite compares the two.
 *
 *   P1. A new epoch is above every earlier one of the partition, and its grant is not below the last one (E7).
 *   P2. A batch is judged a duplicate before it is judged a gap. A batch is written only where it names the stored sequence
 *       as its previous one, and begins above it (E2).
 *   P3. A batch's records, its rejects and its chain's step are one plan (E4).
 *   P4. A new chain needs a place, which principals share (chain_places.ts). Only `planExpiry` frees places (E5).
 *   P5. A plan changes no state. Only `applyChanges` does, and it cannot fail: bytes exist before state (E25).
 */

import { FencedError, InvariantError } from "../../../protocols/errors.ts";
import { type Epoch, type EpochStart, epoch, type Offset, offset, partitionName } from "../../../protocols/position.ts";
import {
  compareSequences,
  firstSequence,
  judgeChain,
  lastSequence,
  type Sequence,
  sequenceAt,
  sequenceCount,
} from "../../../protocols/sequence.ts";
import { tracesOf } from "../../../protocols/traceparent.ts";
import { decodeSlice, encodePosition } from "../../../protocols/values/event_codec.ts";
import type {
  AppendBatch,
  AppendOutcome,
  AppendRequest,
  ChainLimits,
  Channel,
  Grant,
  OpenChainOutcome,
  Ownership,
  PartitionSettings,
  TooManyProducers,
} from "../log.ts";
import { EMPTY_CHAIN_KEPT_MS, rejectedBitmap, SHORT_LIVED_PRODUCERS } from "../log.ts";
import {
  chainName,
  countPlace,
  heldKey,
  isShortLived,
  newPlaceCounts,
  ownerMark,
  type PlaceCounts,
  refusePlace,
  SHORT_LIVED_CHAINS_MAX,
} from "./chain_places.ts";
import { type StoredBatch, storedBytes } from "./record_batch.ts";

export interface ChannelState {
  readonly epochs: readonly EpochStart[];
  readonly firstOffset: Offset;
  readonly endOffset: Offset;
  readonly sizeBytes: number;
}

export interface ChainState {
  readonly producerEpoch: number;
  readonly stored: Sequence | undefined;
  readonly activeAtMs: number;
  /** The principal that the chain's place counts for, as `ownerMark` names it; undefined for a chain of no principal. */
  readonly owner: string | undefined;
  /** MessagePack bytes of the producer's resume point: a decoded map of many small values takes 50 times the memory. */
  readonly position: Uint8Array | undefined;
}

/** The new values of the channels and chains (by {@linkcode chainName}) that a plan changes. Undefined: a forgotten chain. */
export interface StateChanges {
  readonly channels: ReadonlyMap<Channel, ChannelState>;
  readonly chains: ReadonlyMap<string, ChainState | undefined>;
}

export interface PartitionState {
  epoch: Epoch;
  grant: Grant;
  settings: PartitionSettings;
  readonly channels: Map<Channel, ChannelState>;
  /** By {@linkcode chainName}. */
  readonly chains: Map<string, ChainState>;
  /** Counts of the places that `chains` take. */
  readonly places: PlaceCounts;
}

export const newChannel = (): ChannelState => ({
  epochs: [],
  firstOffset: offset(0),
  endOffset: offset(0),
  sizeBytes: 0,
});

/** The state as it will be once a plan is applied: the plan's changes so far, over the unchanged state (P5). */
class Draft implements StateChanges {
  readonly channels = new Map<Channel, ChannelState>();
  readonly chains = new Map<string, ChainState>();
  readonly #state: PartitionState;
  readonly #added = newPlaceCounts();
  #chainsAdded = 0;

  constructor(state: PartitionState) {
    this.#state = state;
  }

  get epoch(): Epoch {
    return this.#state.epoch;
  }

  channel(name: Channel): ChannelState | undefined {
    return this.channels.get(name) ?? this.#state.channels.get(name);
  }

  chain(name: string): ChainState | undefined {
    return this.chains.get(name) ?? this.#state.chains.get(name);
  }

  setChain(name: string, chain: ChainState): void {
    const before = this.chain(name);
    if (before === undefined) this.#chainsAdded += 1;
    countPlace(this.#added, name, before, chain);
    this.chains.set(name, chain);
  }

  /** P4. The refusal of a new chain of this name, or undefined where it gets a place. */
  crowded(name: string, owner: string | undefined): TooManyProducers | undefined {
    const { chains, places, settings } = this.#state;
    const shortLived = places.shortLived + this.#added.shortLived;
    const held = owner === undefined ? undefined : this.#held(heldKey(name, owner));
    if (isShortLived(name)) return refusePlace(shortLived, SHORT_LIVED_CHAINS_MAX, held);
    return refusePlace(chains.size + this.#chainsAdded - shortLived, settings.chains.producersMax, held);
  }

  #held(key: string): number {
    return (this.#state.places.held.get(key) ?? 0) + (this.#added.held.get(key) ?? 0);
  }

  advance(name: Channel, count: number, sizeBytes: number): void {
    const channel = this.channel(name) ?? newChannel();
    const { epochs, endOffset } = channel;
    const isNew = count > 0 && epochs.at(-1)?.epoch !== this.epoch;
    this.channels.set(name, {
      ...channel,
      epochs: isNew ? [...epochs, { epoch: this.epoch, firstOffset: endOffset }] : epochs,
      endOffset: offset(endOffset + count),
      sizeBytes: channel.sizeBytes + sizeBytes,
    });
  }
}

/** Applies a plan's changes to the state. Called once their bytes are queued for the store (P5). */
export function applyChanges(state: PartitionState, { channels, chains }: StateChanges): void {
  for (const [name, channel] of channels) state.channels.set(name, channel);
  for (const [name, chain] of chains) {
    countPlace(state.places, name, state.chains.get(name), chain);
    if (chain === undefined) state.chains.delete(name);
    else state.chains.set(name, chain);
  }
}

/** P1. The epoch of a new claim. Throws `FencedError` for a grant below the last one. */
export function claimEpoch(
  state: Pick<PartitionState, "epoch" | "grant">,
  grant: Grant,
  atLeast: Epoch,
  storeNowMs: number,
): Epoch {
  const { leaderEpoch, tableVersion } = state.grant;
  if ((grant.leaderEpoch - leaderEpoch || grant.tableVersion - tableVersion) < 0) {
    throw new FencedError(
      "STALE_GRANT",
      `Cannot claim as the grant must be at least ${leaderEpoch}/${tableVersion}: current value is ${grant.leaderEpoch}/${grant.tableVersion}`,
    );
  }
  return epoch(Math.max(state.epoch + 1, atLeast, Math.floor(storeNowMs), 1));
}

/** Throws `FencedError` unless `ownership` is the newest and was made in this life of the store (E8). */
export function checkOwnership(ownership: Ownership, currentEpoch: number | undefined, store: string): void {
  const name = partitionName(ownership.partition);
  if (ownership.store !== store) {
    throw new FencedError(
      "STORE_CHANGED",
      `Cannot write to ${name} as its claim must be made on store ${store}: current value is ${ownership.store}`,
    );
  }
  if (ownership.epoch !== currentEpoch) {
    throw new FencedError(
      "STALE_EPOCH",
      `Cannot write to ${name} as the epoch must be ${currentEpoch}: current value is ${ownership.epoch}`,
    );
  }
}

/** The batches that one append writes, and its answer. */
export interface AppendPlan extends StateChanges {
  readonly outcomes: AppendOutcome[];
  readonly endOffset: Offset;
  readonly records: readonly StoredBatch[];
  readonly rejects: readonly { readonly stored: StoredBatch; readonly source: AppendBatch }[];
  /** Indexes of outcomes that are duplicates. The log adds the verdicts that it stored for their batches (E4). */
  readonly duplicates: readonly number[];
  readonly writesCheckpoints: boolean;
}

/** Judges the batches in order, each as if the accepted ones before it were written (P2, P3, P4, P5). */
export function planAppend(state: PartitionState, request: AppendRequest): AppendPlan {
  const { channel } = request;
  const draft = new Draft(state);
  const records: StoredBatch[] = [];
  const rejects: { stored: StoredBatch; source: AppendBatch }[] = [];
  const duplicates: number[] = [];
  const outcomes = request.batches.map((batch, index): AppendOutcome => {
    const name = chainName(channel, batch.producerId);
    const owner = batch.owner === undefined ? undefined : ownerMark(batch.owner);
    const refusal = judge(draft, name, batch, owner);
    if (refusal?.kind === "duplicate") duplicates.push(index);
    if (refusal !== undefined) return refusal;
    const stored = storedBatch(batch);
    const firstOffset = draft.channel(channel)?.endOffset ?? offset(0);
    if (stored.count > 0) {
      records.push(stored);
      draft.advance(channel, stored.count, storedBytes(stored));
    }
    if (batch.rejects !== undefined && batch.rejects.verdicts.length > 0) {
      const rejected = rejectedBatch(batch, batch.rejects);
      rejects.push({ stored: rejected, source: batch });
      draft.advance("rejected", rejected.count, storedBytes(rejected));
    }
    draft.setChain(name, movedChain(draft.chain(name), batch, owner));
    return { kind: "written", firstOffset, count: stored.count };
  });
  const writesCheckpoints = outcomes.every(({ kind }) => kind === "written" || kind === "duplicate");
  const endOffset = draft.channel(channel)?.endOffset ?? offset(0);
  const { channels, chains } = draft;
  return { outcomes, endOffset, records, rejects, channels, chains, duplicates, writesCheckpoints };
}

/** The outcome of a batch that is not written, or undefined for one that is (P2, P4). */
function judge(draft: Draft, name: string, batch: AppendBatch, owner: string | undefined): AppendOutcome | undefined {
  checkBatch(batch, name);
  const chain = draft.chain(name);
  if (chain === undefined) {
    return batch.previousSequence === undefined ? draft.crowded(name, owner) : { kind: "unknown_producer" };
  }
  if (batch.producerEpoch < chain.producerEpoch) return { kind: "stale_producer_epoch", current: chain.producerEpoch };
  const { stored } = chain;
  const judgement = judgeChain(stored, batch.previousSequence, lastSequence(batch.sequences));
  if (judgement === "duplicate" && stored !== undefined) return { kind: "duplicate", stored, verdicts: [] };
  if (judgement === "accept" && compareSequences(firstSequence(batch.sequences), stored) > 0) return undefined;
  return { kind: "gap", stored };
}

/** Throws `InvariantError` for a batch without events, and for rejects outside the channel `records`. */
export function checkBatch(batch: AppendBatch, name: string): void {
  const count = sequenceCount(batch.sequences);
  if (!(count > 0)) {
    throw new InvariantError(
      `Cannot append a batch of ${batch.producerId} as it must hold an event: current value is ${count}`,
    );
  }
  if (batch.rejects !== undefined && !name.startsWith("records\0")) {
    throw new InvariantError(
      `Cannot append rejects as the channel must be records: current value is ${name.split("\0")[0]}`,
    );
  }
}

/** The stored form of a batch in its own channel. */
export function storedBatch(batch: AppendBatch): StoredBatch {
  const { appendedAtMs, schemaVersion, producerId, sequences, events, rejects } = batch;
  const eventCount = sequenceCount(sequences);
  const plain: StoredBatch = { count: eventCount, appendedAtMs, schemaVersion, producerId, sequences, events };
  if (batch.traceparent === undefined && batch.traces === undefined && rejects === undefined) return plain;
  const rejected = rejectedBitmap(rejects?.verdicts, eventCount);
  return {
    ...plain,
    count: eventCount - (rejects?.verdicts.length ?? 0),
    ...tracesOf(batch),
    ...(rejected === undefined ? {} : { rejected }),
  };
}

/** The stored form of a batch's rejects, in the channel `rejected`. */
export function rejectedBatch(batch: AppendBatch, rejects: NonNullable<AppendBatch["rejects"]>): StoredBatch {
  return {
    count: rejects.verdicts.length,
    appendedAtMs: batch.appendedAtMs,
    schemaVersion: batch.schemaVersion,
    producerId: batch.producerId,
    sequences: { list: rejects.verdicts.map(({ index }) => sequenceAt(batch.sequences, index)) },
    ...tracesOf(batch),
    events: rejects.events,
  };
}

const movedChain = (chain: ChainState | undefined, batch: AppendBatch, owner: string | undefined): ChainState => ({
  producerEpoch: batch.producerEpoch,
  stored: lastSequence(batch.sequences),
  activeAtMs: Math.max(batch.appendedAtMs, chain?.activeAtMs ?? 0),
  owner: chain === undefined ? owner : chain.owner,
  position: batch.position === undefined ? chain?.position : new Uint8Array(encodePosition(batch.position)),
});

/** The answer to `openChain`, and the chain's new value. A refused one changes nothing. */
export interface OpenPlan extends StateChanges {
  readonly outcome: OpenChainOutcome;
}

/** Plans the opening of a chain (E1), which is made where the partition has none. */
export function planOpen(
  state: PartitionState,
  channel: Channel,
  producerId: string,
  producerEpoch: number,
  nowMs: number,
  owner?: string,
): OpenPlan {
  const draft = new Draft(state);
  const mark = owner === undefined ? undefined : ownerMark(owner);
  const outcome = open(draft, chainName(channel, producerId), producerEpoch, nowMs, mark);
  return { outcome, channels: draft.channels, chains: draft.chains };
}

function open(
  draft: Draft,
  name: string,
  producerEpoch: number,
  nowMs: number,
  owner: string | undefined,
): OpenChainOutcome {
  const chain = draft.chain(name);
  if (chain === undefined) {
    const refusal = draft.crowded(name, owner);
    if (refusal !== undefined) return refusal;
    draft.setChain(name, { producerEpoch, stored: undefined, activeAtMs: nowMs, owner, position: undefined });
    return { kind: "opened", lastSequence: undefined };
  }
  if (producerEpoch < chain.producerEpoch) return { kind: "stale_producer_epoch", current: chain.producerEpoch };
  const activeAtMs = Math.max(chain.activeAtMs, nowMs);
  draft.setChain(name, { ...chain, producerEpoch, activeAtMs, owner: owner ?? chain.owner });
  const { stored, position } = chain;
  return {
    kind: "opened",
    lastSequence: stored,
    ...(position === undefined ? {} : { position: decodeSlice(position) }),
  };
}

/** Plans to forget the chains that were idle for longer than their window (E5). */
export function planExpiry(state: PartitionState, nowMs: number): StateChanges {
  const chains = new Map<string, undefined>();
  const { dedupeWindowMs }: ChainLimits = state.settings.chains;
  const shortMs = Math.min(dedupeWindowMs, SHORT_LIVED_PRODUCERS.windowMs);
  const emptyMs = Math.min(shortMs, EMPTY_CHAIN_KEPT_MS);
  for (const [name, { activeAtMs, stored }] of state.chains) {
    const keptMs = stored === undefined ? emptyMs : isShortLived(name) ? shortMs : dedupeWindowMs;
    if (nowMs - activeAtMs > keptMs) chains.set(name, undefined);
  }
  return { channels: new Map(), chains };
}

/** The channel trimmed to begin at `firstOffset`, less `removedBytes`. Keeps the epoch of the record before that. */
export const trimmedChannel = (channel: ChannelState, firstOffset: number, removedBytes: number): ChannelState => ({
  ...channel,
  firstOffset: offset(firstOffset),
  sizeBytes: firstOffset === channel.endOffset ? 0 : Math.max(0, channel.sizeBytes - removedBytes),
  epochs: cutEpochs(channel.epochs, firstOffset),
});

/** The part of an epoch table that is needed to judge cursors from the record before `firstOffset` on. */
export function cutEpochs(epochs: readonly EpochStart[], firstOffset: number): EpochStart[] {
  let keep = 0;
  for (const [index, entry] of epochs.entries()) if (entry.firstOffset < firstOffset) keep = index;
  return epochs.slice(keep);
}
