/** Requests to a partition and their answers: the contract between the partition, sessions and deliveries. */
import type { HeadraceError } from "../../protocols/errors.ts";
import type { Epoch, Offset, PartitionReference } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import type { ActorReference } from "../kernel/actor.ts";
import type { AppendBatch, AppendOutcome, Channel, ChannelBounds, Grant, OpenChainOutcome } from "../log/log.ts";

/** One batch to append. `requestId` is the sender's own number, and comes back with the answer. */
export interface AppendItem {
  readonly requestId: number;
  readonly batch: AppendBatch;
}

export type ReplyTo = ActorReference<PartitionReply>;

/** Requests of the part that places partitions on this node. */
export type PlacementRequest =
  /** The partition may be claimed with this grant, and claimed again, until it is handed over. */
  | { readonly type: "granted"; readonly grant: Grant }
  /** Finish the append in flight and begin none after it: another node is to own the partition. */
  | { readonly type: "hand_over" }
  /** The store answers again, so a claim that waits for its next attempt is made now. */
  | { readonly type: "store_answers" };

interface ChainRequest {
  readonly requestId: number;
  readonly producerId: string;
  readonly producerEpoch: number;
  /** The producer's principal; absent in requests of nodes of earlier releases. */
  readonly owner?: string;
  readonly replyTo: ReplyTo;
}

/** All requests to a partition. */
export type PartitionRequest =
  | PlacementRequest
  | { readonly type: "append"; readonly items: readonly AppendItem[]; readonly replyTo: ReplyTo }
  | (ChainRequest & { readonly type: "open_chain" })
  | (ChainRequest & { readonly type: "declare_lost"; readonly from: Sequence | undefined; readonly to: Sequence })
  /** A consumer no longer needs records before `offset`: retention may take them. */
  | {
      readonly type: "consumer_at";
      readonly consumer: string;
      readonly channel: Channel;
      readonly offset: Offset;
      /** The ownership under which the consumer reads. Records that it handled under an earlier one may have been lost. */
      readonly epoch?: Epoch;
    }
  /** Tell `replyTo` the committed offsets now, and after each change, until it ends or sends `unfollow`. */
  | { readonly type: "follow" | "unfollow"; readonly replyTo: ActorReference<CommittedReport> }
  /** A sink holds a fence that is not below this partition's epoch: claim the partition with a higher epoch (E7). */
  | { readonly type: "fence_seen"; readonly epoch: Epoch };

/** The bounds of a partition's channels: of all in the first report, then of those that changed. */
export interface CommittedReport {
  readonly type: "committed";
  readonly bounds: readonly (readonly [Channel, ChannelBounds])[];
  /** Records that are committed later have this time of append or a later one. Absent from a node of an earlier release. */
  readonly settledMs?: number;
}

export type PartitionAnswer =
  | { readonly kind: "appended"; readonly requestId: number; readonly outcome: AppendOutcome }
  | { readonly kind: "opened"; readonly requestId: number; readonly outcome: OpenChainOutcome }
  | { readonly kind: "refused"; readonly requestId: number; readonly error: HeadraceError };

/** Answers to one asker: a group commit answers all its batches at once. */
export interface PartitionReply {
  readonly type: "partition_reply";
  readonly partition: PartitionReference;
  readonly answers: readonly PartitionAnswer[];
}

/** How much of a stream each partition keeps: records beyond `bytesMax` or older than `ageMaxMs` are trimmed. */
export interface Retention {
  readonly bytesMax: number;
  readonly ageMaxMs: number;
  /** Where a consumer still needs records beyond `bytesMax`: refuse appends, or trim the records. */
  readonly onFull: "refuse" | "trim";
}
