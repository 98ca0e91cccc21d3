/**
 * The target of an assignment: which node should hold which partition. Pure; the coordinator reconciles towards it.
 */
import type { NodeId } from "../../protocols/position.ts";
import type { PartitionName } from "./cluster.ts";

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
  /** No assignment within the allowed skew moves fewer. */
  readonly movesMin: number;
  /** The largest load over its node's share of the whole (by capacity), after the assignment; 1 is even. */
  readonly skew: number;
}

/** To be replaced: spreads by count alone. */
export function assign(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): Assignment {
  const targets = new Map<PartitionName, NodeId>();
  const counts = new Map(nodes.map(({ node }) => [node, 0]));
  const quota = Math.ceil(partitions.length / Math.max(1, nodes.length));
  const homeless: PartitionName[] = [];
  for (const { partition, holder } of partitions) {
    const count = holder === undefined ? undefined : counts.get(holder);
    if (holder === undefined || count === undefined || count >= quota) homeless.push(partition);
    else {
      targets.set(partition, holder);
      counts.set(holder, count + 1);
    }
  }
  for (const partition of homeless) {
    const [least] = [...counts].sort((left, right) => left[1] - right[1])[0] ?? [];
    if (least === undefined) break;
    targets.set(partition, least);
    counts.set(least, (counts.get(least) ?? 0) + 1);
  }
  return { targets, moves: homeless.length, movesMin: homeless.length, skew: 1 };
}

export const skewOf = (_nodes: readonly AssignableNode[], _partitions: readonly AssignablePartition[]): number => 1;
