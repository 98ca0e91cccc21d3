/**
 * One table of a pipeline's state in memory. Decides which keys a bound refuses or forgets, which have expired, and what a
 * failed turn leaves. Leaves the log to pipeline_state.ts.
 *
 *   T1. Every decision follows from the calls since the table was empty: the number of each put, and the greatest time that
 *       `at` was given. Both are stored, so a restored table decides alike (keyed K1).
 *   T2. Puts ascend in number and in time. So the oldest put is the first to be forgotten, and the first to expire.
 *   T3. A put looks at the two oldest keys and removes those that have expired. So keys that no call asks for expire too,
 *       and no call removes many.
 *   T4. A call that throws has changed nothing but expired keys.
 *   T5. Between a stored call and the next, the first change of each key keeps the key's former state. `rollback` puts all
 *       of them back, in the reverse order.
 */
import { InvariantError, RejectedError } from "../../../protocols/errors.ts";
import { type KeyedState, STATE_LIMITS, type StateLimits, type StateValue } from "../keyed_state.ts";
import { OrderedKeys } from "./ordered_keys.ts";
import { NO_SLOT } from "./slot_list.ts";
import { REMOVED, StateSlots, TOUCHED, UNSTORED } from "./state_slots.ts";
import * as Values from "./state_values.ts";

/** Expired keys that one put removes (T3): more than the one that it may add. */
const EXPIRED_A_PUT = 2;

/** A key's state at the last stored call, and the key before it in the order of puts. */
interface FormerKey {
  readonly slot: number;
  readonly before: number;
  readonly sizeBytes: number;
  readonly stored: StoredKey;
}

interface Totals {
  readonly keys: number;
  readonly sizeBytes: number;
  readonly timeMs: number;
  readonly nextPut: number;
}

/** A key as a change batch holds it. */
export interface StoredKey {
  readonly key: string;
  readonly value: Values.HeldValue;
  readonly timeMs: number;
  readonly putNumber: number;
}

export class StateTable implements KeyedState {
  readonly name: string;
  limits: StateLimits;
  readonly slots = new StateSlots();
  /** Slots whose keys have changed since the last stored call, in the order of their first changes. */
  readonly touched: number[] = [];
  /** The changes are on their way to the log, so no further one is allowed. */
  isSealed = false;
  readonly #byKey = new Map<string, number>();
  #ordered: OrderedKeys | undefined;
  /** T5. The former state of touched keys; undefined for a key that was not there. */
  readonly #former: (FormerKey | undefined)[] = [];
  #keys = 0;
  #sizeBytes = 0;
  #putBytes = 0;
  #timeMs = Number.NEGATIVE_INFINITY;
  #nextPut = 0;
  #stored: Totals = this.#totals();

  constructor(name: string, limits: StateLimits = STATE_LIMITS) {
    this.name = name;
    this.limits = limits;
  }

  get size(): number {
    return this.#keys;
  }

  /** Bytes of keys and values as MessagePack. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bytes of the changed keys and their values: the next change batch holds about as many. */
  get putBytes(): number {
    return this.#putBytes;
  }

  /** The greatest time that `at` was given. */
  get timeMs(): number {
    return this.#timeMs;
  }

  /** A restored table without this time would let keys live that have expired before (T1). */
  get hasNewTime(): boolean {
    return this.limits.timeToLiveMs !== undefined && this.#timeMs !== this.#stored.timeMs;
  }

  at(timeMs: number): void {
    if (!(timeMs > this.#timeMs)) return;
    this.#checkOpen();
    this.#timeMs = timeMs;
  }

  get(key: string): StateValue | undefined {
    const slot = this.#find(Values.wellFormed(key));
    return slot === NO_SLOT ? undefined : this.#valueAt(slot);
  }

  put(key: string, value: StateValue): void {
    this.#checkOpen();
    const name = Values.wellFormed(key);
    const held = Values.heldValue(value);
    const sizeBytes = this.#measure(name, held);
    this.#expireOldest();
    const found = this.#find(name);
    this.#makeRoom(found, sizeBytes);
    this.#write(found === NO_SLOT ? this.#slotFor(name) : found, held, sizeBytes);
  }

  remove(key: string): void {
    const slot = this.#find(Values.wellFormed(key));
    if (slot !== NO_SLOT) this.#drop(slot);
  }

  *scan(from = "", to?: string): Iterable<readonly [key: string, value: StateValue]> {
    this.#ordered ??= new OrderedKeys(this.#presentKeys());
    const keys = this.#ordered;
    for (let key = keys.from(from); key !== undefined && (to === undefined || key < to); key = keys.after(key)) {
      const slot = this.#find(key);
      if (slot !== NO_SLOT) yield [key, this.#valueAt(slot)];
    }
  }

  *#presentKeys(): Iterable<string> {
    for (const [key, slot] of this.#byKey) if (!this.slots.has(slot, REMOVED)) yield key;
  }

  /** The key's slot. An expired key is removed, as it is met (keyed K4). */
  #find(key: string): number {
    const slot = this.#byKey.get(key);
    if (slot === undefined || this.slots.has(slot, REMOVED)) return NO_SLOT;
    if (!this.#isExpired(slot)) return slot;
    this.#drop(slot);
    return NO_SLOT;
  }

  #isExpired(slot: number): boolean {
    const { timeToLiveMs } = this.limits;
    return timeToLiveMs !== undefined && this.#timeMs - (this.slots.times[slot] ?? 0) > timeToLiveMs;
  }

  #valueAt = (slot: number): StateValue => Values.answeredValue(this.slots.values[slot] ?? null);

  /** Bytes of key and value. Throws `RejectedError` where one exceeds its own bound, or both the table's. */
  #measure(key: string, held: Values.HeldValue): number {
    const keyBytes = key.length > STATE_LIMITS.keyBytesMax ? key.length : Buffer.byteLength(key);
    checkBound("the bytes of its key", keyBytes, STATE_LIMITS.keyBytesMax, this.name);
    const valueBytes = Values.heldBytes(held);
    checkBound("the bytes of its value", valueBytes, STATE_LIMITS.valueBytesMax, this.name);
    const sizeBytes = Values.textBytes(keyBytes) + valueBytes;
    checkBound("the bytes of one key and its value", sizeBytes, this.limits.bytesMax, this.name);
    return sizeBytes;
  }

  /** T3. */
  #expireOldest(): void {
    for (let count = 0; count < EXPIRED_A_PUT; count++) {
      const oldest = this.slots.byPut.first;
      if (oldest === NO_SLOT || !this.#isExpired(oldest)) return;
      this.#drop(oldest);
    }
  }

  /** Removes expired keys and, where the limits say so, the oldest ones, until the put of `slot` fits (T2). */
  #makeRoom(slot: number, sizeBytes: number): void {
    const isNew = slot === NO_SLOT;
    const addedKeys = isNew ? 1 : 0;
    const addedBytes = sizeBytes - (isNew ? 0 : (this.slots.sizes[slot] ?? 0));
    const { keysMax, bytesMax, whenFull } = this.limits;
    while (this.#keys + addedKeys > keysMax || this.#sizeBytes + addedBytes > bytesMax) {
      const { first } = this.slots.byPut;
      const oldest = first === slot ? this.slots.byPut.behind(first) : first;
      // Without another key the put is within `bytesMax`, as measured, and a limit of no keys lets nothing in.
      if (oldest === NO_SLOT || (whenFull === "refuse" && !this.#isExpired(oldest))) {
        checkBound("its keys", this.#keys + addedKeys, keysMax, this.name);
        checkBound("its bytes", this.#sizeBytes + addedBytes, bytesMax, this.name);
      }
      this.#drop(oldest);
    }
  }

  /** The slot of a key that is not present. A key that was removed since the last stored call still has one. */
  #slotFor(key: string): number {
    const known = this.#byKey.get(key);
    const slot = known ?? this.slots.allocate(Values.ownText(key));
    if (known === undefined) this.#byKey.set(this.slots.keys[slot] ?? key, slot);
    this.#touch(slot);
    this.slots.clear(slot, REMOVED);
    this.slots.byPut.append(slot);
    this.slots.sizes[slot] = 0;
    this.#keys += 1;
    this.#ordered?.add(this.slots.keys[slot] ?? key);
    return slot;
  }

  #write(slot: number, held: Values.HeldValue, sizeBytes: number): void {
    this.#putBytes += sizeBytes - this.#putBytesOf(slot);
    this.#touch(slot);
    this.#sizeBytes += sizeBytes - (this.slots.sizes[slot] ?? 0);
    this.slots.values[slot] = held;
    this.slots.sizes[slot] = sizeBytes;
    this.slots.times[slot] = this.#timeMs;
    this.slots.putNumbers[slot] = this.#nextPut++;
    this.slots.byPut.moveToEnd(slot);
  }

  #drop(slot: number): void {
    this.#putBytes -= this.#putBytesOf(slot);
    this.#touch(slot);
    this.#keys -= 1;
    this.#sizeBytes -= this.slots.sizes[slot] ?? 0;
    this.#ordered?.remove(this.slots.keys[slot] ?? "");
    this.slots.byPut.remove(slot);
    this.slots.values[slot] = null;
    this.slots.set(slot, REMOVED);
  }

  /** The key's share in `putBytes`. */
  #putBytesOf = (slot: number): number => (this.slots.has(slot, TOUCHED) ? (this.slots.sizes[slot] ?? 0) : 0);

  /** T5. */
  #touch(slot: number): void {
    this.#checkOpen();
    const { slots } = this;
    if (slots.has(slot, TOUCHED)) return;
    slots.set(slot, TOUCHED);
    this.touched.push(slot);
    const isNew = slots.has(slot, UNSTORED);
    this.#former.push(isNew ? undefined : this.#formerKey(slot));
  }

  #formerKey(slot: number): FormerKey {
    const { byPut, sizes } = this.slots;
    return { slot, before: byPut.before(slot), sizeBytes: sizes[slot] ?? 0, stored: this.storedKey(slot) };
  }

  /** The key of a slot as a batch holds it. */
  storedKey(slot: number): StoredKey {
    const { keys, values, times, putNumbers } = this.slots;
    return {
      key: keys[slot] ?? "",
      value: values[slot] ?? null,
      timeMs: times[slot] ?? 0,
      putNumber: putNumbers[slot] ?? 0,
    };
  }

  #checkOpen(): void {
    if (!this.isSealed) return;
    throw new InvariantError(
      `Cannot change the state of ${this.name} as its last changes must be stored or rolled back: they are on their way to the log`,
    );
  }

  /**
   * The changes are stored in this batch. Slots of removed keys become free. Answers the keys that the batch holds.
   *
   * @param moved called for each batch that held a key's newest event until now
   */
  commit(batch: number, moved: (fromBatch: number) => void): number {
    const { slots } = this;
    let held = 0;
    for (const slot of this.touched) {
      if (!slots.has(slot, UNSTORED)) {
        moved(slots.batches[slot] ?? 0);
        slots.byBatch.remove(slot);
      }
      if (slots.has(slot, REMOVED)) this.#forget(slot);
      else {
        this.#place(slot, batch);
        held += 1;
      }
    }
    this.#settle();
    this.#stored = this.#totals();
    return held;
  }

  /** Unchanged keys are stored in this batch too, so their former events are free. */
  writeAgain(cleaned: readonly number[], batch: number, moved: (fromBatch: number) => void): void {
    for (const slot of cleaned) {
      moved(this.slots.batches[slot] ?? 0);
      this.slots.byBatch.remove(slot);
      this.#place(slot, batch);
    }
  }

  /** The key's newest event now lies in this batch. The slot is in no batch so far. */
  #place(slot: number, batch: number): void {
    this.slots.batches[slot] = batch;
    this.slots.clear(slot, UNSTORED | TOUCHED);
    this.slots.byBatch.append(slot);
  }

  /** T5: the state is again that of the last stored call. */
  rollback(): void {
    const { slots } = this;
    for (const slot of this.touched) if (!slots.has(slot, REMOVED)) slots.byPut.remove(slot);
    for (let at = this.touched.length - 1; at >= 0; at--) {
      const slot = this.touched[at] ?? NO_SLOT;
      const former = this.#former[at];
      const isPresent = !slots.has(slot, REMOVED);
      if (former !== undefined) {
        this.#putBack(former);
        if (!isPresent) this.#ordered?.add(slots.keys[slot] ?? "");
      } else {
        if (isPresent) this.#ordered?.remove(slots.keys[slot] ?? "");
        this.#forget(slot);
      }
    }
    this.#settle();
    const { keys, sizeBytes, timeMs, nextPut } = this.#stored;
    this.#keys = keys;
    this.#sizeBytes = sizeBytes;
    this.#timeMs = timeMs;
    this.#nextPut = nextPut;
  }

  #putBack({ slot, before, sizeBytes, stored }: FormerKey): void {
    this.slots.values[slot] = stored.value;
    this.slots.sizes[slot] = sizeBytes;
    this.slots.times[slot] = stored.timeMs;
    this.slots.putNumbers[slot] = stored.putNumber;
    this.slots.byPut.insertBehind(slot, before);
    this.slots.clear(slot, REMOVED | TOUCHED);
  }

  #forget(slot: number): void {
    this.#byKey.delete(this.slots.keys[slot] ?? "");
    this.slots.free(slot);
  }

  #settle(): void {
    this.touched.length = 0;
    this.#putBytes = 0;
    this.#former.length = 0;
    this.isSealed = false;
  }

  #totals(): Totals {
    return { keys: this.#keys, sizeBytes: this.#sizeBytes, timeMs: this.#timeMs, nextPut: this.#nextPut };
  }

  // Restoring -----------------------------------------------------------------------------------------------------------

  /** Takes a stored key over from a batch. Answers the batch that held its former event; undefined for a new key. */
  restore({ key, value, timeMs, putNumber }: StoredKey, batch: number): number | undefined {
    const { slots } = this;
    const known = this.#byKey.get(key);
    const slot = known ?? slots.allocate(key);
    const former = known === undefined ? undefined : slots.batches[slot];
    if (known === undefined) this.#byKey.set(key, slot);
    else slots.byBatch.remove(slot);
    slots.values[slot] = value;
    slots.times[slot] = timeMs;
    slots.putNumbers[slot] = putNumber;
    slots.clear(slot, REMOVED);
    this.#place(slot, batch);
    return former;
  }

  /** Takes a stored removal over. Answers the batch that held the key's former event. */
  restoreRemoval(key: string): number | undefined {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return undefined;
    const former = this.slots.batches[slot];
    this.slots.byBatch.remove(slot);
    this.#forget(slot);
    return former;
  }

  /** Times of later batches are never lower. */
  restoreTime(timeMs: number): void {
    this.#timeMs = timeMs;
  }

  /** All stored events were taken over: the order of puts follows from their numbers. */
  restored(): void {
    const { slots } = this;
    const order = Uint32Array.from(this.#byKey.values());
    const { putNumbers } = slots;
    order.sort((left, right) => (putNumbers[left] ?? 0) - (putNumbers[right] ?? 0));
    for (const slot of order) {
      slots.byPut.append(slot);
      const sizeBytes = this.#measuredBytes(slot);
      slots.sizes[slot] = sizeBytes;
      this.#sizeBytes += sizeBytes;
    }
    this.#keys = order.length;
    this.#nextPut = order.length === 0 ? 0 : (putNumbers[order.at(-1) ?? 0] ?? 0) + 1;
    this.#stored = this.#totals();
  }

  #measuredBytes(slot: number): number {
    const { keys, values } = this.slots;
    return Values.textBytes(Buffer.byteLength(keys[slot] ?? "")) + Values.heldBytes(values[slot] ?? null);
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
