/**
 * One life of a node as a member of its cluster: which leader it follows, which partitions it holds, and when it stands for
 * coordinator. Leaves assignments to the coordinator, and partitions to their supervisors.
 *   M1. An order is carried out only if it is for this life, and of the highest term seen (E20).
 *   M2. A member first reports all its holdings to each coordinator, then each change.
 *   M3. Every order is answered, and a repeated order is answered alike.
 *   M4. A partition that the table gives to another life is dropped, even without an order: its appends would be refused.
 *   M5. A member stands when no node leads, when the lease has expired, or at once when the leader's port refuses (E20). A
 *       member that stepped down, as it may be cut off, lets the others stand first.
 *   M6. A member gives up nothing while the store is away: only the coordinator judges expiry (E21).
 *   M7. A life that the registry no longer knows is over: its node begins another life.
 *   M8. A person's command to drain or undrain a node is sent again to each coordinator that the member greets. It ends when
 *       the members show the command carried out, or after 10 s: a link may break while the command is under way.
 */
import { compareGrants } from "../cluster.ts";
import { follow, standNow, steppedDown, stood, takeLink, viewed } from "./member_leader.ts";
import { end, leave } from "./member_leaving.ts";
import { letGo, owned, takeOrders, takeTable } from "./member_orders.ts";
import {
  hasLinkToLeader,
  type MemberEffect,
  type MemberMessage,
  type MemberResult,
  type MemberState,
} from "./member_state.ts";
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
      // If the partition was granted back meanwhile, the tree carries out that order next.
      const isAsked = state.holdings.get(message.partition)?.phase === "handing_over";
      return isAsked ? letGo(state, message.partition) : [];
    }
    case "superseded": {
      // If the partition was granted again meanwhile, the tree carries out that order next.
      const grant = state.holdings.get(message.partition)?.grant;
      const isMeant = grant !== undefined && compareGrants(grant, message.grant) <= 0;
      return isMeant ? letGo(state, message.partition) : [];
    }
    case "loads":
      return tellLeader(state, { type: "loads", loads: message.loads });
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

/** Looks more often while the leader is not linked, as only the store then tells which node leads. */
const lookLater = (state: MemberState): MemberEffect => ({
  type: "wait",
  delayMs: state.isLeading || !hasLinkToLeader(state) ? state.times.lookEveryMs : state.times.renewEveryMs,
  message: { type: "look_due" },
});
