/**
 * How many moves ceilings alone ask for at least, where heavy partitions are in the way. One that stays where it is has the
 * others there make room for it; one that goes elsewhere costs its own move, and room there. That can be proved for what is at
 * least as heavy as any limit:
 *
 *   - A node has so many heavy partitions in the end. It has given some of its own, at best its heaviest, and taken others, which
 *     weigh the limit at least; what is above its ceiling then it has given of its light ones, in so many moves at least.
 *   - Each heavy partition is somewhere in the end. So at any price for having one, the moves of all nodes are at least the
 *     price of all heavy ones, and of each node the least of its moves without the price of those that it has (Lagrangian
 *     duality). The price that makes the most is searched, and the limit; and several at once (clearing_classes.ts).
 */
import { BESIDE_MAX, classesOf, NodeOptions } from "./clearing_classes.ts";
import { NOWHERE, type NodeLists, type Placement } from "./placement.ts";

/** Limits looked at: down to so small a part of the largest ceiling, each with so many times fewer partitions above it. */
const LIGHTEST_PART = 5;
const FEWER = 1.25;
/** Prices looked at: up to this, and between those by so small steps. */
const PRICE_MAX = 512;
const PRICE_STEP = 0.05;
const ROUNDING = 1e-6;

export function clearingMin(placement: Placement, lists: NodeLists, loads: Float64Array, pinned: Int32Array): number {
  const clearing = new Clearing(placement, lists, loads, pinned);
  const giants = new Set(pinned);
  const heavy: number[] = [];
  for (const partition of placement.byLoad) {
    if (placement.loadOf(partition) * LIGHTEST_PART <= clearing.largest) break;
    if (!giants.has(partition)) heavy.push(partition);
  }
  let least = clearing.movesMin(Number.POSITIVE_INFINITY, 0);
  for (let count = heavy.length; count > 0; count = Math.floor(count / FEWER)) {
    const limit = placement.loadOf(heavy[count - 1] as number);
    let unplaced = 0;
    for (const one of heavy) if (placement.loadOf(one) >= limit && placement.nodeOf(one) === NOWHERE) unplaced += 1;
    least = Math.max(least, clearing.movesMin(limit, unplaced));
  }
  const heavyLoads = heavy.map((partition) => placement.loadOf(partition));
  const classed = heavyLoads.filter((load) => load * BESIDE_MAX > clearing.largest);
  least = Math.max(least, clearing.movesMinByClasses(classed));
  return Math.ceil(least - ROUNDING);
}

class Clearing {
  /** Of the ceilings, beside giants. */
  readonly largest: number;
  readonly #lists: NodeLists;
  /** By place in the lists: what it weighs, and all that is before it. */
  readonly #loads: Float64Array;
  readonly #before: Float64Array;
  /** By node: the first place beside its giant, and what may be there. */
  readonly #firsts: Uint32Array;
  readonly #ceilings: Float64Array;

  constructor(placement: Placement, lists: NodeLists, loads: Float64Array, pinned: Int32Array) {
    const { nodeCount, ceiling } = placement;
    this.#lists = lists;
    this.#loads = loads;
    this.#before = new Float64Array(loads.length + 1);
    for (let at = 0; at < loads.length; at += 1) {
      this.#before[at + 1] = (this.#before[at] as number) + (loads[at] as number);
    }
    this.#firsts = lists.starts.slice(0, nodeCount);
    this.#ceilings = ceiling.map((_, node) => placement.loadOn(node) + placement.roomOn(node));
    for (let node = 0; node < nodeCount; node += 1) {
      const giant = pinned[node] as number;
      if (giant === NOWHERE) continue;
      this.#firsts[node] = (this.#firsts[node] as number) + 1; // it is the heaviest
      this.#ceilings[node] = (this.#ceilings[node] as number) - placement.loadOf(giant);
    }
    this.largest = this.#ceilings.reduce((most, one) => Math.max(most, one), 0);
  }

  /** With what weighs at least so much as the heavy ones; of these so many are nowhere. */
  movesMin(limit: number, unplaced: number): number {
    const nodeCount = this.#firsts.length;
    const options: (readonly number[])[] = [];
    let heavy = unplaced;
    for (let node = 0; node < nodeCount; node += 1) {
      let light = this.#firsts[node] as number;
      const end = this.#lists.starts[node + 1] as number;
      while (light < end && (this.#loads[light] as number) >= limit) light += 1;
      heavy += light - (this.#firsts[node] as number);
      options.push(this.#fewest(node, light, limit));
    }
    let [most, best] = [0, 0];
    const look = (price: number) => {
      let sum = price * heavy;
      for (const fewest of options) {
        let least = Number.POSITIVE_INFINITY;
        for (let count = 0; count < fewest.length; count += 1) {
          const cost = (fewest[count] as number) - price * count;
          if (cost < least) least = cost;
        }
        sum += least;
      }
      if (sum > most) [most, best] = [sum, price];
    };
    look(0);
    if (heavy === 0) return most;
    for (let price = 1; price <= PRICE_MAX && price <= 4 * Math.max(1, best); price *= 2) look(price);
    for (let step = best / 4; step > PRICE_STEP; step /= 2) {
      const from = best;
      look(from - step);
      look(from + step);
    }
    return most;
  }

  /** By how many heavy ones the node has in the end: how many moves that is of what it holds, at least. */
  #fewest(node: number, light: number, limit: number): readonly number[] {
    const first = this.#firsts[node] as number;
    const end = this.#lists.starts[node + 1] as number;
    const [before, ceiling] = [this.#before, this.#ceilings[node] as number];
    const all = (before[end] as number) - (before[light] as number);
    const own = light - first;
    const fewest: number[] = [];
    for (let given = own; given >= 0; given -= 1) {
      const kept = (before[light] as number) - (before[first + given] as number);
      for (let taken = 0; ; taken += 1) {
        const others = taken === 0 ? 0 : taken * limit;
        const count = this.#countFor(light, end, all + kept + others - ceiling);
        if (count === Number.POSITIVE_INFINITY) break;
        const at = own - given + taken;
        fewest[at] = Math.min(fewest[at] ?? Number.POSITIVE_INFINITY, given + count);
        if (limit === Number.POSITIVE_INFINITY) break;
      }
    }
    return fewest;
  }

  /** With heavy ones of several classes: loads in descending order. */
  movesMinByClasses(heavy: readonly number[]): number {
    const { limits, sizes } = classesOf(heavy);
    if (limits.length === 0) return 0;
    const options = new NodeOptions(limits.length);
    for (let node = 0; node < this.#firsts.length; node += 1) {
      this.#offerAll(options, node, limits);
      options.addNode();
    }
    return options.movesMin(sizes);
  }

  /** What the node may have in the end: of its own none, one or two, and of others what is not more than two in all. */
  #offerAll(options: NodeOptions, node: number, limits: readonly number[]): void {
    const first = this.#firsts[node] as number;
    const end = this.#lists.starts[node + 1] as number;
    let light = first;
    while (light < end && (this.#loads[light] as number) >= (limits[limits.length - 1] as number)) light += 1;
    const above = (this.#before[end] as number) - (this.#before[light] as number) - (this.#ceilings[node] as number);
    const own = light - first;
    const offer = (one: number, other: number, load: number, given: number) =>
      options.offer(one, other, given + this.#countFor(light, end, above + load));
    offer(0, 0, 0, own);
    for (const [at, load] of limits.entries()) {
      offer(at + 1, 0, load, own);
      for (let other = at; other < limits.length; other += 1) {
        offer(at + 1, other + 1, load + (limits[other] as number), own);
      }
    }
    for (let at = first; at < light; at += 1) {
      const load = this.#loads[at] as number;
      const one = limits.findIndex((limit) => load >= limit) + 1;
      offer(one, 0, load, own - 1);
      for (const [other, limit] of limits.entries()) offer(one, other + 1, load + limit, own - 1);
      for (let beside = at + 1; beside < light; beside += 1) {
        const other = this.#loads[beside] as number;
        offer(one, limits.findIndex((limit) => other >= limit) + 1, load + other, own - 2);
      }
    }
  }

  /** Of the light ones: as few as are so much. */
  #countFor(light: number, end: number, excess: number): number {
    if (excess <= 0) return 0;
    const needed = (this.#before[light] as number) + excess;
    if (needed > (this.#before[end] as number)) return Number.POSITIVE_INFINITY;
    let [low, high] = [light, end];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#before[middle] as number) >= needed) high = middle;
      else low = middle + 1;
    }
    return low - light;
  }
}
