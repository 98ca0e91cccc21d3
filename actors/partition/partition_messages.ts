/** The state, messages and effects of the partition's machine, shared by its parts. */
import { FencedError, type HeadraceError } from "../../protocols/errors.ts";
import { type Epoch, epoch, type Offset, type PartitionReference, partitionName } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { advanceBounds, EMPTY_BOUNDS } from "../log/bounds.ts";
import type { AppendBatch, AppendResult, Channel, ChannelBounds, Claim, Grant, Ownership } from "../log/log.ts";
import type { PartitionAnswer, PartitionRequest, ReplyTo, Retention } from "./partition.ts";

/** Limits of one partition. */
export const PARTITION_LIMITS = {
  /** Bytes of one group commit, so that one call of the store takes some tens of ms at most. */
  groupBytesMax: 2_097_152,
  /** Batches of one group commit. */
  groupBatchesMax: 1_000,
  /** From groups of this many batches on, the next group waits for a tick (P7). Fewer senders never wait. */
  gatherFromBatches: 4,
  /** Waiting bytes from which on a group is appended without waiting for a tick. */
  gatherBytesMax: 65_536,
  /** Time between ticks: the longest that an append waits to share a write with other partitions. */
  gatherEveryMs: 2,
  /** First and longest delay between claims while the store is away. */
  claimRetryFirstMs: 50,
  claimRetryMaxMs: 2_000,
  /** Producers whose former lives are remembered. */
  openedEpochsMax: 10_000,
  /** A new owner's times follow those of a clock that is so much ahead of its own, and no further. */
  clocksApartMaxMs: 60_000,
  /** Time between sweeps, which look at retention and at idle chains. */
  sweepEveryMs: 5_000,
  /** Told to producers of a full partition: when to try again. */
  fullRetryAfterMs: 1_000,
} as const;

/** A request that waits for its answer. */
export interface Waiting {
  readonly requestId: number;
  readonly replyTo: ReplyTo;
}

export type PendingAppend = Waiting & { readonly batch: AppendBatch; readonly arrivedMs: number | undefined };

export type PendingChain = Waiting & {
  readonly request: Extract<PartitionRequest, { type: "open_chain" | "declare_lost" }>;
};

/** A batch whose append failed by a bug of this program (P11). */
export interface Suspect {
  /** `refused` where the batch failed alone. */
  readonly verdict: "suspect" | "refused";
  readonly producerId: string;
  /** The sequence of the batch's first event. */
  readonly first: Sequence;
}
/** By producer and first sequence. */
export type Suspects = Map<string, Suspect>;

export interface PartitionState {
  readonly partition: PartitionReference;
  readonly retention: Retention;
  /** Consumers that the configuration names: absent from `consumers` until they report. */
  readonly expectedConsumers: readonly string[];
  phase: "expecting" | "claiming" | "owning" | "handing_over" | "stood_down";
  /** The grant of each claim; undefined while expecting. */
  grant: Grant | undefined;
  claimAttempts: number;
  /** A claim is under way. */
  isAsking: boolean;
  claimAtLeast: Epoch;
  ownership: Ownership | undefined;
  readonly channels: Map<Channel, ChannelBounds>;
  readonly pending: PendingAppend[];
  inFlight: PendingAppend[];
  /** The time of append of the batches in flight, or of the last ones, in ms since 1970 (P13). */
  stampedMs: number;
  /** Batches of the last group. */
  lastGroup: number;
  isGathering: boolean;
  readonly chainCalls: PendingChain[];
  /** The highest epoch that each producer was told to have opened here, the oldest first. */
  readonly openedEpochs: Map<string, number>;
  /** P11. Kept over the lives of the partition's actor. */
  readonly suspects: Suspects;
  /** Lowest offset that each consumer still needs, by channel and name. */
  readonly consumers: Map<string, { readonly channel: Channel; readonly offset: Offset }>;
  /** The consumer that keeps a full partition full. */
  fullBecauseOf: string | undefined;
}

/** An append with the time of its arrival, where the actor measures that. The machine only passes the time on. */
export type ArrivedAppend = Extract<PartitionRequest, { type: "append" }> & { readonly arrivedMs?: number };

export type PartitionMessage =
  | Exclude<PartitionRequest, { type: "follow" | "unfollow" }>
  | ArrivedAppend
  | { readonly type: "start" }
  | { readonly type: "claim_due" }
  | { readonly type: "gathered" }
  /** `newestMs`: the time of append of the newest record, in ms since 1970. */
  | { readonly type: "claimed"; readonly claim: Claim; readonly newestMs?: number }
  | { readonly type: "claim_failed"; readonly error: HeadraceError }
  | { readonly type: "appended"; readonly epoch: Epoch; readonly result: AppendResult }
  | { readonly type: "append_failed"; readonly epoch: Epoch; readonly error: HeadraceError }
  | { readonly type: "chain_answered"; readonly call: PendingChain; readonly answer: PartitionAnswer }
  | { readonly type: "chain_failed"; readonly epoch: Epoch; readonly call: PendingChain; readonly error: HeadraceError }
  /** A write under this ownership by another part (checkpoint, outbox, trim) was refused, or has an unknown outcome. */
  | { readonly type: "ownership_doubted"; readonly epoch: Epoch; readonly error: HeadraceError }
  | { readonly type: "channel_advanced"; readonly epoch: Epoch; readonly channel: Channel; readonly endOffset: Offset }
  | { readonly type: "sweep_due" }
  /** The channels as the log keeps them, for retention by size. */
  | { readonly type: "described"; readonly epoch: Epoch; readonly channels: ReadonlyMap<Channel, ChannelBounds> }
  | { readonly type: "aged"; readonly channel: Channel; readonly beforeOffset: Offset }
  | { readonly type: "trimmed"; readonly epoch: Epoch; readonly channel: Channel; readonly bounds: ChannelBounds };

/** The message of one type. */
export type Told<Type extends PartitionMessage["type"]> = Extract<PartitionMessage, { readonly type: Type }>;

export type PartitionEffect =
  | { readonly type: "claim"; readonly grant: Grant; readonly atLeast: Epoch }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: PartitionMessage }
  | {
      readonly type: "append";
      readonly ownership: Ownership;
      readonly batches: readonly AppendBatch[];
      /** When the oldest of the batches arrived. */
      readonly arrivedMs: number | undefined;
    }
  | { readonly type: "call_chain"; readonly ownership: Ownership; readonly call: PendingChain }
  | { readonly type: "reply"; readonly to: ReplyTo; readonly answers: readonly PartitionAnswer[] }
  /** The partition is owned under a new epoch: start deliveries and subscriptions. */
  | { readonly type: "owned"; readonly claim: Claim }
  /** The claim failed, and is tried again. */
  | { readonly type: "blocked"; readonly error: HeadraceError }
  /** The ownership of the last epoch has ended: the parts that were opened under it must end. */
  | { readonly type: "disowned"; readonly error: HeadraceError; readonly isFinal: boolean }
  /** No append is in flight, and none will be: another node may claim the partition (P8). */
  | { readonly type: "handed_over" }
  /** The committed offset moved by these batches, in order. */
  | {
      readonly type: "committed";
      readonly epoch: Epoch;
      readonly written: readonly WrittenBatch[];
      readonly endOffset: Offset;
    }
  | { readonly type: "sweep"; readonly ownership: Ownership; readonly agedBeforeMs: number }
  | { readonly type: "trim"; readonly ownership: Ownership; readonly channel: Channel; readonly beforeOffset: Offset };

/** A batch that the log wrote: `count` records from `firstOffset` on. */
export interface WrittenBatch {
  readonly batch: AppendBatch;
  readonly firstOffset: Offset;
  readonly count: number;
}

export type Effects = readonly PartitionEffect[];
export type PartitionResult = readonly [PartitionState, Effects];

/** The state of a partition's machine at the start of a life. Without a grant the partition is only expected (P9). */
export function createPartition(
  partition: PartitionReference,
  retention: Retention,
  expectedConsumers: readonly string[],
  grant: Grant | undefined,
  suspects: Suspects = new Map(),
): PartitionState {
  return {
    partition,
    retention,
    expectedConsumers,
    phase: grant === undefined ? "expecting" : "claiming",
    grant,
    claimAttempts: 0,
    isAsking: false,
    claimAtLeast: epoch(1),
    ownership: undefined,
    channels: new Map(),
    pending: [],
    inFlight: [],
    stampedMs: Number.NEGATIVE_INFINITY,
    lastGroup: 0,
    isGathering: false,
    chainCalls: [],
    openedEpochs: new Map(),
    suspects,
    consumers: new Map(),
    fullBecauseOf: undefined,
  };
}

/** P4: moves the end of a channel to an offset that the log has answered. */
export function moveEnd(state: PartitionState, channel: Channel, endOffset: Offset, addedBytes = 0): void {
  if (state.ownership === undefined) return;
  const bounds = state.channels.get(channel) ?? EMPTY_BOUNDS;
  state.channels.set(channel, advanceBounds(bounds, state.ownership.epoch, endOffset, addedBytes));
}

/** An answer to one asker. */
export const reply = (to: Waiting, answer: PartitionAnswer): PartitionEffect => ({
  type: "reply",
  to: to.replyTo,
  answers: [answer],
});

/** The same refusal to each asker. */
export const refuseAll = (waiting: readonly Waiting[], error: HeadraceError): Effects =>
  waiting.map((one) => reply(one, { kind: "refused", requestId: one.requestId, error }));

/** Removes the waiting batches that are to be refused, and returns them. */
export function takePending({ pending }: PartitionState, isTaken: (batch: AppendBatch) => boolean): PendingAppend[] {
  const taken = pending.filter(({ batch }) => isTaken(batch));
  if (taken.length > 0) pending.splice(0, pending.length, ...pending.filter(({ batch }) => !isTaken(batch)));
  return taken;
}

export const isCurrent = (state: PartitionState, ofEpoch: Epoch): boolean =>
  state.phase === "owning" && state.ownership?.epoch === ofEpoch;

/** Whether the partition refuses new requests. */
export const isLeaving = ({ phase }: PartitionState): boolean => phase === "handing_over" || phase === "stood_down";

export const notOwner = (state: PartitionState): HeadraceError =>
  new FencedError(
    "NOT_OWNER",
    `Cannot append to ${partitionName(state.partition)} as this node must own it: another node does now`,
  );
