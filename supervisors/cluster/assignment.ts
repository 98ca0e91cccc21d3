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
