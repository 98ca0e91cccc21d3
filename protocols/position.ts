/**
 * Positions of records. Offsets are dense from 0 within a partition; an epoch numbers an ownership term. A cursor (of a
 * sink, a subscriber, a pipeline) is the position of the **last record handled**. `undefined` means that no record was
 * handled yet and sorts below every position, so that offset 0 is not "nothing".
 */
declare const brand: unique symbol;
type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };

/** Number of an ownership term, from 1; the higher fences the lower. Safe integer. */
export type Epoch = Branded<number, "Epoch">;
/** Place of a record in a partition's log, dense from 0. Safe integer. */
export type Offset = Branded<number, "Offset">;
/** Number of a partition within its stream, from 0. */
export type PartitionId = Branded<number, "PartitionId">;
/** Name of a node, unique in its cluster. */
export type NodeId = Branded<string, "NodeId">;

/** Brands a number as an epoch, unchecked. */
export const epoch = (value: number): Epoch => value as Epoch;
/** Brands a number as an offset, unchecked. */
export const offset = (value: number): Offset => value as Offset;
/** Brands a number as a partition, unchecked. */
export const partitionId = (value: number): PartitionId => value as PartitionId;
/** Brands a text as a node's name, unchecked. */
export const nodeId = (value: string): NodeId => value as NodeId;

/** The position of one record: the epoch of the owner that wrote it, and its offset. */
export interface Position {
  readonly epoch: Epoch;
  readonly offset: Offset;
}

/** Makes a position of two numbers, which are not checked. */
export const position = (ofEpoch: number, atOffset: number): Position => ({
  epoch: epoch(ofEpoch),
  offset: offset(atOffset),
});

/** Compares cursors by epoch, then by offset: below 0 where `left` comes first. `undefined` comes before all others. */
export function comparePositions(left: Position | undefined, right: Position | undefined): number {
  if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined);
  return left.epoch - right.epoch || left.offset - right.offset;
}

/** One partition of one stream. */
export interface PartitionReference {
  readonly stream: string;
  readonly partition: PartitionId;
}

/** A partition as frames and applications name it. */
export interface PartitionPlace {
  readonly stream: string;
  readonly partition: number;
}

/** `stream/partition`: the partition's name in logs, actor paths and metrics, and its Redis hash tag. */
export const partitionName = ({ stream, partition }: PartitionPlace): string => `${stream}/${partition}`;

/** The first offset written in an epoch. A partition keeps one entry for each epoch, in order (Kafka's KIP-101). */
export interface EpochStart {
  readonly epoch: Epoch;
  readonly firstOffset: Offset;
}

/** Whether a reader can go on behind its cursor, and otherwise where. */
export type CursorJudgement =
  /** The cursor names a record of this log (or its beginning): read on after it. */
  | { readonly kind: "valid" }
  /** Retention removed records behind the cursor: the first one left is at `firstOffset`. */
  | { readonly kind: "trimmed"; readonly firstOffset: Offset }
  /** The record at the cursor is no longer in this log. All records before `divergence` are. */
  | { readonly kind: "truncated"; readonly divergence: Offset };

/**
 * Holds a cursor against a partition's epoch table (E9).
 *
 * @param cursor last record handled, or `undefined` for none
 * @param epochs the partition's epoch table, ascending
 * @param firstOffset the oldest offset that retention has left
 * @param endOffset one past the newest offset
 */
export function judgeCursor(
  cursor: Position | undefined,
  epochs: readonly EpochStart[],
  firstOffset: Offset,
  endOffset: Offset,
): CursorJudgement {
  if (cursor === undefined) return firstOffset > 0 ? { kind: "trimmed", firstOffset } : { kind: "valid" };
  const oldest = epochs[0];
  if (oldest !== undefined && cursor.epoch < oldest.epoch && oldest.firstOffset > 0) {
    // Retention has cut the table: an epoch before its first is judged by offset alone.
    if (cursor.offset + 1 < firstOffset) return { kind: "trimmed", firstOffset };
    if (isJustBefore(cursor, oldest, firstOffset)) return { kind: "valid" };
    return { kind: "truncated", divergence: oldest.firstOffset };
  }
  if (oldest !== undefined && isJustBefore(cursor, oldest, firstOffset)) return { kind: "valid" };
  const next = epochs.find((entry) => entry.epoch > cursor.epoch);
  const isKnown = epochs.some((entry) => entry.epoch === cursor.epoch && entry.firstOffset <= cursor.offset);
  const limit = next?.firstOffset ?? endOffset;
  if (!isKnown || cursor.offset >= limit) return { kind: "truncated", divergence: offset(Math.min(limit, endOffset)) };
  if (cursor.offset + 1 < firstOffset) return { kind: "trimmed", firstOffset };
  return { kind: "valid" };
}

/** Whether retention has removed the record at the cursor, with its epoch, and no record behind it. */
const isJustBefore = (cursor: Position, oldest: EpochStart, firstOffset: Offset): boolean =>
  oldest.firstOffset === firstOffset && cursor.offset + 1 === firstOffset && cursor.epoch <= oldest.epoch;

/**
 * The cursor just before the record at `atOffset`; `undefined` for the beginning of the log. Where retention has cut the table,
 * the oldest epoch that is left stands for the epoch of the record before: such a cursor is judged by its offset.
 */
export function cursorBefore(epochs: readonly EpochStart[], atOffset: number): Position | undefined {
  if (atOffset <= 0) return undefined;
  const of = epochAt(epochs, atOffset - 1) ?? epochs[0]?.epoch;
  return of === undefined ? undefined : { epoch: of, offset: offset(atOffset - 1) };
}

/** The epoch in which the record at `atOffset` was written; `undefined` for a record before the table's first. */
export function epochAt(epochs: readonly EpochStart[], atOffset: number): Epoch | undefined {
  let found: Epoch | undefined;
  for (const entry of epochs) if (entry.firstOffset <= atOffset) found = entry.epoch;
  return found;
}
