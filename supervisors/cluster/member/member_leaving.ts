/** The member machine's end: a node that leaves in order, and a life that the registry does not know any more (M7). */
import type { MemberEffect, MemberState } from "./member_state.ts";
import { askToDrain, tellLeader } from "./member_words.ts";

export function leave(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "member") return [];
  state.phase = "leaving";
  if (!hasHeirs(state)) return leftAlone(state);
  return [...askToDrain(state), ...leftIfEmpty(state)];
}

/** There is a node that may take over what this one leaves. */
export const hasHeirs = ({ members, self }: MemberState): boolean =>
  [...members.values()].some(({ node, isDraining }) => node !== self.node && !isDraining);

/** What nobody can take over ends with the node. */
export function leftAlone(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving") return [];
  state.holdings.clear();
  return leftIfEmpty(state);
}

export function leftIfEmpty(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving" || state.holdings.size > 0) return [];
  state.phase = "over";
  const leaving = tellLeader(state, ({ leaderEpoch }) => ({ type: "leaving", from: state.self, leaderEpoch }));
  return [...leaving, { type: "left" }];
}

/** M7. */
export function end(state: MemberState): readonly MemberEffect[] {
  state.phase = "over";
  const dropping = [...state.holdings.keys()].map((partition): MemberEffect => ({ type: "drop", partition }));
  state.holdings.clear();
  const leading: MemberEffect[] = state.isLeading ? [{ type: "stop_leading" }] : [];
  state.isLeading = false;
  return [...leading, ...dropping, { type: "over" }];
}
