/**
 * The load of a partition in an assignment: its measured weight, and a base that each partition has.
 *
 * An idle partition costs its owner actors, timers and memory, and may wake at any moment. So the base is a quarter of the
 * mean weight. The base bounds the count as well: a node at 1.10 shares of the load holds at most
 * 1.10 * (1 + 1/4) / (1/4) = 5.5 times its share of the partitions. Its measured weight is at most
 * 1.10 * (1 + 1/4) = 1.375 shares.
 *
 * Loads are whole numbers, so that a sum does not depend on its order. The heaviest weight counts 2^26, and a weight below
 * a 2^27th of that counts 0. So sums and sort keys of a million partitions stay below 2^53.
 */
import { InvariantError } from "../../../protocols/errors.ts";

const HEAVIEST = 2 ** 26;

/** The base of each partition, as a part of the mean weight. */
export const BASE_SHARE = 0.25;

export interface Loads {
  /** Whole numbers above 0, in the order of the weights. */
  readonly loads: Float64Array;
  readonly total: number;
  /** All weights are equal: each load is 1. */
  readonly isEven: boolean;
}

/** Throws `InvariantError` for a weight that is not a finite number of at least 0. */
export function loadsOf(weights: Float64Array): Loads {
  let heaviest = 0;
  let lightest = Number.POSITIVE_INFINITY;
  for (const weight of weights) {
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw new InvariantError(
        `Cannot assign partitions as a weight must be a number of at least 0: current value is ${weight}`,
      );
    }
    if (weight > heaviest) heaviest = weight;
    if (weight < lightest) lightest = weight;
  }
  if (heaviest <= lightest || weights.length === 0) {
    return { loads: weights.map(() => 1), total: weights.length, isEven: true };
  }
  const loads = weights.map((weight) => Math.round((weight / heaviest) * HEAVIEST));
  const measured = sum(loads);
  const base = Math.max(1, Math.round((measured / loads.length) * BASE_SHARE));
  for (let index = 0; index < loads.length; index += 1) loads[index] = (loads[index] as number) + base;
  return { loads, total: measured + base * loads.length, isEven: false };
}

export function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
