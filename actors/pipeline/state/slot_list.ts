/** A doubly linked list of slots, in two arrays: a slot is moved or taken out in constant time, without an object of its own. */

/** The slot before the first one and behind the last one. */
export const NO_SLOT = -1;

export class SlotList {
  #before = new Int32Array(0);
  #behind = new Int32Array(0);
  first = NO_SLOT;
  last = NO_SLOT;

  grow(capacity: number): void {
    this.#before = grown(this.#before, capacity);
    this.#behind = grown(this.#behind, capacity);
  }

  before = (slot: number): number => this.#before[slot] ?? NO_SLOT;
  behind = (slot: number): number => this.#behind[slot] ?? NO_SLOT;

  append(slot: number): void {
    this.insertBehind(slot, this.last);
  }

  /** @param place a slot of the list, or `NO_SLOT` for its beginning */
  insertBehind(slot: number, place: number): void {
    const next = place === NO_SLOT ? this.first : this.behind(place);
    this.#before[slot] = place;
    this.#behind[slot] = next;
    if (place === NO_SLOT) this.first = slot;
    else this.#behind[place] = slot;
    if (next === NO_SLOT) this.last = slot;
    else this.#before[next] = slot;
  }

  remove(slot: number): void {
    const before = this.before(slot);
    const next = this.behind(slot);
    if (before === NO_SLOT) this.first = next;
    else this.#behind[before] = next;
    if (next === NO_SLOT) this.last = before;
    else this.#before[next] = before;
  }

  moveToEnd(slot: number): void {
    if (this.last === slot) return;
    this.remove(slot);
    this.append(slot);
  }
}

/** A copy of a typed array with room for `capacity` numbers. */
export function grown<Numbers extends Int32Array | Uint8Array | Uint32Array | Float64Array>(
  numbers: Numbers,
  capacity: number,
): Numbers {
  const larger = new (numbers.constructor as new (length: number) => Numbers)(capacity);
  larger.set(numbers);
  return larger;
}
