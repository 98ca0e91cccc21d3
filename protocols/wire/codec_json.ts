/**
 * Frames as JSON text: subprotocol `headrace.v1.json`, for a browser's console or `websocat`. Events are plain JSON
 * lists, which become MessagePack here, so that a node gets the same frames from both subprotocols.
 */
import { reasonOf } from "../errors.ts";
import { decodeEvents, encodeCompact, encodeEvents, STORED_LIMITS } from "../values/event_codec.ts";
import { isTooWide, TOO_MANY_KEYS, WIDE_MAP_CHARACTERS_MIN } from "../values/event_complexity.ts";
import { exactJson } from "../values/exact_json.ts";
import { fromJsonValue, JsonValueError, sentJson, toJsonValue } from "../values/json_values.ts";
import type { NumberKinds } from "../values/number_kinds.ts";
import { checkLevels, parseEventJson } from "../values/parse_json.ts";
import type { ScanLimits } from "../values/scan.ts";
import { type EventInput, UnreadableInput, wireValue } from "../values/unreadable.ts";
import type { Frame, RecordsFrame, WireBatch } from "./frames.ts";
import { type Fields, isFields, refuse } from "./narrow.ts";
import { checkPosition, parseFrame } from "./parse_frame.ts";

const encoder = new TextEncoder();

export function encodeJsonFrame(frame: Frame): string {
  const { type } = frame;
  if (type === "append") return exactJson({ ...withoutEvents(frame), events: listEvents(frame.events) });
  if (type === "records") {
    const batches = frame.batches.map((batch) => ({ ...withoutEvents(batch), events: listEvents(batch.events) }));
    return exactJson({ ...frame, batches });
  }
  return exactJson(toJsonValue(frame));
}

/** A stored batch as the JSON of a `records` frame, with its events decoded. An event that is undefined becomes null. */
export function encodeJsonBatch(batch: Omit<WireBatch, "events">, events: readonly unknown[]): Uint8Array {
  const fields = toJsonValue(batch) as Fields;
  return encoder.encode(exactJson({ ...fields, events: events.map((event) => toJsonValue(event ?? null)) }));
}

/**
 * As `encodeJsonFrame`, in UTF-8, of batches that `encodeJsonBatch` has written. Copies these, so that frames for several
 * connections can share them.
 */
export function encodeJsonRecords(frame: RecordsFrame, batches: readonly Uint8Array[]): Uint8Array {
  const { endOffset, batches: _, ...about } = frame;
  const head = encoder.encode(`${exactJson(about).slice(0, -1)},"batches":[`);
  const tail = encoder.encode(`],"endOffset":${endOffset}}`);
  const commas = Math.max(0, batches.length - 1);
  const bytes = new Uint8Array(batches.reduce((sum, { length }) => sum + length, head.length + commas + tail.length));
  bytes.set(head);
  let at = head.length;
  for (const batch of batches) {
    if (at > head.length) bytes[at++] = COMMA;
    bytes.set(batch, at);
    at += batch.length;
  }
  bytes.set(tail, at);
  return bytes;
}

const COMMA = 0x2c;

function withoutEvents(fields: { readonly events: Uint8Array }): Fields {
  const { events, ...rest } = fields;
  return toJsonValue(rest) as Fields;
}

/** Lists events as JSON. Rejected events that cannot be read are null. */
function listEvents(bytes: Uint8Array): unknown[] {
  const { events } = decodeEvents(bytes, STORED_LIMITS);
  return events.map((event) => toJsonValue(event ?? null));
}

/** Levels around an event of a `records` frame: its map, its list of batches, a batch, the batch's list of events. */
const LEVELS_AROUND_EVENTS = 4;

/** Decodes a frame. A value that no event can hold, such as an integer beyond 64 bits, rejects its event alone. */
export function decodeJsonFrame(text: string, limits: ScanLimits): Frame {
  const { value: parsed, isDeep, numbers } = parseEventJson(text, limits, LEVELS_AROUND_EVENTS);
  const mayHaveHalves = HALF_CHARACTER.test(text);
  if (isFields(parsed) && parsed.type === "append") {
    const { events, ...rest } = parsed;
    if (mayHaveHalves) refuseHalves(rest, "");
    const fields = fromJsonValue(rest) as Fields;
    if (isDeep) checkLevels(fields, limits.depthMax); // events are judged later, as those of MessagePack are
    const frame = parseFrame({
      ...fields,
      events: packAppended(events, text.length >= WIDE_MAP_CHARACTERS_MIN, numbers),
    });
    return checkPosition(frame, (position) => encodeCompact(position).length);
  }
  if (mayHaveHalves && !(isFields(parsed) && parsed.type === "records")) refuseHalves(parsed, "");
  const value = fromJsonValue(parsed);
  const isRecords = isFields(value) && value.type === "records";
  if (isDeep) checkLevels(value, limits.depthMax + (isRecords ? LEVELS_AROUND_EVENTS : 0));
  if (isRecords && Array.isArray(value.batches)) {
    value.batches.forEach((batch, index) => {
      if (isFields(batch)) batch.events = packEvents(batch.events, `/batches/${index}/events`, numbers);
    });
  }
  return parseFrame(value);
}

/** Half of a surrogate pair in JSON text. UTF-8 has no form for it: different names would be stored alike. */
const HALF_CHARACTER = /\\u[dD][89a-fA-F]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

function refuseHalves(value: unknown, path: string): void {
  if (typeof value === "string") {
    if (LONE_SURROGATE.test(value)) refuse(path, "be text of whole characters", "half of one");
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, one] of Object.entries(value)) {
    if (LONE_SURROGATE.test(key)) refuse(path, "have keys of whole characters", "half of one");
    refuseHalves(one, `${path}/${key}`);
  }
}

function packEvents(value: unknown, path: string, numbers: NumberKinds): Uint8Array {
  if (!Array.isArray(value)) return refuse(path, "be a list", value);
  return encodeEvents(value, { asRecords: true, numbers });
}

function packAppended(value: unknown, isLong: boolean, numbers: NumberKinds): Uint8Array {
  if (!Array.isArray(value)) return refuse("/events", "be a list", value);
  const events = value.map((one) => wireValue(eventOfJson(one, isLong)));
  return encodeEvents(events, { asRecords: true, numbers });
}

/** A JSON value as an event, or as unreadable input with the reason. */
function eventOfJson(value: unknown, isLong: boolean): EventInput {
  try {
    const event = fromJsonValue(value) as EventInput;
    return isLong && isTooWide(event) ? unreadableJson(TOO_MANY_KEYS, event) : event;
  } catch (error) {
    return unreadableJson(error, value);
  }
}

/** Unreadable input for a JSON value that could not be made an event. Values already read are written back. */
export function unreadableJson(error: unknown, value: unknown, original?: Uint8Array): UnreadableInput {
  const { path, reason } = error instanceof JsonValueError ? error : { path: "", reason: reasonOfJson(error) };
  return new UnreadableInput(reason, original ?? encoder.encode(sentJson(value)), path);
}

/** The reason within an error of the JSON reader, without the sentence around it. */
const reasonOfJson = (error: unknown): string =>
  reasonOf(error).replace(/^Cannot read JSON as (it must be well formed: )?/, "");
