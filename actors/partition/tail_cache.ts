/**
 * The newest committed batches of one partition, so that readers on this node need not read them from the store. A full
 * cache drops its oldest batches and waits for no reader: a reader that has fallen behind reads the log.
 */
import { type Offset, offset, type Position } from "../../protocols/position.ts";
import type { RecordBatch } from "../log/log.ts";

/** Bytes of one partition's tail: some hundreds of ms of a busy partition. */
export const TAIL_BYTES_MAX = 1_048_576;
/**
 * Batches of one partition's tail. Small batches weigh more as objects than as bytes. Objects that outlive a few collections
 * of young garbage cost a pause when the old generation is collected.
 */
export const TAIL_BATCHES_MAX = 128;

export class TailCache {
  readonly #bytesMax: number;
  /** The batches, from `#head` on. Dropped ones leave empty places, which are removed once there are many. */
  #batches: (RecordBatch | undefined)[] = [];
  #head = 0;
  #sizeBytes = 0;

  constructor(bytesMax: number = TAIL_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  push(batch: RecordBatch): void {
    if (batch.count === 0) return;
    this.#batches.push(batch);
    this.#sizeBytes += batch.events.byteLength;
    while (this.#isFull() && this.#head < this.#batches.length - 1) this.#dropOldest();
    if (this.#head >= TAIL_BATCHES_MAX) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Drops batches that end before `firstOffset`, which retention has taken from the log. */
  trim(firstOffset: Offset): void {
    for (let oldest = this.#batches[this.#head]; oldest !== undefined; oldest = this.#batches[this.#head]) {
      if (lastOffset(oldest) >= firstOffset) return;
      this.#dropOldest();
    }
    this.clear();
  }

  #dropOldest(): void {
    this.#sizeBytes -= this.#batches[this.#head]?.events.byteLength ?? 0;
    this.#batches[this.#head] = undefined;
    this.#head += 1;
  }

  #isFull(): boolean {
    return this.#sizeBytes > this.#bytesMax || this.#batches.length - this.#head > TAIL_BATCHES_MAX;
  }

  clear(): void {
    if (this.#batches.length === 0) return;
    this.#batches = [];
    this.#head = 0;
    this.#sizeBytes = 0;
  }

  /**
   * The batches that follow a cursor, up to `bytesMax`. Undefined where the cache does not hold the record at the cursor, so
   * that only the log can judge the cursor (E9).
   */
  read(after: Position | undefined, bytesMax: number): readonly RecordBatch[] | undefined {
    const from = this.#find(after);
    if (from === undefined) return undefined;
    const found: RecordBatch[] = [];
    let sizeBytes = 0;
    for (let index = from; index < this.#batches.length; index += 1) {
      const batch = this.#batches[index] as RecordBatch;
      sizeBytes += batch.events.byteLength;
      if (found.length > 0 && sizeBytes > bytesMax) break;
      found.push(batch);
    }
    return found;
  }

  /** Whether this very batch is in the cache. */
  holds(batch: RecordBatch): boolean {
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#batches[middle] as RecordBatch).firstOffset < batch.firstOffset) low = middle + 1;
      else high = middle;
    }
    return this.#batches[low] === batch;
  }

  /** Index of the first batch with a record after the cursor, by bisection. */
  #find(after: Position | undefined): number | undefined {
    const first = this.#batches[this.#head];
    if (first === undefined) return undefined;
    if (after === undefined) return first.firstOffset === 0 ? this.#head : undefined;
    if (after.offset < first.firstOffset) return undefined;
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lastOffset(this.#batches[middle] as RecordBatch) <= after.offset) low = middle + 1;
      else high = middle;
    }
    const holder = this.#batches[low]?.firstOffset ?? Number.POSITIVE_INFINITY;
    const at = this.#batches[holder <= after.offset ? low : low - 1] as RecordBatch;
    return at.epoch === after.epoch && after.offset <= lastOffset(at) ? low : undefined;
  }
}

const lastOffset = (batch: RecordBatch): Offset => offset(batch.firstOffset + batch.count - 1);
