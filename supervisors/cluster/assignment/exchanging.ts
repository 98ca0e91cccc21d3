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
/** A chain has so many steps at most. */
const STEPS_MAX = 12;

export interface ExchangeTerms {
  /** What a unit of load is worth, in moves. */
  readonly slope: number;
  /** What a node that is short costs beyond what it is short of, in moves: what fills it seldom fits. */
  readonly shortCost: number;
  /** So many chains are looked at beside each other. */
  readonly width: number;
}

export function fillByExchange(placement: Placement, pinned: Int32Array, terms: ExchangeTerms): void {
  const short = new NodeHeap(placement.nodeCount);
  const queue = (node: number) => {
    if (placement.shortOn(node) > 0) short.set(node, -placement.shortOn(node));
    else short.remove(node);
  };
  for (let node = 0; node < placement.nodeCount; node += 1) queue(node);
  if (short.first === undefined || !(terms.slope > 0)) return;
  const offers = new Offers(placement, pinned, terms);
  for (let node = short.first; node !== undefined; node = short.first) {
    const chain = offers.chainFor(node);
    if (chain === undefined) {
      short.remove(node);
      continue;
    }
    for (const { partition, to } of chain) {
      const source = placement.nodeOf(partition);
      offers.remove(partition);
      placement.move(partition, to);
      for (const changed of [source, to]) {
        offers.update(changed);
        queue(changed);
      }
    }
  }
}

interface Step {
  readonly partition: number;
  readonly to: number;
}

/** Moves that fill a node, and in turn those that give for it; each gives once. */
interface Chain {
  readonly steps: readonly Step[];
  readonly sources: readonly number[];
  readonly open: readonly Open[];
  /** Moves, and what is spared no longer. */
  readonly cost: number;
  /** With what it costs to fill what is open, so far as can be told. */
  readonly whole: number;
}

/** A node that is still to be filled. */
interface Open {
  readonly node: number;
  readonly short: number;
  readonly room: number;
}

/** What each node has held from the start and still does. */
class Offers {
  readonly #placement: Placement;
  readonly #terms: ExchangeTerms;
  /** By node: where in the items its own begin and end, the heaviest first. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #items: Uint32Array;
  readonly #loads: Float64Array;
  /** By node: what it can spare, 0 where it is short, and how much it is above its ceiling. */
  readonly #spare: Float64Array;
  readonly #excess: Float64Array;

  constructor(placement: Placement, pinned: Int32Array, terms: ExchangeTerms) {
    this.#placement = placement;
    this.#terms = terms;
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

  /** The chain that costs the least of those that are searched, or undefined where its first step does not save. */
  chainFor(node: number): readonly Step[] | undefined {
    const placement = this.#placement;
    const first = { node, short: placement.shortOn(node), room: placement.roomOn(node) };
    const none: Chain = { steps: [], sources: [node], open: [first], cost: 0, whole: this.#costOf(first.short) };
    let chains: Chain[] = [none];
    let best: Chain | undefined;
    for (let depth = 0; depth < STEPS_MAX && chains.length > 0; depth += 1) {
      const next: Chain[] = [];
      for (const chain of chains) this.#extend(chain, next);
      chains = [];
      for (const chain of next) {
        if (chain.open.length > 0) chains.push(chain);
        else if (best === undefined || chain.cost < best.cost) best = chain;
      }
      const limit = best?.cost ?? Number.POSITIVE_INFINITY;
      chains = chains.filter((chain) => chain.whole < limit);
      if (chains.length === 0 || depth === STEPS_MAX - 1) return (best ?? next[0])?.steps;
    }
    return best?.steps;
  }

  /** Adds to `next` what may follow, the cheapest first: of each node what it can just spare, what just fills the other, and what is next to these. */
  #extend(chain: Chain, next: Chain[]): void {
    const open = chain.open.reduce((most, one) => (one.short > most.short ? one : most));
    const now = this.#costOf(open.short);
    const limit = chain.whole + 1 - SAVED_MIN;
    for (let source = 0; source < this.#placement.nodeCount; source += 1) {
      const spare = this.#spare[source] as number;
      if (spare === 0 || chain.sources.includes(source)) continue;
      const [start, end] = [this.#starts[source] as number, this.#ends[source] as number];
      const fitting = this.#firstOfAtMost(source, spare);
      const filling = this.#firstOfAtMost(source, open.short * (1 - 1e-9)) - 1;
      const before = this.#worthOf(spare) + 1;
      for (let kind = 0; kind < 4; kind += 1) {
        const at = kind === 0 ? filling : kind === 1 ? fitting : kind === 2 ? fitting - 1 : filling + 1;
        if (at < start || at >= end) continue;
        const load = this.#loads[at] as number;
        if (load > open.room) continue;
        const moved = before - this.#worthOf(spare - load) - this.#excessSaved(source, load);
        const whole = chain.whole + moved - now + this.#costOf(open.short - load) + this.#costOf(load - spare);
        if (
          whole >= limit ||
          (next.length === this.#terms.width && whole >= (next[this.#terms.width - 1] as Chain).whole)
        )
          continue;
        const left = chain.open.filter((one) => one !== open);
        if (load < open.short * (1 - 1e-9))
          left.push({ node: open.node, short: open.short - load, room: open.room - load });
        if (load > spare) left.push({ node: source, short: load - spare, room: this.#placement.roomOn(source) + load });
        const step = { partition: this.#items[at] as number, to: open.node };
        const longer: Chain = {
          steps: [...chain.steps, step],
          sources: [...chain.sources, source],
          open: left,
          cost: chain.cost + moved,
          whole,
        };
        let place = next.length;
        while (place > 0 && (next[place - 1] as Chain).whole > whole) place -= 1;
        next.splice(place, 0, longer);
        if (next.length > this.#terms.width) next.pop();
      }
    }
  }

  #costOf(short: number): number {
    return short > 0 ? Math.max(1, this.#terms.shortCost + this.#terms.slope * short) : 0;
  }

  #worthOf(spare: number): number {
    return spare > 0 ? SPARE_WORTH * Math.max(0, this.#terms.slope * spare - 1) : 0;
  }

  /** A node above its ceiling has to give in any case. */
  #excessSaved(node: number, load: number): number {
    const excess = this.#excess[node] as number;
    return excess === 0 ? 0 : load >= excess ? 1 : 0.5;
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
