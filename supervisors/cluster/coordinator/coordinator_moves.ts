/**
 * The coordinator machine's assignment, in three steps: from a change to a target, from the target to the table, from the table
 * to orders. The table is written before any order is sent. One write is under way at a time; further entries wait for
 * the next (O1).
 */
import {
  type AssignableNode,
  type AssignablePartition,
  type Assignment,
  assign,
  skewOf,
} from "../assignment/assignment.ts";
import {
  compareGrants,
  isSameLife,
  type Life,
  nameOfLife,
  type Order,
  type PartitionName,
  type TableEntry,
  type Trigger,
} from "../cluster.ts";
import { isEligible, trigger } from "./coordinator_members.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorState,
  isAlive,
  isBeingGranted,
} from "./coordinator_state.ts";

// From a change to a target -------------------------------------------------------------------------------------------

/** Decides where partitions should be. Only later writes begin the moves. */
export function decide(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  const nodes = assignableNodes(state, nowMs);
  if (nodes.length === 0) {
    // The next node that joins triggers the decision.
    state.decideAtMs = Number.POSITIVE_INFINITY;
    return [{ type: "note", level: "warn", text: "no node may be given partitions" }];
  }
  const triggers = state.triggers.splice(0);
  state.decideAtMs = undefined;
  state.skewLeft = 0;
  const assignment = assign(nodes, assignable(state));
  state.wanted.clear();
  for (const [partition, target] of assignment.targets) {
    if (placeOf(state, partition)?.node !== target) state.wanted.set(partition, target);
  }
  const skewed = triggers.find(({ kind }) => kind === "skewed");
  if (assignment.moves === 0 && skewed?.kind === "skewed") state.skewLeft = skewed.skew;
  const text = describe(triggers, assignment, state.partitions.length, nodes.length);
  const { moves } = assignment;
  const { leaderEpoch } = state.leader;
  state.decision =
    state.wanted.size === 0 ? undefined : { id: 0, leaderEpoch, atMs: nowMs, triggers, text, moves, movesMin: moves };
  return [{ type: "note", level: "info", text }];
}

const assignableNodes = (state: CoordinatorState, nowMs: number): readonly AssignableNode[] =>
  [...state.members.values()]
    .filter((known) => isEligible(known, nowMs))
    .map(({ member: { node, profile } }) => ({ node, zone: profile.zone, capacity: profile.capacity }));

/** The life that a partition is on, or on its way to; undefined if no living node has it. */
function placeOf(state: CoordinatorState, partition: PartitionName): Life | undefined {
  const entry = state.table.get(partition);
  if (isAlive(state, entry?.next)) return entry?.next;
  if (state.granting.has(partition)) return undefined; // released, for a node that has died since
  return isAlive(state, entry?.holder) ? entry?.holder : undefined;
}

function assignable(state: CoordinatorState): readonly AssignablePartition[] {
  return state.partitions.map((partition) => ({
    partition,
    weight: weightOf(state, partition),
    holder: placeOf(state, partition)?.node,
  }));
}

/** The cores that a partition takes, roughly: its measured load, and the cost of an idle partition. */
function weightOf({ loads }: CoordinatorState, partition: PartitionName): number {
  const { idleCores, bytesPerCore, recordsPerCore } = COORDINATOR_LIMITS;
  const { bytes, records, cpu } = loads.get(partition) ?? { bytes: 0, records: 0, cpu: 0 };
  return idleCores + Math.max(cpu, bytes / bytesPerCore, records / recordsPerCore);
}

/** Triggers a decision once the load has been uneven enough, and for long enough, to be worth moves. */
export function lookAtSkew(state: CoordinatorState, nowMs: number): void {
  const nodes = assignableNodes(state, nowMs);
  if (nodes.length < 2 || state.wanted.size > 0 || state.moves.size > 0 || state.loads.size === 0) {
    state.skewedLooks = 0;
    return;
  }
  const partitions = assignable(state);
  const skew = skewOf(nodes, partitions);
  const evenCores = partitions.reduce((sum, { weight }) => sum + weight, 0) / nodes.length;
  const isNews = skew > Math.max(COORDINATOR_LIMITS.skewMax, state.skewLeft * COORDINATOR_LIMITS.skewGrowth);
  const isWorthMoves = isNews && (skew - 1) * evenCores > COORDINATOR_LIMITS.skewCoresMin;
  state.skewedLooks = isWorthMoves ? state.skewedLooks + 1 : 0;
  if (state.skewedLooks < COORDINATOR_LIMITS.skewedLooksMin) return;
  state.skewedLooks = 0;
  trigger(state, { kind: "skewed", skew }, nowMs);
}

const describe = (triggers: readonly Trigger[], assignment: Assignment, partitions: number, nodes: number): string =>
  `${[...new Set(triggers.map(describeTrigger))].join(", ")}: ${assignment.moves} of ${partitions} partitions move, so that the fullest of ${nodes} nodes has ${assignment.skew.toFixed(2)} of its share`;

export function describeTrigger(of: Trigger): string {
  switch (of.kind) {
    case "started":
      return "a new coordinator began";
    case "joined":
      return `${of.node} joined`;
    case "left":
      return `${of.node} left`;
    case "released":
      return `${of.node} let go of partitions`;
    case "crashed":
      return `${of.node} crashed`;
    case "silent":
      return `${of.node} fell silent`;
    case "expired":
      return `the registration of ${of.node} expired`;
    case "draining":
      return `${of.node} is to be drained`;
    case "skewed":
      return `the load was skewed (${of.skew.toFixed(2)})`;
    case "asked":
      return "it was asked for";
  }
}

// From the target to the table ----------------------------------------------------------------------------------------

/** The end of the reason of a grant that its former holder did not release. */
const FORCED = "; it was not handed over in time";

/** How the holder of an entry lost the partition: read from its reason, as a failed write is made again with it. */
export const howGranted = ({ reason }: TableEntry): "forced" | "released" =>
  reason.endsWith(FORCED) ? "forced" : "released";

/** Begins the next write, if no write is under way and there are entries to write. */
export function writeNext(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (state.phase !== "leading" || state.writing !== undefined || state.isReading || state.isStoreAway) return [];
  const id = state.version + 1;
  const entries = [...grants(state, id, nowMs), ...departures(state, id, nowMs)];
  if (entries.length === 0) return [];
  const decision = state.decision === undefined ? undefined : { ...state.decision, id };
  state.writing = { entries, decision };
  return [{ type: "write_table", expectedVersion: state.version, entries, decision }];
}

/** Entries that grant a partition: it was handed over, its holder exceeded the time, or it has no living holder. */
function grants(state: CoordinatorState, id: number, nowMs: number): readonly TableEntry[] {
  const entries: TableEntry[] = [];
  const give = (partition: PartitionName, to: Life, reason: string) => {
    state.wanted.delete(partition);
    entries.push({
      partition,
      holder: to,
      grant: { leaderEpoch: state.leader.leaderEpoch, tableVersion: id },
      next: undefined,
      decision: state.decision === undefined ? (state.table.get(partition)?.decision ?? 0) : id,
      reason,
    });
  };
  for (const [partition, how] of state.granting) {
    const entry = state.table.get(partition);
    // A decision since then may have chosen another node.
    const to = lifeOfWanted(state, partition, nowMs) ?? (isAlive(state, entry?.next) ? entry?.next : undefined);
    if (entry === undefined || to === undefined) continue;
    state.granting.delete(partition);
    const reason = how === "forced" ? `${entry.reason}${FORCED}` : entry.reason;
    give(partition, to, reason);
  }
  for (const [partition] of state.wanted) {
    const entry = state.table.get(partition);
    if (isAlive(state, entry?.holder)) continue;
    const to = lifeOfWanted(state, partition, nowMs);
    if (to === undefined) continue;
    state.granting.delete(partition);
    give(partition, to, reasonOf(state, entry?.holder, to));
  }
  return entries;
}

/** Entries that begin planned moves, within `movesMax` and `movesFromNodeMax`. */
function departures(state: CoordinatorState, id: number, nowMs: number): readonly TableEntry[] {
  const leaving = new Map<string, number>();
  for (const { from } of state.moves.values()) leaving.set(from.node, (leaving.get(from.node) ?? 0) + 1);
  const entries: TableEntry[] = [];
  for (const [partition] of state.wanted) {
    if (state.moves.size + entries.length >= COORDINATOR_LIMITS.movesMax) break;
    const entry = state.table.get(partition);
    const to = lifeOfWanted(state, partition, nowMs);
    if (entry?.holder === undefined || to === undefined || !isAlive(state, entry.holder)) continue;
    if (state.granting.has(partition)) continue;
    const count = leaving.get(entry.holder.node) ?? 0;
    if (count >= COORDINATOR_LIMITS.movesFromNodeMax) continue;
    leaving.set(entry.holder.node, count + 1);
    state.wanted.delete(partition);
    const decision = state.decision === undefined ? entry.decision : id;
    entries.push({ ...entry, next: to, decision, reason: reasonOf(state, entry.holder, to) });
  }
  return entries;
}

function lifeOfWanted(state: CoordinatorState, partition: PartitionName, nowMs: number): Life | undefined {
  const node = state.wanted.get(partition);
  const known = node === undefined ? undefined : state.members.get(node);
  if (known === undefined || !isEligible(known, nowMs)) return undefined;
  return { node: known.member.node, incarnation: known.member.incarnation };
}

function reasonOf(state: CoordinatorState, from: Life | undefined, to: Life): string {
  const why = [...new Set((state.decision?.triggers ?? []).map(describeTrigger))].join(", ");
  const way = from === undefined ? `given to ${to.node}` : `moved from ${from.node} to ${to.node}`;
  return why === "" ? way : `${way}, as ${why}`;
}

// From the table to orders --------------------------------------------------------------------------------------------

/** The write has succeeded: sends its orders, and tells all members. */
export function written(state: CoordinatorState, version: number, nowMs: number): readonly CoordinatorEffect[] {
  const { writing } = state;
  if (writing === undefined || version !== state.version + 1) return []; // O1
  state.writing = undefined;
  state.version = version;
  if (writing.decision !== undefined) state.decision = undefined;
  const forgotten = writing.entries.flatMap((entry) => {
    const before = state.table.get(entry.partition)?.next;
    const isStill = isSameLife(before, entry.next) || isSameLife(before, entry.holder);
    return before === undefined || isStill ? [] : [{ partition: entry.partition, next: before }];
  });
  for (const entry of writing.entries) apply(state, entry, nowMs);
  return [
    ...forgotten.flatMap(({ partition, next }) => tellOrders(state, next, [{ kind: "forget", partition }])),
    ...ordersOf(state, writing.entries),
    ...tellAll(state, writing.entries, []),
  ];
}

function apply(state: CoordinatorState, entry: TableEntry, nowMs: number): void {
  const before = state.table.get(entry.partition);
  state.table.set(entry.partition, entry);
  if (entry.next !== undefined && entry.holder !== undefined) {
    if (!isAlive(state, entry.holder)) {
      state.granting.set(entry.partition, "released"); // the holder died during the write
      return;
    }
    if (state.granting.has(entry.partition)) return; // the holder released it during the write
    const deadlineMs = nowMs + state.times.handOverWithinMs;
    state.moves.set(entry.partition, { from: entry.holder, to: entry.next, deadlineMs, saidAtMs: nowMs });
    return;
  }
  state.moves.delete(entry.partition); // also a move that an earlier term left half done, with a dead owner
  if (before?.grant === undefined || entry.grant === undefined || compareGrants(before.grant, entry.grant) !== 0) {
    state.epochs.delete(entry.partition);
    state.toldToTake.set(entry.partition, nowMs);
  }
}

/** The orders that follow from these entries, in one message for each life. */
export function ordersOf(state: CoordinatorState, entries: Iterable<TableEntry>): readonly CoordinatorEffect[] {
  const byLife = new Map<string, { readonly to: Life; readonly orders: Order[] }>();
  const add = (to: Life, order: Order) => {
    const key = nameOfLife(to);
    const known = byLife.get(key) ?? { to, orders: [] };
    byLife.set(key, known);
    known.orders.push(order);
  };
  const { drainWithinMs: withinMs } = state.times;
  for (const { partition, holder, grant, next } of entries) {
    if (holder === undefined || grant === undefined) continue;
    if (next === undefined) add(holder, { kind: "take", partition, grant });
    else {
      if (!isSameLife(next, holder)) add(next, { kind: "expect", partition });
      add(holder, { kind: "hand_over", partition, grant, to: next, withinMs });
    }
  }
  return [...byLife.values()].flatMap(({ to, orders }) => tellOrders(state, to, orders));
}

export function tellOrders(state: CoordinatorState, to: Life, orders: readonly Order[]): readonly CoordinatorEffect[] {
  if (!isAlive(state, to) || orders.length === 0) return [];
  return [{ type: "tell", node: to.node, message: { type: "orders", leader: state.leader, to, orders } }];
}

/** Sends these entries and epochs to every member that has reported. */
export function tellAll(
  state: CoordinatorState,
  entries: readonly TableEntry[],
  epochs: readonly (readonly [PartitionName, number])[],
): readonly CoordinatorEffect[] {
  const members = state.membersChanged ? [...state.members.values()].map(({ member }) => member) : undefined;
  state.membersChanged = false;
  const { leader, version } = state;
  const rates = undefined;
  const message = { type: "table", leader, version, isWhole: false, entries, epochs, members, rates } as const;
  return [...state.members.values()]
    .filter(({ hasReported }) => hasReported)
    .map(({ member: { node } }) => ({ type: "tell", node, message }));
}

/** Sends the append rates of all nodes to all members, for people, once each `loadEveryMs`. */
export function tellRates(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (state.rates.size === 0 || nowMs - state.ratesToldAtMs < state.times.loadEveryMs) return [];
  state.ratesToldAtMs = nowMs;
  const { leader, version } = state;
  const rates = [...state.rates.values()].filter(({ node }) => state.members.has(node));
  const nothing = { entries: [], epochs: [], members: undefined };
  const message = { type: "table", leader, version, isWhole: false, ...nothing, rates } as const;
  return [...state.members.values()]
    .filter(({ hasReported }) => hasReported)
    .map(({ member: { node } }) => ({ type: "tell", node, message }));
}

/** Sends the whole table to a member that has just reported, in pieces, as the frames of a link are bounded. */
export function tellWhole(state: CoordinatorState, node: Life["node"]): readonly CoordinatorEffect[] {
  const { leader, version } = state;
  const [entries, epochs] = [[...state.table.values()], [...state.epochs]];
  const pieces = Math.max(1, Math.ceil(Math.max(entries.length, epochs.length) / TABLE_PIECE_ENTRIES));
  return Array.from({ length: pieces }, (_, at) => {
    const [from, to] = [at * TABLE_PIECE_ENTRIES, (at + 1) * TABLE_PIECE_ENTRIES];
    const members = at === 0 ? [...state.members.values()].map(({ member }) => member) : undefined;
    const part = { entries: entries.slice(from, to), epochs: epochs.slice(from, to) };
    return {
      type: "tell",
      node,
      message: { type: "table", leader, version, isWhole: at === 0, ...part, members, rates: undefined },
    };
  });
}

/** An entry has some 200 bytes, so a piece has some 400 kB. */
const TABLE_PIECE_ENTRIES = 2_000;

// Answers -------------------------------------------------------------------------------------------------------------

/** The holder has released a partition: the next write grants it to the next life. */
export function released(
  state: CoordinatorState,
  from: Life,
  partition: PartitionName,
  grant: TableEntry["grant"],
  nowMs: number,
): void {
  const entry = state.table.get(partition);
  if (entry?.grant === undefined || grant === undefined || compareGrants(entry.grant, grant) !== 0) return;
  if (!isSameLife(entry.holder, from) || isBeingGranted(state, partition)) return;
  state.moves.delete(partition);
  state.granting.set(partition, "released");
  // It was released without an order, or for a node that has died since: a decision must find another node.
  if (!isAlive(state, entry.next)) trigger(state, { kind: "released", node: from.node }, nowMs);
}

/** Forces moves that take too long: the log's fence stops the former holder (E8). */
export function forceOverdue(state: CoordinatorState, nowMs: number): void {
  for (const [partition, move] of state.moves) {
    if (nowMs < move.deadlineMs || isBeingGranted(state, partition)) continue;
    state.moves.delete(partition);
    state.granting.set(partition, "forced");
    if (!isAlive(state, move.to)) trigger(state, { kind: "released", node: move.from.node }, nowMs);
  }
}

/** Repeats orders that were not answered within `repeatAfterMs` (O7). */
export function repeatOrders(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  const due: TableEntry[] = [];
  const isDue = (saidAtMs: number) => nowMs - saidAtMs >= COORDINATOR_LIMITS.repeatAfterMs;
  for (const [partition, move] of state.moves) {
    const entry = state.table.get(partition);
    if (entry?.next === undefined || !isDue(move.saidAtMs)) continue;
    move.saidAtMs = nowMs;
    due.push(entry);
  }
  for (const [partition, saidAtMs] of state.toldToTake) {
    const entry = state.table.get(partition);
    if (entry === undefined || entry.next !== undefined || !isDue(saidAtMs)) continue;
    state.toldToTake.set(partition, nowMs);
    due.push(entry);
  }
  return ordersOf(state, due);
}
