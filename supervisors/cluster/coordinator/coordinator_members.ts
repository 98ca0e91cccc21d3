/** The coordinator machine's members: which lives are present, and which are dead (E20, E21). */
import type { LinkEvent } from "../../../actors/transport/transport.ts";
import type { NodeId } from "../../../protocols/position.ts";
import { isSameLife, lifeOf, type Member, nameOfLife, type Trigger } from "../cluster.ts";
import type { StoreView } from "../leases/lease_store.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorState,
  isBeingGranted,
  type KnownMember,
  knownMember,
} from "./coordinator_state.ts";

/** Takes a look at the registry: adds new lives, and marks lives whose registration is gone. */
export function takeView(state: CoordinatorState, view: StoreView, nowMs: number): readonly CoordinatorEffect[] {
  if (view.leader !== undefined && view.leader.leaderEpoch > state.leader.leaderEpoch) {
    return stepDown(state, "superseded", `term ${view.leader.leaderEpoch} has begun at ${nameOfLife(view.leader)}`);
  }
  if (state.isStoreAway) {
    state.isStoreAway = false;
    state.expiryCountsFromMs = nowMs + state.times.registrationMs; // E21
  }
  const effects: CoordinatorEffect[] = [];
  const registered = new Set<NodeId>();
  for (const member of view.members) {
    registered.add(member.node);
    if ((state.dead.get(member.node) ?? 0) >= member.incarnation) {
      // The view is older than the death, or the store lost the death with its tail: declaring it again mends the second.
      effects.push({ type: "declare_dead", life: lifeOf(member) });
      continue;
    }
    effects.push(...takeMember(state, member, nowMs));
  }
  for (const [node, known] of state.members) {
    if (!registered.has(node)) known.isUnregistered = true;
  }
  effects.push(...buryUnregistered(state, nowMs));
  return effects;
}

function takeMember(state: CoordinatorState, member: Member, nowMs: number): readonly CoordinatorEffect[] {
  const known = state.members.get(member.node);
  if (known !== undefined && known.member.incarnation > member.incarnation) return [];
  if (known === undefined || known.member.incarnation < member.incarnation) {
    const before = known === undefined ? [] : end(state, known, { kind: "left", node: member.node }, nowMs);
    const added = knownMember(state, member, nowMs);
    state.members.set(member.node, added);
    state.membersChanged = true;
    return [...before, reportAgain(state, added)];
  }
  // A command given here is newer than a look at the store that does not show it yet. Before the command is written, a look
  // that shows it may have begun before an earlier command, whose write can still come.
  const { drainAsked } = known;
  if (drainAsked?.isWritten === true && drainAsked.isDraining === member.isDraining) known.drainAsked = undefined;
  const isDraining = known.drainAsked?.isDraining ?? member.isDraining;
  if (known.member.isDraining !== isDraining) {
    trigger(state, isDraining ? { kind: "draining", node: member.node } : { kind: "asked" }, nowMs);
    state.membersChanged = true;
  }
  known.member = { ...member, isDraining };
  known.isUnregistered = member.expiresInMs < 0;
  if (known.drainAsked === undefined) return [];
  // The write failed, or an earlier write overtook it: it is repeated until the store shows it.
  return [{ type: "set_draining", node: member.node, isDraining }];
}

/** The store has taken a command to drain or undrain a node. */
export function drainWritten({ members }: CoordinatorState, node: NodeId, isDraining: boolean): void {
  const asked = members.get(node)?.drainAsked;
  if (asked?.isDraining === isDraining) asked.isWritten = true;
}

/** Declares unlinked members dead whose registration expired, but not in the first registration period after an outage (E21). */
export function buryUnregistered(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (nowMs < state.expiryCountsFromMs || state.isStoreAway) return [];
  const effects: CoordinatorEffect[] = [];
  for (const known of [...state.members.values()]) {
    if (!known.isUnregistered || known.link === "up" || isSameLife(known.member, state.leader)) continue;
    // A member that is alive after all must not renew its registration: this term counts the member as dead.
    effects.push({ type: "declare_dead", life: lifeOf(known.member) });
    effects.push(...end(state, known, { kind: "expired", node: known.member.node }, nowMs));
  }
  return effects;
}

export function takeLink(state: CoordinatorState, event: LinkEvent, nowMs: number): readonly CoordinatorEffect[] {
  state.links.set(event.node, { incarnation: event.incarnation, state: event.kind });
  const known = state.members.get(event.node);
  if (known === undefined || known.member.incarnation !== event.incarnation) return [];
  known.link = event.kind;
  switch (event.kind) {
    case "up":
      return [reportAgain(state, known)]; // messages that were sent while the link was down may be lost
    case "closed":
      return known.isLeaving ? end(state, known, { kind: "left", node: event.node }, nowMs) : [];
    case "refused":
      return lose(state, known, "crashed", nowMs);
    case "silent":
      return lose(state, known, "silent", nowMs);
  }
}

export const reportAgain = (state: CoordinatorState, { member }: KnownMember): CoordinatorEffect => ({
  type: "tell",
  node: member.node,
  message: { type: "report_again", leader: state.leader },
});

/** The part of the peers that may be lost within `silentAfterMs`, if they are at least two: one loss proves nothing (E20). */
const LOSSES_SHARE_MAX = 1 / 3;
const LOSSES_MIN = 2;

/** A peer was lost. If many are lost at once, this node itself is more likely cut off (E20). */
function lose(
  state: CoordinatorState,
  known: KnownMember,
  kind: "crashed" | "silent",
  nowMs: number,
): readonly CoordinatorEffect[] {
  const { node } = known.member;
  if (known.isLeaving) return end(state, known, { kind: "left", node }, nowMs);
  state.losses.set(node, nowMs);
  for (const [other, lostAtMs] of state.losses) {
    if (lostAtMs < nowMs - state.times.silentAfterMs) state.losses.delete(other);
  }
  const lost = state.losses.size;
  const peers = new Set([...state.members.keys(), ...state.losses.keys()]).size - 1;
  // A successor in its gathering phase acts on the same losses: that a second node sees them proves them.
  if (state.phase === "leading" && lost >= LOSSES_MIN && lost > peers * LOSSES_SHARE_MAX) {
    return stepDown(state, "cut_off", `${lost} of ${peers} nodes were lost at once: this node may be cut off itself`);
  }
  return [
    { type: "declare_dead", life: lifeOf(known.member) },
    { type: "note", level: "warn", text: `${nameOfLife(known.member)} is ${kind}` },
    ...end(state, known, { kind, node }, nowMs),
  ];
}

/** Ends a life: its partitions have no holder any more. */
function end(
  state: CoordinatorState,
  known: KnownMember,
  because: Trigger,
  nowMs: number,
): readonly CoordinatorEffect[] {
  const life = lifeOf(known.member);
  state.members.delete(life.node);
  state.dead.set(life.node, life.incarnation);
  state.membersChanged = true;
  // A partition that it was handing over goes to the planned next life.
  for (const [partition, move] of state.moves) {
    if (!isSameLife(move.from, life)) continue;
    state.moves.delete(partition);
    if (!isBeingGranted(state, partition)) state.granting.set(partition, "released");
  }
  trigger(state, because, nowMs);
  return [];
}

/** Notes a change that may need another assignment, and when to decide. */
export function trigger(state: CoordinatorState, what: Trigger, nowMs: number): void {
  state.triggers.push(what);
  const waitsMs = what.kind === "joined" ? COORDINATOR_LIMITS.gatherJoinsMs : 0;
  state.decideAtMs = Math.min(state.decideAtMs ?? Number.POSITIVE_INFINITY, nowMs + waitsMs);
}

/** Whether the member may hold partitions. A link that is being made again does not matter. */
export const isEligible = (known: KnownMember, nowMs: number): boolean =>
  known.hasReported && !known.isLeaving && !known.member.isDraining && nowMs >= known.eligibleAtMs;

export function stepDown(
  state: CoordinatorState,
  because: "superseded" | "cut_off",
  reason: string,
): readonly CoordinatorEffect[] {
  if (state.phase === "resigned") return [];
  state.phase = "resigned";
  return [{ type: "step_down", because, reason }];
}
