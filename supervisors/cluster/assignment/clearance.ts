/** Finds the node that can make room for a heavy partition with the fewest moves of what it holds. */
import { listOf, NOWHERE, type NodeLists, type Placement } from "./placement.ts";

export class Clearance {
  readonly #placement: Placement;
  /** What has no room elsewhere may go where others make room for it in turn. */
  readonly #isChained: boolean;
  #lists: NodeLists | undefined;
  /** What is to move must have room elsewhere. */
  #roomMax = 0;

  constructor(placement: Placement, isChained: boolean, lists?: NodeLists) {
    this.#placement = placement;
    this.#isChained = isChained;
    if (lists !== undefined) this.#use(lists);
  }

  /** How many another node than `except` has to give for it, at least; more than `countMax` where none can by so many. */
  countFor(partition: number, countMax: number, except: number): number {
    const placement = this.#placement;
    let best = countMax + 1;
    for (let node = 0; node < placement.nodeCount && best > 0; node += 1) {
      if (node === except) continue;
      best = Math.min(best, this.#countOf(node, placement.loadOf(partition) - placement.roomOn(node), best - 1));
    }
    return best;
  }

  /** Of nodes that need as many moves the one that is the least loaded then; `NOWHERE` where none can. */
  find(partition: number, except: number): number {
    const placement = this.#placement;
    const load = placement.loadOf(partition);
    let best = NOWHERE;
    let bestCount = Number.POSITIVE_INFINITY;
    for (let node = 0; node < placement.nodeCount; node += 1) {
      if (node === except) continue;
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
      if (this.#placement.nodeOf(partition) !== node) continue;
      const load = this.#placement.loadOf(partition);
      if (load > this.#roomMax && !this.#isChained) continue;
      left -= load;
      count += Math.max(1, Math.ceil(load / this.#roomMax));
    }
    return left <= 0 ? count : Number.POSITIVE_INFINITY;
  }

  /** As they were when they were first needed: nodes that have given something since are looked at as they are. */
  #listsNow(): NodeLists {
    return this.#lists ?? this.#use(this.#placement.lists());
  }

  #use(lists: NodeLists): NodeLists {
    this.#lists = lists;
    for (let node = 0; node < this.#placement.nodeCount; node += 1) {
      this.#roomMax = Math.max(this.#roomMax, this.#placement.roomOn(node));
    }
    return lists;
  }
}
