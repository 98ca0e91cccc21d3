/** The messages of a member to its coordinator. */
import type { Grant } from "../../../actors/log/log.ts";
import type { ClusterCommand, FromMember, PartitionName } from "../cluster.ts";
import type { Held, MemberEffect, MemberState } from "./member_state.ts";

/** A command is repeated for this long. After that the person must give it again, as later commands may contradict it. */
const ASKED_FOR_MS = 10_000;

/** The first messages to a coordinator: the report (M2), commands that may not have arrived (M8), and a pending leave. */
export const greet = (state: MemberState): readonly MemberEffect[] => [
  ...tellLeader(state, {
    type: "report",
    holdings: [...state.holdings].map(([partition, { phase, grant, epoch }]) => ({ partition, phase, grant, epoch })),
  }),
  ...[...state.asked.values()].flatMap(({ command }) => askFor(state, command)),
  ...(state.phase === "leaving" ? askToDrain(state) : []),
];

/** A member without a leader tells nobody: it reports everything to the next one (M2). */
export function tellLeader({ leader, self }: MemberState, said: FromMember): readonly MemberEffect[] {
  if (leader === undefined) return [];
  const { node, leaderEpoch } = leader;
  return [{ type: "tell_coordinator", node, message: { ...said, from: self, leaderEpoch } }];
}

export const released = (state: MemberState, partition: PartitionName, grant: Grant): readonly MemberEffect[] =>
  tellLeader(state, { type: "released", partition, grant });

export function claimed(state: MemberState, partition: PartitionName, { grant, epoch }: Held): readonly MemberEffect[] {
  if (grant === undefined || epoch === undefined) return [];
  return tellLeader(state, { type: "claimed", partition, grant, epoch });
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
  tellLeader(state, { type: "asked", command });
