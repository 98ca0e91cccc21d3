/**
 * What the logs' reads have in common: judging the cursor, cutting batches to what may be seen, and finding a place by
 * time. Pure.
 */
import { type EpochStart, epochAt, judgeCursor, offset, type Position, position } from "../../../protocols/position.ts";
import type { ChannelBounds, ReadRequest, ReadResult, RecordBatch } from "../log.ts";
import { storedBytes } from "./record_batch.ts";

/**
 * What a batch counts in a read beside its bytes. To decode one and to send it on takes about as long as a kilobyte does:
 * without this, one read of single events would hold up the node for ten milliseconds.
 */
const BATCH_OVERHEAD_BYTES = 1_024;

/** The position of the record before `atOffset`, or undefined where the table does not know one. */
export function positionBefore(epochs: readonly EpochStart[], atOffset: number): Position | undefined {
  const before = atOffset === 0 ? undefined : epochAt(epochs, atOffset - 1);
  return before === undefined ? undefined : position(before, atOffset - 1);
}

/** @param entries from the first that ends after the request's cursor on, in order; read only as far as is asked for */
export function answerRead(
  bounds: ChannelBounds,
  request: ReadRequest,
  entries: Iterable<readonly RecordBatch[]>,
): ReadResult {
  const { epochs, firstOffset, endOffset } = bounds;
  const judgement = judgeCursor(request.after, epochs, firstOffset, endOffset);
  if (judgement.kind === "trimmed") return judgement;
  if (judgement.kind === "truncated") {
    const { divergence } = judgement;
    return { kind: "truncated", divergence: offset(divergence), resume: positionBefore(epochs, divergence) };
  }
  const batches: RecordBatch[] = [];
  if (request.committedOffset <= (request.after?.offset ?? -1) + 1) return { kind: "records", batches };
  let sizeBytes = 0;
  for (const batch of flatten(entries)) {
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

function* flatten(entries: Iterable<readonly RecordBatch[]>): Iterable<RecordBatch> {
  for (const entry of entries) yield* entry;
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
