/**
 * The coordinator machine's answers to members: reports of holdings, claims, loads, and commands of people. A message from another
 * term, or from a life that is not a member, changes nothing.
 */
import type { NodeId } from "../../../protocols/position.ts";
import {
  compareGrants,
  type Holding,
  isSameLife,
  lifeOf,
  type NodeRates,
  nameOfLife,
  type Order,
  type PartitionLoad,
  type PartitionName,
  type ToCoordinator,
} from "../cluster.ts";
import { trigger } from "./coordinator_members.ts";
import { ordersOf, tellAll, tellOrders, tellWhole } from "./coordinator_orders.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorState,
  heldBy,
  type KnownMember,
} from "./coordinator_state.ts";
import { released } from "./coordinator_table.ts";
import { lookAtSkew } from "./coordinator_target.ts";

export function fromMember(
  state: CoordinatorState,
  message: ToCoordinator,
  nowMs: number,
): readonly CoordinatorEffect[] {
  if (message.leaderEpoch !== state.leader.leaderEpoch) return []; // sent in another term: the member reports again in this one
  const known = state.members.get(message.from.node);
  if (known === undefined || !isSameLife(known.member, message.from)) {
    return message.type === "report" ? [{ type: "look" }] : []; // it may have joined since the last look
  }
  switch (message.type) {
    case "report":
      return report(state, known, message.holdings, nowMs);
    case "released":
      released(state, message.from, message.partition, message.grant, nowMs);
      return [];
    case "claimed":
      return claimed(state, message);
    case "loads":
      takeLoads(state, message.loads);
      state.rates.set(message.from.node, ratesOf(message.from.node, message.loads));
      lookAtSkew(state, nowMs);
      return [];
    case "leaving":
      known.isLeaving = true;
      return [];
    case "asked":
      return asked(state, message, nowMs);
  }
}

function report(
  state: CoordinatorState,
  known: KnownMember,
  holdings: readonly Holding[],
  nowMs: number,
): readonly CoordinatorEffect[] {
  const life = lifeOf(known.member);
  const { node } = life;
  const isFirst = !known.hasReported;
  known.hasReported = true;
  if (known.link === "unknown") known.link = "up";
  if (isFirst && state.phase === "leading") trigger(state, { kind: "joined", node }, nowMs);
  const learned: [PartitionName, number][] = [];
  for (const { partition, phase, epoch } of holdings) {
    const entry = state.table.get(partition);
    if (phase !== "owned" || epoch === undefined || !isSameLife(entry?.holder, life)) continue;
    if (state.epochs.get(partition) !== epoch) learned.push([partition, epoch]);
    state.epochs.set(partition, epoch);
    state.toldToTake.delete(partition);
  }
  // A member whose actor was restarted has forgotten the partitions of its node.
  const reported = new Set(holdings.map(({ partition }) => partition));
  const theirs = [...heldBy(state, life)].filter(
    ({ partition, next }) => next !== undefined || !state.epochs.has(partition) || !reported.has(partition),
  );
  const expected = [...state.table.values()].filter(
    ({ next, holder }) => isSameLife(next, life) && !isSameLife(holder, life),
  );
  for (const { partition } of theirs) state.toldToTake.set(partition, nowMs);
  // The member hands over partitions that the table gives to other lives. Its answer to that changes nothing.
  const astray = holdings.flatMap(({ partition, grant, phase }): readonly Order[] => {
    const entry = state.table.get(partition);
    if (isSameLife(entry?.holder, life)) return [];
    if (phase === "expecting" || grant === undefined) {
      return isSameLife(entry?.next, life) ? [] : [{ kind: "forget", partition }];
    }
    const to = entry?.holder ?? state.leader;
    return [{ kind: "hand_over", partition, grant, to, withinMs: state.times.drainWithinMs }];
  });
  return [
    // Members that reported earlier do not know these epochs either.
    ...(learned.length === 0 ? [] : tellAll(state, [], learned)),
    ...tellWhole(state, node),
    ...ordersOf(state, theirs),
    // The holders are not told again.
    ...tellOrders(
      state,
      life,
      expected.map(({ partition }) => ({ kind: "expect", partition })),
    ),
    ...tellOrders(state, life, astray),
  ];
}

function claimed(
  state: CoordinatorState,
  { from, partition, grant, epoch }: Extract<ToCoordinator, { type: "claimed" }>,
): readonly CoordinatorEffect[] {
  const entry = state.table.get(partition);
  const isCurrent = entry?.grant !== undefined && compareGrants(entry.grant, grant) === 0;
  if (!isCurrent || !isSameLife(entry.holder, from)) return [];
  state.toldToTake.delete(partition);
  state.epochs.set(partition, epoch);
  return tellAll(state, [], [[partition, epoch]]);
}

const ratesOf = (node: NodeId, loads: readonly PartitionLoad[]): NodeRates => ({
  node,
  recordsPerSecond: loads.reduce((sum, one) => sum + one.recordsPerSecond, 0),
  bytesPerSecond: loads.reduce((sum, one) => sum + one.bytesPerSecond, 0),
});

function takeLoads(state: CoordinatorState, loads: readonly PartitionLoad[]): void {
  const { loadSmoothing } = COORDINATOR_LIMITS;
  for (const { partition, bytesPerSecond, recordsPerSecond, cpu } of loads) {
    const before = state.loads.get(partition);
    const smooth = (was: number | undefined, is: number) => (was === undefined ? is : was + (is - was) * loadSmoothing);
    state.loads.set(partition, {
      bytes: smooth(before?.bytes, bytesPerSecond),
      records: smooth(before?.records, recordsPerSecond),
      cpu: smooth(before?.cpu, cpu),
    });
  }
}

function asked(
  state: CoordinatorState,
  { command, from }: Extract<ToCoordinator, { type: "asked" }>,
  nowMs: number,
): readonly CoordinatorEffect[] {
  const text = command.kind === "rebalance" ? "a rebalance" : `to ${command.kind} ${command.node}`;
  const note: CoordinatorEffect = { type: "note", level: "info", text: `${nameOfLife(from)} was asked ${text}` };
  if (command.kind === "rebalance") {
    trigger(state, { kind: "asked" }, nowMs);
    return [note];
  }
  const known = state.members.get(command.node);
  if (known === undefined) return [];
  const isDraining = command.kind === "drain";
  known.drainAsked = { isDraining, isWritten: false };
  if (known.member.isDraining !== isDraining) {
    known.member = { ...known.member, isDraining };
    state.membersChanged = true;
    trigger(state, isDraining ? { kind: "draining", node: command.node } : { kind: "asked" }, nowMs);
  }
  return [note, { type: "set_draining", node: command.node, isDraining }];
}
