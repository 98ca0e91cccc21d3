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
  find(entries: string, after: Position | undefined, bounds: ChannelBounds): RecordBatch | undefined {
    const kept = this.#find(entries, after, epochAt(bounds.epochs, offsetAfter(after)));
    if (kept === undefined || endOf(kept.batch) > bounds.endOffset) return undefined;
    this.#kept.delete(kept);
    this.#kept.add(kept);
    return kept.batch;
  }

  /** Whether `find` may find a batch, so that reading the bounds for it is worth while. */
  mayFind(entries: string, after: Position | undefined): boolean {
    for (const { batch } of this.#ofEntries(entries)) if (holds(batch, after)) return true;
    return false;
  }

  /** Keeps the large batches of an answer (K1). */
  keep(entries: string, answer: ReadResult): void {
    if (answer.kind !== "records") return;
    for (const batch of answer.batches) {
      if (batch.events.byteLength < LARGE_BATCH_BYTES_MIN) continue;
      const listed = "list" in batch.sequences ? batch.sequences.list.length : 0;
      const sizeBytes = storedBytes(batch) + listed * LISTED_OVERHEAD_BYTES;
      if (sizeBytes > this.#bytesMax || this.#isKept(entries, batch)) continue;
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

  #find(entries: string, after: Position | undefined, inEpoch: number | undefined): Kept | undefined {
    for (const kept of this.#ofEntries(entries)) {
      if (kept.batch.epoch === inEpoch && holds(kept.batch, after)) return kept;
    }
    return undefined;
  }

  #isKept(entries: string, { epoch, firstOffset }: RecordBatch): boolean {
    for (const { batch } of this.#ofEntries(entries)) {
      if (batch.epoch === epoch && batch.firstOffset === firstOffset) return true;
    }
    return false;
  }

  *#ofEntries(entries: string): Iterable<Kept> {
    for (const kept of this.#kept) if (kept.entries === entries) yield kept;
  }
}

const offsetAfter = (after: Position | undefined): number => (after?.offset ?? -1) + 1;
const endOf = ({ firstOffset, count }: RecordBatch): number => firstOffset + count;
const holds = (batch: RecordBatch, after: Position | undefined): boolean =>
  batch.firstOffset <= offsetAfter(after) && offsetAfter(after) < endOf(batch);
