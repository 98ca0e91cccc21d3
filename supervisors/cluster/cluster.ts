/**
 * What the nodes of a cluster must agree on: lives, grants, the assignment table, and what a coordinator and the members
 * say to each other. The rules are those of docs/decisions/0005; in short:
 *
 *   - The log's fence is the truth, the lease a hint. A coordinator grants; only the log's claim makes an epoch (E7).
 *   - The table in the lease store is written before any order is sent, and carries the leader's epoch: an order, or a
 *     write, of a lower one is refused everywhere (E20).
 *   - A partition's grant is the (leader epoch, table version) of the write that gave it to its holder. It stays as it is
 *     while other partitions move (KIP-1251), so that an owner may claim again with it.
 */
import type { Grant } from "../../actors/log/log.ts";
import type { NodeId, PartitionReference } from "../../protocols/position.ts";

/** One life of a node. The registry makes incarnations: a process that starts again has a higher one. */
export interface Life {
  readonly node: NodeId;
  readonly incarnation: number;
}

/** What a node tells of itself when it joins. */
export interface MemberProfile {
  readonly node: NodeId;
  /** Where producers and consumers reach it: `ws://host:port/v1/connect`. */
  readonly clientAddress: string;
  /** Where other nodes reach it: `ws://host:port/v1/peer`. */
  readonly peerAddress: string;
  /** Nodes of one zone fail together; the partitions of a stream are kept apart over zones. */
  readonly zone: string;
  /** Share of the work that it takes, relative to others; above 0. */
  readonly capacity: number;
  /** Newest minor version of the peer protocol that it speaks. */
  readonly minor: number;
  /** Release of the program, for people. */
  readonly version: string;
}

/** A life in the registry. */
export interface Member extends Life {
  readonly profile: MemberProfile;
  /** Until its registration expires, by the store's clock; below 0 where it has. */
  readonly expiresInMs: number;
  /** Until it may be given partitions again, after its node was declared dead; 0 for none (E20). */
  readonly probationMs: number;
  /** Told to leave: it is given nothing more, and what it holds is moved away. */
  readonly isDraining: boolean;
}

/** Who coordinates, and in which term. The higher leader epoch fences the lower. */
export interface Leader extends Life {
  readonly leaderEpoch: number;
}

/** A partition's name: `stream/partition`. */
export type PartitionName = string;

/** One partition in the assignment table. */
export interface TableEntry {
  readonly partition: PartitionName;
  /** The life that may claim it; undefined where nobody may. */
  readonly holder: Life | undefined;
  /** What the holder shows when it claims; undefined without holder. */
  readonly grant: Grant | undefined;
  /** The life that takes it over once the holder has handed it over. */
  readonly next: Life | undefined;
  /** The decision that put it there, or moves it now: see `Decision`. */
  readonly decision: number;
  /** Why, in a sentence. */
  readonly reason: string;
}

export interface AssignmentTable {
  /** Counts the writes. */
  readonly version: number;
  /** The leader epoch of the last write. */
  readonly leaderEpoch: number;
  readonly entries: ReadonlyMap<PartitionName, TableEntry>;
}

export const EMPTY_TABLE: AssignmentTable = { version: 0, leaderEpoch: 0, entries: new Map() };

/** What set a coordinator to work. */
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
  /** The table version of the write that it came with. */
  readonly id: number;
  readonly leaderEpoch: number;
  readonly atMs: number;
  readonly triggers: readonly Trigger[];
  /** What was decided, in a sentence. */
  readonly text: string;
  /** How many partitions it moves. */
  readonly moves: number;
  /** Equals `moves`, as no fewer are searched for (decision 0011). Nodes and clients of other releases read the field. */
  readonly movesMin: number;
}

// What a coordinator says to members ----------------------------------------------------------------------------------

/** One step of a member's way to what the table says. Each may come again, and is then answered as the first time. */
export type Order =
  /** It will be given to you: keep what is sent to it until then. */
  | { readonly kind: "expect"; readonly partition: PartitionName }
  /** It will not be given to you after all. */
  | { readonly kind: "forget"; readonly partition: PartitionName }
  /** Finish what is in flight and answer `released`. What can not be finished in time is left to the fence. */
  | {
      readonly kind: "hand_over";
      readonly partition: PartitionName;
      readonly grant: Grant;
      readonly to: Life;
      readonly withinMs: number;
    }
  /** It is yours under this grant: claim it and answer `claimed`. */
  | { readonly kind: "take"; readonly partition: PartitionName; readonly grant: Grant };

export type ToMember =
  | {
      readonly type: "orders";
      readonly leader: Leader;
      /** The life that they are for: another life of the node does not carry them out. */
      readonly to: Life;
      readonly orders: readonly Order[];
    }
  /** Part of the table, or all of it (`isWhole`), and who is there: for forwarding, for clients and for people. */
  | {
      readonly type: "table";
      readonly leader: Leader;
      readonly version: number;
      readonly isWhole: boolean;
      readonly entries: readonly TableEntry[];
      /** Epochs that were claimed since, by partition. */
      readonly epochs: readonly (readonly [PartitionName, number])[];
      readonly members: readonly Member[] | undefined;
      readonly rates: readonly NodeRates[] | undefined;
    }
  /** The leader is not the coordinator any more, or not yet told of this life: report to the one that the store names. */
  | { readonly type: "report_again"; readonly leader: Leader };

// What members say to a coordinator -----------------------------------------------------------------------------------

/** Where a member stands with one partition. */
export interface Holding {
  readonly partition: PartitionName;
  readonly phase: "expecting" | "claiming" | "owned" | "handing_over";
  /** Undefined while expecting. */
  readonly grant: Grant | undefined;
  /** The owner epoch, while owned. */
  readonly epoch: number | undefined;
}

/** What a partition cost its owner, as rates over the last while. */
export interface PartitionLoad {
  readonly partition: PartitionName;
  readonly bytesPerSecond: number;
  readonly recordsPerSecond: number;
  /** Share of one core. */
  readonly cpu: number;
}

/** What a node appends, as last reported. */
export interface NodeRates {
  readonly node: NodeId;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
}

export type ToCoordinator =
  /** All that a member holds: its first word to each coordinator. */
  | {
      readonly type: "report";
      readonly from: Life;
      readonly leaderEpoch: number;
      readonly holdings: readonly Holding[];
    }
  | {
      readonly type: "released";
      readonly from: Life;
      readonly leaderEpoch: number;
      readonly partition: PartitionName;
      readonly grant: Grant;
    }
  | {
      readonly type: "claimed";
      readonly from: Life;
      readonly leaderEpoch: number;
      readonly partition: PartitionName;
      readonly grant: Grant;
      readonly epoch: number;
    }
  | {
      readonly type: "loads";
      readonly from: Life;
      readonly leaderEpoch: number;
      readonly loads: readonly PartitionLoad[];
    }
  /** The node ends in order: it holds nothing any more, and its silence is no death. */
  | { readonly type: "leaving"; readonly from: Life; readonly leaderEpoch: number }
  /** What a person asked a node for. */
  | { readonly type: "asked"; readonly from: Life; readonly leaderEpoch: number; readonly command: ClusterCommand };

export type ClusterCommand =
  | { readonly kind: "drain" | "undrain"; readonly node: NodeId }
  | { readonly kind: "rebalance" };

/** The name under which each node publishes its member, and the coordinator's node its coordinator. */
export const MEMBER_ACTOR = "member";
export const COORDINATOR_ACTOR = "coordinator";

/** Times of a cluster. Each may be changed for all its nodes alike; correctness hangs on none of them (E24). */
export interface ClusterTimes {
  /** A registration not renewed for so long has expired. */
  readonly registrationMs: number;
  readonly renewEveryMs: number;
  /** A coordinator that has not renewed its lease for so long may be replaced. */
  readonly leaseMs: number;
  readonly renewLeaseEveryMs: number;
  /** Between looks of a member at who coordinates. */
  readonly lookEveryMs: number;
  /** Between heartbeats on a link, and how long a link may be silent. */
  readonly heartbeatEveryMs: number;
  readonly silentAfterMs: number;
  /** A planned move is forced after this. */
  readonly handOverWithinMs: number;
  /** Of that, how long deliveries may finish what they have in hand while appends still go on. */
  readonly drainWithinMs: number;
  /** Between reports of load, and of looks at skew. */
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

export const isSameLife = (left: Life | undefined, right: Life | undefined): boolean =>
  left?.node === right?.node && left?.incarnation === right?.incarnation;

/** Orders grants as the log does: by leader epoch, then by table version. */
export const compareGrants = (left: Grant, right: Grant): number =>
  left.leaderEpoch - right.leaderEpoch || left.tableVersion - right.tableVersion;

export const nameOfLife = ({ node, incarnation }: Life): string => `${node}#${incarnation}`;
