/** The cluster as people and programs see it: what `GET /v1/cluster` answers, and what may be asked of it. */
import type { ClusterCommand, Decision, PartitionName } from "./cluster.ts";

export interface NodeOverview {
  readonly name: string;
  readonly incarnation: number;
  /** `expired`: registered and not renewed; `silent` and `away`: no link from the node that answers. */
  readonly state: "ready" | "draining" | "probation" | "silent" | "away" | "expired";
  readonly isCoordinator: boolean;
  readonly zone: string;
  readonly address: string;
  readonly version: string;
  /** Partitions that it owns. */
  readonly partitions: number;
  /** As last reported; undefined before the first report. */
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
  /** The node that answers. */
  readonly node: string;
  readonly coordinator: { readonly node: string; readonly leaderEpoch: number } | undefined;
  readonly tableVersion: number;
  /** How old what is told may be: since the coordinator, or the store, was last heard of. */
  readonly ageMs: number;
  readonly nodes: readonly NodeOverview[];
  readonly partitions: readonly PartitionOverview[];
  /** Moves under way. */
  readonly moves: readonly MoveOverview[];
}

/** Why a partition is where it is. */
export interface Explanation {
  readonly partition: PartitionOverview;
  readonly reason: string;
  /** The decision that put it there; undefined where it is not kept any more. */
  readonly decision: Decision | undefined;
}

/** What the routes and the command line ask of the cluster, on a node of it or on one that is alone. */
export interface ClusterControl {
  overview(): ClusterOverview;
  /** Undefined for a partition that there is not. */
  explain(partition: PartitionName): Promise<Explanation | undefined>;
  /** Newest first. */
  decisions(countMax: number): Promise<readonly Decision[]>;
  /**
   * Hands a command to the coordinator. Rejects with `RejectedError` for a node that there is not, and with
   * `UnavailableError` where no coordinator is there to take it.
   */
  ask(command: ClusterCommand): Promise<void>;
}
