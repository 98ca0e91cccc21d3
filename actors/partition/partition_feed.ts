/**
 * What the parts that live beside a partition's owner (pipelines, deliveries, live subscriptions on the same node) see
 * of it: its records up to the committed offset, and a place for checkpoints under the owner's fence.
 */
import type { Epoch, Offset, PartitionReference, Position } from "../../protocols/position.ts";
import type { AppendRequest, AppendResult, Channel, ChannelBounds, OpenChainOutcome, ReadResult } from "../log/log.ts";

/** A partition as readers see it, wherever it is owned. */
export interface PartitionView {
  readonly partition: PartitionReference;
  /** Resolves once bounds are known. Rejects with `UnavailableError` where the owner does not tell. */
  ready(): Promise<void>;
  /** One past the newest offset that may be seen (E10). */
  committedOffset(channel: Channel): Offset;
  bounds(channel: Channel): ChannelBounds;
  /**
   * Reads committed batches after a cursor, from the tail cache or the log. Rejects as `Log.read` does.
   *
   * @param inParts the reader takes of a large batch a part at a time, and asks again for the next
   */
  read(channel: Channel, after: Position | undefined, bytesMax: number, inParts?: boolean): Promise<ReadResult>;
  /** The cursor to read from so that the first record seen was appended at or after `timeMs`. */
  seek(channel: Channel, timeMs: number): Promise<Position | undefined>;
  /** Calls `listener` after the committed offset of a channel has moved: a level, so calls may be merged. */
  onAdvance(channel: Channel, listener: () => void): { stop(): void };
}

export interface PartitionFeed extends PartitionView {
  /** Epoch of the ownership that this feed belongs to; the fence of every sink opened under it. */
  readonly epoch: Epoch;
  /** Appends to one of the partition's own channels under the owner's fence: outboxes and sinks' dead letters. */
  append(request: AppendRequest): Promise<AppendResult>;
  openChain(channel: Channel, producerId: string, producerEpoch: number): Promise<OpenChainOutcome>;
  readCheckpoint(name: string): Uint8Array | undefined;
  /** Rejects with `FencedError` once the partition has a newer owner. */
  writeCheckpoint(name: string, value: Uint8Array | undefined): Promise<void>;
}
