/** What the logs' reads have in common: cutting batches to what may be seen, and finding a place by time. Pure. */
import { type EpochStart, epochAt, offset, type Position, position } from "../../protocols/position.ts";
import type { ChannelBounds, ReadRequest, ReadResult, RecordBatch } from "./log.ts";
import { storedBytes } from "./record_batch.ts";

/** The position of the record before `atOffset`, or undefined where the table does not know one. */
export function positionBefore(epochs: readonly EpochStart[], atOffset: number): Position | undefined {
  const before = atOffset === 0 ? undefined : epochAt(epochs, atOffset - 1);
  return before === undefined ? undefined : position(before, atOffset - 1);
}

export const truncatedAt = (epochs: readonly EpochStart[], divergence: number): ReadResult => ({
  kind: "truncated",
  divergence: offset(divergence),
  resume: positionBefore(epochs, divergence),
});

/**
 * Adds to `taken` what `request` may see of an entry's batches. Answers false once no more may be taken.
 */
export function takeBatches(
  taken: { batches: RecordBatch[]; sizeBytes: number },
  entry: readonly RecordBatch[],
  request: ReadRequest,
): boolean {
  for (const batch of entry) {
    const endOffset = batch.firstOffset + batch.count;
    if (request.after !== undefined && endOffset <= request.after.offset + 1) continue;
    if (endOffset > request.committedOffset) return false;
    const sizeBytes = storedBytes(batch);
    if (taken.batches.length > 0 && taken.sizeBytes + sizeBytes > request.bytesMax) return false;
    taken.batches.push(batch);
    taken.sizeBytes += sizeBytes;
  }
  return taken.sizeBytes < request.bytesMax;
}

/** Reads the batches of the entry that holds `atOffset`; empty where there is none. */
export type SeekProbe = (at: Position) => Promise<readonly RecordBatch[]>;

/**
 * The cursor after which the first record was appended at or after `timeMs`, by bisection: batches of one owner carry
 * ascending times, and where clocks of two owners disagree the answer is near, which is all that time is used for (E24).
 */
export async function seekByTime(
  bounds: ChannelBounds,
  timeMs: number,
  probe: SeekProbe,
): Promise<Position | undefined> {
  let low: number = bounds.firstOffset;
  let high: number = bounds.endOffset;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const inEpoch = epochAt(bounds.epochs, middle);
    const entry = inEpoch === undefined ? [] : await probe(position(inEpoch, middle));
    const batch = entry.find(({ firstOffset, count }) => firstOffset + count > middle);
    if (batch === undefined) break;
    if (batch.appendedAtMs >= timeMs) high = Math.min(middle, batch.firstOffset);
    else low = batch.firstOffset + batch.count;
  }
  return positionBefore(bounds.epochs, Math.max(low, bounds.firstOffset));
}
