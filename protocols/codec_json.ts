/**
 * Frames as JSON text: subprotocol `headrace.v1.json`, for a browser's console or `websocat`. The same frames; events are
 * plain JSON lists, which become MessagePack here, so that a node sees no difference.
 */
import { decodeEvents, EVENT_LIMITS, encodeEvents } from "./event_codec.ts";
import type { Frame } from "./frames.ts";
import { fromJsonValue, toJsonValue } from "./json_values.ts";
import { type Fields, isFields, refuse } from "./narrow.ts";
import { parseFrame } from "./parse_frame.ts";
import { parseJson } from "./parse_json.ts";
import type { ScanLimits } from "./scan.ts";

export function encodeJsonFrame(frame: Frame): string {
  const { type } = frame;
  if (type === "append") return JSON.stringify({ ...withoutEvents(frame), events: listEvents(frame.events) });
  if (type === "records") {
    const batches = frame.batches.map((batch) => ({ ...withoutEvents(batch), events: listEvents(batch.events) }));
    return JSON.stringify({ ...frame, batches });
  }
  return JSON.stringify(toJsonValue(frame));
}

function withoutEvents(fields: { readonly events: Uint8Array }): Fields {
  const { events, ...rest } = fields;
  return toJsonValue(rest) as Fields;
}

/** Events that can not be read (they were rejected) are null. What a log holds may be larger than what one frame may. */
function listEvents(bytes: Uint8Array): unknown[] {
  const { events } = decodeEvents(bytes, { ...EVENT_LIMITS, tokensMax: Number.MAX_SAFE_INTEGER });
  return events.map((event) => toJsonValue(event ?? null));
}

export function decodeJsonFrame(text: string, limits: ScanLimits): Frame {
  const value = fromJsonValue(parseJson(text, limits));
  if (isFields(value)) {
    if (value.type === "append") value.events = packEvents(value.events, "/events");
    if (value.type === "records" && Array.isArray(value.batches)) {
      value.batches.forEach((batch, index) => {
        if (isFields(batch)) batch.events = packEvents(batch.events, `/batches/${index}/events`);
      });
    }
  }
  return parseFrame(value);
}

function packEvents(value: unknown, path: string): Uint8Array {
  if (!Array.isArray(value)) return refuse(path, "be a list", value);
  return encodeEvents(value, { asRecords: true });
}
