/** A heap of numbers from 0: the lowest key first, of equal keys the lowest number. A key may change at any time. */
export class NodeHeap {
  readonly #keys: Float64Array;
  /** The heap, and the place of each member in it: -1 for none. */
  readonly #heap: number[] = [];
  readonly #places: Int32Array;

  /** Heaps that have no member in common may share the keys and places, to save memory. */
  constructor(numbersMax: number, beside?: NodeHeap) {
    this.#keys = beside === undefined ? new Float64Array(numbersMax) : beside.#keys;
    this.#places = beside === undefined ? new Int32Array(numbersMax).fill(-1) : beside.#places;
  }

  get first(): number | undefined {
    return this.#heap[0];
  }

  keyOf(member: number): number {
    return this.#keys[member] as number;
  }

  /** Adds the member, or changes its key. */
  set(member: number, key: number): void {
    this.#keys[member] = key;
    if (this.#places[member] === -1) this.#settle(this.#heap.push(member) - 1, member);
    else this.#settle(this.#places[member] as number, member);
  }

  remove(member: number): void {
    const place = this.#places[member] as number;
    if (place === -1) return;
    this.#places[member] = -1;
    const last = this.#heap.pop();
    if (last !== undefined && last !== member) this.#settle(place, last);
  }

  /** Puts `member` where its key belongs, beginning at `place`, which is free. */
  #settle(place: number, member: number): void {
    let at = place;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent] as number;
      if (!this.#isBefore(member, above)) break;
      this.#set(at, above);
      at = parent;
    }
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (
        child + 1 < this.#heap.length &&
        this.#isBefore(this.#heap[child + 1] as number, this.#heap[child] as number)
      ) {
        child += 1;
      }
      const below = this.#heap[child] as number;
      if (!this.#isBefore(below, member)) break;
      this.#set(at, below);
      at = child;
    }
    this.#set(at, member);
  }

  #set(place: number, member: number): void {
    this.#heap[place] = member;
    this.#places[member] = place;
  }

  #isBefore(one: number, other: number): boolean {
    const difference = (this.#keys[one] as number) - (this.#keys[other] as number);
    return difference < 0 || (difference === 0 && one < other);
  }
}
