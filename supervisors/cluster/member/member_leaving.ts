/** The member machine's end: a node leaves in order, or the registry no longer knows this life (M7). */
import type { MemberEffect, MemberState } from "./member_state.ts";
import { askToDrain, tellLeader } from "./member_words.ts";

export function leave(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "member") return [];
  state.phase = "leaving";
  if (!hasHeirs(state)) return leftAlone(state);
  return [...askToDrain(state), ...leftIfEmpty(state)];
}

/** Whether another node may take over the partitions of this one. */
export const hasHeirs = ({ members, self }: MemberState): boolean =>
  [...members.values()].some(({ node, isDraining }) => node !== self.node && !isDraining);

/** Ends without a handover, as no other node can take the partitions over. */
export function leftAlone(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving") return [];
  state.holdings.clear();
  return leftIfEmpty(state);
}

export function leftIfEmpty(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving" || state.holdings.size > 0) return [];
  state.phase = "over";
  return [...tellLeader(state, { type: "leaving" }), { type: "left" }];
}

/** The registry no longer knows this life: drops all partitions (M7). */
export function end(state: MemberState): readonly MemberEffect[] {
  state.phase = "over";
  const dropping = [...state.holdings.keys()].map((partition): MemberEffect => ({ type: "drop", partition }));
  state.holdings.clear();
  const leading: MemberEffect[] = state.isLeading ? [{ type: "stop_leading" }] : [];
  state.isLeading = false;
  return [...leading, ...dropping, { type: "over" }];
}
