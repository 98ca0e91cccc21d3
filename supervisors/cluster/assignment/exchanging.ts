/**
 * Fills nodes that are below their floors in few moves, also by exchange: a node may give a partition larger than it can
 * spare, and is filled itself then. What that costs is reckoned in moves, of which a unit of load is worth `slope`
 * (moves_min.ts): the best move is the one that brings most of what nodes have to spare to where they are short, of nodes whose spare
 * is of less use later. Each partition moves once at most, so it ends. node_filling.ts does what is left to do then.
 */
import { NodeHeap } from "./node_heap.ts";
import { NOWHERE, type Placement } from "./placement.ts";

/** A move that saves less than this part of one is none. */
const SAVED_MIN = 0.05;
/** What can be spared is worth so much of what it would save elsewhere, as it may not fit there. */
const SPARE_WORTH = 0.4;
/** Partitions nearly as heavy are looked at for one whose stream has a place in the zone of the node, so many. */
const LOOKED_AT_MAX = 16;
const NEARLY = 0.95;

export function fillByExchange(placement: Placement, pinned: Int32Array, slope: number, shortCost: number): void {
  const short = new NodeHeap(placement.nodeCount);
  const queue = (node: number) => {
    if (placement.shortOn(node) > 0) short.set(node, -placement.shortOn(node));
    else short.remove(node);
  };
  for (let node = 0; node < placement.nodeCount; node += 1) queue(node);
  if (short.first === undefined || !(slope > 0)) return;
  const offers = new Offers(placement, pinned, slope, shortCost);
  for (let node = short.first; node !== undefined; node = short.first) {
    const partition = offers.bestFor(node);
    if (partition === NOWHERE) {
      short.remove(node);
      continue;
    }
    const source = placement.nodeOf(partition);
    offers.remove(partition);
    placement.move(partition, node);
    for (const changed of [source, node]) {
      offers.update(changed);
      queue(changed);
    }
  }
}

/** What each node has held from the start and still does. */
class Offers {
  readonly #placement: Placement;
  readonly #slope: number;
  /** What a node that is short costs beyond what it is short of, in moves: what fills it seldom fits. */
  readonly #shortCost: number;
  /** By node: where in the items its own begin and end, the heaviest first. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #items: Uint32Array;
  readonly #loads: Float64Array;
  /** By node: what it can spare, 0 where it is short, and how much it is above its ceiling. */
  readonly #spare: Float64Array;
  readonly #excess: Float64Array;

  constructor(placement: Placement, pinned: Int32Array, slope: number, shortCost: number) {
    this.#placement = placement;
    this.#slope = slope;
    this.#shortCost = shortCost;
    const { starts, items } = placement.lists();
    this.#starts = starts;
    this.#ends = starts.slice(1);
    this.#items = items;
    this.#loads = placement.loadsOf(items);
    this.#spare = new Float64Array(placement.nodeCount);
    this.#excess = new Float64Array(placement.nodeCount);
    for (let node = 0; node < placement.nodeCount; node += 1) this.update(node);
    for (const giant of pinned) if (giant !== NOWHERE) this.remove(giant);
  }

  /** Before it moves. */
  remove(partition: number): void {
    const node = this.#placement.nodeOf(partition);
    const end = this.#ends[node] as number;
    const at = this.#items.indexOf(partition, this.#starts[node]);
    this.#items.copyWithin(at, at + 1, end);
    this.#loads.copyWithin(at, at + 1, end);
    this.#ends[node] = end - 1;
  }

  update(node: number): void {
    this.#spare[node] = this.#placement.shortOn(node) > 0 ? 0 : this.#placement.spareOn(node);
    this.#excess[node] = Math.max(0, -this.#placement.roomOn(node));
  }

  /** What saves the most, or `NOWHERE`: of each node what it can just spare, and what just fills the other, and what is next to these. */
  bestFor(node: number): number {
    const placement = this.#placement;
    const room = placement.roomOn(node);
    const short = placement.shortOn(node);
    const now = this.#costOf(short);
    let best = -1;
    let most = SAVED_MIN;
    for (let source = 0; source < placement.nodeCount; source += 1) {
      const spare = this.#spare[source] as number;
      if (spare === 0) continue;
      const [start, end] = [this.#starts[source] as number, this.#ends[source] as number];
      const fitting = this.#firstOfAtMost(source, spare);
      const filling = this.#firstOfAtMost(source, short * (1 - 1e-9)) - 1;
      const before = now - this.#worthOf(spare) - 1;
      for (let kind = 0; kind < 4; kind += 1) {
        const at = kind === 0 ? filling : kind === 1 ? fitting : kind === 2 ? fitting - 1 : filling + 1;
        if (at < start || at >= end) continue;
        const load = this.#loads[at] as number;
        if (load > room) continue;
        const after = this.#costOf(short - load) + this.#costOf(load - spare) - this.#worthOf(spare - load);
        const saved = before - after + this.#excessSaved(source, load) + 3e-2 * this.#slope * load;
        if (saved > most) [best, most] = [at, saved];
      }
    }
    if (best === -1) return NOWHERE;
    return (this.#loads[best] as number) >= short ? (this.#items[best] as number) : this.#inZone(node, best);
  }

  #costOf(short: number): number {
    return short > 0 ? Math.max(1, this.#shortCost + this.#slope * short) : 0;
  }

  #worthOf(spare: number): number {
    return spare > 0 ? SPARE_WORTH * Math.max(0, this.#slope * spare - 1) : 0;
  }

  /** A node above its ceiling has to give in any case. */
  #excessSaved(node: number, load: number): number {
    const excess = this.#excess[node] as number;
    return excess === 0 ? 0 : load >= excess ? 1 : 0.5;
  }

  /** That, or one nearly as heavy on the same node. */
  #inZone(node: number, from: number): number {
    const placement = this.#placement;
    const zone = placement.zoneOf(node);
    const first = this.#items[from] as number;
    const end = Math.min(from + LOOKED_AT_MAX, this.#ends[placement.nodeOf(first)] as number);
    for (let at = from; at < end; at += 1) {
      if ((this.#loads[at] as number) < NEARLY * (this.#loads[from] as number)) break;
      if (!placement.isFull(zone, this.#items[at] as number)) return this.#items[at] as number;
    }
    return first;
  }

  #firstOfAtMost(node: number, limit: number): number {
    let [low, high] = [this.#starts[node] as number, this.#ends[node] as number];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#loads[middle] as number) <= limit) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
