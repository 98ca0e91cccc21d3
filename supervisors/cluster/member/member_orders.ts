/** The member machine's orders, and the table that they come from (M1, M3, M4). */
import type { Grant } from "../../../actors/log/log.ts";
import {
  compareGrants,
  isSameLife,
  type Life,
  type Order,
  type PartitionName,
  type TableEntry,
  type ToMember,
} from "../cluster.ts";
import { hearLeader, noteMembers, pointTo } from "./member_leader.ts";
import { leftIfEmpty } from "./member_leaving.ts";
import type { Held, MemberEffect, MemberState } from "./member_state.ts";
import { claimed, released } from "./member_words.ts";

export function takeOrders(
  state: MemberState,
  { leader, to, orders }: Extract<ToMember, { type: "orders" }>,
  nowMs: number,
): readonly MemberEffect[] {
  if (!isSameLife(to, state.self)) return []; // M1
  const followed = hearLeader(state, leader, nowMs);
  if (followed === undefined) return []; // M1
  return [...followed, ...orders.flatMap((order) => takeOrder(state, order))];
}

function takeOrder(state: MemberState, order: Order): readonly MemberEffect[] {
  const held = state.holdings.get(order.partition);
  switch (order.kind) {
    case "expect":
      if (held !== undefined) return [];
      state.holdings.set(order.partition, { phase: "expecting", grant: undefined, epoch: undefined, to: undefined });
      return [{ type: "expect", partition: order.partition }];
    case "forget":
      if (held?.phase !== "expecting") return [];
      state.holdings.delete(order.partition);
      return [{ type: "drop", partition: order.partition }];
    case "take":
      return takePartition(state, order.partition, order.grant, held);
    case "hand_over":
      return handOver(state, order, held);
  }
}

function takePartition(
  state: MemberState,
  partition: PartitionName,
  grant: Grant,
  held: Held | undefined,
): readonly MemberEffect[] {
  if (held?.grant !== undefined) {
    const order = compareGrants(grant, held.grant);
    if (order < 0) {
      const isAnswered = isLost(state, held.grant) && held.phase === "owned";
      return isAnswered ? claimed(state, partition, { ...held, grant }) : []; // else a later order has overtaken this one
    }
    // A partition that is not owned yet: the tree may have lost the order with a crashed actor, and tolerates a second one.
    if (order === 0 && held.phase === "claiming") return [{ type: "take", partition, grant }];
    if (order === 0) return held.phase === "owned" ? claimed(state, partition, held) : [];
  }
  state.holdings.set(partition, { phase: "claiming", grant, epoch: undefined, to: undefined });
  return [{ type: "take", partition, grant }];
}

/**
 * The member holds a higher grant than an order names. If the coordinator's term is higher than the held grant's, it has read every
 * write before its term: so the store lost the held grant with its tail, and the order means what the member holds.
 */
const isLost = ({ leader }: MemberState, held: Grant): boolean => (leader?.leaderEpoch ?? 0) > held.leaderEpoch;

function handOver(
  state: MemberState,
  { partition, grant, to, withinMs }: Extract<Order, { kind: "hand_over" }>,
  held: Held | undefined,
): readonly MemberEffect[] {
  if (held?.grant === undefined) {
    // M3: nothing is in flight, unless this actor took the partition before a restart: the tree answers either way.
    state.holdings.set(partition, { phase: "handing_over", grant, epoch: undefined, to });
    return [...towards(state, partition, to), { type: "hand_over", partition, drainWithinMs: withinMs }];
  }
  const order = compareGrants(grant, held.grant);
  if (order < 0 && !isLost(state, held.grant)) return released(state, partition, grant);
  if (order > 0) return []; // the order to take the partition under this grant is still on its way
  held.grant = grant;
  const isFirst = held.phase !== "handing_over";
  held.phase = "handing_over";
  held.to = to;
  const point = towards(state, partition, to);
  return isFirst ? [...point, { type: "hand_over", partition, drainWithinMs: withinMs }] : point;
}

/** Directs requests for the partition to its next owner. */
const towards = (state: MemberState, partition: PartitionName, to: Life): readonly MemberEffect[] =>
  isSameLife(to, state.self) ? [] : [{ type: "point_to", partition, owner: state.members.get(to.node) }];

export function owned(state: MemberState, partition: PartitionName, epoch: number): readonly MemberEffect[] {
  const held = state.holdings.get(partition);
  if (held === undefined) return [];
  held.epoch = epoch;
  if (held.phase === "claiming") held.phase = "owned";
  return held.phase === "owned" ? claimed(state, partition, held) : [];
}

export function letGo(state: MemberState, partition: PartitionName): readonly MemberEffect[] {
  const held = state.holdings.get(partition);
  if (held === undefined) return [];
  state.holdings.delete(partition);
  const told = held.grant === undefined ? [] : released(state, partition, held.grant);
  return [...told, ...leftIfEmpty(state)];
}

export function takeTable(
  state: MemberState,
  { leader, version, isWhole, entries, epochs, members, rates }: Extract<ToMember, { type: "table" }>,
  nowMs: number,
): readonly MemberEffect[] {
  const followed = hearLeader(state, leader, nowMs);
  if (followed === undefined) return []; // M1
  const effects: MemberEffect[] = [...followed];
  if (members !== undefined) effects.push(...noteMembers(state, members, nowMs));
  if (isWhole) {
    state.table.clear();
    state.epochs.clear();
  }
  state.tableVersion = version;
  if (rates !== undefined) state.rates = new Map(rates.map((one) => [one.node, one]));
  for (const entry of entries) effects.push(...takeEntry(state, entry));
  for (const [partition, epoch] of epochs) state.epochs.set(partition, epoch);
  return effects;
}

function takeEntry(state: MemberState, entry: TableEntry): readonly MemberEffect[] {
  const { partition, holder, grant, next } = entry;
  const before = state.table.get(partition);
  state.table.set(partition, entry);
  if (!isSameLife(before?.holder, holder)) state.epochs.delete(partition);
  const effects: MemberEffect[] = [];
  const held = state.holdings.get(partition);
  const isOurs = isSameLife(holder, state.self);
  // M4: the move was forced, or its order was lost.
  const isOvertaken = grant !== undefined && held?.grant !== undefined && compareGrants(held.grant, grant) < 0;
  // This actor may have placed the partition before a restart, and missed the order that ended the placement.
  const isForgotten = held === undefined && !isSameLife(next, state.self);
  if (!isOurs && (isOvertaken || isForgotten)) {
    state.holdings.delete(partition);
    effects.push({ type: "drop", partition });
  }
  effects.push(pointTo(state, entry));
  return effects;
}
