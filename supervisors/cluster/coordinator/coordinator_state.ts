/** The state, messages and effects of the coordinator machine, shared by its files. */
import type { LinkEvent } from "../../../actors/transport/transport.ts";
import type { HeadraceError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type {
  AssignmentTable,
  ClusterTimes,
  Decision,
  Leader,
  Life,
  Member,
  NodeRates,
  PartitionName,
  TableEntry,
  ToCoordinator,
  ToMember,
  Trigger,
} from "../cluster.ts";
import { isSameLife } from "../cluster.ts";
import type { StoreView } from "../leases/lease_store.ts";

export const COORDINATOR_LIMITS = {
  /** Planned moves under way at once, in all and from one node. Each costs a claim, and opens the partition's sinks anew. */
  movesMax: 64,
  movesFromNodeMax: 16,
  /** Between two ticks. A tick repeats orders without an answer, forces late moves, and looks at expiry. */
  tickMs: 500,
  /** An order without an answer is repeated after this time. */
  repeatAfterMs: 2_000,
  /** Nodes that join within this time are one change. The death of a node is decided on at once. */
  gatherJoinsMs: 100,
  /** Partitions move if a node exceeds this many even shares, by this many cores, in this many reports in a row. */
  skewMax: 1.25,
  skewCoresMin: 0.1,
  skewedLooksMin: 3,
  /** A skew that no assignment could mend is tried again once it has grown by this factor. */
  skewGrowth: 1.1,
  /** The cost of an idle partition in cores, and the load of one core: estimates for partitions without a measured share. */
  idleCores: 0.005,
  bytesPerCore: 100_000_000,
  recordsPerCore: 300_000,
  /** The part of a new measurement in the smoothed load, from 0 to 1. */
  loadSmoothing: 0.3,
} as const;

export type LinkState = "up" | "closed" | "refused" | "silent" | "unknown";

export interface LinkOfNode {
  readonly incarnation: number;
  readonly state: LinkState;
}

export interface KnownMember {
  member: Member;
  link: LinkState;
  /** The member has reported its holdings to this coordinator. */
  hasReported: boolean;
  /** The member ends in order. */
  isLeaving: boolean;
  /** When the probation ends, by this node's clock. */
  readonly eligibleAtMs: number;
  isOnProbation: boolean;
  /** A command to drain or undrain, until it is written and the store shows it. */
  drainAsked: { readonly isDraining: boolean; isWritten: boolean } | undefined;
  /** The last look showed the registration expired, or did not show it. */
  isUnregistered: boolean;
}

/** A planned move under way: written to the table, and not released yet by its holder. */
export interface Move {
  readonly from: Life;
  readonly to: Life;
  readonly deadlineMs: number;
  saidAtMs: number;
}

export interface PendingWrite {
  readonly entries: readonly TableEntry[];
  readonly decision: Decision | undefined;
}

export interface CoordinatorState {
  readonly leader: Leader;
  readonly times: ClusterTimes;
  readonly partitions: readonly PartitionName[];
  phase: "gathering" | "leading" | "resigned";
  readonly gatherUntilMs: number;
  readonly members: Map<NodeId, KnownMember>;
  /** The links of this node, also to nodes that the registry does not show yet. */
  readonly links: Map<NodeId, LinkOfNode>;
  /** By node: its newest incarnation that was declared dead. The registry may show it a little longer. */
  readonly dead: Map<NodeId, number>;
  readonly table: Map<PartitionName, TableEntry>;
  version: number;
  /** By partition: the owner epoch that its present holder has claimed. */
  readonly epochs: Map<PartitionName, number>;
  /** By partition that is not claimed yet: when its holder was last ordered to take it. */
  readonly toldToTake: Map<PartitionName, number>;
  readonly moves: Map<PartitionName, Move>;
  /** Partitions that the next write grants, as they were released or their move is forced. */
  readonly granting: Map<PartitionName, "released" | "forced">;
  /** By partition that is not where it should be: the node that should hold it. */
  readonly wanted: Map<PartitionName, NodeId>;
  /** The decision that made `wanted`, until it is written with its first entries. */
  decision: Decision | undefined;
  writing: PendingWrite | undefined;
  /** The table is being read, as a write has an unknown outcome. */
  isReading: boolean;
  readonly triggers: Trigger[];
  decideAtMs: number | undefined;
  /** Smoothed load of each partition, by kind. */
  readonly loads: Map<PartitionName, { bytes: number; records: number; cpu: number }>;
  readonly rates: Map<NodeId, NodeRates>;
  ratesToldAtMs: number;
  skewedLooks: number;
  /** The skew that the last decision could not mend, or 0. It is tried again once it has grown, or after another decision. */
  skewLeft: number;
  isStoreAway: boolean;
  /** Expired registrations count from this time on (E21). */
  expiryCountsFromMs: number;
  /** By peer: when it was last lost without leaving. Tells whether this node is cut off itself (E20). */
  readonly losses: Map<NodeId, number>;
  membersChanged: boolean;
}

export type CoordinatorMessage =
  | ToCoordinator
  | { readonly type: "view"; readonly view: StoreView }
  | { readonly type: "store_away" }
  | { readonly type: "link"; readonly event: LinkEvent }
  | { readonly type: "written"; readonly version: number }
  | { readonly type: "write_failed"; readonly error: HeadraceError }
  | { readonly type: "table_read"; readonly table: AssignmentTable }
  | { readonly type: "drain_written"; readonly node: NodeId; readonly isDraining: boolean }
  | { readonly type: "begin" }
  | { readonly type: "tick" }
  | { readonly type: "decide_due" };

export type CoordinatorEffect =
  | {
      readonly type: "write_table";
      readonly expectedVersion: number;
      readonly entries: readonly TableEntry[];
      readonly decision: Decision | undefined;
    }
  /** Answered by `view`, or not at all. */
  | { readonly type: "look" }
  /** Answered by `table_read`, and repeated until then. */
  | { readonly type: "read_table" }
  | { readonly type: "tell"; readonly node: NodeId; readonly message: ToMember }
  | { readonly type: "declare_dead"; readonly life: Life }
  | { readonly type: "set_draining"; readonly node: NodeId; readonly isDraining: boolean }
  /** Gives the lease up. `cut_off`: other nodes should stand before this one stands again. */
  | { readonly type: "step_down"; readonly because: "superseded" | "cut_off"; readonly reason: string }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: CoordinatorMessage }
  | { readonly type: "note"; readonly level: "info" | "warn"; readonly text: string };

export type CoordinatorResult = readonly [CoordinatorState, readonly CoordinatorEffect[]];

export interface Election {
  readonly leader: Leader;
  readonly times: ClusterTimes;
  readonly partitions: readonly PartitionName[];
  readonly table: AssignmentTable;
  readonly view: StoreView;
  /** The links of this node at the election. */
  readonly links: ReadonlyMap<NodeId, LinkOfNode>;
}

export function createCoordinator(election: Election, nowMs: number): CoordinatorState {
  const { leader, times, partitions, table, view, links } = election;
  const state: CoordinatorState = {
    leader,
    times,
    partitions,
    phase: "gathering",
    gatherUntilMs: nowMs + times.silentAfterMs,
    members: new Map(),
    links: new Map(links),
    dead: new Map(),
    table: new Map(table.entries),
    version: table.version,
    epochs: new Map(),
    toldToTake: new Map(),
    moves: new Map(),
    granting: new Map(),
    wanted: new Map(),
    decision: undefined,
    writing: undefined,
    isReading: false,
    triggers: [{ kind: "started" }],
    decideAtMs: undefined,
    loads: new Map(),
    rates: new Map(),
    ratesToldAtMs: nowMs,
    skewedLooks: 0,
    skewLeft: 0,
    isStoreAway: false,
    expiryCountsFromMs: nowMs + times.registrationMs,
    losses: new Map(),
    membersChanged: true,
  };
  for (const member of view.members) state.members.set(member.node, knownMember(state, member, nowMs));
  for (const entry of table.entries.values()) beginMove(state, entry, nowMs);
  return state;
}

/** Begins the move of an entry that has one. False if the partition stays. */
export function beginMove(state: CoordinatorState, { partition, holder, next }: TableEntry, nowMs: number): boolean {
  if (next === undefined || holder === undefined) return false;
  if (!isAlive(state, holder)) state.granting.set(partition, "released");
  else if (!state.granting.has(partition)) {
    const deadlineMs = nowMs + state.times.handOverWithinMs;
    state.moves.set(partition, { from: holder, to: next, deadlineMs, saidAtMs: nowMs });
  } // else the holder released it during the write
  return true;
}

export const knownMember = (state: CoordinatorState, member: Member, nowMs: number): KnownMember => ({
  member,
  link: linkOf(state, member),
  hasReported: false,
  isLeaving: false,
  drainAsked: undefined,
  eligibleAtMs: nowMs + member.probationMs,
  isOnProbation: member.probationMs > 0,
  isUnregistered: member.expiresInMs < 0,
});

function linkOf({ leader, links }: CoordinatorState, { node, incarnation }: Member): LinkState {
  if (isSameLife(leader, { node, incarnation })) return "up";
  const link = links.get(node);
  return link?.incarnation === incarnation ? link.state : "unknown";
}

/** Whether the life is a known member that is not dead. */
export const isAlive = (state: CoordinatorState, life: Life | undefined): life is Life =>
  life !== undefined && isSameLife(state.members.get(life.node)?.member, life);

/** Whether the write under way grants the partition. */
export const isBeingGranted = ({ writing }: CoordinatorState, partition: PartitionName): boolean =>
  writing?.entries.some((entry) => entry.partition === partition && entry.next === undefined) === true;

export function* heldBy(state: CoordinatorState, life: Life): Iterable<TableEntry> {
  for (const entry of state.table.values()) if (isSameLife(entry.holder, life)) yield entry;
}
