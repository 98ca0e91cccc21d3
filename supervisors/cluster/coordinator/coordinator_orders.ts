/** The coordinator machine's messages to members: orders (O6, O7), and the table that coordinator_table.ts makes. */
import {
  isSameLife,
  type Life,
  type Member,
  nameOfLife,
  type Order,
  type TableEntry,
  type ToMember,
} from "../cluster.ts";
import { COORDINATOR_LIMITS, type CoordinatorEffect, type CoordinatorState, isAlive } from "./coordinator_state.ts";

/** The orders that follow from these entries, in one message for each life. */
export function ordersOf(state: CoordinatorState, entries: Iterable<TableEntry>): readonly CoordinatorEffect[] {
  const byLife = new Map<string, { readonly to: Life; readonly orders: Order[] }>();
  const add = (to: Life, order: Order) => {
    const key = nameOfLife(to);
    const known = byLife.get(key) ?? { to, orders: [] };
    byLife.set(key, known);
    known.orders.push(order);
  };
  const { drainWithinMs: withinMs } = state.times;
  for (const { partition, holder, grant, next } of entries) {
    if (holder === undefined || grant === undefined) continue;
    if (next === undefined) add(holder, { kind: "take", partition, grant });
    else {
      if (!isSameLife(next, holder)) add(next, { kind: "expect", partition });
      add(holder, { kind: "hand_over", partition, grant, to: next, withinMs });
    }
  }
  return [...byLife.values()].flatMap(({ to, orders }) => tellOrders(state, to, orders));
}

export function tellOrders(state: CoordinatorState, to: Life, orders: readonly Order[]): readonly CoordinatorEffect[] {
  if (!isAlive(state, to) || orders.length === 0) return [];
  return [{ type: "tell", node: to.node, message: { type: "orders", leader: state.leader, to, orders } }];
}

/** Repeats orders that were not answered within `repeatAfterMs` (O7). */
export function repeatOrders(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  const due: TableEntry[] = [];
  const isDue = (saidAtMs: number) => nowMs - saidAtMs >= COORDINATOR_LIMITS.repeatAfterMs;
  for (const [partition, move] of state.moves) {
    const entry = state.table.get(partition);
    if (entry?.next === undefined || !isDue(move.saidAtMs)) continue;
    move.saidAtMs = nowMs;
    due.push(entry);
  }
  for (const [partition, saidAtMs] of state.toldToTake) {
    const entry = state.table.get(partition);
    if (entry === undefined || entry.next !== undefined || !isDue(saidAtMs)) continue;
    state.toldToTake.set(partition, nowMs);
    due.push(entry);
  }
  return ordersOf(state, due);
}

type TableMessage = Extract<ToMember, { type: "table" }>;

/** Sends these entries and epochs to every member that has reported. */
export function tellAll(
  state: CoordinatorState,
  entries: TableMessage["entries"],
  epochs: TableMessage["epochs"],
): readonly CoordinatorEffect[] {
  const members = state.membersChanged ? membersOf(state) : undefined;
  state.membersChanged = false;
  return tellReported(state, { entries, epochs, members });
}

/** Sends the append rates of all nodes to all members, for people, once each `loadEveryMs`. */
export function tellRates(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  if (state.rates.size === 0 || nowMs - state.ratesToldAtMs < state.times.loadEveryMs) return [];
  state.ratesToldAtMs = nowMs;
  return tellReported(state, { rates: [...state.rates.values()].filter(({ node }) => state.members.has(node)) });
}

/** An entry has some 200 bytes, so a piece has some 400 kB. */
const TABLE_PIECE_ENTRIES = 2_000;

/** Sends the whole table to a member that has just reported, in pieces, as the frames of a link are bounded. */
export function tellWhole(state: CoordinatorState, node: Life["node"]): readonly CoordinatorEffect[] {
  const [entries, epochs] = [[...state.table.values()], [...state.epochs]];
  const pieces = Math.max(1, Math.ceil(Math.max(entries.length, epochs.length) / TABLE_PIECE_ENTRIES));
  return Array.from({ length: pieces }, (_, at): CoordinatorEffect => {
    const [from, to] = [at * TABLE_PIECE_ENTRIES, (at + 1) * TABLE_PIECE_ENTRIES];
    const part = { entries: entries.slice(from, to), epochs: epochs.slice(from, to) };
    const first = at === 0 ? { isWhole: true, members: membersOf(state) } : {};
    return { type: "tell", node, message: tableMessage(state, { ...part, ...first }) };
  });
}

const membersOf = ({ members }: CoordinatorState): readonly Member[] =>
  [...members.values()].map(({ member }) => member);

function tellReported(state: CoordinatorState, part: Partial<TableMessage>): readonly CoordinatorEffect[] {
  const message = tableMessage(state, part);
  return [...state.members.values()]
    .filter(({ hasReported }) => hasReported)
    .map(({ member: { node } }) => ({ type: "tell", node, message }));
}

const tableMessage = ({ leader, version }: CoordinatorState, part: Partial<TableMessage>): TableMessage => ({
  type: "table",
  leader,
  version,
  isWhole: false,
  entries: [],
  epochs: [],
  members: undefined,
  rates: undefined,
  ...part,
});
