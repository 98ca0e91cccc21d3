/**
 * Decides which node should hold which partition. Pure. The coordinator moves partitions towards these targets, one at a time,
 * and asks `skewOf` whether a new decision is worth its moves. A rule has precedence over the rules below it.
 *   A1. Every partition has one target among the given nodes. Equal nodes, partitions and holders give the same targets in
 *       any order: names break ties.
 *   A2. Balance, for nodes in proportion to their capacity. Equal weights: a node ends with its share rounded down or up.
 *       Other weights: between 0.90 and 1.10 shares where they can be divided so, else near what the heaviest forces.
 *   A3. Stickiness. A partition moves only for A2. Equal weights: no balanced assignment moves fewer. Other weights: about a
 *       fifth more at most, or two moves. A second decision about the same input moves nothing.
 *   A4. Count. A weight of 0 counts too (loads.ts): no node gets more than 5.5 times its share of the partitions.
 *   A5. Zones. No partition moves for its zone alone. A partition without a node goes first to a zone that holds less than the
 *       zone's share of its stream, rounded up. Among these it goes to the zone with the least of the stream for its capacity.
 *   A6. Among nodes that A1 to A5 do not tell apart, the least loaded gets the partition.
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
  /** At least 0, in any unit that all partitions share. */
  readonly weight: number;
  /** The node that holds it now. Undefined, or a node that is not among those given: the partition has to be placed. */
  readonly holder: NodeId | undefined;
}

export interface Assignment {
  readonly targets: ReadonlyMap<PartitionName, NodeId>;
  /** Partitions whose target is not their holder. */
  readonly moves: number;
  /** The largest load over its node's share of the whole (by capacity), after the assignment; 1 is even. */
  readonly skew: number;
}

/** Throws `InvariantError` for a capacity that is not above 0, a weight below 0, and a name that comes twice. */
export function assign(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): Assignment {
  if (nodes.length === 0) return { targets: new Map(), moves: 0, skew: 1 };
  const { sortedNodes, order, placement } = placementOf(nodes, partitions);
  settle(placement);
  return {
    targets: targetsOf(placement, sortedNodes, partitions, order),
    moves: movesOf(placement),
    skew: skewOfPlacement(placement),
  };
}

/** The largest load over its node's share, as held now; 1 is even. One without a holder counts in the whole alone. */
export function skewOf(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): number {
  return nodes.length === 0 ? 1 : skewOfPlacement(placementOf(nodes, partitions).placement);
}

interface Numbered {
  readonly sortedNodes: readonly AssignableNode[];
  /** From a partition's number in the placement to its place in the input. */
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
  // The objects are read in the order of the input, which is their order in memory: any other order takes far longer.
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
