/**
 * How many moves ceilings ask for at least, by heavy partitions of several classes: the heavier one is, the more room has to
 * be made for it. As in clearing_min.ts whoever has a heavy partition in the end is paid a price for that, here by its class; each
 * node does what is the cheapest for it alone. A node has two heavy ones at most, as each is above a third of the
 * largest ceiling. What any prices make can be proved; these begin where as many nodes would take one as there are, and
 * are changed as long as that makes more.
 */

/** So many, each above so large a part of the largest ceiling, can not be on one node. */
export const BESIDE_MAX = 3;
const CLASSES_MAX = 12;
/** Each class has so many times the partitions of all before. */
const CLASS_FACTOR = 0.35;
/** By what each price is changed, one after the other. */
const FACTORS = [1.3, 0.75, 1.1, 0.9];

export interface HeavyClasses {
  /** The lightest of each class, the heaviest class first. */
  readonly limits: readonly number[];
  readonly sizes: readonly number[];
}

/** Loads in descending order, those that are heavy. */
export function classesOf(heavy: readonly number[]): HeavyClasses {
  const limits: number[] = [];
  const sizes: number[] = [];
  for (let from = 0; from < heavy.length; ) {
    let until = from + Math.max(1, Math.floor(from * CLASS_FACTOR));
    if (until > heavy.length || limits.length === CLASSES_MAX - 1) until = heavy.length;
    while (until < heavy.length && heavy[until] === heavy[until - 1]) until += 1; // a load has one class
    limits.push(heavy[until - 1] as number);
    sizes.push(until - from);
    from = until;
  }
  return { limits, sizes };
}

/** What nodes can do, all in one: how many moves that is, and the classes of what they have then. */
export class NodeOptions {
  readonly #classCount: number;
  /** By node: where its options begin. */
  readonly #starts: number[] = [0];
  readonly #moves: number[] = [];
  /** 0 is none, 1 the heaviest class; of two the heavier is the second. */
  readonly #first: number[] = [];
  readonly #second: number[] = [];
  /** Of the node that is added: by pair of classes, the fewest moves. */
  readonly #fewest: Float64Array;

  constructor(classCount: number) {
    this.#classCount = classCount;
    this.#fewest = new Float64Array((classCount + 1) ** 2).fill(Number.POSITIVE_INFINITY);
  }

  /** That the node to be added may have these in the end, in so many moves. */
  offer(one: number, other: number, moves: number): void {
    const [first, second] = one === 0 || (other !== 0 && other < one) ? [one, other] : [other, one];
    const at = first * (this.#classCount + 1) + second;
    this.#fewest[at] = Math.min(this.#fewest[at] as number, moves);
  }

  addNode(): void {
    const size = this.#classCount + 1;
    for (let at = 0; at < this.#fewest.length; at += 1) {
      const moves = this.#fewest[at] as number;
      if (moves === Number.POSITIVE_INFINITY) continue;
      this.#moves.push(moves);
      this.#first.push(Math.floor(at / size));
      this.#second.push(at % size);
    }
    this.#fewest.fill(Number.POSITIVE_INFINITY);
    this.#starts.push(this.#moves.length);
  }

  /** The most that prices were found to make. */
  movesMin(sizes: readonly number[]): number {
    const prices = this.#startingPrices(sizes);
    const [starts, moves] = [Uint32Array.from(this.#starts), Float64Array.from(this.#moves)];
    const [first, second] = [Uint8Array.from(this.#first), Uint8Array.from(this.#second)];
    const paid = (): number => {
      let sum = 0;
      for (const [at, size] of sizes.entries()) sum += (prices[at + 1] as number) * size;
      for (let node = 1; node < starts.length; node += 1) {
        let least = Number.POSITIVE_INFINITY;
        for (let at = starts[node - 1] as number; at < (starts[node] as number); at += 1) {
          const cost =
            (moves[at] as number) - (prices[first[at] as number] as number) - (prices[second[at] as number] as number);
          if (cost < least) least = cost;
        }
        sum += least;
      }
      return sum;
    };
    let most = paid();
    for (const factor of FACTORS) {
      for (let one = 1; one < prices.length; one += 1) {
        const before = prices[one] as number;
        prices[one] = before * factor;
        const now = paid();
        if (now > most) most = now;
        else prices[one] = before;
      }
    }
    return most;
  }

  /** By class: at which as many nodes would take one as there are that are as heavy. */
  #startingPrices(sizes: readonly number[]): Float64Array {
    const extra = sizes.map((): number[] => []);
    for (let node = 1; node < this.#starts.length; node += 1) {
      let without = 0; // the first option, or there is none without
      for (let at = this.#starts[node - 1] as number; at < (this.#starts[node] as number); at += 1) {
        if (this.#first[at] !== 0) break;
        const one = this.#second[at] as number;
        if (one === 0) without = this.#moves[at] as number;
        else extra[one - 1]?.push((this.#moves[at] as number) - without);
      }
    }
    const prices = new Float64Array(sizes.length + 1);
    let count = 0;
    for (const [at, size] of sizes.entries()) {
      count += size;
      const costs = Float64Array.from(extra[at] ?? []).sort();
      prices[at + 1] = Math.max(0, costs[Math.min(count, costs.length) - 1] ?? 0);
    }
    return prices;
  }
}
