/**
 * Finds the node for a partition that has to be placed. Of the nodes with room it takes those in the zone with the least of the
 * partition's stream (A5), and of these the least loaded (A6). It looks at the least loaded node of each zone and size
 * first, and at all nodes only if none of those has room.
 */
import { NodeHeap } from "./node_heap.ts";
import { NOWHERE, type Placement } from "./placement.ts";

/** Capacities that differ by less than this factor belong to one class. */
const CLASS_FACTOR = 1.2;
/** At most this many classes are looked at for one partition, in turns: with a zone for each node each node is a class. */
const CLASSES_LOOKED_AT_MAX = 64;

export class NodeChoice {
  readonly #placement: Placement;
  readonly #heaps: NodeHeap[] = [];
  readonly #heapOf: NodeHeap[] = [];
  #cursor = 0;
  /** The best node of this search so far, and its marks. */
  #best = NOWHERE;
  #rank = 0;
  #isFull = false;
  #crowd = 0;
  #ratio = 0;

  constructor(placement: Placement) {
    this.#placement = placement;
    const classes = new Map<string, NodeHeap>();
    for (const [node, capacity] of placement.input.capacities.entries()) {
      const name = `${placement.zoneOf(node)} ${Math.round(Math.log(capacity) / Math.log(CLASS_FACTOR))}`;
      let heap = classes.get(name);
      if (heap === undefined) {
        heap = new NodeHeap(placement.nodeCount, this.#heaps[0]);
        classes.set(name, heap);
        this.#heaps.push(heap);
      }
      this.#heapOf.push(heap);
      this.update(node);
    }
  }

  /** Call this whenever a node's load has changed. */
  update(node: number): void {
    const ratio = this.#placement.ratioOf(node);
    // A node below its floor has a ratio below 1: minus 2 puts it before all others.
    this.#heapOf[node]?.set(node, this.#placement.shortOn(node) > 0 ? ratio - 2 : ratio);
  }

  /** A node with room, or `NOWHERE`. With `mustFill` nodes below their floors come first. */
  find(partition: number, mustFill: boolean): number {
    const looked = Math.min(this.#heaps.length, CLASSES_LOOKED_AT_MAX);
    this.#best = NOWHERE;
    for (let count = 0; count < looked; count += 1) {
      const node = this.#heaps[(this.#cursor + count) % this.#heaps.length]?.first ?? NOWHERE;
      this.#look(node, partition, mustFill);
    }
    if (looked < this.#heaps.length) this.#cursor = (this.#cursor + looked) % this.#heaps.length;
    const isMissed =
      mustFill && looked < this.#heaps.length && this.#best !== NOWHERE && this.#placement.shortOn(this.#best) === 0;
    if (this.#best !== NOWHERE && !isMissed) return this.#best;
    for (let node = 0; node < this.#placement.nodeCount; node += 1) this.#look(node, partition, mustFill);
    return this.#best;
  }

  /** The node that has the lowest load over share with the partition, whether it has room or not. */
  findLeastSkewed(partition: number): number {
    const load = this.#placement.loadOf(partition);
    let best = 0;
    for (let node = 1; node < this.#placement.nodeCount; node += 1) {
      if (this.#placement.ratioOf(node, load) < this.#placement.ratioOf(best, load)) best = node;
    }
    return best;
  }

  /** Makes the node the best if it has room and is better. The marks of the best are kept, as they cost time. */
  #look(node: number, partition: number, mustFill: boolean): void {
    const placement = this.#placement;
    const load = placement.loadOf(partition);
    if (load > placement.roomOn(node)) return;
    const isNone = this.#best === NOWHERE;
    const fills = mustFill && placement.shortOn(node) > 0;
    const isAtEase = placement.isAtEase(node, load);
    const rank = (fills ? 0 : 2) + (isAtEase ? 0 : 1);
    if (!isNone && rank > this.#rank) return;
    const zone = placement.zoneOf(node);
    const crowd = placement.crowdIn(zone, partition);
    const isFull = placement.isFull(zone, partition);
    const ratio = placement.ratioOf(node, load);
    if (!isNone && rank === this.#rank) {
      if (isFull !== this.#isFull) {
        if (isFull) return;
      } else if (Math.abs(crowd - this.#crowd) > 1e-9) {
        if (crowd > this.#crowd) return;
      } else if (ratio > this.#ratio || (ratio === this.#ratio && node >= this.#best)) return;
    }
    [this.#best, this.#rank, this.#isFull, this.#crowd, this.#ratio] = [node, rank, isFull, crowd, ratio];
  }
}
