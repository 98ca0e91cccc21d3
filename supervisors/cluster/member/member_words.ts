/** The messages of a member to its coordinator. */
import type { Grant } from "../../../actors/log/log.ts";
import type { ClusterCommand, Leader, PartitionName, ToCoordinator } from "../cluster.ts";
import type { Held, MemberEffect, MemberState } from "./member_state.ts";

/** A command is repeated for this long. After that the person must give it again, as later commands may contradict it. */
const ASKED_FOR_MS = 10_000;

/** The first messages to a coordinator: the report (M2), commands that may not have arrived (M8), and a pending leave. */
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

/** Sends a person's command to the coordinator, and remembers it for the next coordinator (M8). */
export function takeCommand(state: MemberState, command: ClusterCommand, nowMs: number): readonly MemberEffect[] {
  if ("node" in command) state.asked.set(command.node, { command, untilMs: nowMs + ASKED_FOR_MS });
  return askFor(state, command);
}

/** Forgets commands that the members show carried out, or that are too old (M8). */
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
