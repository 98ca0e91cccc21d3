/**
 * One subscription of one connection: which records to read next for its partitions, and when. Leaves reading to the
 * feed and sending to the session.
 *
 *   U1. A partition has at most one read under way, and none without credit, or without room in the connection's share
 *       (`records_budget.ts`).
 *   U2. The cursor moves only over records that were sent, so that a partition that moves is read on without a gap. A
 *       batch that is sent in parts is read on within it.
 *   U3. `trimmed` and `truncated` are sent before any record after them (E9).
 *   U4. Partitions take turns: the one that was read last comes last. A partition within a batch that is sent in parts
 *       is read up to `PARTS_OF_A_TURN` times in its turn, while its batch is still in memory.
 */
import { cursorBefore, epoch, type Offset, offset, type Position } from "../../../protocols/position.ts";
import { tracesOf } from "../../../protocols/traceparent.ts";
import type {
  NodeFrame,
  RecordsFrame,
  SubscribeFrame,
  SubscribeFrom,
  WireBatch,
} from "../../../protocols/wire/frames.ts";
import type { ChannelBounds, ReadResult, RecordBatch } from "../../log/log.ts";
import type { RecordsGrant, RecordsRoom } from "./records_budget.ts";

/** Bytes asked of the log for one `records` frame. */
export const RECORDS_FRAME_BYTES = 262_144;

export const PARTS_OF_A_TURN = 8;

interface Reading {
  /** Undefined until the beginning is looked up, which takes an owner of the partition. */
  cursor: { readonly at: Position | undefined } | undefined;
  readonly from: SubscribeFrom;
  isReading: boolean;
  /** There may be more records than the last read brought. */
  hasMore: boolean;
  /** Bytes that the last read brought: the next one asks for as much room. */
  lastBytes: number;
  /** Parts of the current batch that may still be read in this turn (U4); 0 where no batch is sent in parts. */
  partsOfTurn: number;
  /** Bytes of the next record, where the last read found no room for it. */
  leastBytes: number;
}

export interface Subscription {
  readonly id: number;
  readonly stream: string;
  readonly channel: "records" | "rejected";
  readonly partitions: Map<number, Reading>;
  creditBytes: number;
}

/** A read to be made for a partition of a subscription. */
export type SubscriptionRead = { readonly partition: number; readonly room: RecordsRoom } & (
  | { readonly kind: "after"; readonly after: Position | undefined; readonly bytesMax: number }
  | { readonly kind: "begin"; readonly from: SubscribeFrom }
);

export function createSubscription(frame: SubscribeFrame): Subscription {
  const partitions = new Map<number, Reading>();
  for (const { partition, from } of frame.partitions) {
    const cursor =
      typeof from === "object" && "epoch" in from
        ? { at: { epoch: epoch(from.epoch), offset: offset(from.offset) } }
        : undefined;
    const unread = { isReading: false, hasMore: true, lastBytes: 0, partsOfTurn: 0, leastBytes: 0 };
    partitions.set(partition, { cursor, from, ...unread });
  }
  const { subscription: id, stream, channel = "records", creditBytes } = frame;
  return { id, stream, channel, partitions, creditBytes };
}

/** Bytes of room for looking up where a partition begins, which brings no records. */
const BEGIN_BYTES = 1;

/** The reads that may begin now (U1), each in room taken from `records`. */
export function readsDue(subscription: Subscription, records: Pick<RecordsGrant, "take">): readonly SubscriptionRead[] {
  const reads: SubscriptionRead[] = [];
  if (subscription.creditBytes <= 0) return reads;
  for (const [partition, reading] of subscription.partitions) {
    if (reading.isReading || !reading.hasMore) continue;
    const bytesMax = Math.min(RECORDS_FRAME_BYTES, subscription.creditBytes);
    const wantedBytes = reading.cursor === undefined ? BEGIN_BYTES : Math.max(bytesMax, reading.lastBytes);
    const room = records.take(wantedBytes, reading.leastBytes);
    if (room === undefined) {
      if (reading.leastBytes > 0) continue; // another partition may have less to read
      break;
    }
    reading.isReading = true;
    reading.hasMore = false;
    reads.push(
      reading.cursor === undefined
        ? { kind: "begin", partition, from: reading.from, room }
        : { kind: "after", partition, after: reading.cursor.at, bytesMax: Math.min(bytesMax, room.bytes), room },
    );
  }
  for (const { partition } of reads) endTurn(subscription.partitions, partition);
  return reads;
}

/** U4. A partition's turn ends with a read of it, or with the last of a few parts: it is then the last in turn. */
function endTurn(partitions: Map<number, Reading>, partition: number): void {
  const reading = partitions.get(partition);
  if (reading === undefined) return;
  reading.partsOfTurn = Math.max(0, reading.partsOfTurn - 1);
  if (reading.partsOfTurn > 0) return;
  partitions.delete(partition);
  partitions.set(partition, reading);
}

/** A partition has new records, or a new owner: it is read again. */
export function advanced(subscription: Subscription, partition: number): void {
  const reading = subscription.partitions.get(partition);
  if (reading !== undefined) reading.hasMore = true;
}

export interface Beginning {
  readonly partition: number;
  readonly at: Position | undefined;
  readonly firstOffset: Offset;
  readonly endOffset: Offset;
}

/**
 * Begins a partition without a position, once its bounds are known. A subscription from `latest` is told the offset, so
 * that a break before its first record skips none. One from an offset that retention has removed is told `trimmed`
 * (U3).
 */
export function began(subscription: Subscription, beginning: Beginning): readonly NodeFrame[] {
  const { partition, at, firstOffset, endOffset } = beginning;
  const reading = subscription.partitions.get(partition);
  if (reading === undefined) return [];
  reading.cursor = { at };
  reading.isReading = false;
  reading.hasMore = true;
  const about = { subscription: subscription.id, stream: subscription.stream, partition };
  if (reading.from === "latest") return [{ type: "records", ...about, batches: [], endOffset }];
  const isTrimmed = typeof reading.from === "object" && "offset" in reading.from && reading.from.offset < firstOffset;
  return isTrimmed ? [{ type: "trimmed", ...about, firstOffset }] : [];
}

/** The cursor of `earliest`, `latest` or an offset within these bounds. */
export function beginning(from: SubscribeFrom, bounds: ChannelBounds): Position | undefined {
  const at = from === "latest" ? bounds.endOffset : typeof from === "object" && "offset" in from ? from.offset : 0;
  const within = Math.min(Math.max(at, bounds.firstOffset), bounds.endOffset);
  return cursorBefore(bounds.epochs, within);
}

/**
 * A read failed. Unless it is retriable, the partition is read again once it advances or has another owner.
 *
 * @param leastBytes size of the next record, where the read found no room for it
 */
export function readFailed(
  subscription: Subscription,
  partition: number,
  isRetriable: boolean,
  leastBytes?: number,
): void {
  const reading = subscription.partitions.get(partition);
  if (reading === undefined) return;
  reading.isReading = false;
  reading.hasMore = isRetriable;
  reading.leastBytes = leastBytes ?? reading.leastBytes;
}

/** Notes the size of a read: the partition's next read asks for as much room, and may go on within a batch (U4). */
export function noteSize(subscription: Subscription, partition: number, broughtBytes: number, isCut: boolean): void {
  const reading = subscription.partitions.get(partition);
  if (reading === undefined) return;
  reading.lastBytes = broughtBytes;
  if (!isCut) reading.partsOfTurn = 0;
  else if (reading.partsOfTurn === 0) reading.partsOfTurn = PARTS_OF_A_TURN;
  reading.leastBytes = 0;
}

/** The frame to send for a read's answer. The cursor moves with it (U2, U3). */
export function readAnswered(
  subscription: Subscription,
  partition: number,
  result: ReadResult,
  bounds: ChannelBounds,
): NodeFrame | undefined {
  const reading = subscription.partitions.get(partition);
  if (reading === undefined) return undefined;
  reading.isReading = false;
  const about = { subscription: subscription.id, stream: subscription.stream, partition };
  switch (result.kind) {
    case "trimmed":
      reading.cursor = { at: cursorBefore(bounds.epochs, result.firstOffset) };
      reading.hasMore = true;
      return { type: "trimmed", ...about, firstOffset: result.firstOffset };
    case "truncated":
      reading.cursor = { at: result.resume };
      reading.hasMore = true;
      return { type: "truncated", ...about, divergence: result.divergence };
    case "records":
      return recordsFrame(about, reading, result.batches, bounds.endOffset);
  }
}

function recordsFrame(
  about: Pick<RecordsFrame, "subscription" | "stream" | "partition">,
  reading: Reading,
  batches: readonly RecordBatch[],
  endOffset: Offset,
): NodeFrame | undefined {
  const last = batches.at(-1);
  if (last === undefined) return undefined;
  const at: Position = { epoch: last.epoch, offset: offset(last.firstOffset + last.count - 1) };
  reading.cursor = { at };
  reading.hasMore = reading.hasMore || at.offset + 1 < endOffset;
  return { type: "records", ...about, batches: withRecords(batches).map(wireBatch), endOffset };
}

/** The batches that a `records` frame shows: one without records only moves the cursor. */
export const withRecords = (batches: readonly RecordBatch[]): readonly RecordBatch[] =>
  batches.filter((batch) => batch.count > 0);

export const wireBatch = (batch: RecordBatch): WireBatch => ({
  epoch: batch.epoch,
  firstOffset: batch.firstOffset,
  count: batch.count,
  appendedAtMs: batch.appendedAtMs,
  schemaVersion: batch.schemaVersion,
  producerId: batch.producerId,
  events: batch.events,
  ...tracesOf(batch),
  ...(batch.rejected === undefined ? {} : { rejected: batch.rejected }),
});
