/**
 * The decoded values of a partition's newest batches, so that several readers decode a batch once. A batch is kept until
 * each of the readers has taken it, or until newer batches need the room.
 */
import { DecodedBatch } from "../log/decoded_batch.ts";
import type { RecordBatch } from "../log/log.ts";

/** Stored bytes of the batches that are kept decoded for one partition. Their values take some ten times as much memory. */
export const DECODED_BYTES_MAX = 262_144;

interface Kept {
  readonly decoded: DecodedBatch;
  /** How many readers are still to take the batch. */
  takesLeft: number;
}

export class DecodedCache {
  readonly #bytesMax: number;
  /** The oldest first. */
  readonly #kept = new Map<RecordBatch, Kept>();
  #sizeBytes = 0;

  constructor(bytesMax: number = DECODED_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** @param readers how many readers take each batch, the caller included */
  take(batch: RecordBatch, readers: number): DecodedBatch {
    const kept = this.#kept.get(batch);
    if (kept !== undefined) {
      kept.takesLeft -= 1;
      if (kept.takesLeft <= 0) this.#forget(batch);
      return kept.decoded;
    }
    const decoded = new DecodedBatch(batch);
    if (readers > 1 && batch.events.byteLength <= this.#bytesMax)
      this.#keep(batch, { decoded, takesLeft: readers - 1 });
    return decoded;
  }

  clear(): void {
    this.#kept.clear();
    this.#sizeBytes = 0;
  }

  #keep(batch: RecordBatch, kept: Kept): void {
    this.#kept.set(batch, kept);
    this.#sizeBytes += batch.events.byteLength;
    for (const oldest of this.#kept.keys()) {
      if (this.#sizeBytes <= this.#bytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(batch: RecordBatch): void {
    if (this.#kept.delete(batch)) this.#sizeBytes -= batch.events.byteLength;
  }
}
