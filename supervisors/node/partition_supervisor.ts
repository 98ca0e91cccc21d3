/**
 * The tree under one stream: groups of partitions, and under each partition that is placed on this node its owner and,
 * while it is owned, one delivery for each sink. Deliveries begin and end with the ownership whose fence they carry.
 *   V1. The placement of each partition is kept beside the actors: after a restart of any actor the same partitions are placed.
 *   V2. A partition that leaves is first announced to its clients (`moving`), which connect to the next owner meanwhile. Then its
 *       deliveries end, within the order's time, while appends go on. Then its appends end: only this delays producers.
 *   V3. No order waits for deliveries that end. The deliveries of the next ownership begin after the end of the former ones.
 *   V4. Before a node stops, its deliveries end while every partition still takes appends, as a delivery may append to another
 *       partition of the node. No delivery begins afterwards.
 */
import type { ActorDefinition, ActorReference, Supervision } from "../../actors/kernel/actor.ts";
import { type Place, PlacedPartition, type PlaceMessage } from "./placed_partition.ts";
import type { PartitionPlan, PlacementOrder, StreamTree } from "./placement.ts";

/** Children of one actor: nact copies its map of children with each message. */
const GROUP_SIZE = 50;

/** A crashed actor is restarted in place, with growing delays; an actor that keeps crashing fails its supervisor. */
export const SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 20, withinMs: 60_000 },
  backoff: { firstMs: 50, maxMs: 5_000 },
};

export const streamSupervisor = (tree: StreamTree): ActorDefinition<PlacementOrder> => {
  const { grant } = tree;
  const places = tree.plans.map((): Place => ({ placement: grant && { phase: "granted", grant }, isResting: false }));
  return {
    name: tree.stream,
    supervision: SUPERVISION,
    start(context) {
      const groups: ActorReference<PlacementOrder>[] = [];
      for (let first = 0; first < tree.plans.length; first += GROUP_SIZE) {
        groups.push(context.spawn(partitionGroup(tree, places, first)));
      }
      return { receive: (order) => groups[Math.floor(order.partition / GROUP_SIZE)]?.tell(order) };
    },
  };
};

const partitionGroup = (
  tree: StreamTree,
  places: readonly Place[],
  first: number,
): ActorDefinition<PlacementOrder> => ({
  name: String(first),
  supervision: SUPERVISION,
  start(context) {
    const partitions = new Map<number, ActorReference<PlaceMessage>>();
    const supervisorOf = (partition: number): ActorReference<PlaceMessage> | undefined => {
      const known = partitions.get(partition);
      const [plan, place] = [tree.plans[partition], places[partition]];
      if (known !== undefined || plan === undefined || place === undefined) return known;
      const made = context.spawn(partitionSupervisor(tree, plan, place));
      partitions.set(partition, made);
      return made;
    };
    for (let at = first; at < Math.min(first + GROUP_SIZE, places.length); at += 1) {
      if (places[at]?.placement !== undefined) supervisorOf(at);
    }
    return {
      receive: (order) => {
        const isAbsent = order.type === "rest" && !partitions.has(order.partition);
        if (isAbsent)
          order.onRest(); // no actor of it runs here, and a stopping node gets no further partition
        else supervisorOf(order.partition)?.tell(order);
      },
    };
  },
});

const partitionSupervisor = (tree: StreamTree, plan: PartitionPlan, place: Place): ActorDefinition<PlaceMessage> => ({
  name: String(plan.owner.partition.partition),
  supervision: SUPERVISION,
  start: (context) => new PlacedPartition(tree, plan, place, context),
});
