/**
 * The tree under one stream: groups of partitions, and under each partition its owner and, while it is owned, one
 * delivery for each sink. Deliveries begin and end with the ownership whose fence they carry.
 */
import type { ActorContext, ActorDefinition, ActorReference, Supervision } from "../actors/kernel/actor.ts";
import type { PartitionRequest } from "../actors/partition/partition.ts";
import { type PartitionOptions, partitionActor } from "../actors/partition/partition_actor.ts";
import type { PartitionFeed } from "../actors/partition/partition_feed.ts";
import type { NodeDirectory } from "./stream_directory.ts";

/** Children of one actor: nact copies its map of children with each message. */
const GROUP_SIZE = 50;

export interface PartitionPlan {
  readonly owner: Omit<PartitionOptions, "onOwned" | "onDisowned" | "onBlocked">;
  /** The deliveries of this partition under a feed; `owner` is told how far they are. */
  readonly deliveries: (
    feed: PartitionFeed,
    owner: ActorReference<PartitionRequest>,
  ) => readonly ActorDefinition<never>[];
}

type Ownership =
  | { readonly type: "owned"; readonly feed: PartitionFeed }
  | { readonly type: "disowned"; readonly reason: string };

/** A crash is repaired in place, with growing delays; what crashes on and on is its supervisor's failure. */
export const SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 20, withinMs: 60_000 },
  backoff: { firstMs: 50, maxMs: 5_000 },
};

export const streamSupervisor = (
  stream: string,
  plans: readonly PartitionPlan[],
  directory: NodeDirectory,
): ActorDefinition<never> => ({
  name: stream,
  supervision: SUPERVISION,
  start(context) {
    for (let first = 0; first < plans.length; first += GROUP_SIZE) {
      context.spawn(partitionGroup(String(first), plans.slice(first, first + GROUP_SIZE), directory));
    }
    return { receive() {} };
  },
});

const partitionGroup = (
  name: string,
  plans: readonly PartitionPlan[],
  directory: NodeDirectory,
): ActorDefinition<never> => ({
  name,
  supervision: SUPERVISION,
  start(context) {
    for (const plan of plans) context.spawn(partitionSupervisor(plan, directory));
    return { receive() {} };
  },
});

const partitionSupervisor = (plan: PartitionPlan, directory: NodeDirectory): ActorDefinition<Ownership> => ({
  name: String(plan.owner.partition.partition),
  supervision: SUPERVISION,
  start(context) {
    const { stream, partition } = plan.owner.partition;
    const owner = context.spawn(
      partitionActor({
        ...plan.owner,
        onOwned: (feed) => {
          directory.setFeed(stream, partition, feed);
          context.self.tell({ type: "owned", feed });
        },
        onBlocked: (error) => directory.setBlocked(stream, partition, error),
        onDisowned: (error) => {
          directory.setFeed(stream, partition, undefined);
          context.self.tell({ type: "disowned", reason: error.message });
        },
      }),
    );
    directory.register(stream, partition, owner);
    let deliveries: readonly ActorReference<never>[] = [];
    return {
      async receive(message) {
        await stopAll(context, deliveries);
        deliveries =
          message.type === "owned"
            ? plan.deliveries(message.feed, owner).map((delivery) => context.spawn(delivery))
            : [];
      },
    };
  },
});

const stopAll = (context: ActorContext<Ownership>, children: readonly ActorReference<never>[]): Promise<unknown> =>
  Promise.all(children.map((child) => context.stopChild(child)));
