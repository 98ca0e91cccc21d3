/** Encodes a producer's batch: in halves where it is too large for a frame or holds something without MessagePack form. */
import type { OpenBatch } from "./event_batcher.ts";
import { encodeEvents } from "./event_codec.ts";
import { wireValue } from "./unreadable.ts";

/** Room in a frame for what is not events. */
const FRAME_MARGIN_BYTES = 65_536;

export type EncodedBatch =
  | { readonly kind: "encoded"; readonly batch: OpenBatch; readonly events: Uint8Array }
  /** One event that can not be sent at all. */
  | {
      readonly kind: "unsendable";
      readonly batch: OpenBatch;
      readonly code: string;
      readonly reason: string;
      readonly sizeBytes?: number;
    };

export function encodeBatch(batch: OpenBatch, frameBytesMax: number): EncodedBatch[] {
  const { slots } = batch;
  let events: Uint8Array;
  try {
    events = encodeEvents(
      slots.map((slot) => wireValue(slot.event)),
      // A definition of its own costs one event more than it saves, and keeps the node from joining it to others.
      { asRecords: slots.length > 1 },
    );
  } catch (error) {
    if (slots.length > 1) return encodeHalves(batch, frameBytesMax);
    const reason = error instanceof Error ? error.message : String(error);
    return [{ kind: "unsendable", batch, code: "MALFORMED_EVENT", reason }];
  }
  if (events.length <= frameBytesMax - FRAME_MARGIN_BYTES) return [{ kind: "encoded", batch, events }];
  if (slots.length > 1) return encodeHalves(batch, frameBytesMax);
  const reason = `must fit a frame of ${frameBytesMax} bytes: current value is ${events.length}`;
  return [{ kind: "unsendable", batch, code: "EVENT_TOO_LARGE", reason, sizeBytes: events.length }];
}

function encodeHalves({ stream, partition, slots }: OpenBatch, frameBytesMax: number): EncodedBatch[] {
  const middle = slots.length >> 1;
  return [slots.slice(0, middle), slots.slice(middle)].flatMap((half) =>
    encodeBatch({ stream, partition, slots: half }, frameBytesMax),
  );
}
