/**
 * Fills nodes that are below their floors in few moves, also by exchange: a node may give a partition larger than it can
 * spare, and is filled itself then. What that costs is reckoned in moves: a node short of `s` costs `max(1, slope * s)`, where
 * the slope is what a unit of load is worth (moves_min.ts); a move is made for the most that it saves. Each partition
 * moves once at most, so it ends. node_filling.ts does what is left to do then.
 */
import { NodeHeap } from "./node_heap.ts";
import { listOf, NOWHERE, type Placement } from "./placement.ts";

/** Savings of less are none. */
const SAVED_MIN = 0.05;
/** Of moves that save the same the lightest partition is taken, as heavier ones may be of use elsewhere. */
const LIGHTER = 1e-3;
/** Partitions nearly as heavy are looked at for one whose stream has a place in the zone of the node, so many. */
const LOOKED_AT_MAX = 16;
const NEARLY = 0.95;

export function fillByExchange(placement: Placement, pinned: Int32Array, slope: number): void {
  const short = new NodeHeap(placement.nodeCount);
  const queue = (node: number) => {
    if (placement.shortOn(node) > 0) short.set(node, -placement.shortOn(node));
    else short.remove(node);
  };
  for (let node = 0; node < placement.nodeCount; node += 1) queue(node);
  if (short.first === undefined || !(slope > 0)) return;
  const offers = new Offers(placement, pinned, slope);
  for (let node = short.first; node !== undefined; node = short.first) {
    const partition = offers.bestFor(node);
    if (partition === NOWHERE) {
      short.remove(node);
      continue;
    }
    const source = placement.nodeOf(partition);
    placement.move(partition, node);
    offers.update(source);
    offers.update(node);
    queue(source);
    queue(node);
  }
}

/** What each node offers: the partition that it can just spare, and those for which it would have to be filled. */
class Offers {
  readonly #placement: Placement;
  readonly #slope: number;
  /** By node: what it has held from the start and still does, the heaviest first. */
  readonly #held: number[][];
  /** By node and kind of offer: the partition, or `NOWHERE`. */
  readonly #offered: Int32Array;
  /** By offer: its load, infinite for none, and what it costs at its node. */
  readonly #loads: Float64Array;
  readonly #costsThere: Float64Array;

  constructor(placement: Placement, pinned: Int32Array, slope: number) {
    this.#placement = placement;
    this.#slope = slope;
    const lists = placement.lists();
    this.#held = Array.from(pinned, (giant, node) =>
      [...listOf(lists, node)].filter((partition) => partition !== giant),
    );
    this.#offered = new Int32Array(3 * placement.nodeCount).fill(NOWHERE);
    this.#loads = new Float64Array(this.#offered.length).fill(Number.POSITIVE_INFINITY);
    this.#costsThere = new Float64Array(this.#offered.length);
    for (let node = 0; node < placement.nodeCount; node += 1) this.update(node);
  }

  update(node: number): void {
    const placement = this.#placement;
    const spare = placement.spareOn(node);
    const held = (this.#held[node] as number[]).filter((partition) => placement.nodeOf(partition) === node);
    this.#held[node] = held;
    const isNone = spare === 0 || placement.shortOn(node) > 0;
    const fits = this.#firstOfAtMost(held, spare);
    const exchanged = this.#firstOfAtMost(held, spare + 1 / this.#slope);
    for (const [kind, at] of [fits, exchanged, exchanged - 1].entries()) {
      const partition = isNone ? NOWHERE : (held[at] ?? NOWHERE);
      const offer = 3 * node + kind;
      this.#offered[offer] = partition;
      this.#loads[offer] = partition === NOWHERE ? Number.POSITIVE_INFINITY : placement.loadOf(partition);
      this.#costsThere[offer] = partition === NOWHERE ? 0 : this.#costAt(node, placement.loadOf(partition));
    }
  }

  /** What saves the most moves, or `NOWHERE`. */
  bestFor(node: number): number {
    const placement = this.#placement;
    const room = placement.roomOn(node);
    const short = placement.shortOn(node);
    const [loads, costsThere, slope, now] = [this.#loads, this.#costsThere, this.#slope, this.#costs(short)];
    let best = -1;
    let bestSaved = SAVED_MIN;
    for (let at = 0; at < loads.length; at += 1) {
      const load = loads[at] as number;
      if (load > room) continue;
      const left = short > load ? Math.max(1, slope * (short - load)) : 0;
      const saved = now - left - (costsThere[at] as number);
      if (saved > bestSaved) [best, bestSaved] = [at, saved];
    }
    const partition = this.#offered[best];
    if (partition === undefined) return NOWHERE;
    return placement.loadOf(partition) >= short
      ? this.#lightestFor(node, partition, bestSaved)
      : this.#inZone(node, partition);
  }

  /** What it costs a node to give so much: to be filled again; a node above its ceiling has to give anyway. */
  #costAt(node: number, load: number): number {
    const excess = -this.#placement.roomOn(node);
    const saved = excess <= 0 ? 0 : load >= excess ? 1 : 0.5;
    return this.#costs(load - this.#placement.spareOn(node)) - saved + LIGHTER * this.#slope * load;
  }

  #costs(short: number): number {
    return short > 0 ? Math.max(1, this.#slope * short) : 0;
  }

  #lightestFor(node: number, best: number, saved: number): number {
    const placement = this.#placement;
    const short = placement.shortOn(node);
    const now = this.#costs(short);
    let [chosen, most] = [best, saved];
    for (const [source, held] of this.#held.entries()) {
      if (this.#offered[3 * source] === NOWHERE) continue;
      const partition = held[this.#firstOfAtMost(held, short * (1 - 1e-9)) - 1];
      if (partition === undefined || placement.loadOf(partition) > placement.spareOn(source)) continue;
      const savedSo = now - this.#costAt(source, placement.loadOf(partition));
      if (savedSo > most) [chosen, most] = [partition, savedSo];
    }
    return chosen;
  }

  /** Or one nearly as heavy on the same node. */
  #inZone(node: number, best: number): number {
    const placement = this.#placement;
    const zone = placement.zoneOf(node);
    const held = this.#held[placement.nodeOf(best)] as number[];
    const from = held.indexOf(best);
    for (const partition of held.slice(from, from + LOOKED_AT_MAX)) {
      if (placement.loadOf(partition) < NEARLY * placement.loadOf(best)) break;
      if (!placement.isFull(zone, partition)) return partition;
    }
    return best;
  }

  #firstOfAtMost(heaviestFirst: readonly number[], limit: number): number {
    let [low, high] = [0, heaviestFirst.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#placement.loadOf(heaviestFirst[middle] as number) <= limit) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
