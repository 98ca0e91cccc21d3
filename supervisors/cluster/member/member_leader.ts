/** The member machine's leader: which leader it follows, the other members, and when it stands itself (M1, M2, M5). */
import type { LinkEvent } from "../../../actors/transport/transport.ts";
import { isSameLife, type Leader, type Life, type Member, type TableEntry } from "../cluster.ts";
import type { ElectionOutcome, StoreView } from "../leases/lease_store.ts";
import { hasHeirs, leftAlone } from "./member_leaving.ts";
import { type MemberEffect, type MemberState, ofLife } from "./member_state.ts";
import { forgetAsked, greet } from "./member_words.ts";

/** Members stand one after the other, in the order of names, so that not all call the store at once. */
const STAND_APART_MS = 20;
const STAND_APART_MAX_MS = 1_000;

export function viewed(state: MemberState, view: StoreView, nowMs: number): readonly MemberEffect[] {
  state.isStoreAway = false;
  state.heardAtMs = nowMs;
  state.leaseExpiresAtMs = view.leaseExpiresInMs === undefined ? undefined : nowMs + view.leaseExpiresInMs;
  const effects: MemberEffect[] = [...noteMembers(state, view.members, nowMs)];
  if (view.leader !== undefined && isNewer(state, view.leader)) {
    if (follow(state, view.leader, nowMs)) effects.push(...stopLeadingIfOther(state), ...greet(state));
  }
  if (view.leader === undefined || (view.leaseExpiresInMs ?? 0) < 0)
    effects.push(...standSoon(state, undefined, nowMs));
  return effects;
}

const isNewer = ({ leader }: MemberState, { leaderEpoch }: Leader): boolean => leaderEpoch > (leader?.leaderEpoch ?? 0);

/** Follows the leader. False if its term is lower than the highest seen (M1). */
export function follow(state: MemberState, leader: Leader, nowMs: number): boolean {
  if (leader.leaderEpoch < (state.leader?.leaderEpoch ?? 0)) return false;
  state.leader = leader;
  state.heardAtMs = nowMs;
  return true;
}

/** The effects of any message of a coordinator, by its sender alone; undefined if its term is lower (M1). */
export function hearLeader(state: MemberState, leader: Leader, nowMs: number): readonly MemberEffect[] | undefined {
  const isFirst = isNewer(state, leader);
  if (!follow(state, leader, nowMs)) return undefined;
  // M2: a restarted member may hear of its leader first by a message to all members. It reports then, to be sent the table.
  return [...stopLeadingIfOther(state), ...(isFirst ? greet(state) : [])];
}

function stopLeadingIfOther(state: MemberState): readonly MemberEffect[] {
  if (!state.isLeading || isSameLife(state.leader, state.self)) return [];
  state.isLeading = false;
  return [{ type: "stop_leading" }];
}

export function noteMembers(state: MemberState, members: readonly Member[], nowMs: number): readonly MemberEffect[] {
  const before = state.members;
  state.members = new Map(members.map((member) => [member.node, member]));
  forgetAsked(state, nowMs);
  const isNews = (life: Life | undefined) =>
    life !== undefined && ofLife(state, life) !== undefined && !isSameLife(before.get(life.node), life);
  const news = [...state.table.values()]
    .filter(({ holder, next }) => isNews(holder) || isNews(next))
    .map((entry) => pointTo(state, entry));
  const others = members.filter(({ node }) => node !== state.self.node);
  return [{ type: "keep_links", members: others }, ...news, ...(hasHeirs(state) ? [] : leftAlone(state))];
}

/** Directs requests to the partition's holder; on the holder itself, to the next life that the partition moves to. */
export function pointTo(state: MemberState, { partition, holder, next }: TableEntry): MemberEffect {
  const at = isSameLife(holder, state.self) ? next : holder;
  const owner = at === undefined || isSameLife(at, state.self) ? undefined : ofLife(state, at);
  return { type: "point_to", partition, owner };
}

export function takeLink(state: MemberState, event: LinkEvent, nowMs: number): readonly MemberEffect[] {
  state.links.set(event.node, { incarnation: event.incarnation, state: event.kind });
  const { leader } = state;
  if (leader === undefined || !isSameLife(leader, event) || state.isLeading) return [];
  switch (event.kind) {
    case "up":
      return greet(state);
    case "closed":
      return [];
    case "refused":
      return standSoon(state, leader.leaderEpoch, nowMs); // M5
    case "silent":
      return [{ type: "look" }];
  }
}

function standSoon(state: MemberState, insteadOf: number | undefined, nowMs: number): readonly MemberEffect[] {
  if (state.isStanding || state.isLeading || state.phase !== "member") return [];
  state.isStanding = true;
  const names = [...state.members.keys()].filter((node) => node !== state.leader?.node).sort();
  const apartMs = Math.min(Math.max(0, names.indexOf(state.self.node)) * STAND_APART_MS, STAND_APART_MAX_MS);
  const delayMs = Math.max(apartMs, state.standNotBeforeMs - nowMs);
  return [{ type: "wait", delayMs, message: { type: "stand_due", insteadOf } }];
}

export function standNow(state: MemberState, insteadOf: number | undefined, nowMs: number): readonly MemberEffect[] {
  const isNeeded = insteadOf === undefined || state.leader?.leaderEpoch === insteadOf;
  if (!state.isStanding || !isNeeded || state.isLeading || nowMs < state.standNotBeforeMs) {
    state.isStanding = false;
    return [];
  }
  return [{ type: "stand", insteadOf }];
}

export function stood(state: MemberState, outcome: ElectionOutcome, nowMs: number): readonly MemberEffect[] {
  state.isStanding = false;
  if (outcome.kind === "held") {
    state.leaseExpiresAtMs = nowMs + outcome.leaseExpiresInMs;
    return isNewer(state, outcome.leader) && follow(state, outcome.leader, nowMs) ? greet(state) : [];
  }
  const leader: Leader = { ...state.self, leaderEpoch: outcome.leaderEpoch };
  if (!follow(state, leader, nowMs)) return [];
  state.isLeading = true;
  return [{ type: "lead", leader, links: new Map(state.links) }, ...greet(state)];
}

export function steppedDown(
  state: MemberState,
  because: "superseded" | "cut_off" | "failed",
  nowMs: number,
): readonly MemberEffect[] {
  state.isLeading = false;
  if (because === "cut_off") state.standNotBeforeMs = nowMs + 2 * state.times.leaseMs;
  return [{ type: "look" }];
}
