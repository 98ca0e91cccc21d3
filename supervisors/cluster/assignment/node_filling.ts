/**
 * Fills nodes that are below their floors, such as one that has just joined, from nodes that are above their floors. Each move
 * is the one that brings the most load. It may be an exchange: the node gives back a piece that moves in this pass anyway,
 * for a heavier piece that the donor could not spare otherwise. That counts as one move, like a piece alone.
 */
import { SKEW_MIN } from "./bounds.ts";
import { listOf, NOWHERE, type NodeLists, type Placement } from "./placement.ts";
import { crowdedFirst } from "./rebalancing.ts";

/** How many pieces are looked at for one whose stream has a place in the zone of the node. */
const LOOKED_AT_MAX = 16;
/** A piece of at least this part of the heaviest load is as good. */
const NEARLY = 0.9;

/** @param before the node of each partition before this pass */
export function fillNodes(placement: Placement, pinned: Int32Array, before: Int32Array): void {
  const short: number[] = [];
  for (let node = 0; node < placement.nodeCount; node += 1) if (placement.shortOn(node) > 0) short.push(node);
  if (short.length === 0) return;
  short.sort((one, other) => placement.shortOn(other) - placement.shortOn(one) || one - other);
  const lists = placement.lists();
  const donors = donorsOf(placement, pinned, lists);
  for (const node of short) {
    const arrived = [...listOf(lists, node)].filter(
      (partition) => before[partition] !== node && partition !== pinned[node],
    );
    fillOne(placement, donors, node, arrived);
  }
}

/** The nodes above their floors, the most loaded first: of equal moves the first is taken. */
function donorsOf(placement: Placement, pinned: Int32Array, lists: NodeLists): readonly Donor[] {
  const donors: Donor[] = [];
  for (let node = 0; node < placement.nodeCount; node += 1) {
    if (placement.spareOn(node) === 0) continue;
    const list = listOf(lists, node);
    // A node that one partition fills keeps that partition: another node would be as full with it.
    const isFilled = placement.loadOf(list[0] as number) * SKEW_MIN > (placement.floor[node] as number);
    const kept = !placement.input.isEven && isFilled ? list[0] : pinned[node];
    const pieces = [...list].filter((partition) => partition !== kept);
    donors.push(new Donor(placement, node, placement.input.isEven ? crowdedFirst(placement, node, pieces) : pieces));
  }
  return donors.sort((one, other) => placement.ratioOf(other.node) - placement.ratioOf(one.node));
}

/** @param arrived the pieces on the node that move in this pass anyway */
function fillOne(placement: Placement, donors: readonly Donor[], node: number, arrived: number[]): void {
  while (placement.shortOn(node) > 0) {
    const move = bestMove(placement, donors, node, arrived);
    if (move === undefined) return;
    const { donor, back, limit } = move;
    const piece = donor.give(limit, placement.zoneOf(node));
    if (back !== NOWHERE) {
      arrived.splice(arrived.indexOf(back), 1);
      placement.move(back, donor.node);
    }
    placement.move(piece, node);
    arrived.push(piece);
  }
}

/** The donor gives its heaviest piece up to `limit`, and gets the piece `back`, unless that is `NOWHERE`. */
interface Move {
  readonly donor: Donor;
  readonly limit: number;
  readonly back: number;
}

function bestMove(
  placement: Placement,
  donors: readonly Donor[],
  node: number,
  arrived: readonly number[],
): Move | undefined {
  const room = placement.roomOn(node);
  let best: Move | undefined;
  let most = 0;
  for (const donor of donors) {
    const spare = Math.min(room, placement.spareOn(donor.node));
    if (spare <= most) continue; // no move from this donor brings more than it can spare
    const offer = (back: number, backLoad: number) => {
      const limit = spare + backLoad;
      const piece = donor.heaviest(limit);
      const gain = piece === NOWHERE ? 0 : placement.loadOf(piece) - backLoad;
      if (gain > most) [best, most] = [{ donor, limit, back }, gain];
    };
    offer(NOWHERE, 0);
    for (const back of arrived) offer(back, placement.loadOf(back));
  }
  return best;
}

/** A node that may give, and its pieces. */
class Donor {
  readonly node: number;
  readonly #placement: Placement;
  readonly #pieces: readonly number[];
  /** By place: this place or the next one whose piece is not given away; a path that #free shortens. */
  readonly #next: Int32Array;

  constructor(placement: Placement, node: number, heaviestFirst: readonly number[]) {
    this.node = node;
    this.#placement = placement;
    this.#pieces = heaviestFirst;
    this.#next = Int32Array.from({ length: heaviestFirst.length + 1 }, (_, place) => place);
  }

  /** Its heaviest piece of at most `limit`, or `NOWHERE`. */
  heaviest(limit: number): number {
    return this.#pieces[this.#placeOfHeaviest(limit)] ?? NOWHERE;
  }

  /** Takes its heaviest piece of at most `limit`, or one nearly as heavy whose stream has a place in the zone. */
  give(limit: number, zone: number): number {
    const first = this.#placeOfHeaviest(limit);
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

  #placeOfHeaviest(limit: number): number {
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
