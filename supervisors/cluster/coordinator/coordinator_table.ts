/**
 * The coordinator machine's table: from the target to entries, and from a write to its orders. The table is written before any
 * order is sent. One write is under way at a time; further entries wait for the next (O1).
 */
import { FencedError } from "../../../protocols/errors.ts";
import { compareGrants, isSameLife, type Life, lifeOf, type PartitionName, type TableEntry } from "../cluster.ts";
import { isEligible, stepDown, trigger } from "./coordinator_members.ts";
import { ordersOf, tellAll, tellOrders } from "./coordinator_orders.ts";
import {
  beginMove,
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorState,
  isAlive,
  isBeingGranted,
} from "./coordinator_state.ts";
import { describeTriggers } from "./coordinator_target.ts";

/** The end of the reason of a grant that its former holder did not release. */
const FORCED = "; it was not handed over in time";

/** How the former holder lost the partition. Only the reason tells: a failed write is repeated from the entries, which keep it. */
const howGranted = ({ reason }: TableEntry): "forced" | "released" => (reason.endsWith(FORCED) ? "forced" : "released");

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
  return known !== undefined && isEligible(known, nowMs) ? lifeOf(known.member) : undefined;
}

function reasonOf(state: CoordinatorState, from: Life | undefined, to: Life): string {
  const why = describeTriggers(state.decision?.triggers ?? []);
  const way = from === undefined ? `given to ${to.node}` : `moved from ${from.node} to ${to.node}`;
  return why === "" ? way : `${way}, as ${why}`;
}

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
  if (beginMove(state, entry, nowMs)) return;
  state.moves.delete(entry.partition); // also a move that an earlier term left half done, with a dead owner
  if (before?.grant === undefined || entry.grant === undefined || compareGrants(before.grant, entry.grant) !== 0) {
    state.epochs.delete(entry.partition);
    state.toldToTake.set(entry.partition, nowMs);
  }
}

/** O1. */
export function writeFailed(state: CoordinatorState, error: Error): readonly CoordinatorEffect[] {
  if (state.writing === undefined || state.isReading) return [];
  if (error instanceof FencedError) return stepDown(state, "superseded", error.message);
  state.isReading = true;
  return [{ type: "read_table" }];
}

export function tableRead(
  state: CoordinatorState,
  table: { readonly version: number; readonly leaderEpoch: number },
  nowMs: number,
): readonly CoordinatorEffect[] {
  if (!state.isReading) return [];
  state.isReading = false;
  const { writing } = state;
  if (table.leaderEpoch > state.leader.leaderEpoch) {
    return stepDown(state, "superseded", `the table was written in term ${table.leaderEpoch}`);
  }
  if (writing !== undefined && table.version === state.version + 1) return written(state, table.version, nowMs);
  if (table.version !== state.version) {
    return stepDown(state, "superseded", `the table has version ${table.version} instead of ${state.version}`);
  }
  state.writing = undefined;
  for (const entry of writing?.entries ?? []) {
    // The entry was not written, so its target is still wanted.
    if (entry.next === undefined) state.granting.set(entry.partition, howGranted(entry));
    const target = entry.next ?? entry.holder;
    if (target !== undefined) state.wanted.set(entry.partition, target.node);
  }
  return [];
}

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
