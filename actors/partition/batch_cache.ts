/**
 * Things made of a partition's newest batches, such as their values, so that several readers make each once. A thing is
 * kept until each of the readers has taken it, or until newer things need the room.
 */
import type { RecordBatch } from "../log/log.ts";

interface Kept<Thing> {
  readonly thing: Thing;
  readonly sizeBytes: number;
  /** How many readers are still to take the thing. */
  takesLeft: number;
}

export class BatchCache<Thing> {
  readonly #bytesMax: number;
  readonly #sizeOf: (thing: Thing, batch: RecordBatch) => number;
  /** The oldest first. */
  readonly #kept = new Map<RecordBatch, Kept<Thing>>();
  #sizeBytes = 0;

  /** @param sizeOf the bytes that a thing counts towards `bytesMax`; a larger thing is not kept */
  constructor(bytesMax: number, sizeOf: (thing: Thing, batch: RecordBatch) => number) {
    this.#bytesMax = bytesMax;
    this.#sizeOf = sizeOf;
  }

  /**
   * The thing of a batch. It is made where none is kept.
   *
   * @param readers how many readers take the thing of each batch, the caller included
   */
  take(batch: RecordBatch, readers: number, make: () => Thing): Thing {
    const kept = this.#kept.get(batch);
    if (kept !== undefined) {
      kept.takesLeft -= 1;
      if (kept.takesLeft <= 0) this.#forget(batch);
      return kept.thing;
    }
    const thing = make();
    if (readers > 1) this.#keep(batch, { thing, sizeBytes: this.#sizeOf(thing, batch), takesLeft: readers - 1 });
    return thing;
  }

  /** The thing of a batch where one is kept, for a reader that is not counted. */
  peek(batch: RecordBatch): Thing | undefined {
    return this.#kept.get(batch)?.thing;
  }

  clear(): void {
    this.#kept.clear();
    this.#sizeBytes = 0;
  }

  #keep(batch: RecordBatch, kept: Kept<Thing>): void {
    if (kept.sizeBytes > this.#bytesMax) return;
    this.#kept.set(batch, kept);
    this.#sizeBytes += kept.sizeBytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#sizeBytes <= this.#bytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(batch: RecordBatch): void {
    this.#sizeBytes -= this.#kept.get(batch)?.sizeBytes ?? 0;
    this.#kept.delete(batch);
  }
}
