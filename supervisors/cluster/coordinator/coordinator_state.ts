/** What a coordinator holds, is told and does: shared by the parts of its machine. */
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
  /** Planned moves under way at once, in all and away from one node: a move costs both its nodes a claim and its sinks' opening. */
  movesMax: 64,
  movesFromNodeMax: 16,
  /** Between ticks: orders that were not answered are said again, expiry and skew are looked at. */
  tickMs: 500,
  /** Orders without an answer for so long are said again. */
  repeatAfterMs: 2_000,
  /** Nodes that join soon after each other are one change; the death of a node waits for nothing. */
  gatherJoinsMs: 100,
  /** Of the even share, and so many cores above it, for so many reports in a row: then partitions are moved. */
  skewMax: 1.25,
  skewCoresMin: 0.1,
  skewedLooksMin: 3,
  /** A skew that could not be mended is looked at again once it is so many times as large. */
  skewGrowth: 1.1,
  /** What a partition costs by itself, in cores, and what one core takes: where the processor's share is not known better. */
  idleCores: 0.005,
  bytesPerCore: 100_000_000,
  recordsPerCore: 300_000,
  /** Of a new measurement in the smoothed load. */
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
  /** It has told this coordinator what it holds. */
  hasReported: boolean;
  /** It ends in order. */
  isLeaving: boolean;
  /** By this node's clock: its probation is over then, and what follows from that is to be decided. */
  readonly eligibleAtMs: number;
  isOnProbation: boolean;
  /** What a person asked for, until the store shows it. */
  isDrainingAsked: boolean | undefined;
  /** Its registration was seen to have expired, or gone. */
  isUnregistered: boolean;
}

/** A planned move under way: written to the table, and not claimed yet by its next owner. */
export interface Move {
  readonly from: Life;
  readonly to: Life;
  /** Then it is forced. */
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
  /** Every partition of the configuration. */
  readonly partitions: readonly PartitionName[];
  phase: "gathering" | "leading" | "resigned";
  readonly gatherUntilMs: number;
  readonly members: Map<NodeId, KnownMember>;
  /** Of every node that this one has heard of over a link, or not: the registry may show it later. */
  readonly links: Map<NodeId, LinkOfNode>;
  /** Lives that were declared dead: the registry may show them a little longer. */
  readonly dead: Map<NodeId, number>;
  readonly table: Map<PartitionName, TableEntry>;
  version: number;
  /** What each partition's present holder has claimed. */
  readonly epochs: Map<PartitionName, number>;
  /** When its holder was last told to take a partition that it has not claimed. */
  readonly toldToTake: Map<PartitionName, number>;
  readonly moves: Map<PartitionName, Move>;
  /** Handed over, or out of time: to be granted with the next write. */
  readonly granting: Map<PartitionName, "released" | "forced">;
  /** Where partitions should be, of those that are elsewhere or with nobody. */
  readonly wanted: Map<PartitionName, NodeId>;
  /** What the decision that made `wanted` says of itself; written with its first entries. */
  decision: Decision | undefined;
  writing: PendingWrite | undefined;
  /** A write has an unknown outcome: the table is read before the next. */
  isReading: boolean;
  readonly triggers: Trigger[];
  decideAtMs: number | undefined;
  /** Smoothed load of each partition, by kind. */
  readonly loads: Map<PartitionName, { bytes: number; records: number; cpu: number }>;
  readonly rates: Map<NodeId, NodeRates>;
  /** When the rates were last told to everybody. */
  ratesToldAtMs: number;
  skewedLooks: number;
  /** A skew that could not be mended: it is looked at again once it has grown, or the nodes are others. */
  skewLeft: number;
  isStoreAway: boolean;
  /** Expiry counts from then on (E21). */
  expiryCountsFromMs: number;
  /** When peers were last lost without leaving: for the guard against being cut off oneself (E20). */
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
  /** First of all. */
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
  /** Answered by `view`, if at all. */
  | { readonly type: "look" }
  /** Answered by `table_read`, however long that takes. */
  | { readonly type: "read_table" }
  | { readonly type: "tell"; readonly node: NodeId; readonly message: ToMember }
  | { readonly type: "declare_dead"; readonly life: Life }
  | { readonly type: "set_draining"; readonly node: NodeId; readonly isDraining: boolean }
  /** Give the lease up. `cut_off`: others should stand before this node does again. */
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
  /** The links of this node as they are now. */
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
  for (const [partition, entry] of table.entries) {
    if (entry.next === undefined || entry.holder === undefined) continue;
    if (!isAlive(state, entry.holder)) state.granting.set(partition, "released");
    else {
      const deadlineMs = nowMs + times.handOverWithinMs;
      state.moves.set(partition, { from: entry.holder, to: entry.next, deadlineMs, saidAtMs: nowMs });
    }
  }
  return state;
}

export const knownMember = (state: CoordinatorState, member: Member, nowMs: number): KnownMember => ({
  member,
  link: linkOf(state, member),
  hasReported: false,
  isLeaving: false,
  isDrainingAsked: undefined,
  eligibleAtMs: nowMs + member.probationMs,
  isOnProbation: member.probationMs > 0,
  isUnregistered: member.expiresInMs < 0,
});

function linkOf({ leader, links }: CoordinatorState, { node, incarnation }: Member): LinkState {
  if (isSameLife(leader, { node, incarnation })) return "up";
  const link = links.get(node);
  return link?.incarnation === incarnation ? link.state : "unknown";
}

/** The life is known, and not dead. */
export const isAlive = (state: CoordinatorState, life: Life | undefined): life is Life =>
  life !== undefined && isSameLife(state.members.get(life.node)?.member, life);

/** The write under way gives it to somebody. */
export const isBeingGranted = ({ writing }: CoordinatorState, partition: PartitionName): boolean =>
  writing?.entries.some((entry) => entry.partition === partition && entry.next === undefined) === true;

/** Entries whose holder is this life. */
export function* heldBy(state: CoordinatorState, life: Life): Iterable<TableEntry> {
  for (const entry of state.table.values()) if (isSameLife(entry.holder, life)) yield entry;
}
