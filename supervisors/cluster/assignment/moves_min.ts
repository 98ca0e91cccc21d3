/**
 * How many moves it takes at least to come between the bounds, whatever way is chosen: none that is found by searching, but
 * one that can be proved. It is a sum of what each node must cost for itself, given prices:
 *
 *   - Every move has a price that the node which takes the partition pays, and of which the node that gives it is paid: the
 *     two together pay 1 for a move, whatever the price. So the moves of an assignment are the sum of what nodes pay, and
 *     that is at least the sum of what each would pay were it free to take and give what is cheapest for it alone.
 *   - A partition of load `w` costs `max(base, slope * min(w, cap))`. A node that is short of `s` pays at least `slope * min(s, cap)`,
 *     and `base` for each partition. One that gives is paid no more than for the best of its partitions that it can
 *     spare; or takes others for them, which costs it `base` at least.
 *   - Where no price is above 1, to give pays nobody: a node that has to give some loses the least by its heaviest. That is
 *     the better bound where nodes that have to give many small ones are beside many that are short of little.
 *   - Any prices make a bound (Lagrangian duality); those that make the highest are searched.
 */
import { clearingMin } from "./clearing_min.ts";
import { NOWHERE, type Placement } from "./placement.ts";

/** Slopes looked at: so that a move is worth it for partitions from the heaviest down to so many times lighter ones. */
const SLOPES_RANGE = 4096;
const SLOPES = 18;
const REFINEMENTS = 6;
const KINDS = [
  { base: 0, isAtMostOne: false },
  { base: 0.6, isAtMostOne: false },
  { base: 1, isAtMostOne: false },
  { base: 0, isAtMostOne: true },
];
const ROUNDING = 1e-6;

export interface MovesMin {
  readonly moves: number;
  /** What a unit of load is worth in moves where nodes are short of it; 0 where none is. */
  readonly slope: number;
}

interface Prices {
  readonly base: number;
  readonly slope: number;
  /** What is more than this costs no more: what any node is short of at most, or what costs 1. */
  readonly cap: number;
}

/**
 * Of where everything is now; `forced` moves have been made or have to be made in any case: of orphans, and of giants that shared
 * a node. What it answers at once is answered by ceilings alone; what that answers, by prices as well.
 */
export function movesMinOf(placement: Placement, pinned: Int32Array, forced: number): [number, () => MovesMin] {
  const { movable, unplaced } = loadsToMove(placement, pinned);
  if (movable.length === unplaced.length) return [forced, () => ({ moves: forced, slope: 0 })];
  const lists = placement.lists();
  const starts = lists.starts;
  const loads = placement.loadsOf(lists.items);
  const cleared = forced + clearingMin(placement, lists, loads, pinned);
  const nodes: NodeCost[] = [];
  for (let node = 0; node < placement.nodeCount; node += 1) {
    const first = (starts[node] as number) + (pinned[node] === NOWHERE ? 0 : 1);
    nodes.push(new NodeCost(placement, loads.subarray(first, starts[node + 1]), node, movable));
  }
  let found: MovesMin | undefined;
  return [
    cleared,
    () => {
      if (found !== undefined) return found;
      const { moves, slope } = search(nodes, unplaced);
      found = { moves: Math.max(cleared, forced + moves), slope };
      return found;
    },
  ];
}

/** The prices that make the highest bound. */
function search(nodes: readonly NodeCost[], unplaced: Float64Array): MovesMin {
  const cap = nodes.reduce((most, node) => Math.max(most, node.short), 0);
  const heaviest = nodes.reduce((most, node) => Math.max(most, node.heaviest), 0);
  if (cap === 0 || heaviest === 0) return { moves: 0, slope: 0 };
  let highest = 0;
  let slope = 0;
  for (const { base, isAtMostOne } of KINDS) {
    let [best, bestAt, last] = [0, 0, 0];
    const slopeAt = (at: number) => SLOPES_RANGE ** (at / SLOPES) / heaviest;
    const look = (at: number) => {
      const steep = slopeAt(at);
      const prices = { base, slope: steep, cap: isAtMostOne ? Math.min(cap, (1 - ROUNDING) / steep) : cap };
      let paid = 0;
      for (const node of nodes) paid += node.pays(prices);
      for (let orphan = 0; orphan < unplaced.length; orphan += 1) paid -= priceOf(unplaced[orphan] as number, prices);
      last = paid;
      if (paid > best) [best, bestAt] = [paid, at];
    };
    for (let at = 0; at <= SLOPES && (at < bestAt + 4 || last > best / 2); at += 1) look(at);
    for (let step = 0.5, count = 0; count < REFINEMENTS; step /= 2, count += 1) {
      const at = bestAt;
      look(at - step);
      look(at + step);
    }
    highest = Math.max(highest, best);
    if (base === 1) slope = slopeAt(bestAt);
  }
  return { moves: Math.ceil(highest - ROUNDING), slope };
}

const priceOf = (load: number, { base, slope, cap }: Prices): number => Math.max(base, slope * Math.min(load, cap));

/** The heaviest first: loads of all that may move, and of that of it which is nowhere. */
function loadsToMove(placement: Placement, pinned: Int32Array): { movable: Float64Array; unplaced: Float64Array } {
  const { byLoad, target, partitionCount } = placement;
  const nowhere = NOWHERE;
  const giants = new Set(pinned);
  const movable = new Float64Array(partitionCount);
  const unplaced = new Float64Array(partitionCount);
  let [movableCount, unplacedCount] = [0, 0];
  for (let rank = 0; rank < partitionCount; rank += 1) {
    const partition = byLoad[rank] as number;
    if (giants.size > 1 && giants.has(partition)) continue;
    movable[movableCount] = placement.loadOf(partition);
    movableCount += 1;
    if (target[partition] !== nowhere) continue;
    unplaced[unplacedCount] = placement.loadOf(partition);
    unplacedCount += 1;
  }
  return { movable: movable.subarray(0, movableCount), unplaced: unplaced.subarray(0, unplacedCount) };
}

/** What a node costs at least. */
class NodeCost {
  readonly #loads: Float64Array;
  readonly short: number;
  readonly #spare: number;
  readonly #load: number;
  /** How many it must give at least, as it is above its ceiling; and take, as it is below its floor. */
  readonly #given: number;
  readonly #taken: number;
  /** The most that it can spare in one partition, and in two. */
  readonly #bestOne: number;
  readonly #bestTwo: number;

  constructor(placement: Placement, heaviestFirst: Float64Array, node: number, movable: Float64Array) {
    this.#loads = heaviestFirst;
    this.short = placement.shortOn(node);
    this.#spare = placement.spareOn(node);
    this.#load = placement.loadOn(node);
    this.#given = countUntil(this.#loads, -placement.roomOn(node));
    this.#bestOne = this.#loads.find((load) => load <= this.#spare) ?? 0;
    this.#taken = countUntil(movable, this.short);
    this.#bestTwo = bestPair(this.#loads, this.#spare);
  }

  get heaviest(): number {
    return this.#loads[0] ?? 0;
  }

  pays(prices: Prices): number {
    return this.short > 0 ? this.#paysToTake(prices) : this.#paysToGive(prices);
  }

  #paysToTake({ base, slope, cap }: Prices): number {
    const least = Math.max(base * this.#taken, slope * Math.min(this.short, cap));
    if (slope * Math.min(this.heaviest, cap) <= 1) return least;
    // It may also give what it is paid more than 1 for: it has to take as much more, or one of which the price is capped.
    let [gain, top] = [Number.NEGATIVE_INFINITY, 0];
    for (let count = 1; count <= this.#loads.length && slope * (this.#loads[count - 1] as number) > 1; count += 1) {
      top += slope * Math.min(this.#loads[count - 1] as number, cap) - 1;
      gain = Math.max(gain, top);
    }
    return Math.min(least, slope * this.short + 1, slope * cap - gain);
  }

  /** Where no price is above 1 nobody gives more than it must. */
  #paysToGiveAtMostOne({ base, slope, cap }: Prices): number {
    let top = 0;
    for (let at = 0; at < this.#given && at < this.#loads.length; at += 1) {
      top += Math.max(base, slope * Math.min(this.#loads[at] as number, cap));
    }
    return this.#given - Math.min(top, Math.max(base * this.#given + slope * this.#spare, top - base));
  }

  #paysToGive(prices: Prices): number {
    if (prices.slope * prices.cap <= 1) return this.#paysToGiveAtMostOne(prices);
    if (this.#given === 0 && prices.slope * Math.min(this.heaviest, prices.cap) <= 1) return 0;
    const least = this.#given === 0 ? 0 : Number.POSITIVE_INFINITY;
    let capped = 0;
    while (capped < this.#loads.length && (this.#loads[capped] as number) > prices.cap) capped += 1;
    const lighter = this.#paysFrom(capped, this.#spare, prices);
    if (capped === 0) return Math.min(least, lighter);
    // With one of which the price is capped it gives more than it is paid for.
    const lost = (this.#loads[capped - 1] as number) - prices.cap;
    return Math.min(least, lighter, this.#paysFrom(0, this.#spare - lost, prices));
  }

  /** Gives at least one, of what is lighter than the first so many. */
  #paysFrom(start: number, spare: number, { base, slope, cap }: Prices): number {
    let least = Number.POSITIVE_INFINITY;
    const withTaken = slope > 0 ? spare + base / slope : 0;
    // What it is paid above the base: as it is; with others taken for it; with so many taken that their price is capped.
    let [alone, exchanged, replaced] = [0, 0, 0];
    let top = 0;
    for (let count = 1; start + count <= this.#loads.length; count += 1) {
      const load = this.#loads[start + count - 1] as number;
      if (count > this.#given && slope * load <= 1) break;
      top += Math.min(load, cap);
      const most = Math.min(top, count === 1 ? this.#bestOne : count === 2 ? this.#bestTwo : this.#spare);
      alone = Math.max(alone, slope * most - base * count);
      exchanged = Math.max(exchanged, slope * Math.min(top, withTaken) - base * count);
      replaced = Math.max(replaced, slope * top - base * count);
      if (count < this.#given) continue;
      const moves = count * (1 - base);
      least = Math.min(least, moves - alone, moves + base - exchanged, moves + Math.max(base, slope * cap) - replaced);
    }
    // All of them are not enough: the heavier ones count in any case.
    return start + this.#given > this.#loads.length
      ? Math.min(least, this.#given * (1 - base) - slope * this.#load)
      : least;
  }
}

function bestPair(heaviestFirst: Float64Array, limit: number): number {
  let best = 0;
  for (let [one, other] = [0, heaviestFirst.length - 1]; one < other; ) {
    const both = (heaviestFirst[one] as number) + (heaviestFirst[other] as number);
    if (both > limit) one += 1;
    else {
      best = Math.max(best, both);
      other -= 1;
    }
  }
  return best;
}

/** The fewest that are as much as `needed`; all, where there is not so much. */
function countUntil(heaviestFirst: Float64Array, needed: number): number {
  let left = needed;
  let count = 0;
  while (left > 0 && count < heaviestFirst.length) {
    left -= heaviestFirst[count] as number;
    count += 1;
  }
  return count;
}
