/** Finds the node that can make room for a heavy partition by giving away the fewest of its own. */
import { listOf, NOWHERE, type Placement } from "./placement.ts";

export class Clearance {
  readonly #placement: Placement;
  /** By node: its partitions, the heaviest first, as they were when the search began. */
  readonly #lists;
  /** A partition that a node gives away must fit into this, the largest room of any node. */
  readonly #roomMax: number;

  constructor(placement: Placement, lists = placement.lists()) {
    this.#placement = placement;
    this.#lists = lists;
    let roomMax = 0;
    for (let node = 0; node < placement.nodeCount; node += 1) roomMax = Math.max(roomMax, placement.roomOn(node));
    this.#roomMax = roomMax;
  }

  /** How many partitions the best node other than `except` has to give away; infinite where none can make room. */
  countFor(partition: number, except: number): number {
    return this.#best(partition, except).count;
  }

  /** The node that gives away the fewest, of equals the least loaded; `NOWHERE` where none can make room. */
  find(partition: number, except: number): number {
    return this.#best(partition, except).node;
  }

  #best(partition: number, except: number): { node: number; count: number } {
    const placement = this.#placement;
    const load = placement.loadOf(partition);
    let [best, fewest] = [NOWHERE, Number.POSITIVE_INFINITY];
    for (let node = 0; node < placement.nodeCount; node += 1) {
      if (node === except) continue;
      const count = this.#countOn(node, load - placement.roomOn(node), fewest);
      const isLower = count === fewest && best !== NOWHERE && placement.ratioOf(node) < placement.ratioOf(best);
      if (count < fewest || isLower) [best, fewest] = [node, count];
    }
    return { node: best, count: fewest };
  }

  /** How many partitions the node gives away to shed `excess`; infinite where it cannot, or needs more than `countMax`. */
  #countOn(node: number, excess: number, countMax: number): number {
    let [left, count] = [excess, 0];
    for (const partition of listOf(this.#lists, node)) {
      if (left <= 0 || count > countMax) break;
      const load = this.#placement.loadOf(partition);
      if (load > this.#roomMax || this.#placement.nodeOf(partition) !== node) continue;
      left -= load;
      count += 1;
    }
    return left <= 0 ? count : Number.POSITIVE_INFINITY;
  }
}
