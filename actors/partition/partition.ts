/** What a partition's owner is told and what it answers: the contract between sessions, deliveries and the partition. */
import type { HeadraceError } from "../../protocols/errors.ts";
import type { Epoch, Offset, PartitionReference } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import type { ActorReference } from "../kernel/actor.ts";
import type { AppendBatch, AppendOutcome, Channel, ChannelBounds, Grant, OpenChainOutcome } from "../log/log.ts";

/** One batch that waits for its turn in the log. `requestId` is the sender's own and comes back with the answer. */
export interface AppendItem {
  readonly requestId: number;
  readonly batch: AppendBatch;
}

export type ReplyTo = ActorReference<PartitionReply>;

/** What a partition is told by whoever placed it here. */
export type PlacementRequest =
  /** It may be claimed with this grant, and claimed again until it is handed over. */
  | { readonly type: "granted"; readonly grant: Grant }
  /** Finish what is in flight and append nothing after it: another node is to own it. */
  | { readonly type: "hand_over" }
  /** The store answers after it did not: a claim that waits for its next try need not. */
  | { readonly type: "store_answers" };

/** What others may ask of a partition. */
export type PartitionRequest =
  | PlacementRequest
  | { readonly type: "append"; readonly items: readonly AppendItem[]; readonly replyTo: ReplyTo }
  | {
      readonly type: "open_chain";
      readonly requestId: number;
      readonly producerId: string;
      readonly producerEpoch: number;
      /** The producer's principal; nodes of before tell none. */
      readonly owner?: string;
      readonly replyTo: ReplyTo;
    }
  | {
      readonly type: "declare_lost";
      readonly requestId: number;
      readonly producerId: string;
      readonly producerEpoch: number;
      readonly owner?: string;
      readonly from: Sequence | undefined;
      readonly to: Sequence;
      readonly replyTo: ReplyTo;
    }
  /** A consumer needs nothing before `offset` any more: retention may take it. */
  | {
      readonly type: "consumer_at";
      readonly consumer: string;
      readonly channel: Channel;
      readonly offset: Offset;
      /** The ownership that the consumer reads under: what it handled of another one's log may be there no more. */
      readonly epoch?: Epoch;
    }
  /** Tell `replyTo` how far the partition is committed: now, and whenever that changes, until it ends or unfollows. */
  | { readonly type: "follow" | "unfollow"; readonly replyTo: ActorReference<CommittedReport> }
  /** A sink holds a fence that is not below this partition's epoch: own the partition under a higher one (E7). */
  | { readonly type: "fence_seen"; readonly epoch: Epoch };

/** How far a partition is committed; of its channels only those that changed, but for the first report. */
export interface CommittedReport {
  readonly type: "committed";
  readonly bounds: readonly (readonly [Channel, ChannelBounds])[];
}

export type PartitionAnswer =
  | { readonly kind: "appended"; readonly requestId: number; readonly outcome: AppendOutcome }
  | { readonly kind: "opened"; readonly requestId: number; readonly outcome: OpenChainOutcome }
  | { readonly kind: "refused"; readonly requestId: number; readonly error: HeadraceError };

/** Answers to one asker, gathered: a group commit answers all its batches at once. */
export interface PartitionReply {
  readonly type: "partition_reply";
  readonly partition: PartitionReference;
  readonly answers: readonly PartitionAnswer[];
}

/** What a stream keeps, and what gives when a lagging consumer fills it (DESIGN 4). */
export interface Retention {
  readonly bytesMax: number;
  readonly ageMaxMs: number;
  readonly onFull: "refuse" | "trim";
}
