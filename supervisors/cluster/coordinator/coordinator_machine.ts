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
import { buryUnregistered, drainWritten, reportAgain, takeLink, takeView, trigger } from "./coordinator_members.ts";
import { repeatOrders, tellAll, tellRates } from "./coordinator_orders.ts";
import { fromMember } from "./coordinator_reports.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorResult,
  type CoordinatorState,
} from "./coordinator_state.ts";
import { forceOverdue, tableRead, writeFailed, writeNext, written } from "./coordinator_table.ts";
import { decide } from "./coordinator_target.ts";

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
    case "drain_written":
      drainWritten(state, message.node, message.isDraining);
      return [];
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
