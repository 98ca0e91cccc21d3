/** Finds the node that can make room for a heavy partition with the fewest moves of what it holds. */
import { listOf, NOWHERE, type NodeLists, type Placement } from "./placement.ts";

export class Clearance {
  readonly #placement: Placement;
  #lists: NodeLists | undefined;
  /** What is to move must have room elsewhere. */
  #roomMax = 0;

  constructor(placement: Placement) {
    this.#placement = placement;
  }

  /** Of nodes that need as many moves the one that is the least loaded then; `NOWHERE` where none can. */
  find(partition: number): number {
    const placement = this.#placement;
    const load = placement.loadOf(partition);
    let best = NOWHERE;
    let bestCount = Number.POSITIVE_INFINITY;
    for (let node = 0; node < placement.nodeCount; node += 1) {
      const count = this.#countOf(node, load - placement.roomOn(node), bestCount);
      const isLower = count === bestCount && best !== NOWHERE && placement.ratioOf(node) < placement.ratioOf(best);
      if (count < bestCount || (isLower && count < Number.POSITIVE_INFINITY)) [best, bestCount] = [node, count];
    }
    return best;
  }

  #countOf(node: number, excess: number, countMax: number): number {
    let left = excess;
    let count = 0;
    for (const partition of listOf(this.#listsNow(), node)) {
      if (left <= 0 || count > countMax) break;
      if (this.#placement.nodeOf(partition) !== node || this.#placement.loadOf(partition) > this.#roomMax) continue;
      left -= this.#placement.loadOf(partition);
      count += 1;
    }
    return left <= 0 ? count : Number.POSITIVE_INFINITY;
  }

  /** As they were when they were first needed: nodes that have given something since are looked at as they are. */
  #listsNow(): NodeLists {
    if (this.#lists === undefined) {
      this.#lists = this.#placement.lists();
      for (let node = 0; node < this.#placement.nodeCount; node += 1) {
        this.#roomMax = Math.max(this.#roomMax, this.#placement.roomOn(node));
      }
    }
    return this.#lists;
  }
}
