/**
 * Encodes a producer's batch: in halves where it exceeds a frame or holds a value without a form in MessagePack. Copies the
 * bytes of events that a node has stored as records.
 */
import type { OpenBatch } from "../client/producer/event_batcher.ts";
import { reasonOf } from "../errors.ts";
import { copyEvents, type EncodedEvent } from "../values/copy_events.ts";
import { encodeEvents } from "../values/event_codec.ts";
import {
  EVENT_LEVELS_MAX,
  hasTooManyValues,
  isTooWide,
  LONG_NUMBER,
  MAP_KEYS_MAX,
  MINUS_ZERO,
  surveyEvent,
  TOO_DEEP,
  TOO_MANY_KEYS,
  TOO_WIDE,
} from "../values/event_complexity.ts";
import { wireValue } from "../values/unreadable.ts";
import { WIRE_DEFAULTS } from "./frames.ts";

/** Bytes of a frame kept free for its other fields. */
const FRAME_MARGIN_BYTES = 65_536;

export type EncodedBatch =
  | { readonly kind: "encoded"; readonly batch: OpenBatch; readonly events: Uint8Array }
  /** One event that cannot be sent at all. */
  | {
      readonly kind: "unsendable";
      readonly batch: OpenBatch;
      readonly code: string;
      readonly reason: string;
      /** Its encoded size, where it could be encoded. */
      readonly sizeBytes?: number;
    };

type Unfit = Omit<Extract<EncodedBatch, { kind: "unsendable" }>, "kind" | "batch">;

export function encodeBatch(batch: OpenBatch, frameBytesMax: number): EncodedBatch[] {
  const encoded = encodeWhole(batch, frameBytesMax);
  if (encoded instanceof Uint8Array) return [{ kind: "encoded", batch, events: encoded }];
  if (batch.slots.length > 1) return encodeHalves(batch, frameBytesMax);
  return [{ kind: "unsendable", batch, ...encoded }];
}

/** The events of the batch, or why they do not fit one frame. */
function encodeWhole(batch: OpenBatch, frameBytesMax: number): Uint8Array | Unfit {
  const events = copyWhole(batch) ?? encodeSurveyed(batch);
  return events instanceof Uint8Array ? fitted(events, batch.slots.length, frameBytesMax) : events;
}

/** Fewer bytes hold no map with too many keys: each key and each value takes one at least. */
const WIDE_MAP_BYTES_MIN = MAP_KEYS_MAX * 2;

/** A node has judged stored events, but for the keys of a map. One event alone is no record, and is encoded. */
function copyWhole({ slots }: OpenBatch): Uint8Array | undefined {
  if (slots.length < 2) return undefined;
  const stored: EncodedEvent[] = [];
  for (const slot of slots) {
    if (slot.stored === undefined) return undefined;
    stored.push(slot.stored);
  }
  const events = copyEvents(stored);
  if (events === undefined || events.length < WIDE_MAP_BYTES_MIN) return events;
  return slots.some(({ event }) => isTooWide(event)) ? undefined : events;
}

function encodeSurveyed({ slots }: OpenBatch): Uint8Array | Unfit {
  let found = 0;
  for (const { event } of slots) found |= surveyEvent(event);
  if ((found & TOO_DEEP) !== 0)
    return { code: "FRAME_TOO_COMPLEX", reason: `must have at most ${EVENT_LEVELS_MAX} levels: it has more` };
  // Refused although wide maps fit as records: otherwise an event's outcome would depend on the events beside it.
  if ((found & TOO_WIDE) !== 0) return { code: "MALFORMED_EVENT", reason: TOO_MANY_KEYS };
  try {
    return encodeEvents(
      slots.map((slot) => wireValue(slot.event)),
      // For one event a definition costs more than it saves, and the node could not join the event to others.
      {
        asRecords: slots.length > 1,
        numbers: { mayBeLong: (found & LONG_NUMBER) !== 0, mayBeMinusZero: (found & MINUS_ZERO) !== 0 },
      },
    );
  } catch (error) {
    return { code: "MALFORMED_EVENT", reason: reasonOf(error) };
  }
}

function fitted(events: Uint8Array, count: number, frameBytesMax: number): Uint8Array | Unfit {
  const sizeBytes = events.length;
  if (sizeBytes > frameBytesMax - FRAME_MARGIN_BYTES) {
    const reason = `must fit a frame of ${frameBytesMax} bytes: current value is ${sizeBytes}`;
    return { code: "EVENT_TOO_LARGE", reason, sizeBytes };
  }
  if (!hasTooManyValues(events, count)) return events;
  const reason = `must have fewer values than a frame may hold, ${WIRE_DEFAULTS.frameTokensMax}: it has more`;
  return { code: "FRAME_TOO_COMPLEX", reason, sizeBytes };
}

function encodeHalves({ stream, partition, slots }: OpenBatch, frameBytesMax: number): EncodedBatch[] {
  const middle = slots.length >> 1;
  return [slots.slice(0, middle), slots.slice(middle)].flatMap((half) =>
    encodeBatch({ stream, partition, slots: half }, frameBytesMax),
  );
}
