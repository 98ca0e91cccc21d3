/** From a `records` frame to records: skips rejected and unwanted ones, and gives each its position. */
import type { Event } from "../../event.ts";
import { type Position, position } from "../../position.ts";
import { traceparentAt } from "../../traceparent.ts";
import { decodeEvents, STORED_LIMITS } from "../../values/event_codec.ts";
import type { RecordsFrame, WireBatch } from "../../wire/frames.ts";

/** A record: an event with its position in its partition. */
export interface ConsumedRecord {
  readonly position: Position;
  readonly event: Event;
  /** Time of the append, in ms since 1970. */
  readonly appendedAtMs: number;
  /** Version of the schema that the event was validated against; 0 for a stream without a schema. */
  readonly schemaVersion: number;
  readonly producerId: string | undefined;
  /** W3C trace context of the record's batch. */
  readonly traceparent: string | undefined;
}

/** A node has judged its records when it took them. The tokens are bounded, as the bytes come from outside. */
const NODE_LIMITS = { ...STORED_LIMITS, tokensMax: 4_000_000 };

const isRejected = (rejected: Uint8Array | undefined, index: number): boolean =>
  rejected !== undefined && ((rejected[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;

/** The frame's records from `fromOffset` on, without rejected events. */
export function readRecords(frame: RecordsFrame, fromOffset: number): ConsumedRecord[] {
  const records: ConsumedRecord[] = [];
  for (const batch of frame.batches) readBatch(batch, fromOffset, records);
  return records;
}

function readBatch(batch: WireBatch, fromOffset: number, records: ConsumedRecord[]): void {
  const { epoch, appendedAtMs, schemaVersion, producerId } = batch;
  const { events } = decodeEvents(batch.events, NODE_LIMITS);
  let offset = batch.firstOffset;
  for (let index = 0; index < events.length; index++) {
    if (isRejected(batch.rejected, index)) continue;
    const event = events[index];
    if (offset >= fromOffset && event !== undefined) {
      const traceparent = traceparentAt(batch, index);
      records.push({ position: position(epoch, offset), event, appendedAtMs, schemaVersion, producerId, traceparent });
    }
    offset++;
  }
}
