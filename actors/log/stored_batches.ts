/** The stored form of an appended batch: its own events in its channel, and its rejected ones in the channel `rejected`. */
import type { Verdict } from "../../protocols/event.ts";
import { sequenceAt, sequenceCount } from "../../protocols/sequence.ts";
import { tracesOf } from "../../protocols/traceparent.ts";
import type { AppendBatch, RecordBatch, Rejects } from "./log.ts";

/** A batch without its place, which the entry's key gives. */
export type StoredBatch = Omit<RecordBatch, "epoch" | "firstOffset">;

export function storedBatch(batch: AppendBatch): StoredBatch {
  const { appendedAtMs, schemaVersion, producerId, sequences, events, rejects } = batch;
  const eventCount = sequenceCount(sequences);
  const plain: StoredBatch = { count: eventCount, appendedAtMs, schemaVersion, producerId, sequences, events };
  if (batch.traceparent === undefined && batch.traces === undefined && rejects === undefined) return plain;
  const { verdicts = [] } = rejects ?? {};
  return {
    ...plain,
    count: eventCount - verdicts.length,
    ...tracesOf(batch),
    ...(verdicts.length === 0 ? {} : { rejected: rejectedBitmap(verdicts, eventCount) }),
  };
}

function rejectedBitmap(verdicts: readonly Verdict[], eventCount: number): Uint8Array {
  const bitmap = new Uint8Array((eventCount + 7) >> 3);
  for (const { index } of verdicts) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
  return bitmap;
}

export function rejectedBatch(batch: AppendBatch, { verdicts, events }: Rejects): StoredBatch {
  const { appendedAtMs, schemaVersion, producerId, sequences } = batch;
  const list = verdicts.map(({ index }) => sequenceAt(sequences, index));
  const plain = { count: list.length, appendedAtMs, schemaVersion, producerId, sequences: { list }, events };
  return { ...plain, ...tracesOf(batch) };
}
