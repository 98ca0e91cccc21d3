/**
 * The target of an assignment: which node should hold which partition. Pure; the coordinator reconciles towards it, and
 * decides when it is worth a decision (`skewOf`). The earlier invariant has precedence:
 *   A1. Every partition has one target, a node that is given; without nodes there are none. The same nodes, partitions and
 *       holders make the same assignment, in whatever order they come: names break ties.
 *   A2. Balance. A node's share of the load is its share of the capacity. Where all partitions weigh the same, each node
 *       ends with its share rounded down or up. Else it ends between 0.90 and 1.10 shares where the weights can be
 *       divided so: at most 1 + 1/20 + (nodes - 1) * heaviest / whole in any case, for nodes alike. A partition above 1.10
 *       shares of the largest node stands alone, as long as the rest of what is there has room elsewhere.
 *   A3. Stickiness. A partition moves only for A2: from a node above its bound, in as few pieces as suffice, or to one below
 *       its bound, in the largest pieces that there are; or from or to a node that is filled, or makes room, for that, where it saves
 *       moves (settling.ts). Where all weigh the same, no balanced assignment moves fewer; else it is a search, held against
 *       `movesMin`, which can be proved: where no partition is more than half a share a crash, a leave or weights that drift move
 *       some hundredths more, a join a tenth; where some are many shares a crash moves some hundredths more, a join of a tenth of the
 *       nodes or a drift an eighth to a fifth where nodes are alike, up to twice as many where they are of several sizes. Of 14
 *       such decisions about 30 nodes that were solved exactly the search moved 1.04 of the fewest, of which the bound was 0.96. A
 *       second decision about the same moves nothing.
 *   A4. Count. Weights of 0 count too (loads.ts): no node has more than 5.5 times its share of the partitions.
 *   A5. Zones. Nothing moves for its zone alone. What is placed or moved goes where A2 and A3 leave a choice to the zone with
 *       the least of its stream for its capacity, first to one with less than its share of it rounded up; an exchange
 *       (exchanging.ts) looks at moves alone.
 *   A6. Then to the least loaded node.
 */
import { invariant } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { PartitionName } from "../cluster.ts";
import { loadsOf } from "./loads.ts";
import { compareText, orderByName } from "./partition_order.ts";
import { NOWHERE, Placement } from "./placement.ts";
import { movesOf, settle, skewOfPlacement } from "./settling.ts";

export interface AssignableNode {
  readonly node: NodeId;
  readonly zone: string;
  /** Above 0. */
  readonly capacity: number;
}

export interface AssignablePartition {
  readonly partition: PartitionName;
  /** What it weighs, at least 0; any unit, the same for all. */
  readonly weight: number;
  /** Who holds it now; undefined, or a node that is not among those given, where it has to be placed. */
  readonly holder: NodeId | undefined;
}

export interface Assignment {
  readonly targets: ReadonlyMap<PartitionName, NodeId>;
  /** Partitions whose target is not their holder. */
  readonly moves: number;
  /**
   * No assignment within the bounds of A2 moves fewer, giants pinned as they are: proved by what each node has to give and
   * to take at least (moves_min.ts). Where the weights can not be divided so, at most `moves`.
   */
  readonly movesMin: number;
  /** The largest load over its node's share of the whole (by capacity), after the assignment; 1 is even. */
  readonly skew: number;
}

/** Throws `InvariantError` for a capacity not above 0, a weight below 0, and for a name that comes twice. */
export function assign(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): Assignment {
  if (nodes.length === 0) return { targets: new Map(), moves: 0, movesMin: 0, skew: 1 };
  const { sortedNodes, order, placement } = placementOf(nodes, partitions);
  const movesMin = settle(placement);
  const moves = movesOf(placement);
  return {
    targets: targetsOf(placement, sortedNodes, partitions, order),
    moves,
    movesMin: Math.min(moves, movesMin),
    skew: skewOfPlacement(placement),
  };
}

/**
 * The largest load over its node's share of the whole, as partitions are held now; 1 is even. What nobody holds is part of
 * the whole, and on no node.
 */
export function skewOf(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): number {
  return nodes.length === 0 ? 1 : skewOfPlacement(placementOf(nodes, partitions).placement);
}

interface Numbered {
  readonly sortedNodes: readonly AssignableNode[];
  /** By number of a partition: its place in the input. */
  readonly order: Uint32Array;
  readonly placement: Placement;
}

function placementOf(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): Numbered {
  const sortedNodes = [...nodes].sort((one, other) => compareText(one.node, other.node));
  const numbers = new Map(sortedNodes.map(({ node }, number) => [node, number]));
  invariant(
    numbers.size === nodes.length,
    `Cannot assign partitions as a node comes twice: current value is ${numbers.size} names of ${nodes.length}`,
  );
  const zones = new Map<string, number>();
  for (const { zone } of sortedNodes) if (!zones.has(zone)) zones.set(zone, zones.size);
  // Objects are read in the order in which they came, which is where they are in memory: any other takes far longer.
  const names: PartitionName[] = new Array(partitions.length);
  const weights = new Float64Array(partitions.length);
  const holders = new Int32Array(partitions.length);
  for (let place = 0; place < partitions.length; place += 1) {
    const { partition, weight, holder } = partitions[place] as AssignablePartition;
    names[place] = partition;
    weights[place] = weight;
    holders[place] = holder === undefined ? NOWHERE : (numbers.get(holder) ?? NOWHERE);
  }
  const { order, streams, streamCount } = orderByName(names);
  const { loads, isEven } = loadsOf(weights);
  const placement = new Placement({
    capacities: Float64Array.from(sortedNodes, capacityOf),
    zones: Int32Array.from(sortedNodes, ({ zone }) => zones.get(zone) as number),
    zoneCount: zones.size,
    loads: new Float64Array(loads.length).map((_, number) => loads[order[number] as number] as number),
    streams: new Int32Array(streams.length).map((_, number) => streams[order[number] as number] as number),
    streamCount,
    holders: new Int32Array(holders.length).map((_, number) => holders[order[number] as number] as number),
    isEven,
  });
  return { sortedNodes, order, placement };
}

function targetsOf(
  { target }: Placement,
  sortedNodes: readonly AssignableNode[],
  partitions: readonly AssignablePartition[],
  order: Uint32Array,
): Map<PartitionName, NodeId> {
  const byPlace = new Int32Array(target.length);
  for (let number = 0; number < order.length; number += 1) byPlace[order[number] as number] = target[number] as number;
  const targets = new Map<PartitionName, NodeId>();
  for (let place = 0; place < partitions.length; place += 1) {
    const node = sortedNodes[byPlace[place] as number] as AssignableNode;
    targets.set((partitions[place] as AssignablePartition).partition, node.node);
  }
  invariant(
    targets.size === partitions.length,
    `Cannot assign partitions as a name comes twice: current value is ${targets.size} names of ${partitions.length}`,
  );
  return targets;
}

function capacityOf({ node, capacity }: AssignableNode): number {
  invariant(
    capacity > 0 && capacity < Number.POSITIVE_INFINITY,
    `Cannot assign partitions to ${node} as its capacity must be a number above 0: current value is ${capacity}`,
  );
  return capacity;
}
