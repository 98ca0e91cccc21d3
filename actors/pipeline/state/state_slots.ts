/**
 * The memory of a state table: each key has a slot, which is an index into parallel arrays. A million keys are a few large
 * arrays and their texts, where objects would cost twice the memory and the garbage collector's time.
 */
import { grown, SlotList } from "./slot_list.ts";
import type { HeldValue } from "./state_values.ts";

/** The key has changed since the last stored call. */
export const TOUCHED = 1;
/** The key was removed since the last stored call, so its slot is kept until the removal is stored. */
export const REMOVED = 2;
/** The channel holds no event of the key yet. */
export const UNSTORED = 4;

const CAPACITY_AT_FIRST = 64;

export class StateSlots {
  readonly keys: string[] = [];
  readonly values: HeldValue[] = [];
  /** Bytes of key and value as MessagePack. */
  sizes = new Uint32Array(0);
  /** The state's time at the key's last put, in ms since 1970. */
  times = new Float64Array(0);
  /** The number of the key's last put. Numbers ascend over all puts of the table. */
  putNumbers = new Float64Array(0);
  /** The number of the change batch that holds the key's newest stored event. */
  batches = new Float64Array(0);
  flags = new Uint8Array(0);
  /** Present keys, by their last put: the oldest first. */
  readonly byPut = new SlotList();
  /** Stored keys, by the batch of their newest event: the oldest first. */
  readonly byBatch = new SlotList();
  readonly #free: number[] = [];
  #capacity = 0;

  /** A slot for a new key, with the flags `UNSTORED` and `REMOVED`: it is in no list. */
  allocate(key: string): number {
    const slot = this.#free.pop() ?? this.keys.length;
    if (slot >= this.#capacity) this.#grow();
    this.keys[slot] = key;
    this.values[slot] = null;
    this.flags[slot] = UNSTORED | REMOVED;
    return slot;
  }

  free(slot: number): void {
    this.keys[slot] = "";
    this.values[slot] = null;
    this.flags[slot] = 0;
    this.#free.push(slot);
  }

  has = (slot: number, flag: number): boolean => ((this.flags[slot] ?? 0) & flag) !== 0;

  set(slot: number, flag: number): void {
    this.flags[slot] = (this.flags[slot] ?? 0) | flag;
  }

  clear(slot: number, flag: number): void {
    this.flags[slot] = (this.flags[slot] ?? 0) & ~flag;
  }

  #grow(): void {
    this.#capacity = Math.max(CAPACITY_AT_FIRST, this.#capacity * 2);
    this.sizes = grown(this.sizes, this.#capacity);
    this.times = grown(this.times, this.#capacity);
    this.putNumbers = grown(this.putNumbers, this.#capacity);
    this.batches = grown(this.batches, this.#capacity);
    this.flags = grown(this.flags, this.#capacity);
    this.byPut.grow(this.#capacity);
    this.byBatch.grow(this.#capacity);
  }
}
