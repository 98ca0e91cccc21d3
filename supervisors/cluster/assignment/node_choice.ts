/**
 * Finds the node for a partition that has to be placed: of the nodes with room those in the zone with the least of its
 * stream, and of these the least loaded. Looks at one node for each zone and size of node, the least loaded one; only if
 * none of these has room, at all of them.
 */
import { NodeHeap } from "./node_heap.ts";
import { NOWHERE, type Placement } from "./placement.ts";

/** Sizes that differ by less than this factor are one class. */
const CLASS_FACTOR = 1.2;
/** Where there are more classes than this (a zone for every node, say), so many are looked at, others each time. */
const CLASSES_LOOKED_AT_MAX = 64;

export class NodeChoice {
  readonly #placement: Placement;
  readonly #heaps: NodeHeap[] = [];
  readonly #heapOf: NodeHeap[] = [];
  #cursor = 0;
  /** The best node so far, and what it is like. */
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

  /** To be told whenever a node's load has changed. */
  update(node: number): void {
    const ratio = this.#placement.ratioOf(node);
    // A node below its floor comes first: it has a ratio below 1, and with 2 less it is below all others.
    this.#heapOf[node]?.set(node, this.#placement.shortOn(node) > 0 ? ratio - 2 : ratio);
  }

  /** A node with room, or `NOWHERE`. */
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

  /** Where it makes the least skew, room or not. */
  findLeastSkewed(partition: number): number {
    const load = this.#placement.loadOf(partition);
    let best = 0;
    for (let node = 1; node < this.#placement.nodeCount; node += 1) {
      if (this.#placement.ratioOf(node, load) < this.#placement.ratioOf(best, load)) best = node;
    }
    return best;
  }

  /** Takes the node for the best if it has room and is better: what the best is like is reckoned once. */
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
