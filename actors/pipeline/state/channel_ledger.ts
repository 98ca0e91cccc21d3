/**
 * The ledger of a pipeline's state channel: how many live keys each stored batch holds, and up to where the channel is free.
 * A key is live in the batch that holds its newest event. A removal needs no event once all earlier events of its key are
 * trimmed; since a channel is trimmed from its beginning, a removal at the beginning is free.
 *
 *   H1. A batch is free once it holds no live key and lies at the channel's beginning. The newest batch is never free, as it
 *       holds the times of the tables.
 *   H2. The channel's bytes count from its first batch that is not free, each batch with its header.
 */
import { type Offset, offset } from "../../../protocols/position.ts";

/** Bytes of a stored batch beside its events: its header and the names in it, within a few. */
export const BATCH_FRAME_BYTES = 128;
/** Batches at the beginning of the arrays that are free, before the arrays are cut. */
const FREE_BATCHES_MAX = 1_024;

export class ChannelLedger {
  /** By batch, from number `#base` on. */
  #endOffsets: number[] = [];
  #bytes: number[] = [];
  #live: number[] = [];
  /** The number of the arrays' first batch, and of the first batch that is not free. */
  #base = 0;
  #first = 0;
  #sizeBytes = 0;
  #freeBefore: number | undefined;

  /** H2. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The offset before which the channel is free; undefined for an empty channel. */
  get freeBefore(): Offset | undefined {
    return this.#freeBefore === undefined ? undefined : offset(this.#freeBefore);
  }

  /** The number that the next batch gets. */
  get next(): number {
    return this.#base + this.#live.length;
  }

  /** Adds a batch without live keys. Answers its number. */
  add(endOffset: Offset, firstOffset: Offset, eventBytes: number): number {
    this.#freeBefore ??= firstOffset;
    this.#endOffsets.push(endOffset);
    this.#bytes.push(eventBytes + BATCH_FRAME_BYTES);
    this.#live.push(0);
    this.#sizeBytes += eventBytes + BATCH_FRAME_BYTES;
    return this.next - 1;
  }

  hold(batch: number, keys: number): void {
    this.#live[batch - this.#base] = (this.#live[batch - this.#base] ?? 0) + keys;
  }

  /** Moves the channel's beginning behind free batches (H1). Answers their bytes. */
  settle(): number {
    const sizeBytes = this.#sizeBytes;
    while (this.#first < this.next - 1 && this.#live[this.#first - this.#base] === 0) {
      this.#sizeBytes -= this.#bytes[this.#first - this.#base] ?? 0;
      this.#freeBefore = this.#endOffsets[this.#first - this.#base];
      this.#first += 1;
    }
    this.#cut();
    return sizeBytes - this.#sizeBytes;
  }

  #cut(): void {
    const free = this.#first - this.#base;
    if (free < FREE_BATCHES_MAX || free * 2 < this.#live.length) return;
    this.#endOffsets = this.#endOffsets.slice(free);
    this.#bytes = this.#bytes.slice(free);
    this.#live = this.#live.slice(free);
    this.#base = this.#first;
  }
}
