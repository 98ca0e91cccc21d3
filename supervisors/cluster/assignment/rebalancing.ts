/**
 * Clears nodes above their ceilings with few moves: takes the excess of each such node, and places it together with the orphans,
 * which are the partitions without a holder. node_filling.ts then fills the nodes that are still below their floors.
 */
import { Clearance } from "./clearance.ts";
import { sum } from "./loads.ts";
import { NodeChoice } from "./node_choice.ts";
import { listOf, NOWHERE, type Placement } from "./placement.ts";

/** A piece may find its room taken by another, and go home. Each round chooses pieces again by the rooms that are left. */
const ROUNDS_MAX = 8;
/** A piece without room anywhere leaves its node only for a skew that is lower by this: less is noise of measuring. */
const GAIN_MIN = 0.05;

export function clearExcess(placement: Placement, pinned: Int32Array): void {
  const nowhere = NOWHERE; // a local constant: an imported one is read far more slowly
  const orphans: number[] = [];
  for (const partition of placement.byLoad) if (placement.target[partition] === nowhere) orphans.push(partition);
  if (orphans.length === 0 && placement.load.every((_, node) => placement.roomOn(node) >= 0)) return;
  const clearing = new Clearing(placement, pinned, orphans);
  clearing.place(orphans.concat(clearing.takeExcess()));
  for (let round = 1; round < ROUNDS_MAX; round += 1) if (clearing.place(clearing.takeExcess()) === 0) break;
}

class Clearing {
  readonly #placement: Placement;
  readonly #pinned: Int32Array;
  readonly #choice: NodeChoice;
  /** By partition: the node that it was taken from. */
  readonly #from: Int32Array;
  /** By partition: 1 where another node may give partitions away to make room for it. Once each, so that rounds end. */
  readonly #isRoomMade: Uint8Array;

  constructor(placement: Placement, pinned: Int32Array, orphans: readonly number[]) {
    this.#placement = placement;
    this.#pinned = pinned;
    this.#choice = new NodeChoice(placement);
    this.#from = new Int32Array(placement.partitionCount).fill(NOWHERE);
    this.#isRoomMade = new Uint8Array(placement.partitionCount);
    for (const orphan of orphans) this.#isRoomMade[orphan] = 1;
  }

  /** Takes from each node above its ceiling what it is to give away. */
  takeExcess(): number[] {
    const placement = this.#placement;
    const taken: number[] = [];
    for (const [node, partitions] of this.#chooseExcess()) {
      for (const partition of partitions) {
        this.#from[partition] = node;
        placement.take(partition);
        taken.push(partition);
      }
      this.#choice.update(node);
    }
    return taken;
  }

  #chooseExcess(): Map<number, readonly number[]> {
    const placement = this.#placement;
    const above: number[] = [];
    let roomMax = 0;
    // The load that nodes below their floors need beyond the orphans and the excess.
    let needed = sum(placement.load) - placement.total;
    for (let node = 0; node < placement.nodeCount; node += 1) {
      const room = placement.roomOn(node);
      if (room < 0) above.push(node);
      else roomMax = Math.max(roomMax, room);
      needed += placement.shortOn(node) + Math.min(0, room);
    }
    const chosen = new Map<number, readonly number[]>();
    if (above.length === 0) return chosen;
    const lists = placement.lists();
    const clearance = new Clearance(placement, lists);
    for (const node of above) {
      const excess = -placement.roomOn(node);
      const movable = [...listOf(lists, node)].filter((partition) => partition !== this.#pinned[node]);
      if (placement.input.isEven) {
        chosen.set(node, crowdedFirst(placement, node, movable).slice(0, Math.ceil(excess)));
        continue;
      }
      const fitting = movable.filter((partition) => placement.loadOf(partition) <= roomMax);
      const enough = needed > 0 ? Math.max(excess, placement.spareOn(node)) : excess;
      const light =
        fewestAbove(placement, fitting, excess, enough) ??
        fewestAbove(
          placement,
          movable.filter((partition) => this.#isRoomMade[partition] === 0),
          excess,
          enough,
        ) ??
        fewestAbove(placement, movable, excess, enough) ??
        movable;
      const given = this.#withHeaviest(clearance, node, movable, fitting, light.length) ?? light;
      for (const partition of given) needed -= placement.loadOf(partition);
      needed += excess;
      chosen.set(node, given);
    }
    return chosen;
  }

  /**
   * The node's heaviest partition, for which another node has to make room, and what else the node has to give; undefined
   * where that makes no fewer than `countMax` moves.
   */
  #withHeaviest(
    clearance: Clearance,
    node: number,
    movable: readonly number[],
    fitting: readonly number[],
    countMax: number,
  ): readonly number[] | undefined {
    const placement = this.#placement;
    const heaviest = movable.find((partition) => this.#isRoomMade[partition] === 0);
    if (heaviest === undefined || heaviest === fitting[0] || countMax <= 2) return undefined;
    const cleared = clearance.countFor(heaviest, node);
    const left = -placement.roomOn(node) - placement.loadOf(heaviest);
    const others = left <= 0 ? [] : fewestAbove(placement, fitting, left, left);
    if (others === undefined || 1 + others.length + cleared >= countMax) return undefined;
    this.#isRoomMade[heaviest] = 1;
    return [heaviest, ...others];
  }

  /** Places the partitions, the heaviest first. Answers how many are on another node than before. */
  place(partitions: number[]): number {
    const placement = this.#placement;
    partitions.sort((one, other) => placement.loadOf(other) - placement.loadOf(one) || one - other);
    let [supply, short, moved] = [0, 0, 0];
    for (const partition of partitions) supply += placement.loadOf(partition);
    for (let node = 0; node < placement.nodeCount; node += 1) short += placement.shortOn(node);
    let clearance: Clearance | undefined;
    for (const partition of partitions) {
      // A2: only the load that nodes below their floors do not need may go anywhere.
      supply -= placement.loadOf(partition);
      let node = this.#choice.find(partition, short > supply);
      if (node === NOWHERE) {
        clearance ??= new Clearance(placement);
        node = this.#withoutRoom(partition, clearance);
      }
      short -= placement.shortOn(node);
      placement.put(partition, node);
      short += placement.shortOn(node);
      this.#choice.update(node);
      if (node !== this.#from[partition]) moved += 1;
    }
    return moved;
  }

  /** The node for a partition that has room nowhere. */
  #withoutRoom(partition: number, clearance: Clearance): number {
    const placement = this.#placement;
    const source = this.#from[partition] as number;
    const least = this.#choice.findLeastSkewed(partition);
    if (this.#isRoomMade[partition] === 1) {
      const cleared = clearance.find(partition, source);
      return cleared === NOWHERE ? least : cleared;
    }
    const load = placement.loadOf(partition);
    return placement.ratioOf(source, load) <= placement.ratioOf(least, load) + GAIN_MIN ? source : least;
  }
}

/**
 * The fewest partitions that make up the excess, the heaviest such run that is not above `enough`; undefined where all
 * together are less than the excess.
 */
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

/** The same partitions, but first those whose stream has more than its share in the node's zone (A5). */
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
