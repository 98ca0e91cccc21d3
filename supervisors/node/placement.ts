/** The words between a cluster and the tree of actors on this node: which partitions are placed here, and what becomes of them. */
import type { ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import type { Grant } from "../../actors/log/log.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import type { PartitionOptions } from "../../actors/partition/partition_actor.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { Epoch, PartitionReference } from "../../protocols/position.ts";
import type { NodeDirectory } from "./stream_directory.ts";

/** An order for one partition on this node. Each order may be repeated. */
export type PartitionOrder =
  /** The partition will be granted: hold the messages sent to it until then. */
  | { readonly type: "expect" }
  | { readonly type: "take"; readonly grant: Grant }
  /** Finish the work under way, then report `released`. */
  | { readonly type: "hand_over"; readonly drainWithinMs: number }
  /** The partition is no longer placed here: end its actors at once, whatever their state. */
  | { readonly type: "drop" }
  /** The node stops: end the deliveries for good, and keep taking appends meanwhile (V4). */
  | { readonly type: "rest"; readonly onRest: () => void };

/** An order for one partition of a stream. */
export type PlacementOrder = PartitionOrder & { readonly partition: number };

/** A change in the state of a partition that is placed here. */
export type PlacementEvent = { readonly partition: PartitionReference } & (
  | { readonly kind: "placed"; readonly reference: ActorReference<PartitionRequest> }
  | { readonly kind: "owned"; readonly epoch: Epoch }
  /** The partition is handed over: no request is in flight, and no actor of it runs. */
  | { readonly kind: "released" }
  /** Another owner holds a higher grant than this one; the partition's actors here have ended. */
  | { readonly kind: "superseded"; readonly grant: Grant }
);

export interface PartitionPlan {
  readonly owner: Omit<PartitionOptions, "placement" | "onOwned" | "onDisowned" | "onHandedOver" | "onBlocked">;
  /** Starts the deliveries of this partition; each reports its progress to `owner`. */
  readonly deliveries: (
    feed: PartitionFeed,
    owner: ActorReference<PartitionRequest>,
  ) => readonly ActorDefinition<never>[];
}

export interface StreamTree {
  readonly stream: string;
  readonly plans: readonly PartitionPlan[];
  readonly directory: NodeDirectory;
  /** Every partition is placed here from the start, with this grant. */
  readonly grant?: Grant;
  onPlacement?(event: PlacementEvent): void;
}
