/**
 * The coordinator machine's target: which node should hold which partition, and when a change or a skew is worth a decision.
 * Leaves the search to `assignment/`, and the table to `coordinator_table.ts`.
 */
import {
  type AssignableNode,
  type AssignablePartition,
  type Assignment,
  assign,
  skewOf,
} from "../assignment/assignment.ts";
import type { Life, PartitionName, Trigger } from "../cluster.ts";
import { isEligible, trigger } from "./coordinator_members.ts";
import { COORDINATOR_LIMITS, type CoordinatorEffect, type CoordinatorState, isAlive } from "./coordinator_state.ts";

/** Decides where partitions should be. Only later writes begin the moves. */
export function decide(state: CoordinatorState, nowMs: number): readonly CoordinatorEffect[] {
  const nodes = assignableNodes(state, nowMs);
  if (nodes.length === 0) {
    // The next node that joins triggers the decision.
    state.decideAtMs = Number.POSITIVE_INFINITY;
    return [{ type: "note", level: "warn", text: "no node may be given partitions" }];
  }
  const triggers = state.triggers.splice(0);
  state.decideAtMs = undefined;
  state.skewLeft = 0;
  const assignment = assign(nodes, assignable(state));
  state.wanted.clear();
  for (const [partition, target] of assignment.targets) {
    if (placeOf(state, partition)?.node !== target) state.wanted.set(partition, target);
  }
  const skewed = triggers.find(({ kind }) => kind === "skewed");
  if (assignment.moves === 0 && skewed?.kind === "skewed") state.skewLeft = skewed.skew;
  const text = describe(triggers, assignment, state.partitions.length, nodes.length);
  const { moves } = assignment;
  const { leaderEpoch } = state.leader;
  state.decision =
    state.wanted.size === 0 ? undefined : { id: 0, leaderEpoch, atMs: nowMs, triggers, text, moves, movesMin: moves };
  return [{ type: "note", level: "info", text }];
}

const assignableNodes = (state: CoordinatorState, nowMs: number): readonly AssignableNode[] =>
  [...state.members.values()]
    .filter((known) => isEligible(known, nowMs))
    .map(({ member: { node, profile } }) => ({ node, zone: profile.zone, capacity: profile.capacity }));

/** The life that a partition is on, or on its way to; undefined if no living node has it. */
function placeOf(state: CoordinatorState, partition: PartitionName): Life | undefined {
  const entry = state.table.get(partition);
  if (isAlive(state, entry?.next)) return entry?.next;
  if (state.granting.has(partition)) return undefined; // released, for a node that has died since
  return isAlive(state, entry?.holder) ? entry?.holder : undefined;
}

function assignable(state: CoordinatorState): readonly AssignablePartition[] {
  return state.partitions.map((partition) => ({
    partition,
    weight: weightOf(state, partition),
    holder: placeOf(state, partition)?.node,
  }));
}

/** The cores that a partition takes, roughly: its measured load, and the cost of an idle partition. */
function weightOf({ loads }: CoordinatorState, partition: PartitionName): number {
  const { idleCores, bytesPerCore, recordsPerCore } = COORDINATOR_LIMITS;
  const { bytes, records, cpu } = loads.get(partition) ?? { bytes: 0, records: 0, cpu: 0 };
  return idleCores + Math.max(cpu, bytes / bytesPerCore, records / recordsPerCore);
}

/** Triggers a decision once the load has been uneven enough, and for long enough, to be worth moves. */
export function lookAtSkew(state: CoordinatorState, nowMs: number): void {
  const nodes = assignableNodes(state, nowMs);
  if (nodes.length < 2 || state.wanted.size > 0 || state.moves.size > 0 || state.loads.size === 0) {
    state.skewedLooks = 0;
    return;
  }
  const partitions = assignable(state);
  const skew = skewOf(nodes, partitions);
  const evenCores = partitions.reduce((sum, { weight }) => sum + weight, 0) / nodes.length;
  const isNews = skew > Math.max(COORDINATOR_LIMITS.skewMax, state.skewLeft * COORDINATOR_LIMITS.skewGrowth);
  const isWorthMoves = isNews && (skew - 1) * evenCores > COORDINATOR_LIMITS.skewCoresMin;
  state.skewedLooks = isWorthMoves ? state.skewedLooks + 1 : 0;
  if (state.skewedLooks < COORDINATOR_LIMITS.skewedLooksMin) return;
  state.skewedLooks = 0;
  trigger(state, { kind: "skewed", skew }, nowMs);
}

const describe = (triggers: readonly Trigger[], assignment: Assignment, partitions: number, nodes: number): string =>
  `${describeTriggers(triggers)}: ${assignment.moves} of ${partitions} partitions move, so that the fullest of ${nodes} nodes has ${assignment.skew.toFixed(2)} of its share`;

/** Each kind of change once, such as `a joined, b crashed`. */
export const describeTriggers = (triggers: readonly Trigger[]): string =>
  [...new Set(triggers.map(describeTrigger))].join(", ");

function describeTrigger(of: Trigger): string {
  switch (of.kind) {
    case "started":
      return "a new coordinator began";
    case "joined":
      return `${of.node} joined`;
    case "left":
      return `${of.node} left`;
    case "released":
      return `${of.node} let go of partitions`;
    case "crashed":
      return `${of.node} crashed`;
    case "silent":
      return `${of.node} fell silent`;
    case "expired":
      return `the registration of ${of.node} expired`;
    case "draining":
      return `${of.node} is to be drained`;
    case "skewed":
      return `the load was skewed (${of.skew.toFixed(2)})`;
    case "asked":
      return "it was asked for";
  }
}
