/** What a member says to its coordinator. */
import type { Grant } from "../../actors/log/log.ts";
import type { Leader, PartitionName, ToCoordinator } from "./cluster.ts";
import type { Held, MemberEffect, MemberState } from "./member_state.ts";

/** M2: its first words to a coordinator. One that leaves says so to each. */
export const greet = (state: MemberState): readonly MemberEffect[] => [
  report(state),
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

export const askToDrain = (state: MemberState): readonly MemberEffect[] =>
  tellLeader(state, ({ leaderEpoch }) => ({
    type: "asked",
    from: state.self,
    leaderEpoch,
    command: { kind: "drain", node: state.self.node },
  }));
