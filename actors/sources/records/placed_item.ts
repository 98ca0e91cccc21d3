/** A record that was read, with its place: an event, or bytes that are no event and the reason. */
import type { Event } from "../../../protocols/event.ts";
import { EVENT_LIMITS, encodeEvent } from "../../../protocols/values/event_codec.ts";
import type { SourceItem } from "../source.ts";
import { type FoundRecord, KEPT_BYTES } from "./record_cutter.ts";
import { decodeText, type Encoding } from "./text_shape.ts";

export interface PlacedItem {
  readonly item: SourceItem;
  readonly position: number;
  /** The record's first line, 1-based, counted from the place where cutting began. */
  readonly line: number;
}

export interface RecordReader {
  read(records: readonly FoundRecord[]): Promise<readonly PlacedItem[]>;
  /** Why the line that names the columns cannot be read. Then no record can be read either. */
  readonly headerFault: string | undefined;
}

export function textOf(record: FoundRecord, encoding: Encoding): string | { readonly reason: string } {
  const { tooLongBytes, fault, bytes } = record;
  if (tooLongBytes !== undefined) {
    return {
      reason: `EVENT_TOO_LARGE: a record of ${tooLongBytes} bytes is longer than allowed: its first ${bytes.length} are kept`,
    };
  }
  return fault === undefined ? decodeText(bytes, encoding) : { reason: fault };
}

export function placed(record: FoundRecord, event: Event): PlacedItem {
  const { position, line, bytes } = record;
  // An event is seldom larger than its text, so only events of large texts are measured.
  const sizeBytes = bytes.length > EVENT_LIMITS.eventBytesMax ? encodeEvent(event).length : 0;
  if (sizeBytes <= EVENT_LIMITS.eventBytesMax) return { position, line, item: { kind: "event", event } };
  const reason = `EVENT_TOO_LARGE: an event of ${sizeBytes} bytes is longer than the ${EVENT_LIMITS.eventBytesMax} allowed`;
  return malformed({ ...record, bytes: bytes.subarray(0, KEPT_BYTES) }, `${reason}: its first ${KEPT_BYTES} are kept`);
}

/** Most bytes of a record in its dead letter: fewer than the largest event. */
const ORIGINAL_BYTES_MAX = 1_000_000;

export function malformed({ position, line, bytes }: FoundRecord, reason: string): PlacedItem {
  const isCut = bytes.length > ORIGINAL_BYTES_MAX;
  const original = isCut ? bytes.subarray(0, ORIGINAL_BYTES_MAX) : bytes;
  const told = isCut ? `${reason}; the first ${ORIGINAL_BYTES_MAX} of its ${bytes.length} bytes are kept` : reason;
  return { position, line, item: { kind: "malformed", original, reason: told } };
}
