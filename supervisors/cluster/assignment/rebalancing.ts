/**
 * Brings a placement between its bounds with few moves: takes from nodes above their ceilings what is above, and places
 * it with what is nowhere. The invariants are those of assignment.ts; node_filling.ts does what is left to do then.
 */

import { Clearance } from "./clearance.ts";
import { sum } from "./loads.ts";
import { NodeChoice } from "./node_choice.ts";
import { listOf, NOWHERE, type Placement } from "./placement.ts";

/** Pieces are chosen by the rooms that there are; where others were faster, smaller ones are tried, so many times. */
const ROUNDS_MAX = 8;
/** A piece that finds no room goes elsewhere only for a skew that is lower by this: else noise of measuring moves it. */
const GAIN_MIN = 0.05;

/** How far clearing may go: what has no room elsewhere may go where others make room for it, and these in turn. */
export type Eviction = "none" | "once" | "chained";

export function clearExcess(placement: Placement, pinned: Int32Array, eviction: Eviction): void {
  const nowhere = NOWHERE; // an import is read far more slowly
  const from = new Int32Array(placement.partitionCount).fill(NOWHERE);
  const takeExcess = (): number[] => {
    const taken: number[] = [];
    const chosen = excessOf(placement, pinned, eviction, evicted);
    for (const [node, partitions] of chosen) {
      for (const partition of partitions) {
        from[partition] = node;
        placement.take(partition);
        taken.push(partition);
      }
      choice.update(node);
    }
    return taken;
  };
  const orphans: number[] = [];
  for (let rank = 0; rank < placement.partitionCount; rank += 1) {
    const partition = placement.byLoad[rank] as number;
    if (placement.target[partition] === nowhere) orphans.push(partition);
  }
  if (orphans.length === 0 && placement.load.every((_, node) => placement.roomOn(node) >= 0)) return;
  const choice = new NodeChoice(placement);
  const evicted = new Uint8Array(placement.partitionCount);
  for (const orphan of orphans) evicted[orphan] = 1;
  placeAll(placement, choice, orphans.concat(takeExcess()), from, evicted, eviction);
  for (let round = 1; round < ROUNDS_MAX; round += 1) {
    if (placeAll(placement, choice, takeExcess(), from, evicted, eviction) === 0) break;
  }
}

/** By node above its ceiling: what it is to give away. Those for which another node has to make room go to `evicted`. */
function excessOf(
  placement: Placement,
  pinned: Int32Array,
  eviction: Eviction,
  evicted: Uint8Array,
): Map<number, number[]> {
  const chosen = new Map<number, number[]>();
  let roomMax = 0;
  // What nodes below their floors need beyond what is nowhere and what is in excess.
  let needed = sum(placement.load) - placement.total;
  for (let node = 0; node < placement.nodeCount; node += 1) {
    const room = placement.roomOn(node);
    if (room < 0) chosen.set(node, []);
    else roomMax = Math.max(roomMax, room);
    needed += placement.shortOn(node) + Math.min(0, room);
  }
  if (chosen.size === 0) return chosen;
  const lists = placement.lists();
  const clearance = new Clearance(placement, eviction === "chained", lists);
  for (const node of chosen.keys()) {
    const excess = -placement.roomOn(node);
    const movable = [...listOf(lists, node)].filter((partition) => partition !== pinned[node]);
    if (placement.input.isEven) {
      chosen.set(node, crowdedFirst(placement, node, movable).slice(0, Math.ceil(excess)));
      continue;
    }
    const fitting = movable.filter((partition) => placement.loadOf(partition) <= roomMax);
    const enough = needed > 0 ? Math.max(excess, placement.spareOn(node)) : excess;
    let given =
      fewestAbove(placement, fitting, excess, enough) ?? fewestAbove(placement, movable, excess, enough) ?? movable;
    const heavy =
      eviction === "none"
        ? undefined
        : evictionOf(
            placement,
            clearance,
            node,
            movable.filter((partition) => evicted[partition] === 0),
            fitting,
            given.length,
          );
    if (heavy !== undefined) {
      evicted[heavy[0] as number] = 1;
      given = heavy;
    }
    for (const partition of given) needed -= placement.loadOf(partition);
    needed += excess;
    chosen.set(node, given);
  }
  return chosen;
}

/**
 * Its heaviest partition, and what else it has to give, where that makes fewer moves than `countMax`, although another
 * node has to make room for it.
 */
function evictionOf(
  placement: Placement,
  clearance: Clearance,
  node: number,
  movable: readonly number[],
  fitting: readonly number[],
  countMax: number,
): number[] | undefined {
  const heaviest = movable[0];
  if (heaviest === undefined || heaviest === fitting[0] || countMax <= 2) return undefined;
  const cleared = clearance.countFor(heaviest, countMax - 2, node);
  if (cleared > countMax - 2) return undefined;
  const left = -placement.roomOn(node) - placement.loadOf(heaviest);
  const others = left <= 0 ? [] : fewestAbove(placement, fitting, left, left);
  if (others === undefined || 1 + others.length + cleared >= countMax) return undefined;
  return [heaviest, ...others];
}

/** As many as are needed at least for the excess, the heaviest not above `enough`; undefined where all do not suffice. */
function fewestAbove(
  placement: Placement,
  heaviestFirst: readonly number[],
  excess: number,
  enough: number,
): number[] | undefined {
  const loadAt = (at: number) => placement.loadOf(heaviestFirst[at] as number);
  let count = 0;
  let load = 0;
  while (load < excess && count < heaviestFirst.length) {
    load += loadAt(count);
    count += 1;
  }
  if (load < excess) return undefined;
  let start = 0;
  while (load > enough && start + count < heaviestFirst.length) {
    const next = load - loadAt(start) + loadAt(start + count);
    if (next < excess) break;
    load = next;
    start += 1;
  }
  return heaviestFirst.slice(start, start + count);
}

/** Those first of which the node's zone has more than its share of their stream (A5). */
export function crowdedFirst(placement: Placement, node: number, partitions: readonly number[]): number[] {
  const zone = placement.zoneOf(node);
  const left = new Map<number, number>();
  const crowded: number[] = [];
  const others: number[] = [];
  for (const partition of partitions) {
    const stream = placement.input.streams[partition] as number;
    const gone = left.get(stream) ?? 0;
    if (placement.isFull(zone, partition, -gone)) {
      crowded.push(partition);
      left.set(stream, gone + 1);
    } else others.push(partition);
  }
  return crowded.concat(others);
}

/** Answers how many are elsewhere than before. */
function placeAll(
  placement: Placement,
  choice: NodeChoice,
  partitions: number[],
  from: Int32Array,
  evicted: Uint8Array,
  eviction: Eviction,
): number {
  partitions.sort((one, other) => placement.loadOf(other) - placement.loadOf(one) || one - other);
  const clearance = new Clearance(placement, eviction === "chained");
  let supply = 0;
  let short = 0;
  for (const partition of partitions) supply += placement.loadOf(partition);
  for (let node = 0; node < placement.nodeCount; node += 1) short += placement.shortOn(node);
  let moved = 0;
  for (const partition of partitions) {
    // A2: what may go anywhere is only what the nodes below their floors do not need.
    supply -= placement.loadOf(partition);
    const source = from[partition] as number;
    const node = placeFor(placement, choice, clearance, partition, source, short > supply, evicted[partition] === 1);
    short -= placement.shortOn(node);
    placement.put(partition, node);
    short += placement.shortOn(node);
    choice.update(node);
    if (node !== source) moved += 1;
  }
  return moved;
}

function placeFor(
  placement: Placement,
  choice: NodeChoice,
  clearance: Clearance,
  partition: number,
  source: number,
  mustFill: boolean,
  isEvicted: boolean,
): number {
  const node = choice.find(partition, mustFill);
  if (node !== NOWHERE) return node;
  const least = choice.findLeastSkewed(partition);
  if (isEvicted) {
    const cleared = clearance.find(partition, source);
    return cleared === NOWHERE ? least : cleared;
  }
  const load = placement.loadOf(partition);
  return placement.ratioOf(source, load) <= placement.ratioOf(least, load) + GAIN_MIN ? source : least;
}
