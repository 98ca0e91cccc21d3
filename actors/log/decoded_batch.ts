/**
 * A stored batch with the values of its records. They are decoded at the first use and shared by all readers of the batch
 * on this node, which only read them. A column has one entry for each record; rejected events have none.
 */
import type { Event } from "../../protocols/event.ts";
import { offset, type Position } from "../../protocols/position.ts";
import { traceparentAt } from "../../protocols/traceparent.ts";
import { sliceEvent } from "../../protocols/values/slice_events.ts";
import { isRejected, type RecordBatch } from "./log.ts";
import { eventsOf } from "./stored_records.ts";

/** An event as it lies in the log. A class, as a batch may have one for each of its records. */
export class StoredEvent {
  readonly batch: Uint8Array;
  readonly index: number;

  constructor(batch: Uint8Array, index: number) {
    this.batch = batch;
    this.index = index;
  }

  bytes(): Uint8Array {
    return sliceEvent(this.batch, this.index);
  }
}

export class DecodedBatch {
  readonly stored: RecordBatch;
  #all: readonly (Event | undefined)[] | undefined;
  #events: readonly Event[] | undefined;
  #positions: readonly Position[] | undefined;
  /** Indexes of the records among all events of the batch; undefined where they are equal to the rows. */
  #indexes: readonly number[] | undefined;
  /** Absent until something is derived: most batches have one reader. */
  #derived: Map<object, unknown> | undefined;

  /** Whether other readers take the batch as well, so that what is derived is worth keeping. */
  readonly isShared: boolean;

  constructor(stored: RecordBatch, isShared = false) {
    this.stored = stored;
    this.isShared = isShared;
  }

  /** The events with the rejected ones among them, by their index in the batch. A rejected event may be undefined. */
  get all(): readonly (Event | undefined)[] {
    this.#all ??= eventsOf(this.stored);
    return this.#all;
  }

  get events(): readonly Event[] {
    if (this.#events !== undefined) return this.#events;
    const { all } = this;
    const { rejected } = this.stored;
    if (rejected !== undefined) this.#indexes = [...all.keys()].filter((index) => !isRejected(rejected, index));
    this.#events = (this.#indexes?.map((index) => all[index]) ?? all) as readonly Event[];
    return this.#events;
  }

  get positions(): readonly Position[] {
    if (this.#positions !== undefined) return this.#positions;
    const { epoch, firstOffset } = this.stored;
    const count = this.events.length;
    const positions = new Array<Position>(count);
    for (let row = 0; row < count; row += 1) positions[row] = { epoch, offset: offset(firstOffset + row) };
    this.#positions = positions;
    return positions;
  }

  /** The first row whose record lies behind `after`; the number of rows where none does. */
  firstRowAfter(after: Position | undefined): number {
    if (after === undefined) return 0;
    return Math.min(Math.max(0, after.offset - this.stored.firstOffset + 1), this.events.length);
  }

  traceparentOf(row: number): string | undefined {
    const { traces, traceparent } = this.stored;
    return traces === undefined ? traceparent : traceparentAt(this.stored, this.#indexOf(row));
  }

  storedOf(row: number): StoredEvent {
    return new StoredEvent(this.stored.events, this.#indexOf(row));
  }

  /** Bytes of one event, on average. */
  get eventBytes(): number {
    return Math.ceil(this.stored.events.length / Math.max(1, this.stored.count));
  }

  /**
   * What `make` answered for this `key` the first time. The answer must follow from the batch and the key alone. A promise
   * that rejects is made again.
   */
  derived<Value>(key: object, make: () => Value): Value {
    this.#derived ??= new Map();
    const derived = this.#derived;
    const known = derived.get(key);
    if (known !== undefined) return known as Value;
    const made = make();
    derived.set(key, made);
    if (made instanceof Promise) made.catch(() => derived.delete(key));
    return made;
  }

  #indexOf(row: number): number {
    if (this.stored.rejected !== undefined) void this.events; // finds the indexes
    return this.#indexes?.[row] ?? row;
  }
}
