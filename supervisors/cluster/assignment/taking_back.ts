/**
 * Takes moves back where an assignment within its bounds has more of them than it takes. What went elsewhere stays at home
 * after all, or two do for which another goes; a node that is above or below its bounds then is repaired by what moves in any
 * case, which goes elsewhere, or home as well. Repairs of repairs are tried too, but few: it is a search, not a proof.
 */
import { NOWHERE, type NodeLists, type Placement } from "./placement.ts";

/** Repairs in a row, and how many of each are tried: those that leave the least to repair. */
const WIDTHS = [6, 3, 2];
/** In a hurry: and after how many attempts in vain there are no more. */
const WIDTHS_IN_HURRY = [2, 1];
const VAIN_MAX_IN_HURRY = 400;
const ROUNDING = 1e-9;

/** What goes where, what it leaves to repair where it was, and how many moves it adds. */
type Repair = readonly [left: number, partition: number, node: number, moves: number];

interface Change {
  readonly partition: number;
  readonly from: number;
}

export interface Before {
  /** By partition: where everything was, giants where they are now. */
  readonly start: Int32Array;
  /** By node: what it held. */
  readonly lists: NodeLists;
  readonly pinned: Int32Array;
}

/** In a hurry it is looked once at what moves, one by one; else as often as anything is found, and at pairs as well. */
export function takeBack(placement: Placement, before: Before, isInHurry: boolean): void {
  const attempts = new Attempts(placement, before, isInHurry);
  if (isInHurry) attempts.one();
  else while (attempts.one() + attempts.pairs() > 0) attempts.refresh();
}

class Attempts {
  readonly #placement: Placement;
  readonly #start: Int32Array;
  readonly #lists: NodeLists;
  /** By place in the lists. */
  readonly #listLoads: Float64Array;
  readonly #isPinned: Uint8Array;
  readonly #floor: Float64Array;
  readonly #ceiling: Float64Array;
  /** What moves, the heaviest first, and some that have been taken back since. */
  #moved: Uint32Array = new Uint32Array();
  #movedLoads: Float64Array = new Float64Array();
  /** By partition: changed in this attempt. */
  readonly #isTouched: Uint8Array;
  readonly #changes: Change[] = [];
  readonly #widths: readonly number[];
  readonly #vainMax: number;

  constructor(placement: Placement, { start, lists, pinned }: Before, isInHurry: boolean) {
    this.#widths = isInHurry ? WIDTHS_IN_HURRY : WIDTHS;
    this.#vainMax = isInHurry ? VAIN_MAX_IN_HURRY : Number.POSITIVE_INFINITY;
    this.#placement = placement;
    this.#start = start;
    this.#lists = lists;
    this.#listLoads = placement.loadsOf(lists.items);
    this.#isPinned = new Uint8Array(placement.partitionCount);
    for (const giant of pinned) if (giant !== NOWHERE) this.#isPinned[giant] = 1;
    this.#floor = placement.floor.map((floor) => floor * (1 - ROUNDING));
    this.#ceiling = placement.ceiling.map((ceiling) => ceiling * (1 + ROUNDING));
    this.#isTouched = new Uint8Array(placement.partitionCount);
    this.refresh();
  }

  refresh(): void {
    const { byLoad, target } = this.#placement;
    this.#moved = byLoad.filter(
      (partition) =>
        target[partition] !== this.#start[partition] &&
        this.#start[partition] !== NOWHERE &&
        this.#isPinned[partition] === 0,
    );
    this.#movedLoads = this.#placement.loadsOf(this.#moved);
  }

  /** Answers how many were taken back, one by one. */
  one(): number {
    let [count, vain] = [0, 0];
    for (const partition of this.#moved) {
      if (this.#isHome(partition)) continue;
      const isDone = this.#attempt([partition]);
      if (isDone) count += 1;
      vain = isDone ? 0 : vain + 1;
      if (vain > this.#vainMax) break;
    }
    return count;
  }

  /** Answers for how many pairs with one target another partition moves now, or none. */
  pairs(): number {
    const byTarget = new Map<number, number[]>();
    for (const partition of this.#moved) {
      if (this.#isHome(partition)) continue;
      const node = this.#placement.nodeOf(partition);
      const there = byTarget.get(node);
      if (there === undefined) byTarget.set(node, [partition]);
      else there.push(partition);
    }
    let count = 0;
    for (const [node, there] of byTarget) {
      for (let one = there.length - 1; one > 0; one -= 1) {
        for (let other = one - 1; other >= 0; other -= 1) {
          const pair = [there[one] as number, there[other] as number];
          const isThere = pair.every((partition) => this.#placement.nodeOf(partition) === node);
          if (isThere && this.#attempt(pair)) count += 1;
        }
      }
    }
    return count;
  }

  #attempt(partitions: readonly number[]): boolean {
    for (const partition of partitions) this.#change(partition, this.#start[partition] as number);
    const nodes = this.#changes.flatMap(({ partition, from }) => [from, this.#placement.nodeOf(partition)]);
    const isDone = this.#repair(nodes, partitions.length - 1, 0);
    if (!isDone) this.#undo(0);
    for (const { partition } of this.#changes) this.#isTouched[partition] = 0;
    this.#changes.length = 0;
    return isDone;
  }

  /** Repairs what is not within its bounds among the nodes, by at most so many moves more. */
  #repair(nodes: readonly number[], moves: number, depth: number): boolean {
    let worst = NOWHERE;
    let worstBy = 0;
    let count = 0;
    for (let at = 0; at < nodes.length; at += 1) {
      const node = nodes[at] as number;
      const by = this.#offBy(node, 0);
      if (by === 0 || nodes.indexOf(node) < at) continue;
      count += 1;
      if (Math.abs(by) > Math.abs(worstBy)) [worst, worstBy] = [node, by];
    }
    if (worst === NOWHERE) return true;
    if (count > this.#widths.length - depth) return false; // one is repaired at a time
    const width = this.#widths[depth] as number;
    const found =
      worstBy < 0 ? this.#fillings(worst, -worstBy, moves, width) : this.#reliefs(worst, worstBy, moves, width, nodes);
    for (const [, partition, node, more] of found) {
      const before = this.#changes.length;
      const from = this.#placement.nodeOf(partition);
      this.#change(partition, node);
      if (this.#repair([...nodes, from, node], moves - more, depth + 1)) return true;
      this.#undo(before);
    }
    return false;
  }

  #fillings(node: number, short: number, moves: number, width: number): Repair[] {
    const found: Repair[] = [];
    const room = this.#roomOn(node);
    const offer = (partition: number, load: number, more: number) =>
      keep(found, width, [Math.abs(this.#offBy(this.#placement.nodeOf(partition), -load)), partition, node, more]);
    for (let at = 0; at < this.#moved.length && !isSettled(found, width); at += 1) {
      const load = this.#movedLoads[at] as number;
      if (load < short) break;
      const partition = this.#moved[at] as number;
      if (load > room || !this.#isElsewhere(partition) || this.#placement.nodeOf(partition) === node) continue;
      offer(partition, load, this.#start[partition] === node ? -1 : 0);
    }
    if (moves < 1) return found;
    for (let other = 0; other < this.#placement.nodeCount && !isSettled(found, width); other += 1) {
      if (other === node || !((this.#listLoads[this.#lists.starts[other] as number] as number) >= short)) continue;
      const at = this.#lightestAtHome(other, short, room);
      if (at !== NOWHERE) offer(this.#lists.items[at] as number, this.#listLoads[at] as number, 1);
    }
    return found;
  }

  #reliefs(node: number, excess: number, moves: number, width: number, nodes: readonly number[]): Repair[] {
    const leaving: number[] = [];
    const most = this.#placement.loadOn(node) - (this.#floor[node] as number);
    for (let at = 0; at < this.#moved.length; at += 1) {
      const load = this.#movedLoads[at] as number;
      if (load < excess) break;
      const partition = this.#moved[at] as number;
      if (load > most || this.#placement.nodeOf(partition) !== node || !this.#isElsewhere(partition)) continue;
      leaving.push(partition);
    }
    const own = moves < 1 ? NOWHERE : this.#lightestAtHome(node, excess, most);
    if (own !== NOWHERE) leaving.push(this.#lists.items[own] as number);
    const found: Repair[] = [];
    if (leaving.length === 0) return found;
    const places = new Set([...nodes, this.#roomiest()]);
    places.delete(node);
    for (const partition of leaving) {
      const home = this.#start[partition] as number;
      const load = this.#placement.loadOf(partition);
      if (home !== node) keep(found, width, [Math.abs(this.#offBy(home, load)), partition, home, -1]);
      for (const place of places) {
        const left = Math.abs(this.#offBy(place, load)) - Math.abs(this.#offBy(place, 0));
        if (place !== home) keep(found, width, [left, partition, place, home === node ? 1 : 0]);
      }
    }
    return found;
  }

  #roomiest(): number {
    let best = 0;
    for (let node = 1; node < this.#placement.nodeCount; node += 1) {
      if (this.#roomOn(node) > this.#roomOn(best)) best = node;
    }
    return best;
  }

  #roomOn(node: number): number {
    return (this.#ceiling[node] as number) - this.#placement.loadOn(node);
  }

  /** What it is above its ceiling, or below its floor (as a negative number), with `more`. */
  #offBy(node: number, more: number): number {
    const load = this.#placement.loadOn(node) + more;
    const [floor, ceiling] = [this.#floor[node] as number, this.#ceiling[node] as number];
    return load > ceiling ? load - ceiling : Math.min(0, load - floor);
  }

  #isHome(partition: number): boolean {
    return this.#placement.nodeOf(partition) === this.#start[partition];
  }

  /** It moves, and may move elsewhere. */
  #isElsewhere(partition: number): boolean {
    return this.#isTouched[partition] === 0 && !this.#isHome(partition);
  }

  /** The place in the lists of a node's lightest between the two that has not moved and may, or `NOWHERE`. */
  #lightestAtHome(node: number, least: number, most: number): number {
    const first = this.#lists.starts[node] as number;
    let [low, high] = [first, this.#lists.starts[node + 1] as number];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#listLoads[middle] as number) < least) high = middle;
      else low = middle + 1;
    }
    for (let at = low - 1; at >= first && (this.#listLoads[at] as number) <= most; at -= 1) {
      const partition = this.#lists.items[at] as number;
      if (this.#isHome(partition) && this.#isTouched[partition] === 0 && this.#isPinned[partition] === 0) return at;
    }
    return NOWHERE;
  }

  #change(partition: number, node: number): void {
    this.#changes.push({ partition, from: this.#placement.nodeOf(partition) });
    this.#isTouched[partition] = 1;
    this.#placement.move(partition, node);
  }

  #undo(count: number): void {
    while (this.#changes.length > count) {
      const { partition, from } = this.#changes.pop() as Change;
      this.#isTouched[partition] = 0;
      this.#placement.move(partition, from);
    }
  }
}

const leftOf = (found: readonly Repair[], at: number): number => found[at]?.[0] ?? Number.POSITIVE_INFINITY;

/** None that is still to be found would be tried before these. */
const isSettled = (found: readonly Repair[], width: number): boolean => leftOf(found, width - 1) === 0;

function keep(found: Repair[], width: number, one: Repair): void {
  if (leftOf(found, width - 1) <= one[0]) return;
  let at = found.length;
  while (at > 0 && leftOf(found, at - 1) > one[0]) at -= 1;
  found.splice(at, 0, one);
  if (found.length > width) found.pop();
}
