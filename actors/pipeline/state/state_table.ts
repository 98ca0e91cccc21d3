/**
 * One table of a pipeline's state, as a step uses it. Decides which keys a bound refuses or forgets, and which have expired. Leaves
 * the keys' memory and failed turns to table_keys.ts, and the log to pipeline_state.ts.
 *
 *   T1. Every decision follows from the calls since the table was empty: the number of each put, and the greatest time that
 *       `at` was given. Both are stored, so a restored table decides alike (keyed K1).
 *   T2. Puts ascend in number and in time. So the oldest put is the first to be forgotten, and the first to expire.
 *   T3. A put looks at the two oldest keys and removes those that have expired. So keys that no call asks for expire too,
 *       and no call removes many.
 *   T4. A call that throws has changed nothing but expired keys.
 */
import { RejectedError } from "../../../protocols/errors.ts";
import { type KeyedState, STATE_LIMITS, type StateLimits, type StateValue } from "../keyed_state.ts";
import { NO_SLOT } from "./slot_list.ts";
import * as Values from "./state_values.ts";
import { TableKeys } from "./table_keys.ts";

/** Expired keys that one put removes (T3): more than the one that it may add. */
const EXPIRED_A_PUT = 2;

export class StateTable implements KeyedState {
  readonly name: string;
  limits: StateLimits;
  readonly keys: TableKeys;

  constructor(name: string, limits: StateLimits = STATE_LIMITS) {
    this.name = name;
    this.limits = limits;
    this.keys = new TableKeys(name);
  }

  get size(): number {
    return this.keys.count;
  }

  /** A table restored without its new time would let keys live that have expired before (T1). */
  get hasNewTime(): boolean {
    return this.limits.timeToLiveMs !== undefined && this.keys.hasNewTime;
  }

  at(timeMs: number): void {
    if (timeMs > this.keys.timeMs) this.keys.moveTime(timeMs);
  }

  get(key: string): StateValue | undefined {
    const slot = this.#find(Values.wellFormed(key));
    return slot === NO_SLOT ? undefined : this.#valueAt(slot);
  }

  put(key: string, value: StateValue): void {
    const name = Values.wellFormed(key);
    const held = Values.heldValue(value);
    const sizeBytes = this.#measure(name, held);
    this.#expireOldest();
    const found = this.#find(name);
    this.#makeRoom(found, sizeBytes);
    this.keys.put(name, found, held, sizeBytes);
  }

  remove(key: string): void {
    const slot = this.#find(Values.wellFormed(key));
    if (slot !== NO_SLOT) this.keys.remove(slot);
  }

  *scan(from = "", to?: string): Iterable<readonly [key: string, value: StateValue]> {
    const ordered = this.keys.ordered();
    for (let key = ordered.from(from); key !== undefined && (to === undefined || key < to); key = ordered.after(key)) {
      const slot = this.#find(key);
      if (slot !== NO_SLOT) yield [key, this.#valueAt(slot)];
    }
  }

  /** The key's slot. An expired key is removed, as it is met (keyed K4). */
  #find(key: string): number {
    const slot = this.keys.find(key);
    if (slot === NO_SLOT || !this.#isExpired(slot)) return slot;
    this.keys.remove(slot);
    return NO_SLOT;
  }

  #isExpired(slot: number): boolean {
    const { timeToLiveMs } = this.limits;
    return timeToLiveMs !== undefined && this.keys.timeMs - (this.keys.slots.times[slot] ?? 0) > timeToLiveMs;
  }

  #valueAt = (slot: number): StateValue => Values.answeredValue(this.keys.slots.values[slot] ?? null);

  /** Bytes of key and value. Throws `RejectedError` where one exceeds its own bound, or both the table's. */
  #measure(key: string, held: Values.HeldValue): number {
    const keyBytes = key.length > STATE_LIMITS.keyBytesMax ? key.length : Buffer.byteLength(key);
    checkBound("the bytes of its key", keyBytes, STATE_LIMITS.keyBytesMax, this.name);
    checkBound("the bytes of its value", Values.heldBytes(held), STATE_LIMITS.valueBytesMax, this.name);
    const sizeBytes = Values.entryBytes(key, held);
    checkBound("the bytes of one key and its value", sizeBytes, this.limits.bytesMax, this.name);
    return sizeBytes;
  }

  /** T3. */
  #expireOldest(): void {
    for (let count = 0; count < EXPIRED_A_PUT; count++) {
      const oldest = this.keys.slots.byPut.first;
      if (oldest === NO_SLOT || !this.#isExpired(oldest)) return;
      this.keys.remove(oldest);
    }
  }

  /** Removes expired keys and, where the limits say so, the oldest ones, until the put of `slot` fits (T2). */
  #makeRoom(slot: number, sizeBytes: number): void {
    const { keys } = this;
    const isNew = slot === NO_SLOT;
    const addedKeys = isNew ? 1 : 0;
    const addedBytes = sizeBytes - (isNew ? 0 : (keys.slots.sizes[slot] ?? 0));
    const { keysMax, bytesMax, whenFull } = this.limits;
    while (keys.count + addedKeys > keysMax || keys.sizeBytes + addedBytes > bytesMax) {
      const { first } = keys.slots.byPut;
      const oldest = first === slot ? keys.slots.byPut.behind(first) : first;
      // Without another key the put is within `bytesMax`, as measured, and a limit of no keys lets nothing in.
      if (oldest === NO_SLOT || (whenFull === "refuse" && !this.#isExpired(oldest))) {
        checkBound("its keys", keys.count + addedKeys, keysMax, this.name);
        checkBound("its bytes", keys.sizeBytes + addedBytes, bytesMax, this.name);
      }
      keys.remove(oldest);
    }
  }
}

/** Throws `RejectedError` `STATE_FULL` for a size above its bound. */
function checkBound(name: string, size: number, max: number, table: string): void {
  if (size <= max) return;
  throw new RejectedError(
    "STATE_FULL",
    `Cannot put into the state of ${table} as ${name} must be at most ${max}: current value is ${size}`,
  );
}
