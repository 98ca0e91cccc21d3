/**
 * A log's decisions about one partition, without a store: which owner may write, which batches (append_plan.ts), and which
 * chains live. A decision is first a plan, which changes nothing. The embedded log encodes the plan, queues its bytes, and
 * only then applies it. The Redis library holds the same rules in Lua, and the conformance suite compares the two.
 *
 *   P1. A new epoch is above every earlier one of the partition, and its grant is not below the last one (E7).
 *   P2. A batch is judged a duplicate before it is judged a gap. A batch is written only where it names the stored sequence
 *       as its previous one, and begins above it (E2).
 *   P3. A batch's records, its rejects and its chain's step are one plan (E4).
 *   P4. A new chain needs a place, which principals share (chain_places.ts). Only `planExpiry` frees places (E5).
 *   P5. A plan changes no state. Only `applyChanges` does, and it cannot fail: bytes exist before state (E25).
 *   P6. Attached batches are written where every batch of their call was written or is a duplicate, as checkpoints are. No
 *       chain is read or made for them (E29).
 */
import { FencedError } from "../../../protocols/errors.ts";
import { type Epoch, epoch, offset, partitionName } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { advanceBounds, EMPTY_BOUNDS } from "../bounds.ts";
import {
  type Channel,
  type ChannelBounds,
  EMPTY_CHAIN_KEPT_MS,
  type Grant,
  type OpenChainOutcome,
  type Ownership,
  type PartitionSettings,
  SHORT_LIVED_PRODUCERS,
  type TooManyProducers,
} from "../log.ts";
import * as Places from "./chain_places.ts";

export interface ChainState {
  readonly producerEpoch: number;
  readonly stored: Sequence | undefined;
  readonly activeAtMs: number;
  /** The principal that the chain's place counts for, as `ownerMark` names it; undefined for a chain of no principal. */
  readonly owner: string | undefined;
  /** MessagePack bytes of the producer's resume point: a decoded map of many small values takes 50 times the memory. */
  readonly position: Uint8Array | undefined;
}

/** The new values that a plan gives to channels and to chains, by `chainName`. Undefined: a forgotten chain. */
export interface StateChanges {
  readonly channels: ReadonlyMap<Channel, ChannelBounds>;
  readonly chains: ReadonlyMap<string, ChainState | undefined>;
}

export interface PartitionState {
  epoch: Epoch;
  grant: Grant;
  settings: PartitionSettings;
  readonly channels: Map<Channel, ChannelBounds>;
  /** By `chainName`. */
  readonly chains: Map<string, ChainState>;
  /** Counts of the places that `chains` take. */
  readonly places: Places.PlaceCounts;
}

/** The state as it will be once a plan is applied: the plan's changes so far, over the unchanged state (P5). */
export class PartitionDraft implements StateChanges {
  readonly channels = new Map<Channel, ChannelBounds>();
  readonly chains = new Map<string, ChainState>();
  readonly #state: PartitionState;
  readonly #added = Places.newPlaceCounts();
  #chainsAdded = 0;

  constructor(state: PartitionState) {
    this.#state = state;
  }

  channel(name: Channel): ChannelBounds {
    return this.channels.get(name) ?? this.#state.channels.get(name) ?? EMPTY_BOUNDS;
  }

  chain(name: string): ChainState | undefined {
    return this.chains.get(name) ?? this.#state.chains.get(name);
  }

  setChain(name: string, chain: ChainState): void {
    const before = this.chain(name);
    if (before === undefined) this.#chainsAdded += 1;
    Places.countPlace(this.#added, name, before, chain);
    this.chains.set(name, chain);
  }

  /** P4. The refusal of a new chain of this name, or undefined where it gets a place. */
  crowded(name: string, owner: string | undefined): TooManyProducers | undefined {
    const { chains, places, settings } = this.#state;
    const shortLived = places.shortLived + this.#added.shortLived;
    const held = owner === undefined ? undefined : this.#held(Places.heldKey(name, owner));
    if (Places.isShortLived(name)) return Places.refusePlace(shortLived, Places.SHORT_LIVED_CHAINS_MAX, held);
    return Places.refusePlace(chains.size + this.#chainsAdded - shortLived, settings.chains.producersMax, held);
  }

  #held(key: string): number {
    return (this.#state.places.held.get(key) ?? 0) + (this.#added.held.get(key) ?? 0);
  }

  advance(name: Channel, count: number, sizeBytes: number): void {
    const bounds = this.channel(name);
    this.channels.set(name, advanceBounds(bounds, this.#state.epoch, offset(bounds.endOffset + count), sizeBytes));
  }
}

/** Applies a plan's changes to the state. Called once their bytes are queued for the store (P5). */
export function applyChanges(state: PartitionState, { channels, chains }: StateChanges): void {
  for (const [name, channel] of channels) state.channels.set(name, channel);
  for (const [name, chain] of chains) {
    Places.countPlace(state.places, name, state.chains.get(name), chain);
    if (chain === undefined) state.chains.delete(name);
    else state.chains.set(name, chain);
  }
}

/** P1. The partition under a new claim; `known` is absent for a new partition. Throws `FencedError` for a grant below the last. */
export function claimedState(
  known: PartitionState | undefined,
  grant: Grant,
  atLeast: Epoch,
  settings: PartitionSettings,
  storeNowMs: number,
): PartitionState {
  const { leaderEpoch, tableVersion } = known?.grant ?? { leaderEpoch: 0, tableVersion: 0 };
  if ((grant.leaderEpoch - leaderEpoch || grant.tableVersion - tableVersion) < 0) {
    throw new FencedError(
      "STALE_GRANT",
      `Cannot claim as the grant must be at least ${leaderEpoch}/${tableVersion}: current value is ${grant.leaderEpoch}/${grant.tableVersion}`,
    );
  }
  const {
    channels = new Map([["records", EMPTY_BOUNDS]]),
    chains = new Map(),
    places = Places.newPlaceCounts(),
  }: Partial<PartitionState> = known ?? {};
  const claimed = epoch(Math.max((known?.epoch ?? 0) + 1, atLeast, Math.floor(storeNowMs), 1));
  return { epoch: claimed, grant, settings, channels, chains, places };
}

/** Throws `FencedError` unless `ownership` is the newest and was made in this life of the store (E8). */
export function checkOwnership({ partition, epoch, store }: Ownership, newest: number | undefined, life: string): void {
  if (store === life && epoch === newest) return;
  const [code, must] =
    store === life
      ? (["STALE_EPOCH", `the epoch must be ${newest}: current value is ${epoch}`] as const)
      : (["STORE_CHANGED", `its claim must be made on store ${life}: current value is ${store}`] as const);
  throw new FencedError(code, `Cannot write to ${partitionName(partition)} as ${must}`);
}

/** Plans the opening of a chain (E1), which is made where the partition has none. A refused one changes nothing. */
export function planOpen(
  state: PartitionState,
  channel: Channel,
  producerId: string,
  producerEpoch: number,
  nowMs: number,
  owner?: string,
): StateChanges & { readonly outcome: OpenChainOutcome } {
  const draft = new PartitionDraft(state);
  const name = Places.chainName(channel, producerId);
  const chain = draft.chain(name);
  const mark = owner === undefined ? chain?.owner : Places.ownerMark(owner);
  const refusal = chain === undefined ? draft.crowded(name, mark) : staleEpoch(chain, producerEpoch);
  if (refusal !== undefined) return { outcome: refusal, channels: draft.channels, chains: draft.chains };
  const { stored, position } = chain ?? {};
  const activeAtMs = Math.max(chain?.activeAtMs ?? 0, nowMs);
  draft.setChain(name, { producerEpoch, stored, activeAtMs, owner: mark, position });
  const resume = position === undefined ? {} : { position: decodeSlice(position) };
  const outcome = { kind: "opened", lastSequence: stored, ...resume } as const;
  return { outcome, channels: draft.channels, chains: draft.chains };
}

/** The refusal of a producer whose epoch its chain has left behind, or undefined. */
export const staleEpoch = ({ producerEpoch: current }: ChainState, producerEpoch: number) =>
  producerEpoch < current ? ({ kind: "stale_producer_epoch", current } as const) : undefined;

/** Plans to forget the chains that were idle for longer than their window (E5). */
export function planExpiry(state: PartitionState, nowMs: number): StateChanges {
  const chains = new Map<string, undefined>();
  const { dedupeWindowMs } = state.settings.chains;
  const shortMs = Math.min(dedupeWindowMs, SHORT_LIVED_PRODUCERS.windowMs);
  const emptyMs = Math.min(shortMs, EMPTY_CHAIN_KEPT_MS);
  for (const [name, { activeAtMs, stored }] of state.chains) {
    const keptMs = stored === undefined ? emptyMs : Places.isShortLived(name) ? shortMs : dedupeWindowMs;
    if (nowMs - activeAtMs > keptMs) chains.set(name, undefined);
  }
  return { channels: new Map(), chains };
}

/** The channel trimmed to begin at `firstOffset`, less `removedBytes`. Keeps the epoch of the record before that. */
export const trimmedChannel = (channel: ChannelBounds, firstOffset: number, removedBytes: number): ChannelBounds => ({
  ...channel,
  firstOffset: offset(firstOffset),
  sizeBytes: firstOffset === channel.endOffset ? 0 : Math.max(0, channel.sizeBytes - removedBytes),
  epochs: channel.epochs.filter((_, at) => (channel.epochs[at + 1]?.firstOffset ?? firstOffset) >= firstOffset),
});
