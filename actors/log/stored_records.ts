/** The single records of stored batches: the events with their offsets, without the rejected ones. */
import type { Event } from "../../protocols/event.ts";
import { type Offset, offset, type Position } from "../../protocols/position.ts";
import { decodeJudgedEvents, decodeTrustedEvents } from "../../protocols/values/event_codec.ts";
import { isRejected, type RecordBatch } from "./log.ts";

export interface StoredRecord {
  readonly position: Position;
  readonly event: Event;
  readonly batch: RecordBatch;
  /** Index of the event in its batch, rejected ones counted. */
  readonly index: number;
}

/** The records of batches from `fromOffset` on, in order. @param decode answers the events of a batch, as `eventsOf` does */
export function* recordsOf(
  batches: readonly RecordBatch[],
  fromOffset: number,
  decode: (batch: RecordBatch) => readonly (Event | undefined)[] = eventsOf,
): Iterable<StoredRecord> {
  for (const batch of batches) {
    let at: Offset = batch.firstOffset;
    for (const [index, event] of decode(batch).entries()) {
      if (isRejected(batch.rejected, index) || event === undefined) continue;
      if (at >= fromOffset) yield { position: { epoch: batch.epoch, offset: at }, event, batch, index };
      at = offset(at + 1);
    }
  }
}

/** The events of a batch. A rejected event may be undefined, because its bytes need not decode. */
export const eventsOf = ({ events, rejected }: RecordBatch): readonly (Event | undefined)[] =>
  rejected === undefined
    ? decodeTrustedEvents(events)
    : decodeJudgedEvents(events, (index) => isRejected(rejected, index));
