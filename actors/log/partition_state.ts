/**
 * What a log decides about one partition, without a store: who may write, what becomes of a batch, which chains live.
 * Pure but for the state that it owns and updates in place; the embedded log writes down what it answers, and
 * redis_library.ts says the same in Lua (the conformance suite holds the two together).
 *
 *   P1. An epoch is above every earlier one of the partition, and the grant not below the last (E7).
 *   P2. Duplicates are told before gaps; only a batch that follows what is stored, and lies after it, is written (E2).
 *   P3. A batch's records, its rejects and its chain's step are one plan (E4).
 *   P4. At most `producersMax` chains live, and only `expireChains` forgets one (E5). Those of short-lived producers are
 *       counted apart, within a limit of their own: requests with a key keep no producer out, nor producers them.
 */

import { FencedError, InvariantError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { type Epoch, type EpochStart, epoch, type Offset, offset, partitionName } from "../../protocols/position.ts";
import {
  compareSequences,
  firstSequence,
  judgeChain,
  lastSequence,
  type Sequence,
  sequenceAt,
  sequenceCount,
} from "../../protocols/sequence.ts";
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
} from "./log.ts";
import { rejectedBitmap, SHORT_LIVED_PRODUCERS } from "./log.ts";
import { type StoredBatch, storedBytes } from "./record_batch.ts";

export interface ChannelState {
  epochs: EpochStart[];
  firstOffset: Offset;
  endOffset: Offset;
  sizeBytes: number;
}

export interface ChainState {
  producerEpoch: number;
  stored: Sequence | undefined;
  activeAtMs: number;
  position: Event | undefined;
}

export interface PartitionState {
  epoch: Epoch;
  grant: Grant;
  settings: PartitionSettings;
  readonly channels: Map<Channel, ChannelState>;
  /** By {@linkcode chainName}. */
  readonly chains: Map<string, ChainState>;
  /** How many of `chains` are of short-lived producers. */
  shortLivedChains: number;
}

export const newChannel = (): ChannelState => ({
  epochs: [],
  firstOffset: offset(0),
  endOffset: offset(0),
  sizeBytes: 0,
});

/** A chain belongs to one channel. Channels hold no NUL, so the name is unambiguous whatever the producer is called. */
export const chainName = (channel: Channel, producerId: string): string => `${channel}\0${producerId}`;

const SHORT_LIVED_CHAINS = chainName("records", SHORT_LIVED_PRODUCERS.prefix);

/** Chains of requests with a key that one partition keeps: some seventy a second through their hour, about 75 MB. */
export const SHORT_LIVED_CHAINS_MAX = 250_000;

export const isShortLived = (name: string): boolean => name.startsWith(SHORT_LIVED_CHAINS);

/** P4. Why another chain of this name can not be made, or undefined. */
function crowded(state: PartitionState, name: string): { kind: "too_many_producers"; live: number } | undefined {
  const { chains, shortLivedChains, settings } = state;
  const live = isShortLived(name) ? shortLivedChains : chains.size - shortLivedChains;
  const max = isShortLived(name) ? SHORT_LIVED_CHAINS_MAX : settings.chains.producersMax;
  return live < max ? undefined : { kind: "too_many_producers", live };
}

function addChain(state: PartitionState, name: string, chain: ChainState): void {
  state.chains.set(name, chain);
  if (isShortLived(name)) state.shortLivedChains += 1;
}

/** P1. Throws `FencedError` for a lower grant. */
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

/** Throws `FencedError` unless `ownership` is the newest, made on this life of the store (E8). */
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

/** What one append writes, and what it answers. */
export interface AppendPlan {
  readonly outcomes: AppendOutcome[];
  readonly endOffset: Offset;
  readonly records: readonly StoredBatch[];
  readonly rejects: readonly { readonly stored: StoredBatch; readonly source: AppendBatch }[];
  /** Names of the chains that moved. */
  readonly chains: ReadonlySet<string>;
  /** Outcomes of these indexes are duplicates, to be completed with the verdicts stored for their batches (E4). */
  readonly duplicates: readonly number[];
  readonly writesCheckpoints: boolean;
}

/** Judges the batches in order and moves the state past them (P2-P4). */
export function planAppend(state: PartitionState, request: AppendRequest): AppendPlan {
  const { channel } = request;
  const records: StoredBatch[] = [];
  const rejects: { stored: StoredBatch; source: AppendBatch }[] = [];
  const chains = new Set<string>();
  const duplicates: number[] = [];
  let target = state.channels.get(channel);
  const outcomes = request.batches.map((batch, index): AppendOutcome => {
    const name = chainName(channel, batch.producerId);
    const refusal = judge(state, name, batch);
    if (refusal?.kind === "duplicate") duplicates.push(index);
    if (refusal !== undefined) return refusal;
    const stored = storedBatch(batch);
    if (stored.count > 0) {
      target ??= channelOf(state, channel);
      records.push(stored);
    }
    const firstOffset = target?.endOffset ?? offset(0);
    if (target !== undefined) advance(target, state.epoch, stored.count, stored.count === 0 ? 0 : storedBytes(stored));
    if (batch.rejects !== undefined && batch.rejects.verdicts.length > 0) {
      const rejected = rejectedBatch(batch, batch.rejects);
      rejects.push({ stored: rejected, source: batch });
      advance(channelOf(state, "rejected"), state.epoch, rejected.count, storedBytes(rejected));
    }
    moveChain(state, name, batch);
    chains.add(name);
    return { kind: "written", firstOffset, count: stored.count };
  });
  const writesCheckpoints = outcomes.every(({ kind }) => kind === "written" || kind === "duplicate");
  const endOffset = target?.endOffset ?? offset(0);
  return { outcomes, endOffset, records, rejects, chains, duplicates, writesCheckpoints };
}

/** Why a batch is not written, or undefined where it is (P2, P4). */
function judge(state: PartitionState, name: string, batch: AppendBatch): AppendOutcome | undefined {
  checkBatch(batch, name);
  const chain = state.chains.get(name);
  if (chain === undefined) {
    return batch.previousSequence === undefined ? crowded(state, name) : { kind: "unknown_producer" };
  }
  if (batch.producerEpoch < chain.producerEpoch) return { kind: "stale_producer_epoch", current: chain.producerEpoch };
  const { stored } = chain;
  const judgement = judgeChain(stored, batch.previousSequence, lastSequence(batch.sequences));
  if (judgement === "duplicate" && stored !== undefined) return { kind: "duplicate", stored, verdicts: [] };
  if (judgement === "accept" && compareSequences(firstSequence(batch.sequences), stored) > 0) return undefined;
  return { kind: "gap", stored };
}

/** Only records are validated, so only they have rejects; every log holds its callers to that. */
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

/** What is stored of a batch in its own channel. */
export function storedBatch(batch: AppendBatch): StoredBatch {
  const { appendedAtMs, schemaVersion, producerId, sequences, events, traceparent, rejects } = batch;
  const eventCount = sequenceCount(sequences);
  const plain: StoredBatch = { count: eventCount, appendedAtMs, schemaVersion, producerId, sequences, events };
  if (traceparent === undefined && rejects === undefined) return plain;
  const rejected = rejectedBitmap(rejects?.verdicts, eventCount);
  return {
    ...plain,
    count: eventCount - (rejects?.verdicts.length ?? 0),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(rejected === undefined ? {} : { rejected }),
  };
}

/** What is stored of a batch's rejects, in the channel `rejected`. */
export function rejectedBatch(batch: AppendBatch, rejects: NonNullable<AppendBatch["rejects"]>): StoredBatch {
  return {
    count: rejects.verdicts.length,
    appendedAtMs: batch.appendedAtMs,
    schemaVersion: batch.schemaVersion,
    producerId: batch.producerId,
    sequences: { list: rejects.verdicts.map(({ index }) => sequenceAt(batch.sequences, index)) },
    ...(batch.traceparent === undefined ? {} : { traceparent: batch.traceparent }),
    events: rejects.events,
  };
}

function channelOf(state: PartitionState, channel: Channel): ChannelState {
  const found = state.channels.get(channel) ?? newChannel();
  state.channels.set(channel, found);
  return found;
}

function advance(channel: ChannelState, inEpoch: Epoch, count: number, sizeBytes: number): void {
  if (count === 0) return;
  if (channel.epochs.at(-1)?.epoch !== inEpoch) {
    channel.epochs.push({ epoch: inEpoch, firstOffset: channel.endOffset });
  }
  channel.endOffset = offset(channel.endOffset + count);
  channel.sizeBytes += sizeBytes;
}

function moveChain(state: PartitionState, name: string, batch: AppendBatch): void {
  const chain = state.chains.get(name);
  const moved: ChainState = {
    producerEpoch: batch.producerEpoch,
    stored: lastSequence(batch.sequences),
    activeAtMs: Math.max(batch.appendedAtMs, chain?.activeAtMs ?? 0),
    position: batch.position ?? chain?.position,
  };
  if (chain === undefined) addChain(state, name, moved);
  else Object.assign(chain, moved);
}

/** E1. The chain is made where there is none. */
export function openChain(
  state: PartitionState,
  channel: Channel,
  producerId: string,
  producerEpoch: number,
  nowMs: number,
): OpenChainOutcome {
  const name = chainName(channel, producerId);
  const chain = state.chains.get(name);
  if (chain === undefined) {
    const refusal = crowded(state, name);
    if (refusal !== undefined) return refusal;
    addChain(state, name, { producerEpoch, stored: undefined, activeAtMs: nowMs, position: undefined });
    return { kind: "opened", lastSequence: undefined };
  }
  if (producerEpoch < chain.producerEpoch) return { kind: "stale_producer_epoch", current: chain.producerEpoch };
  chain.producerEpoch = producerEpoch;
  chain.activeAtMs = Math.max(chain.activeAtMs, nowMs);
  const { stored, position } = chain;
  return { kind: "opened", lastSequence: stored, ...(position === undefined ? {} : { position }) };
}

/** Names of the chains that were idle for longer than the window; they are forgotten (E5). */
export function expireChains(state: PartitionState, nowMs: number): string[] {
  const expired: string[] = [];
  const { dedupeWindowMs }: ChainLimits = state.settings.chains;
  const shortMs = Math.min(dedupeWindowMs, SHORT_LIVED_PRODUCERS.windowMs);
  for (const [name, { activeAtMs }] of state.chains) {
    if (nowMs - activeAtMs > (isShortLived(name) ? shortMs : dedupeWindowMs)) expired.push(name);
  }
  for (const name of expired) {
    state.chains.delete(name);
    if (isShortLived(name)) state.shortLivedChains -= 1;
  }
  return expired;
}

/** Moves a channel's beginning up to `firstOffset`, less `removedBytes`; keeps the epoch of the record before it. */
export function trimChannel(channel: ChannelState, firstOffset: number, removedBytes: number): void {
  channel.firstOffset = offset(firstOffset);
  channel.sizeBytes = firstOffset === channel.endOffset ? 0 : Math.max(0, channel.sizeBytes - removedBytes);
  channel.epochs = cutEpochs(channel.epochs, firstOffset);
}

/** The part of an epoch table that judges cursors from the record before `firstOffset` on. */
export function cutEpochs(epochs: readonly EpochStart[], firstOffset: number): EpochStart[] {
  let keep = 0;
  for (const [index, entry] of epochs.entries()) if (entry.firstOffset < firstOffset) keep = index;
  return epochs.slice(keep);
}
