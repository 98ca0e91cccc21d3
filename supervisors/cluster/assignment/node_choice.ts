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
    let best = NOWHERE;
    for (let count = 0; count < looked; count += 1) {
      const node = this.#heaps[(this.#cursor + count) % this.#heaps.length]?.first ?? NOWHERE;
      if (this.#hasRoom(node, partition) && this.#isBetter(node, best, partition, mustFill)) best = node;
    }
    if (looked < this.#heaps.length) this.#cursor = (this.#cursor + looked) % this.#heaps.length;
    const isMissed = mustFill && looked < this.#heaps.length && best !== NOWHERE && this.#placement.shortOn(best) === 0;
    if (best !== NOWHERE && !isMissed) return best;
    for (let node = 0; node < this.#placement.nodeCount; node += 1) {
      if (this.#hasRoom(node, partition) && this.#isBetter(node, best, partition, mustFill)) best = node;
    }
    return best;
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

  #hasRoom(node: number, partition: number): boolean {
    return this.#placement.loadOf(partition) <= this.#placement.roomOn(node);
  }

  #isBetter(node: number, than: number, partition: number, mustFill: boolean): boolean {
    if (than === NOWHERE) return true;
    const placement = this.#placement;
    if (mustFill) {
      const [fills, other] = [placement.shortOn(node) > 0, placement.shortOn(than) > 0];
      if (fills !== other) return fills;
    }
    const load = placement.loadOf(partition);
    const isAtEase = placement.isAtEase(node, load);
    if (isAtEase !== placement.isAtEase(than, load)) return isAtEase;
    const [zone, otherZone] = [placement.zoneOf(node), placement.zoneOf(than)];
    if (zone !== otherZone) {
      const isFull = placement.isFull(zone, partition);
      if (isFull !== placement.isFull(otherZone, partition)) return !isFull;
      const crowd = placement.crowdIn(zone, partition) - placement.crowdIn(otherZone, partition);
      if (Math.abs(crowd) > 1e-9) return crowd < 0;
    }
    const ratio = placement.ratioOf(node, load) - placement.ratioOf(than, load);
    return ratio < 0 || (ratio === 0 && node < than);
  }
}
