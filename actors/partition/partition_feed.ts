/**
 * The contract of a partition's readers: its records up to the committed offset. The parts beside the owner (pipelines,
 * deliveries) also append to its other channels, and write checkpoints under the owner's fence.
 */
import type { Epoch, Offset, PartitionReference, Position } from "../../protocols/position.ts";
import type { DecodedBatch } from "../log/decoded_batch.ts";
import type {
  AppendRequest,
  AppendResult,
  Channel,
  ChannelBounds,
  OpenChainOutcome,
  ReadResult,
  RecordBatch,
} from "../log/log.ts";

/** A partition for readers, whichever node owns it. */
export interface PartitionView {
  readonly partition: PartitionReference;
  /** Resolves once bounds are known. Rejects with `UnavailableError` where the owner does not tell them. */
  ready(): Promise<void>;
  /** One past the newest offset that a reader may see (E10). */
  committedOffset(channel: Channel): Offset;
  bounds(channel: Channel): ChannelBounds;
  /**
   * All records with an earlier time of append are committed, as far as is known here: a later record has this time or a
   * later one. In ms since 1970; negative infinity where the owner has not told yet.
   */
  settledMs(): number;
  /**
   * Reads committed batches after a cursor, from the tail cache or the log. Rejects as `Log.read` does.
   *
   * @param inParts the reader uses a part of a large batch, and reads again for the next part
   */
  read(channel: Channel, after: Position | undefined, bytesMax: number, inParts?: boolean): Promise<ReadResult>;
  /** The cursor behind which the first record was appended at or after `timeMs`, in ms since 1970. */
  seek(channel: Channel, timeMs: number): Promise<Position | undefined>;
  /** The values of a batch that `read` answered for the channel. Readers on this node share them, and only read them. */
  decode(channel: Channel, batch: RecordBatch): DecodedBatch;
  /** As `decode`, for a reader that does not follow the channel. */
  peek(batch: RecordBatch): DecodedBatch;
  /**
   * The text that `make` makes of a batch that `read` answered for the channel. Readers on this node share it, and only read
   * it, so `make` must be the same for all of them.
   */
  text(channel: Channel, batch: RecordBatch, make: (batch: DecodedBatch) => Uint8Array): Uint8Array;
  /**
   * Calls `listener` after the committed offset of a channel has moved. One call may stand for several moves.
   *
   * @param as how the listener's owner takes each batch of the channel. Default: `bytes`.
   */
  onAdvance(channel: Channel, listener: () => void, as?: ReadAs): { stop(): void };
}

/** How a reader takes the batches that it reads: by `events` as they are stored, by `decode`, or by `text`. */
export type ReadAs = "bytes" | "values" | "text";

/** A partition for the parts beside its owner: a view, with writes under the owner's fence. */
export interface PartitionFeed extends PartitionView {
  /** Epoch of the feed's ownership: the fence of every sink that is opened under it. */
  readonly epoch: Epoch;
  /** Appends to an outbox or to a sink's dead letters, under the owner's fence. */
  append(request: AppendRequest): Promise<AppendResult>;
  openChain(channel: Channel, producerId: string, producerEpoch: number): Promise<OpenChainOutcome>;
  /** Throws `FencedError` after a write that failed: it may have stored the checkpoint all the same. */
  readCheckpoint(name: string): Uint8Array | undefined;
  /** Removes whole entries of a `state/` channel that end before `beforeOffset`, under the owner's fence. */
  trim(channel: Channel, beforeOffset: Offset): Promise<void>;
  /** Rejects with `FencedError` once the partition has a newer owner. */
  writeCheckpoint(name: string, value: Uint8Array | undefined): Promise<void>;
}
