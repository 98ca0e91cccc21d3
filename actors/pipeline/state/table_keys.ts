/**
 * The keys of one state table: their slots, orders and sums, what has changed since the last stored call, and how a failed turn
 * is undone. Leaves bounds and expiry to state_table.ts, and the log to pipeline_state.ts.
 *
 *   U1. The first change of each key since the last stored call keeps the key's former state. `rollback` puts all of them
 *       back, in the reverse order.
 *   U2. Changed keys stand behind all unchanged ones in the order of puts. So the key before a changed one was unchanged when
 *       that one changed, and is back in its place when that one is put back.
 *   U3. Between `seal` and the outcome of the log call no key changes (pipeline state Y1).
 */
import { InvariantError } from "../../../protocols/errors.ts";
import { OrderedKeys } from "./ordered_keys.ts";
import { NO_SLOT } from "./slot_list.ts";
import { REMOVED, StateSlots, TOUCHED, UNSTORED } from "./state_slots.ts";
import * as Values from "./state_values.ts";

/** A key as a change batch holds it. */
export interface StoredKey {
  readonly key: string;
  readonly value: Values.HeldValue;
  readonly timeMs: number;
  readonly putNumber: number;
}

/** A key's state at the last stored call, and the key before it in the order of puts. */
interface FormerKey {
  readonly slot: number;
  readonly before: number;
  readonly sizeBytes: number;
  readonly stored: StoredKey;
}

interface Totals {
  readonly count: number;
  readonly sizeBytes: number;
  readonly timeMs: number;
  readonly nextPut: number;
}

const NOTHING: Totals = { count: 0, sizeBytes: 0, timeMs: Number.NEGATIVE_INFINITY, nextPut: 0 };

export class TableKeys {
  readonly slots = new StateSlots();
  /** Slots whose keys have changed since the last stored call, in the order of their first changes. */
  readonly touched: number[] = [];
  readonly #table: string;
  readonly #byKey = new Map<string, number>();
  #ordered: OrderedKeys | undefined;
  /** U1. By place in `touched`; undefined for a key that was not there. */
  readonly #former: (FormerKey | undefined)[] = [];
  #isSealed = false;
  #totals = { ...NOTHING };
  #stored: Totals = NOTHING;
  #putBytes = 0;

  constructor(table: string) {
    this.#table = table;
  }

  get count(): number {
    return this.#totals.count;
  }

  /** Bytes of keys and values as MessagePack. */
  get sizeBytes(): number {
    return this.#totals.sizeBytes;
  }

  /** Bytes of the changed keys and their values: the next change batch holds about as many. */
  get putBytes(): number {
    return this.#putBytes;
  }

  /** The greatest time that the table was given. */
  get timeMs(): number {
    return this.#totals.timeMs;
  }

  get hasNewTime(): boolean {
    return this.#totals.timeMs !== this.#stored.timeMs;
  }

  moveTime(timeMs: number): void {
    this.#checkOpen();
    this.#totals.timeMs = timeMs;
  }

  find(key: string): number {
    const slot = this.#byKey.get(key);
    return slot === undefined || this.slots.has(slot, REMOVED) ? NO_SLOT : slot;
  }

  /** The present keys in order, kept up from the first call on. */
  ordered(): OrderedKeys {
    this.#ordered ??= new OrderedKeys([...this.#byKey.keys()].filter((key) => this.find(key) !== NO_SLOT));
    return this.#ordered;
  }

  /** @param found the key's slot; `NO_SLOT` where the key is not present */
  put(key: string, found: number, held: Values.HeldValue, sizeBytes: number): void {
    this.#checkOpen();
    const slot = found === NO_SLOT ? this.#add(key) : found;
    this.#putBytes += sizeBytes - this.#putBytesOf(slot);
    this.#touch(slot);
    this.#totals.sizeBytes += sizeBytes - (this.slots.sizes[slot] ?? 0);
    this.slots.values[slot] = held;
    this.slots.sizes[slot] = sizeBytes;
    this.slots.times[slot] = this.#totals.timeMs;
    this.slots.putNumbers[slot] = this.#totals.nextPut++;
    this.slots.byPut.moveToEnd(slot);
  }

  /** The slot of a key that is not present. A key that was removed since the last stored call still has one. */
  #add(key: string): number {
    const known = this.#byKey.get(key);
    const slot = known ?? this.slots.allocate(Values.ownText(key));
    const name = this.slots.keys[slot] ?? key;
    if (known === undefined) this.#byKey.set(name, slot);
    this.#touch(slot);
    this.slots.clear(slot, REMOVED);
    this.slots.byPut.append(slot);
    this.slots.sizes[slot] = 0;
    this.#totals.count += 1;
    this.#ordered?.add(name);
    return slot;
  }

  remove(slot: number): void {
    this.#checkOpen();
    this.#putBytes -= this.#putBytesOf(slot);
    this.#touch(slot);
    this.#totals.count -= 1;
    this.#totals.sizeBytes -= this.slots.sizes[slot] ?? 0;
    this.#ordered?.remove(this.slots.keys[slot] ?? "");
    this.slots.byPut.remove(slot);
    this.slots.values[slot] = null;
    this.slots.set(slot, REMOVED);
  }

  /** The key's share in `putBytes`. */
  #putBytesOf = (slot: number): number => (this.slots.has(slot, TOUCHED) ? (this.slots.sizes[slot] ?? 0) : 0);

  /** U1. */
  #touch(slot: number): void {
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

  /** U3. */
  seal(): void {
    this.#isSealed = true;
  }

  #checkOpen(): void {
    if (!this.#isSealed) return;
    throw new InvariantError(
      `Cannot change the state of ${this.#table} as its last changes must be stored or rolled back: they are on their way to the log`,
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
    this.#stored = { ...this.#totals };
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

  /** U1: the keys are again those of the last stored call. */
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
    this.#totals = { ...this.#stored };
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
    this.#isSealed = false;
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
    this.#totals.timeMs = timeMs;
  }

  /** All stored events were taken over: the order of puts follows from their numbers. */
  restored(): void {
    const { slots } = this;
    const { putNumbers } = slots;
    const order = Uint32Array.from(this.#byKey.values());
    order.sort((left, right) => (putNumbers[left] ?? 0) - (putNumbers[right] ?? 0));
    for (const slot of order) {
      slots.byPut.append(slot);
      const sizeBytes = Values.entryBytes(slots.keys[slot] ?? "", slots.values[slot] ?? null);
      slots.sizes[slot] = sizeBytes;
      this.#totals.sizeBytes += sizeBytes;
    }
    this.#totals.count = order.length;
    this.#totals.nextPut = order.length === 0 ? 0 : (putNumbers[order.at(-1) ?? 0] ?? 0) + 1;
    this.#stored = { ...this.#totals };
  }
}
