/**
 * The values of a partition's newest batches, and texts made of these, for all readers on this node: each is made once.
 * A batch outside the tail cache is its reader's own: a reader that lags reads the log, which answers new objects each time.
 *
 * All readers of the text are together one reader of the values: the first of them makes the text, and the values can go.
 * Readers come, go and lag, so their number is only the usual end of what is kept. The bounds hold in any case.
 */
import { DecodedBatch } from "../log/decoded_batch.ts";
import type { Channel, RecordBatch } from "../log/log.ts";
import { BatchCache } from "./batch_cache.ts";
import type { ReadAs } from "./partition_feed.ts";

/** Stored bytes of the batches that are kept decoded for one partition. Their values take some ten times as much memory. */
export const DECODED_BYTES_MAX = 262_144;
/** Bytes of the texts that are kept for one partition: as JSON, events take about twice their stored bytes. */
export const TEXT_BYTES_MAX = 524_288;

export type MakeText = (batch: DecodedBatch) => Uint8Array;

export class BatchSharing {
  readonly #isInTail: (channel: Channel, batch: RecordBatch) => boolean;
  readonly #readers: Readonly<Record<"values" | "text", Map<Channel, number>>> = { values: new Map(), text: new Map() };
  readonly #values = new BatchCache<DecodedBatch>(DECODED_BYTES_MAX, (_values, { events }) => events.byteLength);
  readonly #texts = new BatchCache<Uint8Array>(TEXT_BYTES_MAX, (text) => text.byteLength);

  constructor(isInTail: (channel: Channel, batch: RecordBatch) => boolean) {
    this.#isInTail = isInTail;
  }

  /** Counts a reader that takes each batch of the channel once. */
  join(channel: Channel, as: ReadAs): void {
    if (as !== "bytes") this.#count(channel, as, 1);
  }

  leave(channel: Channel, as: ReadAs): void {
    if (as !== "bytes") this.#count(channel, as, -1);
  }

  values(channel: Channel, batch: RecordBatch): DecodedBatch {
    const readers = this.#readersOf(channel, "values");
    const isShared = readers > 1 && this.#isInTail(channel, batch);
    return isShared ? this.#values.take(batch, readers, () => new DecodedBatch(batch, true)) : new DecodedBatch(batch);
  }

  /** As `values`, for a reader that is not counted. */
  peek(batch: RecordBatch): DecodedBatch {
    return this.#values.peek(batch) ?? new DecodedBatch(batch);
  }

  text(channel: Channel, batch: RecordBatch, make: MakeText): Uint8Array {
    const readers = this.#readersOf(channel, "text");
    const makeText = () => make(this.values(channel, batch));
    return readers > 1 && this.#isInTail(channel, batch) ? this.#texts.take(batch, readers, makeText) : makeText();
  }

  clear(): void {
    this.#values.clear();
    this.#texts.clear();
  }

  #readersOf(channel: Channel, as: "values" | "text"): number {
    return this.#readers[as].get(channel) ?? 0;
  }

  #count(channel: Channel, as: "values" | "text", change: number): void {
    const readers = this.#readersOf(channel, as) + change;
    if (readers === 0) this.#readers[as].delete(channel);
    else this.#readers[as].set(channel, readers);
    const isFirstOrLast = change > 0 ? readers === 1 : readers === 0;
    if (as === "text" && isFirstOrLast) this.#count(channel, "values", change);
    // No reader is left to take what former ones have left behind. Batches of other channels are made again.
    if (change < 0 && readers <= 1) (as === "text" ? this.#texts : this.#values).clear();
  }
}
