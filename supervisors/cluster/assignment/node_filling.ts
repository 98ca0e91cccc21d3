/**
 * Fills nodes that are below their floors, as one that has just joined: from nodes above their own floors, the largest
 * pieces first that neither brings below its floor nor the other above its ceiling.
 */
import { SKEW_MIN } from "./bounds.ts";
import { NodeHeap } from "./node_heap.ts";
import { listOf, NOWHERE, type Placement } from "./placement.ts";
import { crowdedFirst } from "./rebalancing.ts";

/** Pieces nearly as large are looked at for one whose stream has a place in the zone of the node, so many. */
const LOOKED_AT_MAX = 16;
const NEARLY = 0.9;

export function fillNodes(placement: Placement, pinned: Int32Array): void {
  const short: number[] = [];
  for (let node = 0; node < placement.nodeCount; node += 1) if (placement.shortOn(node) > 0) short.push(node);
  if (short.length === 0) return;
  short.sort((one, other) => placement.shortOn(other) - placement.shortOn(one) || one - other);
  const donors = donorsOf(placement, pinned);
  for (const node of short) fillOne(placement, donors, node);
}

function donorsOf(placement: Placement, pinned: Int32Array): Donor[] {
  const lists = placement.lists();
  const donors: Donor[] = [];
  for (let node = 0; node < placement.nodeCount; node += 1) {
    if (placement.spareOn(node) === 0) continue;
    const list = listOf(lists, node);
    // One that a single partition fills keeps that: elsewhere it would be the same again.
    const isFilled = placement.loadOf(list[0] as number) * SKEW_MIN > (placement.floor[node] as number);
    const kept = !placement.input.isEven && isFilled ? list[0] : pinned[node];
    const pieces = [...list].filter((partition) => partition !== kept);
    donors.push(new Donor(placement, node, placement.input.isEven ? crowdedFirst(placement, node, pieces) : pieces));
  }
  return donors;
}

function fillOne(placement: Placement, donors: readonly Donor[], node: number): void {
  const heap = new NodeHeap(donors.length);
  const offer = (at: number) => {
    const donor = donors[at] as Donor;
    const piece = donor.largest(placement.roomOn(node));
    if (piece === NOWHERE) heap.remove(at);
    // All alike: the most loaded gives first.
    else heap.set(at, placement.input.isEven ? -placement.ratioOf(donor.node) : -placement.loadOf(piece));
  };
  for (const at of donors.keys()) offer(at);
  while (placement.shortOn(node) > 0) {
    const at = heap.first;
    if (at === undefined) return;
    // The rooms have changed since it was offered.
    const before = heap.keyOf(at);
    offer(at);
    if (heap.first !== at || heap.keyOf(at) !== before) continue;
    const piece = (donors[at] as Donor).give(placement.roomOn(node), placement.zoneOf(node));
    placement.move(piece, node);
    offer(at);
  }
}

/** A node that may give, and what it has. */
class Donor {
  readonly node: number;
  readonly #placement: Placement;
  readonly #pieces: readonly number[];
  /** By place: the next place that is not given away. */
  readonly #next: Int32Array;

  constructor(placement: Placement, node: number, heaviestFirst: readonly number[]) {
    this.node = node;
    this.#placement = placement;
    this.#pieces = heaviestFirst;
    this.#next = Int32Array.from({ length: heaviestFirst.length + 1 }, (_, place) => place);
  }

  /** Its largest piece of at most `room`, or `NOWHERE`. */
  largest(room: number): number {
    return this.#pieces[this.#placeOfLargest(room)] ?? NOWHERE;
  }

  /** Takes its largest piece, or one nearly as large whose stream has a place in the zone. There must be one. */
  give(room: number, zone: number): number {
    const first = this.#placeOfLargest(room);
    let chosen = first;
    let place = first;
    const least = NEARLY * this.#placement.loadOf(this.#pieces[first] as number);
    for (let count = 0; count < LOOKED_AT_MAX && place < this.#pieces.length; count += 1) {
      const piece = this.#pieces[place] as number;
      if (this.#placement.loadOf(piece) < least) break;
      if (!this.#placement.isFull(zone, piece)) {
        chosen = place;
        break;
      }
      place = this.#free(place + 1);
    }
    this.#next[chosen] = chosen + 1;
    return this.#pieces[chosen] as number;
  }

  #placeOfLargest(room: number): number {
    const limit = Math.min(room, this.#placement.spareOn(this.node));
    let [low, high] = [0, this.#pieces.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#placement.loadOf(this.#pieces[middle] as number) <= limit) high = middle;
      else low = middle + 1;
    }
    return this.#free(low);
  }

  #free(place: number): number {
    let at = place;
    while (this.#next[at] !== at) {
      this.#next[at] = this.#next[this.#next[at] as number] as number;
      at = this.#next[at] as number;
    }
    return at;
  }
}
