/**
 * One life of a node as a member of its cluster: whom it follows, what it holds, and when it stands for coordinator. Leaves
 * who gets what to the coordinator, and partitions to their supervisors.
 *   M1. An order is carried out only for this life, and only of the highest term seen (E20).
 *   M2. Each coordinator is first told all that this life holds; then what changes.
 *   M3. Every order is answered, and answered alike when it comes again.
 *   M4. What the table gives to another life is let go of, whoever forgot to order it: its appends would be refused.
 *   M5. A member stands when nobody leads, when the lease has expired, or at once when the leader's port refuses (E20). One
 *       that stepped down because it may be cut off lets the others stand first.
 *   M6. While the store is away nothing is given up: expiry is the coordinator's to judge (E21).
 *   M7. A life that the registry does not know any more is over: whoever runs it begins another.
 *   M8. What was asked of this node to be said to the coordinator is said again to each that it greets, until it is seen to be
 *       so: a link may break behind it.
 */
import { compareGrants } from "../cluster.ts";
import { follow, standNow, steppedDown, stood, takeLink, viewed } from "./member_leader.ts";
import { end, leave } from "./member_leaving.ts";
import { letGo, owned, takeOrders, takeTable } from "./member_orders.ts";
import type { MemberEffect, MemberMessage, MemberResult, MemberState } from "./member_state.ts";
import { greet, takeCommand, tellLeader } from "./member_words.ts";

export function stepMember(state: MemberState, message: MemberMessage, nowMs: number): MemberResult {
  return [state, state.phase === "over" ? [] : take(state, message, nowMs)];
}

function take(state: MemberState, message: MemberMessage, nowMs: number): readonly MemberEffect[] {
  const { times } = state;
  switch (message.type) {
    case "begin":
      return [{ type: "look" }, { type: "wait", delayMs: times.renewEveryMs, message: { type: "renew_due" } }];
    case "look_due":
      return [{ type: "look" }];
    case "viewed":
      return [...viewed(state, message.view, nowMs), lookLater(state)];
    case "look_failed":
      state.isStoreAway = true;
      return [lookLater(state)];
    case "renew_due":
      return [{ type: "renew" }];
    case "renewed":
      return message.isKnown ? [renewLater(state)] : end(state);
    case "renew_failed":
      return [renewLater(state)]; // M6
    case "stand_due":
      return standNow(state, message.insteadOf, nowMs);
    case "stood":
      return stood(state, message.outcome, nowMs);
    case "stand_failed":
      state.isStanding = false;
      return [];
    case "stepped_down":
      return steppedDown(state, message.because, nowMs);
    case "link":
      return takeLink(state, message.event, nowMs);
    case "orders":
      return takeOrders(state, message, nowMs);
    case "table":
      return takeTable(state, message, nowMs);
    case "report_again":
      return follow(state, message.leader, nowMs) ? greet(state) : [];
    case "owned":
      return owned(state, message.partition, message.epoch);
    case "let_go": {
      // Where it was given back meanwhile, the tree has that order too, behind the one that it has just carried out.
      const isAsked = state.holdings.get(message.partition)?.phase === "handing_over";
      return isAsked ? letGo(state, message.partition) : [];
    }
    case "superseded": {
      // Where it was granted again meanwhile, the tree has that order too, behind what it says here.
      const grant = state.holdings.get(message.partition)?.grant;
      const isMeant = grant !== undefined && compareGrants(grant, message.grant) <= 0;
      return isMeant ? letGo(state, message.partition) : [];
    }
    case "loads":
      return tellLeader(state, ({ leaderEpoch }) => ({
        type: "loads",
        from: state.self,
        leaderEpoch,
        loads: message.loads,
      }));
    case "command":
      return takeCommand(state, message.command, nowMs);
    case "leave":
      return leave(state);
  }
}

const renewLater = ({ times }: MemberState): MemberEffect => ({
  type: "wait",
  delayMs: times.renewEveryMs,
  message: { type: "renew_due" },
});

/** Often while no leader is linked: the store then tells who leads. */
const lookLater = (state: MemberState): MemberEffect => ({
  type: "wait",
  delayMs: state.isLeading || !hasLinkToLeader(state) ? state.times.lookEveryMs : state.times.renewEveryMs,
  message: { type: "look_due" },
});

function hasLinkToLeader({ leader, links, isLeading }: MemberState): boolean {
  if (leader === undefined) return false;
  const link = links.get(leader.node);
  return isLeading || (link?.incarnation === leader.incarnation && link.state === "up");
}
