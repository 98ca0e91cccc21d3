/**
 * Keeps large batches that are read in parts, decoded and checked: each part would otherwise cost a read and a check of the
 * whole batch. Decides which batches are kept and for how long; leaves cutting to the reader.
 *   K1. The kept batches take at most `bytesMax` together. The batch that was read longest ago goes first.
 *   K2. A kept batch is answered only where the log's bounds still hold it: its offsets in its epoch, below the end.
 */
import { epochAt, type Position } from "../../../protocols/position.ts";
import type { ChannelBounds, ReadResult, RecordBatch } from "../log.ts";
import { storedBytes } from "./record_batch.ts";

/** Bytes of all kept batches of a node: two batches as large as a frame. */
export const LARGE_BATCHES_BYTES_MAX = 8_388_608;
/** Size of a batch from which on it is kept. A smaller one has few parts, and is read anew for each. */
export const LARGE_BATCH_BYTES_MIN = 262_144;
/** Memory that each listed sequence takes beyond its stored bytes. */
const LISTED_OVERHEAD_BYTES = 64;

interface Kept {
  /** The channel and partition of the batch, as the log names that sequence of entries. */
  readonly entries: string;
  readonly batch: RecordBatch;
  readonly sizeBytes: number;
}

export class LargeBatches {
  readonly #bytesMax: number;
  /** In the order of their last reads. */
  readonly #kept = new Set<Kept>();
  #usedBytes = 0;

  constructor(bytesMax: number = LARGE_BATCHES_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The kept batch that holds the record after the cursor, or undefined (K2). */
  find(entries: string, after: Position | undefined, { epochs, endOffset }: ChannelBounds): RecordBatch | undefined {
    const next = offsetAfter(after);
    const kept = this.#holder(entries, next, epochAt(epochs, next) ?? NO_EPOCH);
    if (kept === undefined || endOf(kept.batch) > endOffset) return undefined;
    this.#kept.delete(kept);
    this.#kept.add(kept);
    return kept.batch;
  }

  /** Whether `find` may find a batch, so that reading the bounds for it is worth while. */
  mayFind(entries: string, after: Position | undefined): boolean {
    return this.#holder(entries, offsetAfter(after)) !== undefined;
  }

  /** Keeps the large batches of an answer (K1). */
  keep(entries: string, answer: ReadResult): void {
    if (answer.kind !== "records") return;
    for (const batch of answer.batches) {
      if (batch.events.byteLength < LARGE_BATCH_BYTES_MIN) continue;
      const listed = "list" in batch.sequences ? batch.sequences.list.length : 0;
      const sizeBytes = storedBytes(batch) + listed * LISTED_OVERHEAD_BYTES;
      const known = this.#holder(entries, batch.firstOffset, batch.epoch);
      if (sizeBytes > this.#bytesMax || known?.batch.firstOffset === batch.firstOffset) continue;
      this.#kept.add({ entries, batch, sizeBytes });
      this.#usedBytes += sizeBytes;
      for (const oldest of this.#kept) {
        if (this.#usedBytes <= this.#bytesMax) break;
        this.#kept.delete(oldest);
        this.#usedBytes -= oldest.sizeBytes;
      }
    }
  }

  clear(): void {
    this.#kept.clear();
    this.#usedBytes = 0;
  }

  /** The kept batch that holds a record at `offset`, in `inEpoch` if that is given. */
  #holder(entries: string, offset: number, inEpoch?: number): Kept | undefined {
    for (const kept of this.#kept) {
      const { batch } = kept;
      const isHolder = kept.entries === entries && batch.firstOffset <= offset && offset < endOf(batch);
      if (isHolder && (inEpoch === undefined || batch.epoch === inEpoch)) return kept;
    }
    return undefined;
  }
}

const NO_EPOCH = 0;
const offsetAfter = (after: Position | undefined): number => (after?.offset ?? -1) + 1;
const endOf = ({ firstOffset, count }: RecordBatch): number => firstOffset + count;
