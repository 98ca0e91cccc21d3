/** The cluster as people and programs see it: the answers of `GET /v1/cluster`, and the interface behind its routes. */
import type { ClusterCommand, Decision, PartitionName } from "./cluster.ts";

export interface NodeOverview {
  readonly name: string;
  readonly incarnation: number;
  /** `expired`: the registration was not renewed. `silent`, `away`: the node that answers has no link to this one. */
  readonly state: "ready" | "draining" | "probation" | "silent" | "away" | "expired";
  readonly isCoordinator: boolean;
  readonly zone: string;
  readonly address: string;
  readonly version: string;
  readonly partitions: number;
  /** By the node's last report; undefined before the first. */
  readonly recordsPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
}

export interface PartitionOverview {
  readonly stream: string;
  readonly partition: number;
  readonly owner: string | undefined;
  readonly state: "owned" | "claiming" | "handing_over" | "unassigned";
  readonly epoch: number | undefined;
}

export interface MoveOverview {
  readonly stream: string;
  readonly partition: number;
  readonly from: string | undefined;
  readonly to: string;
  readonly reason: string;
}

export interface ClusterOverview {
  readonly node: string;
  readonly coordinator: { readonly node: string; readonly leaderEpoch: number } | undefined;
  readonly tableVersion: number;
  /** How old this overview may be, in ms: since the coordinator or the store was last heard of. */
  readonly ageMs: number;
  readonly nodes: readonly NodeOverview[];
  readonly partitions: readonly PartitionOverview[];
  readonly moves: readonly MoveOverview[];
}

export interface Explanation {
  readonly partition: PartitionOverview;
  readonly reason: string;
  /** The decision that placed the partition; undefined if it is no longer kept. */
  readonly decision: Decision | undefined;
}

/** The cluster for routes and the command line. A node of a cluster and a lone node both provide it. */
export interface ClusterControl {
  overview(): ClusterOverview;
  explain(partition: PartitionName): Promise<Explanation | undefined>;
  /** Newest first. */
  decisions(countMax: number): Promise<readonly Decision[]>;
  /** Rejects with `RejectedError` for an unknown node, with `UnavailableError` if no coordinator is reached. */
  ask(command: ClusterCommand): Promise<void>;
}
