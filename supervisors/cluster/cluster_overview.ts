/** Makes the overview that people and programs see from the state of a member. Pure. */
import { partitionId } from "../../protocols/position.ts";
import { isSameLife, type Member, type PartitionName, partitionOfName, type TableEntry } from "./cluster.ts";
import { hasLinkToLeader, type MemberState } from "./member/member_state.ts";
import type { ClusterOverview, MoveOverview, NodeOverview, PartitionOverview } from "./overview.ts";

/** @param partitions all partitions of the configuration, in order */
export function overviewOf(state: MemberState, partitions: readonly PartitionName[], nowMs: number): ClusterOverview {
  const { leader } = state;
  const described = partitions.map((name) => partitionOf(state, name));
  const owned = new Map<string, number>();
  for (const { owner, state: is } of described) {
    if (owner !== undefined && is !== "claiming") owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  return {
    node: state.self.node,
    coordinator: leader === undefined ? undefined : { node: leader.node, leaderEpoch: leader.leaderEpoch },
    tableVersion: state.tableVersion,
    ageMs: ageOf(state, nowMs),
    nodes: [...state.members.values()]
      .map((member) => nodeOf(state, member, owned.get(member.node) ?? 0))
      .sort((left, right) => (left.name < right.name ? -1 : 1)),
    partitions: described,
    moves: [...state.table.values()].flatMap(moveOf),
  };
}

/** Age in ms: 0 while the leader is linked, as a link brings every change at once; else since leader or store was heard of. */
export const ageOf = (state: MemberState, nowMs: number): number =>
  hasLinkToLeader(state) ? 0 : Math.max(0, nowMs - state.heardAtMs);

function nodeOf(state: MemberState, member: Member, partitions: number): NodeOverview {
  const { profile } = member;
  const rates = state.rates.get(member.node);
  return {
    name: member.node,
    incarnation: member.incarnation,
    state: stateOf(state, member),
    isCoordinator: isSameLife(member, state.leader),
    zone: profile.zone,
    address: profile.clientAddress,
    version: profile.version,
    partitions,
    recordsPerSecond: rates?.recordsPerSecond,
    bytesPerSecond: rates?.bytesPerSecond,
  };
}

function stateOf({ self, links }: MemberState, member: Member): NodeOverview["state"] {
  const link = links.get(member.node);
  const isLinked = isSameLife(self, member) || (link?.incarnation === member.incarnation && link.state === "up");
  if (!isLinked) return member.expiresInMs < 0 ? "expired" : link?.state === "silent" ? "silent" : "away";
  if (member.isDraining) return "draining";
  return member.probationMs > 0 ? "probation" : "ready";
}

export function partitionOf(state: MemberState, name: PartitionName): PartitionOverview {
  const { stream, partition } = partitionOfName(name);
  const entry = state.table.get(name);
  // A node knows the epochs of its own partitions before the coordinator does.
  const held = state.holdings.get(name);
  const isOurs = isSameLife(entry?.holder, state.self);
  const epoch = isOurs ? held?.epoch : state.epochs.get(name);
  return {
    stream,
    partition: partitionId(partition),
    owner: entry?.holder?.node,
    state:
      entry?.holder === undefined
        ? "unassigned"
        : entry.next !== undefined
          ? "handing_over"
          : epoch === undefined
            ? "claiming"
            : "owned",
    epoch,
  };
}

function moveOf({ partition: name, holder, next, reason }: TableEntry): readonly MoveOverview[] {
  if (next === undefined) return [];
  const { stream, partition } = partitionOfName(name);
  return [{ stream, partition, from: holder?.node, to: next.node, reason }];
}
