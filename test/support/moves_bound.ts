/**
 * How many moves a balanced assignment needs at least, counted node by node: what each overloaded node has to give, and what each
 * underloaded node has to be given. Short, and therefore far from the truth where many nodes can each spare little.
 */
import type { AssignableNode, AssignablePartition } from "../../supervisors/cluster/assignment/assignment.ts";
import { SKEW_MAX, SKEW_MIN } from "../../supervisors/cluster/assignment/bounds.ts";
import { loadsOf } from "../../supervisors/cluster/assignment/loads.ts";

const ROUNDING = 1e-6;

export function movesAtLeast(nodes: readonly AssignableNode[], partitions: readonly AssignablePartition[]): number {
  const { loads, total, isEven } = loadsOf(Float64Array.from(partitions, ({ weight }) => weight));
  const heaviestFirst = Array.from(loads).sort((one, other) => other - one);
  const capacity = nodes.reduce((sum, one) => sum + one.capacity, 0);
  const largest = nodes.reduce((most, one) => Math.max(most, one.capacity), 0);
  const limit = (SKEW_MAX * total * largest) / capacity;
  // Giants stand alone: the other nodes share the rest.
  const giants = isEven ? [] : heaviestFirst.filter((load) => load > limit);
  const rest = total - giants.reduce((sum, load) => sum + load, 0);
  const level = Math.min(1, rest / total);
  const held = new Map(nodes.map(({ node }) => [node, [] as number[]]));
  for (const [at, { holder }] of partitions.entries()) {
    if (holder !== undefined) held.get(holder)?.push(loads[at] as number);
  }
  let given = partitions.length;
  for (const own of held.values()) given -= own.length;
  let [taken, wanted] = [0, 0];
  for (const one of nodes) {
    const share = (total * one.capacity) / capacity;
    const own = (held.get(one.node) ?? []).sort((left, right) => right - left);
    const load = own.reduce((sum, piece) => sum + piece, 0);
    const ceiling = isEven ? Math.ceil(share - ROUNDING) : Math.max(SKEW_MAX * share, giants[0] ?? 0);
    const short = (isEven ? Math.floor(share + ROUNDING) : SKEW_MIN * level * share) - load;
    given += countFor(own, load - ceiling);
    taken += countFor(heaviestFirst.slice(giants.length), short);
    wanted += Math.max(0, short);
  }
  return Math.max(given, taken, countFor(heaviestFirst.slice(giants.length), wanted));
}

/** How many of the heaviest pieces make up `load`. */
function countFor(heaviestFirst: readonly number[], load: number): number {
  let [left, count] = [load * (1 - ROUNDING), 0];
  while (left > 0 && count < heaviestFirst.length) {
    left -= heaviestFirst[count] as number;
    count += 1;
  }
  return count;
}
