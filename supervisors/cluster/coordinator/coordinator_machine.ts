/**
 * The coordinator of a cluster, in one term. Decides which node should hold which partition, and brings the cluster there one
 * partition at a time. Leaves the target to `assignment/`, the truth about ownership to the log, and elections to the
 * lease store.
 *   O1. The table is written in this term before any order of the write is sent. A write of unknown outcome is read back
 *       before the next write (E20). One write or one read is under way at a time; an answer counts only for its own call.
 *   O2. A partition is granted to another life only after its holder has released it, is dead, or has exceeded its time. No
 *       grant has two holders. The log refuses a former holder (E7, E8).
 *   O3. No decision is made before each registered member has reported, is known to be gone, or has exceeded its time.
 *   O4. Only the coordinator declares deaths: a refusing port at once, silence after its time. An expired registration counts
 *       only without a link, and not in the first registration period after an outage of the store (E20, E21).
 *   O5. A coordinator that loses more than one third of its peers at once, and more than one, moves nothing and steps down (E20).
 *   O6. A member gets no order about a partition that does not move (KIP-1251).
 *   O7. An order is repeated until it is answered, so each order may arrive twice.
 */
import { FencedError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import {
  type Holding,
  isSameLife,
  type NodeRates,
  nameOfLife,
  type Order,
  type PartitionLoad,
  type PartitionName,
  type ToCoordinator,
} from "../cluster.ts";
import { buryUnregistered, reportAgain, stepDown, takeLink, takeView, trigger } from "./coordinator_members.ts";
import {
  decide,
  forceOverdue,
  howGranted,
  lookAtSkew,
  ordersOf,
  released,
  repeatOrders,
  tellAll,
  tellOrders,
  tellRates,
  tellWhole,
  writeNext,
  written,
} from "./coordinator_moves.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorResult,
  type CoordinatorState,
  heldBy,
} from "./coordinator_state.ts";

export function stepCoordinator(
  state: CoordinatorState,
  message: CoordinatorMessage,
  nowMs: number,
): CoordinatorResult {
  if (state.phase === "resigned") return [state, []];
  const effects = [...take(state, message, nowMs)];
  if (state.phase === "gathering" && hasGathered(state, nowMs)) state.phase = "leading";
  effects.push(...advance(state, nowMs));
  return [state, effects];
}

/** Follows any message: makes a decision that is due, and the write that waits. */
function advance(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (state.phase !== "leading") return [];
  const effects: CoordinatorEffect[] = [];
  const isBusy = state.isStoreAway || state.writing !== undefined || state.isReading;
  if (state.triggers.length > 0 && !isBusy) {
    const waitsMs = (state.decideAtMs ?? nowMs) - nowMs;
    if (waitsMs <= 0) effects.push(...decide(state, nowMs));
    else if (Number.isFinite(waitsMs)) {
      effects.push({ type: "wait", delayMs: waitsMs, message: { type: "decide_due" } });
    }
  }
  effects.push(...writeNext(state, nowMs));
  if (state.membersChanged) effects.push(...tellAll(state, [], []));
  return effects;
}

/** O3. */
function hasGathered(state: CoordinatorState, nowMs: number): boolean {
  if (nowMs >= state.gatherUntilMs) return true;
  return [...state.members.values()].every(({ hasReported, isUnregistered }) => hasReported || isUnregistered);
}

function take(state: CoordinatorState, message: CoordinatorMessage, nowMs: number): readonly CoordinatorEffect[] {
  switch (message.type) {
    case "view":
      return takeView(state, message.view, nowMs);
    case "store_away":
      state.isStoreAway = true;
      return [];
    case "link":
      return takeLink(state, message.event, nowMs);
    case "written":
      return written(state, message.version, nowMs);
    case "write_failed":
      return writeFailed(state, message.error);
    case "table_read":
      return tableRead(state, message.table, nowMs);
    case "begin":
      return [...begin(state, nowMs), tickLater];
    case "tick":
      return tick(state, nowMs);
    case "decide_due":
      return [];
    case "report":
    case "released":
    case "claimed":
    case "loads":
    case "leaving":
    case "asked":
      return fromMember(state, message, nowMs);
  }
}

/** Declares the members dead that were lost before this term began, and asks the others for their reports. */
function begin(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  return [...state.members.values()].flatMap((known) => {
    const { node, incarnation } = known.member;
    if (known.link === "refused" || known.link === "silent") {
      return takeLink(state, { kind: known.link, node, incarnation }, nowMs);
    }
    return [reportAgain(state, known)];
  });
}

const tickLater: CoordinatorEffect = { type: "wait", delayMs: COORDINATOR_LIMITS.tickMs, message: { type: "tick" } };

function tick(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (state.phase !== "leading") return [tickLater];
  forceOverdue(state, nowMs);
  for (const known of state.members.values()) {
    if (!known.isOnProbation || nowMs < known.eligibleAtMs) continue;
    known.isOnProbation = false;
    known.member = { ...known.member, probationMs: 0 };
    if (known.hasReported) trigger(state, { kind: "joined", node: known.member.node }, nowMs);
  }
  return [...buryUnregistered(state, nowMs), ...repeatOrders(state, nowMs), ...tellRates(state, nowMs), tickLater];
}

// The table -----------------------------------------------------------------------------------------------------------

/** O1. */
function writeFailed(state: CoordinatorState, error: Error): readonly CoordinatorEffect[] {
  if (state.writing === undefined || state.isReading) return [];
  if (error instanceof FencedError) return stepDown(state, "superseded", error.message);
  state.isReading = true;
  return [{ type: "read_table" }];
}

function tableRead(
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

// Messages of members -------------------------------------------------------------------------------------------------

function fromMember(state: CoordinatorState, message: ToCoordinator, nowMs: number): readonly CoordinatorEffect[] {
  if (message.leaderEpoch !== state.leader.leaderEpoch) return []; // sent in another term: the member reports again in this one
  const known = state.members.get(message.from.node);
  if (known === undefined || !isSameLife(known.member, message.from)) {
    return message.type === "report" ? [{ type: "look" }] : []; // it may have joined since the last look
  }
  switch (message.type) {
    case "report":
      return report(state, message.from.node, message.holdings, nowMs);
    case "released":
      released(state, message.from, message.partition, message.grant, nowMs);
      return [];
    case "claimed":
      return claimed(state, message);
    case "loads":
      takeLoads(state, message.loads);
      state.rates.set(message.from.node, ratesOf(message.from.node, message.loads));
      lookAtSkew(state, nowMs);
      return [];
    case "leaving":
      known.isLeaving = true;
      return [];
    case "asked":
      return asked(state, message, nowMs);
  }
}

function report(
  state: CoordinatorState,
  node: ToCoordinator["from"]["node"],
  holdings: readonly Holding[],
  nowMs: number,
): readonly CoordinatorEffect[] {
  const known = state.members.get(node);
  if (known === undefined) return [];
  const life = { node, incarnation: known.member.incarnation };
  const isFirst = !known.hasReported;
  known.hasReported = true;
  if (known.link === "unknown") known.link = "up";
  if (isFirst && state.phase === "leading") trigger(state, { kind: "joined", node }, nowMs);
  const learned: [PartitionName, number][] = [];
  for (const { partition, phase, epoch } of holdings) {
    const entry = state.table.get(partition);
    if (phase !== "owned" || epoch === undefined || !isSameLife(entry?.holder, life)) continue;
    if (state.epochs.get(partition) !== epoch) learned.push([partition, epoch]);
    state.epochs.set(partition, epoch);
    state.toldToTake.delete(partition);
  }
  // A member whose actor was restarted has forgotten the partitions of its node.
  const reported = new Set(holdings.map(({ partition }) => partition));
  const theirs = [...heldBy(state, life)].filter(
    ({ partition, next }) => next !== undefined || !state.epochs.has(partition) || !reported.has(partition),
  );
  const expected = [...state.table.values()].filter(
    ({ next, holder }) => isSameLife(next, life) && !isSameLife(holder, life),
  );
  for (const { partition } of theirs) state.toldToTake.set(partition, nowMs);
  // The member hands over partitions that the table gives to other lives. Its answer to that changes nothing.
  const astray = holdings.flatMap(({ partition, grant, phase }): readonly Order[] => {
    const entry = state.table.get(partition);
    if (isSameLife(entry?.holder, life)) return [];
    if (phase === "expecting" || grant === undefined) {
      return isSameLife(entry?.next, life) ? [] : [{ kind: "forget", partition }];
    }
    const to = entry?.holder ?? state.leader;
    return [{ kind: "hand_over", partition, grant, to, withinMs: state.times.drainWithinMs }];
  });
  return [
    // Members that reported earlier do not know these epochs either.
    ...(learned.length === 0 ? [] : tellAll(state, [], learned)),
    ...tellWhole(state, node),
    ...ordersOf(state, theirs),
    // The holders are not told again.
    ...tellOrders(
      state,
      life,
      expected.map(({ partition }) => ({ kind: "expect", partition })),
    ),
    ...tellOrders(state, life, astray),
  ];
}

function claimed(
  state: CoordinatorState,
  { from, partition, grant, epoch }: Extract<ToCoordinator, { type: "claimed" }>,
): readonly CoordinatorEffect[] {
  const entry = state.table.get(partition);
  const isCurrent = entry?.grant?.leaderEpoch === grant.leaderEpoch && entry.grant.tableVersion === grant.tableVersion;
  if (!isCurrent || !isSameLife(entry?.holder, from)) return [];
  state.toldToTake.delete(partition);
  state.epochs.set(partition, epoch);
  return tellAll(state, [], [[partition, epoch]]);
}

const ratesOf = (node: NodeId, loads: readonly PartitionLoad[]): NodeRates => ({
  node,
  recordsPerSecond: loads.reduce((sum, one) => sum + one.recordsPerSecond, 0),
  bytesPerSecond: loads.reduce((sum, one) => sum + one.bytesPerSecond, 0),
});

function takeLoads(state: CoordinatorState, loads: readonly PartitionLoad[]): void {
  const { loadSmoothing } = COORDINATOR_LIMITS;
  for (const { partition, bytesPerSecond, recordsPerSecond, cpu } of loads) {
    const before = state.loads.get(partition);
    const smooth = (was: number | undefined, is: number) => (was === undefined ? is : was + (is - was) * loadSmoothing);
    state.loads.set(partition, {
      bytes: smooth(before?.bytes, bytesPerSecond),
      records: smooth(before?.records, recordsPerSecond),
      cpu: smooth(before?.cpu, cpu),
    });
  }
}

function asked(
  state: CoordinatorState,
  { command, from }: Extract<ToCoordinator, { type: "asked" }>,
  nowMs: number,
): readonly CoordinatorEffect[] {
  const text = command.kind === "rebalance" ? "a rebalance" : `to ${command.kind} ${command.node}`;
  const note: CoordinatorEffect = { type: "note", level: "info", text: `${nameOfLife(from)} was asked ${text}` };
  if (command.kind === "rebalance") {
    trigger(state, { kind: "asked" }, nowMs);
    return [note];
  }
  const known = state.members.get(command.node);
  if (known === undefined) return [];
  const isDraining = command.kind === "drain";
  if (known.member.isDraining !== isDraining) {
    known.member = { ...known.member, isDraining };
    known.isDrainingAsked = isDraining;
    state.membersChanged = true;
    trigger(state, isDraining ? { kind: "draining", node: command.node } : { kind: "asked" }, nowMs);
  }
  return [note, { type: "set_draining", node: command.node, isDraining }];
}
