/** The pure part of a read that all logs share: judges the cursor, chooses visible batches, finds a place by time. */
import { cursorBefore, epochAt, judgeCursor, type Position, position } from "../../../protocols/position.ts";
import type { ChannelBounds, ReadRequest, ReadResult, RecordBatch } from "../log.ts";
import { storedBytes } from "./record_batch.ts";

/**
 * Bytes that a batch counts in a read beside its own: to decode and send a batch takes about as long as a kilobyte does.
 * Without this, one read of single-event batches would hold up the node for about 10 ms.
 */
const BATCH_OVERHEAD_BYTES = 1_024;

/** @param stored the batches from the cursor's entry on, in order; iterated only as far as the answer needs */
export function answerRead(bounds: ChannelBounds, request: ReadRequest, stored: Iterable<RecordBatch>): ReadResult {
  const { epochs, firstOffset, endOffset } = bounds;
  const judgement = judgeCursor(request.after, epochs, firstOffset, endOffset);
  if (judgement.kind === "trimmed") return judgement;
  if (judgement.kind === "truncated") return { ...judgement, resume: cursorBefore(epochs, judgement.divergence) };
  const batches: RecordBatch[] = [];
  if (request.committedOffset <= (request.after?.offset ?? -1) + 1) return { kind: "records", batches };
  let sizeBytes = 0;
  for (const batch of stored) {
    const batchEnd = batch.firstOffset + batch.count;
    if (request.after !== undefined && batchEnd <= request.after.offset + 1) continue;
    if (batchEnd > request.committedOffset) break;
    const batchBytes = storedBytes(batch) + BATCH_OVERHEAD_BYTES;
    if (batches.length > 0 && sizeBytes + batchBytes > request.bytesMax) break;
    batches.push(batch);
    sizeBytes += batchBytes;
    if (sizeBytes >= request.bytesMax) break;
  }
  return { kind: "records", batches };
}

/** The batch of an entry that holds the record at an offset. */
export const holderOf = (batches: Iterable<RecordBatch>, offset: number): RecordBatch | undefined => {
  for (const batch of batches) if (batch.firstOffset + batch.count > offset) return batch;
  return undefined;
};

/**
 * The cursor after which the first record was appended at or after `timeMs`, by bisection. Batches of one owner have
 * ascending times. Where the clocks of two owners disagree the cursor is only near that record (E24).
 *
 * @param probe reads the batch that holds the record at a position; undefined where there is none
 */
export async function seekByTime(
  bounds: ChannelBounds,
  timeMs: number,
  probe: (at: Position) => Promise<RecordBatch | undefined>,
): Promise<Position | undefined> {
  let low: number = bounds.firstOffset;
  let high: number = bounds.endOffset;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const inEpoch = epochAt(bounds.epochs, middle);
    const batch = inEpoch === undefined ? undefined : await probe(position(inEpoch, middle));
    if (batch === undefined) break;
    if (batch.appendedAtMs >= timeMs) high = Math.min(middle, batch.firstOffset);
    else low = batch.firstOffset + batch.count;
  }
  return cursorBefore(bounds.epochs, Math.max(low, bounds.firstOffset));
}
