/**
 * The events of a request's body. A body that can not be read as a whole is refused as a whole; what is wrong with one
 * event, where events can be told apart, is that event's fault alone: its bytes go on, to be set aside by the node.
 */
import { RejectedError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { decodeEvents, EVENT_LIMITS } from "../../protocols/event_codec.ts";
import { WIRE_DEFAULTS } from "../../protocols/frames.ts";
import { fromJsonValue } from "../../protocols/json_values.ts";
import { parseJson } from "../../protocols/parse_json.ts";
import type { ScanLimits } from "../../protocols/scan.ts";
import { sliceEvents } from "../../protocols/slice_events.ts";
import type { EventInput } from "../../protocols/unreadable.ts";

export interface EventFault {
  readonly code: "MALFORMED_EVENT" | "EVENT_TOO_LARGE";
  readonly path: string;
  readonly reason: string;
}

export interface RequestEvent {
  /** Bytes where it could not be made an event. */
  readonly event: EventInput;
  readonly fault?: EventFault;
  /** Has so many values that it should not share a batch with the events of others. */
  readonly isBulky: boolean;
}

export type BodyFormat = "json" | "ndjson" | "msgpack";

/** Events of one request. */
export const REQUEST_EVENTS_MAX: number = WIRE_DEFAULTS.batchEventsMax;
/** Values in one body: a parser builds whatever it is told to. */
const BODY_TOKENS_MAX = 1_000_000;
/** An event lies two levels below the frame that carries it. */
const EVENT_DEPTH_MAX = WIRE_DEFAULTS.frameDepthMax - 2;
/** As many values an event, times the events of one batch, stay within the values of one frame. */
const SHARED_VALUES_MAX = 900;

const FORMATS: ReadonlyMap<string, BodyFormat> = new Map([
  ["application/json", "json"],
  ["application/x-ndjson", "ndjson"],
  ["application/ndjson", "ndjson"],
  ["application/jsonl", "ndjson"],
  ["application/msgpack", "msgpack"],
  ["application/x-msgpack", "msgpack"],
  ["application/vnd.msgpack", "msgpack"],
]);

/** The format that a `Content-Type` stands for, or undefined. */
export const formatOf = (contentType: string | undefined): BodyFormat | undefined =>
  FORMATS.get((contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "");

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** Throws `RejectedError` for a body that has to be refused whole. */
export function parseEvents(format: BodyFormat, bytes: Uint8Array): readonly RequestEvent[] {
  const events = readers[format](bytes);
  if (events.length === 0) {
    throw new RejectedError("EMPTY_BATCH", "Cannot append as a request must hold an event: it holds none");
  }
  if (events.length > REQUEST_EVENTS_MAX) {
    throw new RejectedError(
      "BATCH_TOO_LARGE",
      `Cannot append as a request must hold at most ${REQUEST_EVENTS_MAX} events: current value is ${events.length}`,
    );
  }
  return events;
}

const readers: Readonly<Record<BodyFormat, (bytes: Uint8Array) => readonly RequestEvent[]>> = {
  json: readJson,
  ndjson: readLines,
  msgpack: readMessagePack,
};

function readJson(bytes: Uint8Array): readonly RequestEvent[] {
  const value = parseText(bytes, { tokensMax: BODY_TOKENS_MAX, depthMax: EVENT_DEPTH_MAX + 1 });
  const isSmall = bytes.length <= SHARED_VALUES_MAX;
  return (Array.isArray(value) ? value : [value]).map((one) => jsonEvent(one, isSmall));
}

function jsonEvent(value: unknown, isSmall: boolean, original?: Uint8Array): RequestEvent {
  const malformed = (reason: string): RequestEvent => ({
    event: original ?? encoder.encode(JSON.stringify(value)),
    fault: { code: "MALFORMED_EVENT", path: "", reason },
    isBulky: !isSmall,
  });
  if (typeof value !== "object" || value === null || Array.isArray(value)) return malformed("must be a map");
  try {
    const event = fromJsonValue(value);
    if (typeof event !== "object" || event === null || event instanceof Date || event instanceof Uint8Array) {
      return malformed("must be a map");
    }
    return { event: event as Event, isBulky: !isSmall && hasManyValues(event) };
  } catch (error) {
    if (error instanceof RejectedError) return malformed(error.message);
    throw error;
  }
}

const NEWLINE = 0x0a;

function readLines(bytes: Uint8Array): readonly RequestEvent[] {
  const events: RequestEvent[] = [];
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(NEWLINE, start);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(start, end);
    start = end + 1;
    if (isBlank(line)) continue;
    events.push(readLine(line));
    if (events.length > REQUEST_EVENTS_MAX) break;
  }
  return events;
}

function readLine(line: Uint8Array): RequestEvent {
  const isSmall = line.length <= SHARED_VALUES_MAX;
  try {
    const limits = { tokensMax: EVENT_LIMITS.tokensMax / 2, depthMax: EVENT_DEPTH_MAX };
    return jsonEvent(parseText(line, limits), isSmall, line);
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    const { message: reason } = error;
    return { event: line, fault: { code: "MALFORMED_EVENT", path: "", reason }, isBulky: !isSmall };
  }
}

const isBlank = (line: Uint8Array): boolean => line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);

function parseText(bytes: Uint8Array, limits: ScanLimits): unknown {
  try {
    return parseJson(strictUtf8.decode(bytes), limits);
  } catch (error) {
    if (error instanceof RejectedError) throw error;
    throw new RejectedError("MALFORMED_FRAME", "Cannot read JSON as it must be well formed: it is not UTF-8", {
      cause: error,
    });
  }
}

function readMessagePack(body: Uint8Array): readonly RequestEvent[] {
  const bytes = isMap(body[0] ?? 0) ? wrapOne(body) : body;
  const limits = { ...EVENT_LIMITS, tokensMax: BODY_TOKENS_MAX, depthMax: EVENT_DEPTH_MAX + 1 };
  const { events, verdicts, starts } = decodeEvents(bytes, limits);
  const originals = sliceEvents(
    bytes,
    verdicts.map(({ index }) => index),
  );
  const faults = new Map(verdicts.map((verdict, at) => [verdict.index, { verdict, original: originals[at] }]));
  return events.map((event, index): RequestEvent => {
    const sizeBytes = (starts[index + 1] ?? 0) - (starts[index] ?? 0);
    const isSmall = sizeBytes <= SHARED_VALUES_MAX;
    const found = faults.get(index);
    if (event !== undefined && found === undefined) return { event, isBulky: !isSmall && hasManyValues(event) };
    const { code = "MALFORMED_EVENT", path = "", reason = "can not be read" } = found?.verdict ?? {};
    const fault = { code: code as EventFault["code"], path, reason };
    return { event: found?.original ?? new Uint8Array(), fault, isBulky: !isSmall };
  });
}

const isMap = (token: number): boolean => (token >= 0x80 && token <= 0x8f) || token === 0xde || token === 0xdf;

/** One map alone, as a list of one. */
function wrapOne(body: Uint8Array): Uint8Array {
  const list = new Uint8Array(body.length + 1);
  list[0] = 0x91;
  list.set(body, 1);
  return list;
}

function hasManyValues(value: unknown): boolean {
  let left = SHARED_VALUES_MAX;
  const visit = (one: unknown): void => {
    left -= 1;
    if (left < 0 || typeof one !== "object" || one === null || one instanceof Uint8Array) return;
    if (Array.isArray(one)) for (const element of one) visit(element);
    else {
      const values = Object.values(one);
      left -= values.length; // their keys
      for (const element of values) visit(element);
    }
  };
  visit(value);
  return left < 0;
}
