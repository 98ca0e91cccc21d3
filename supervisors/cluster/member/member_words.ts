/** What a member says to its coordinator. */
import type { Grant } from "../../../actors/log/log.ts";
import type { ClusterCommand, Leader, PartitionName, ToCoordinator } from "../cluster.ts";
import type { Held, MemberEffect, MemberState } from "./member_state.ts";

/** A command that did not arrive by then is somebody's to give again: others may have been given since. */
const ASKED_FOR_MS = 10_000;

/** M2: its first words to a coordinator. One that leaves says so to each, and what was asked for may not have arrived (M8). */
export const greet = (state: MemberState): readonly MemberEffect[] => [
  report(state),
  ...[...state.asked.values()].flatMap(({ command }) => askFor(state, command)),
  ...(state.phase === "leaving" ? askToDrain(state) : []),
];

const report = (state: MemberState): MemberEffect => ({
  type: "tell_coordinator",
  node: (state.leader ?? state.self).node,
  message: {
    type: "report",
    from: state.self,
    leaderEpoch: state.leader?.leaderEpoch ?? 0,
    holdings: [...state.holdings].map(([partition, { phase, grant, epoch }]) => ({ partition, phase, grant, epoch })),
  },
});

export function tellLeader(state: MemberState, message: (leader: Leader) => ToCoordinator): readonly MemberEffect[] {
  const { leader } = state;
  return leader === undefined ? [] : [{ type: "tell_coordinator", node: leader.node, message: message(leader) }];
}

export function released(state: MemberState, partition: PartitionName, grant: Grant): readonly MemberEffect[] {
  return tellLeader(state, ({ leaderEpoch }) => ({
    type: "released",
    from: state.self,
    leaderEpoch,
    partition,
    grant,
  }));
}

export function claimed(state: MemberState, partition: PartitionName, { grant, epoch }: Held): readonly MemberEffect[] {
  if (grant === undefined || epoch === undefined) return [];
  return tellLeader(state, ({ leaderEpoch }) => ({
    type: "claimed",
    from: state.self,
    leaderEpoch,
    partition,
    grant,
    epoch,
  }));
}

/** M8 */
export function takeCommand(state: MemberState, command: ClusterCommand, nowMs: number): readonly MemberEffect[] {
  if ("node" in command) state.asked.set(command.node, { command, untilMs: nowMs + ASKED_FOR_MS });
  return askFor(state, command);
}

/** M8: what came to be, or was asked for too long ago, is not asked for again. */
export function forgetAsked({ asked, members }: MemberState, nowMs: number): void {
  for (const [node, { command, untilMs }] of asked) {
    const isSo = members.get(node)?.isDraining === (command.kind === "drain");
    if (isSo || nowMs > untilMs) asked.delete(node);
  }
}

export const askToDrain = (state: MemberState): readonly MemberEffect[] =>
  askFor(state, { kind: "drain", node: state.self.node });

const askFor = (state: MemberState, command: ClusterCommand): readonly MemberEffect[] =>
  tellLeader(state, ({ leaderEpoch }) => ({ type: "asked", from: state.self, leaderEpoch, command }));
