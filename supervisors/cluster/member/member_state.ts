/** The state, messages and effects of the member machine, shared by its files. */
import type { Grant } from "../../../actors/log/log.ts";
import type { LinkEvent } from "../../../actors/transport/transport.ts";
import type { NodeId } from "../../../protocols/position.ts";
import {
  type ClusterCommand,
  type ClusterTimes,
  type Holding,
  isSameLife,
  type Leader,
  type Life,
  type Member,
  type NodeRates,
  type PartitionLoad,
  type PartitionName,
  type TableEntry,
  type ToCoordinator,
  type ToMember,
} from "../cluster.ts";
import type { LinkOfNode } from "../coordinator/coordinator_state.ts";
import type { ElectionOutcome, StoreView } from "../leases/lease_store.ts";

export interface Held {
  phase: Holding["phase"];
  grant: Grant | undefined;
  epoch: number | undefined;
  /** The next life, while the partition is handed over. */
  to: Life | undefined;
}

export interface MemberState {
  readonly self: Life;
  readonly times: ClusterTimes;
  phase: "member" | "leaving" | "over";
  /** The leader of the highest term seen. */
  leader: Leader | undefined;
  isLeading: boolean;
  isStanding: boolean;
  /** Until then the other members stand first (M5). */
  standNotBeforeMs: number;
  /** When the lease expires, by the last look; undefined before the first look and without a leader. */
  leaseExpiresAtMs: number | undefined;
  members: ReadonlyMap<NodeId, Member>;
  readonly links: Map<NodeId, LinkOfNode>;
  /** By node: the command to drain or undrain it that was given here, until it is seen carried out (M8). */
  readonly asked: Map<NodeId, { readonly command: ClusterCommand; readonly untilMs: number }>;
  readonly holdings: Map<PartitionName, Held>;
  readonly table: Map<PartitionName, TableEntry>;
  tableVersion: number;
  readonly epochs: Map<PartitionName, number>;
  rates: ReadonlyMap<NodeId, NodeRates>;
  isStoreAway: boolean;
  /** When the leader or the store was last heard of. */
  heardAtMs: number;
}

export type MemberMessage =
  | ToMember
  | { readonly type: "begin" }
  | { readonly type: "look_due" }
  | { readonly type: "viewed"; readonly view: StoreView }
  | { readonly type: "look_failed" }
  | { readonly type: "renew_due" }
  | { readonly type: "renewed"; readonly isKnown: boolean }
  | { readonly type: "renew_failed" }
  | { readonly type: "stand_due"; readonly insteadOf: number | undefined }
  | { readonly type: "stood"; readonly outcome: ElectionOutcome }
  | { readonly type: "stand_failed" }
  /** The coordinator on this node has given the lease up, or lost it. */
  | { readonly type: "stepped_down"; readonly because: "superseded" | "cut_off" | "failed" }
  | { readonly type: "link"; readonly event: LinkEvent }
  | { readonly type: "owned"; readonly partition: PartitionName; readonly epoch: number }
  | { readonly type: "let_go"; readonly partition: PartitionName }
  | { readonly type: "superseded"; readonly partition: PartitionName; readonly grant: Grant }
  | { readonly type: "loads"; readonly loads: readonly PartitionLoad[] }
  | { readonly type: "command"; readonly command: ClusterCommand }
  /** The node is to end once it holds no partition. */
  | { readonly type: "leave" };

export type MemberEffect =
  | { readonly type: "look" }
  | { readonly type: "renew" }
  | { readonly type: "stand"; readonly insteadOf: number | undefined }
  | {
      readonly type: "lead";
      readonly leader: Leader;
      readonly links: ReadonlyMap<NodeId, LinkOfNode>;
    }
  /** Ends the coordinator on this node, as another term has begun. */
  | { readonly type: "stop_leading" }
  | { readonly type: "keep_links"; readonly members: readonly Member[] }
  | { readonly type: "tell_coordinator"; readonly node: NodeId; readonly message: ToCoordinator }
  | { readonly type: "expect"; readonly partition: PartitionName }
  | { readonly type: "take"; readonly partition: PartitionName; readonly grant: Grant }
  | { readonly type: "hand_over"; readonly partition: PartitionName; readonly drainWithinMs: number }
  | { readonly type: "drop"; readonly partition: PartitionName }
  /** Directs requests for a partition to its owner on another node; undefined if none is known. */
  | { readonly type: "point_to"; readonly partition: PartitionName; readonly owner: Member | undefined }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: MemberMessage }
  /** After `leave`: the member holds no partition, and has told the coordinator. */
  | { readonly type: "left" }
  /** The registry no longer knows this life (M7). */
  | { readonly type: "over" };

export type MemberResult = readonly [MemberState, readonly MemberEffect[]];

export function createMember(self: Life, times: ClusterTimes, nowMs: number): MemberState {
  return {
    self,
    times,
    phase: "member",
    leader: undefined,
    isLeading: false,
    isStanding: false,
    standNotBeforeMs: 0,
    leaseExpiresAtMs: undefined,
    members: new Map(),
    links: new Map(),
    asked: new Map(),
    holdings: new Map(),
    table: new Map(),
    tableVersion: 0,
    epochs: new Map(),
    rates: new Map(),
    isStoreAway: false,
    heardAtMs: nowMs,
  };
}

export function ofLife({ members }: MemberState, life: Life): Member | undefined {
  const member = members.get(life.node);
  return isSameLife(member, life) ? member : undefined;
}

/** Whether the leader is linked, or is this life: each change of the table then arrives at once. */
export function hasLinkToLeader({ leader, links, isLeading }: MemberState): boolean {
  const link = leader === undefined ? undefined : links.get(leader.node);
  return isLeading || (link?.state === "up" && link.incarnation === leader?.incarnation);
}
