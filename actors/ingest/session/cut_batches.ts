/**
 * Cuts batches, which come whole from the log, to the room that a reader has. A part is a batch of its own: its events
 * decode by themselves (E11), and its offsets follow those of the part before without a gap.
 */
import { offset } from "../../../protocols/position.ts";
import { type Sequence, sequenceAt } from "../../../protocols/sequence.ts";
import { tracesFrom } from "../../../protocols/traceparent.ts";
import { joinEvents } from "../../../protocols/values/cut_events.ts";
import { slicesFrom } from "../../../protocols/values/slice_events.ts";
import { isRejected, type RecordBatch } from "../../log/log.ts";

export interface CutBatches {
  /** The batches that fit: at least one record, unless the batches hold none. */
  readonly batches: readonly RecordBatch[];
  readonly sizeBytes: number;
  readonly isCut: boolean;
}

/**
 * The records at `fromOffset` and after it whose events fit `bytesMax`, and the first of them in any case.
 *
 * @param recordsMax the most records; at least 1
 */
export function cutBatches(
  batches: readonly RecordBatch[],
  fromOffset: number,
  bytesMax: number,
  recordsMax: number = Number.POSITIVE_INFINITY,
): CutBatches {
  const kept: RecordBatch[] = [];
  let sizeBytes = 0;
  let recordsLeft = recordsMax;
  for (const batch of batches) {
    if (batch.count === 0) {
      kept.push({ ...batch, events: NO_EVENTS }); // without records, but its offset moves the reader on
      continue;
    }
    const { byteLength } = batch.events;
    if (batch.firstOffset >= fromOffset && batch.count <= recordsLeft && sizeBytes + byteLength <= bytesMax) {
      kept.push(batch);
      sizeBytes += byteLength;
      recordsLeft -= batch.count;
      continue;
    }
    if (recordsLeft === 0) return { batches: kept, sizeBytes, isCut: true };
    const part = partOf(batch, fromOffset, bytesMax - sizeBytes, sizeBytes === 0, recordsLeft);
    if (part !== undefined) {
      kept.push(part);
      sizeBytes += part.events.byteLength;
      recordsLeft -= part.count;
    }
    if (part === undefined || endOf(part) < endOf(batch)) return { batches: kept, sizeBytes, isCut: true };
  }
  return { batches: kept, sizeBytes, isCut: false };
}

const NO_EVENTS = Uint8Array.of(0x90);

const endOf = ({ firstOffset, count }: RecordBatch): number => firstOffset + count;

/** Bytes of the header of an array of events that were cut out one by one. */
const HEADER_BYTES = 5;

/** The records of one batch that fit. Rejected events are left out, as no reader gets them. */
function partOf(
  batch: RecordBatch,
  fromOffset: number,
  bytesMax: number,
  isFirstKept: boolean,
  recordsMax: number,
): RecordBatch | undefined {
  const { rejected, traceparent: _one, traces: _many, ...whole } = batch;
  const first = firstIndex(batch, fromOffset);
  const events: Uint8Array[] = [];
  const list: Sequence[] = [];
  let sizeBytes = HEADER_BYTES;
  let index = first - 1;
  for (const event of slicesFrom(batch.events, first)) {
    index += 1;
    if (isRejected(rejected, index)) continue;
    sizeBytes += event.byteLength;
    if (sizeBytes > bytesMax && !(isFirstKept && events.length === 0)) break;
    events.push(event);
    list.push(sequenceAt(batch.sequences, index));
    if (events.length === recordsMax) break;
  }
  if (events.length === 0) return undefined;
  const firstOffset = offset(Math.max(batch.firstOffset, fromOffset));
  const place = { firstOffset, count: events.length, sequences: { list } };
  // A batch with rejected events has one trace context for all (append draft D3), so the events left out move no start.
  return { ...whole, ...place, ...tracesFrom(batch, first), events: joinEvents(events) };
}

/** Index of the event at `fromOffset`, or of the first one of the batch. */
function firstIndex({ firstOffset, rejected }: RecordBatch, fromOffset: number): number {
  let skipped = fromOffset - firstOffset;
  if (rejected === undefined) return Math.max(0, skipped);
  let index = 0;
  for (; skipped > 0; index += 1) if (!isRejected(rejected, index)) skipped -= 1;
  return index;
}
