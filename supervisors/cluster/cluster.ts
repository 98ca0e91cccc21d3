/**
 * The vocabulary of a cluster: lives, grants, the assignment table, and the messages between coordinator and members. Decision
 * 0005 (docs/decisions/) has the reasons. In short:
 *
 *   - The log's fence is the truth, and a lease is a hint. A coordinator grants; only a claim in the log makes an epoch (E7).
 *   - The table in the lease store is written before any order is sent. It carries the leader epoch: every order and every
 *     write of a lower leader epoch is refused (E20).
 *   - A partition's grant is the (leader epoch, table version) of the write that gave the partition to its holder. The grant
 *     stays while other partitions move (KIP-1251), so that an owner may claim again with it.
 */
import type { Grant } from "../../actors/log/log.ts";
import type { NodeId, PartitionReference } from "../../protocols/position.ts";

/** One life of a node, from a registration to its end. The registry numbers lives: each new one has a higher incarnation. */
export interface Life {
  readonly node: NodeId;
  readonly incarnation: number;
}

/** The description of a node, given when it joins. */
export interface MemberProfile {
  readonly node: NodeId;
  /** Where producers and consumers reach it: `ws://host:port/v1/connect`. */
  readonly clientAddress: string;
  /** Where other nodes reach it: `ws://host:port/v1/peer`. */
  readonly peerAddress: string;
  /** Nodes of one zone fail together; the partitions of a stream are kept apart over zones. */
  readonly zone: string;
  /** The node's share of the work in proportion to the other nodes; above 0. */
  readonly capacity: number;
  /** The newest minor version of the peer protocol that the node speaks. */
  readonly minor: number;
  /** Release of the program, for people. */
  readonly version: string;
}

export interface Member extends Life {
  readonly profile: MemberProfile;
  /** Ms until the registration expires, by the store's clock; below 0 once it has expired. */
  readonly expiresInMs: number;
  /** Ms until the node may be given partitions again, after it was declared dead; 0 without probation (E20). */
  readonly probationMs: number;
  /** The node is drained: it is given no partition, and those that it holds move away. */
  readonly isDraining: boolean;
}

/** The life that coordinates, and its term. A higher leader epoch fences a lower one. */
export interface Leader extends Life {
  readonly leaderEpoch: number;
}

/** A partition's name: `stream/partition`. */
export type PartitionName = string;

/** One partition in the assignment table. */
export interface TableEntry {
  readonly partition: PartitionName;
  /** The life that may claim the partition; undefined if none may. */
  readonly holder: Life | undefined;
  /** The grant that the holder claims with; undefined without a holder. */
  readonly grant: Grant | undefined;
  /** The life that is granted the partition once the holder has handed it over; undefined while it stays. */
  readonly next: Life | undefined;
  /** The id of the decision that put the partition on its holder, or moves it now. */
  readonly decision: number;
  /** Why the partition is on its holder or moves, in a sentence for people. */
  readonly reason: string;
}

export interface AssignmentTable {
  /** The number of writes so far. */
  readonly version: number;
  /** The leader epoch of the last write. */
  readonly leaderEpoch: number;
  readonly entries: ReadonlyMap<PartitionName, TableEntry>;
}

/** An event that makes a coordinator decide. */
export type Trigger =
  | { readonly kind: "started" }
  | {
      readonly kind: "joined" | "left" | "released" | "crashed" | "silent" | "expired" | "draining";
      readonly node: NodeId;
    }
  | { readonly kind: "skewed"; readonly skew: number }
  | { readonly kind: "asked" };

/** One decision of a coordinator, kept so that a person can read why a partition is where it is. */
export interface Decision {
  /** The table version of the write that stored the decision. */
  readonly id: number;
  readonly leaderEpoch: number;
  readonly atMs: number;
  readonly triggers: readonly Trigger[];
  /** The decision in a sentence for people. */
  readonly text: string;
  readonly moves: number;
  /** Equals `moves`, as no fewer are searched for (decision 0011). Nodes and clients of other releases read the field. */
  readonly movesMin: number;
}

// From a coordinator to members ---------------------------------------------------------------------------------------

/** One step that brings a member to what the table says. An order may come again, and is then answered alike. */
export type Order =
  /** You will be granted the partition: keep requests for it until then. */
  | { readonly kind: "expect"; readonly partition: PartitionName }
  /** You will not be granted the partition after all. */
  | { readonly kind: "forget"; readonly partition: PartitionName }
  /** Finish the appends in flight and answer `released`. The log's fence ends those that take longer than `withinMs`. */
  | {
      readonly kind: "hand_over";
      readonly partition: PartitionName;
      readonly grant: Grant;
      readonly to: Life;
      readonly withinMs: number;
    }
  /** The partition is yours under this grant: claim it and answer `claimed`. */
  | { readonly kind: "take"; readonly partition: PartitionName; readonly grant: Grant };

export type ToMember =
  | {
      readonly type: "orders";
      readonly leader: Leader;
      /** The life that the orders are for: another life of the node ignores them. */
      readonly to: Life;
      readonly orders: readonly Order[];
    }
  /** Entries of the table, and the members: for forwarding, clients and people. `isWhole`: the known table is discarded first. */
  | {
      readonly type: "table";
      readonly leader: Leader;
      readonly version: number;
      readonly isWhole: boolean;
      readonly entries: readonly TableEntry[];
      /** Owner epochs that were claimed since the last message, by partition. */
      readonly epochs: readonly (readonly [PartitionName, number])[];
      readonly members: readonly Member[] | undefined;
      readonly rates: readonly NodeRates[] | undefined;
    }
  /** The leader asks this member to follow it and to report its holdings. */
  | { readonly type: "report_again"; readonly leader: Leader };

// From members to a coordinator ---------------------------------------------------------------------------------------

export interface Holding {
  readonly partition: PartitionName;
  readonly phase: "expecting" | "claiming" | "owned" | "handing_over";
  /** Undefined while expecting. */
  readonly grant: Grant | undefined;
  /** The owner epoch, while owned. */
  readonly epoch: number | undefined;
}

/** The load of a partition on its owner, as rates since the last report. */
export interface PartitionLoad {
  readonly partition: PartitionName;
  readonly bytesPerSecond: number;
  readonly recordsPerSecond: number;
  /** Cores: 1 is a whole core. */
  readonly cpu: number;
}

/** The rates at which a node appends, by its last report. */
export interface NodeRates {
  readonly node: NodeId;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** A message of a member, from one life to the leader of one term. */
export type ToCoordinator = FromMember & { readonly from: Life; readonly leaderEpoch: number };

export type FromMember =
  /** All partitions that a member holds: its first message to each coordinator. */
  | { readonly type: "report"; readonly holdings: readonly Holding[] }
  | { readonly type: "released"; readonly partition: PartitionName; readonly grant: Grant }
  | { readonly type: "claimed"; readonly partition: PartitionName; readonly grant: Grant; readonly epoch: number }
  | { readonly type: "loads"; readonly loads: readonly PartitionLoad[] }
  /** The node ends in order: it holds no partition any more, and its silence is no death. */
  | { readonly type: "leaving" }
  /** A command that a person gave to the node. */
  | { readonly type: "asked"; readonly command: ClusterCommand };

export type ClusterCommand =
  | { readonly kind: "drain" | "undrain"; readonly node: NodeId }
  | { readonly kind: "rebalance" };

/** The names of a node's member and coordinator for other nodes. */
export const MEMBER_ACTOR = "member";
export const COORDINATOR_ACTOR = "coordinator";

/** The times of a cluster, in ms: the same on all its nodes. Correctness depends on none of them (E24). */
export interface ClusterTimes {
  /** A registration expires this long after it was last renewed. */
  readonly registrationMs: number;
  readonly renewEveryMs: number;
  /** A coordinator may be replaced this long after it last renewed its lease. */
  readonly leaseMs: number;
  readonly renewLeaseEveryMs: number;
  /** Between two looks of a member at the lease store. */
  readonly lookEveryMs: number;
  /** Between two heartbeats on a link, and the silence after which a link counts as lost. */
  readonly heartbeatEveryMs: number;
  readonly silentAfterMs: number;
  /** A planned move that takes longer is forced. */
  readonly handOverWithinMs: number;
  /** The part of `handOverWithinMs` in which deliveries may finish their batches while appends go on. */
  readonly drainWithinMs: number;
  /** Between two reports of load, and two looks at the skew. */
  readonly loadEveryMs: number;
  /** The first probation of a node that was declared dead; doubled by each further death within `deathsForgottenMs`. */
  readonly probationFirstMs: number;
  readonly probationMaxMs: number;
  readonly deathsForgottenMs: number;
}

export const CLUSTER_TIMES: ClusterTimes = {
  registrationMs: 10_000,
  renewEveryMs: 3_000,
  leaseMs: 2_000,
  renewLeaseEveryMs: 500,
  lookEveryMs: 1_000,
  heartbeatEveryMs: 500,
  silentAfterMs: 2_000,
  handOverWithinMs: 10_000,
  drainWithinMs: 2_000,
  loadEveryMs: 5_000,
  probationFirstMs: 1_000,
  probationMaxMs: 60_000,
  deathsForgottenMs: 600_000,
};

export const partitionOfName = (name: PartitionName): PartitionReference => {
  const at = name.lastIndexOf("/");
  return { stream: name.slice(0, at), partition: Number(name.slice(at + 1)) as PartitionReference["partition"] };
};

/** The life alone, of a value that has more. */
export const lifeOf = ({ node, incarnation }: Life): Life => ({ node, incarnation });

export const isSameLife = (left: Life | undefined, right: Life | undefined): boolean =>
  left?.node === right?.node && left?.incarnation === right?.incarnation;

/** Orders grants as the log does: by leader epoch, then by table version. */
export const compareGrants = (left: Grant, right: Grant): number =>
  left.leaderEpoch - right.leaderEpoch || left.tableVersion - right.tableVersion;

export const nameOfLife = ({ node, incarnation }: Life): string => `${node}#${incarnation}`;
