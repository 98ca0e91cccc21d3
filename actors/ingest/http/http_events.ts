/**
 * The events of a request's body. A body that cannot be read as a whole is refused as a whole. Where events can be
 * told apart, a fault concerns its event alone: the bytes of that event go on, and the node sets them aside.
 */
import { RejectedError } from "../../../protocols/errors.ts";
import type { Event, Verdict } from "../../../protocols/event.ts";
import { decodeEvents, EVENT_LIMITS } from "../../../protocols/values/event_codec.ts";
import {
  EVENT_LEVELS_MAX,
  isTooWide,
  TOO_MANY_KEYS,
  WIDE_MAP_CHARACTERS_MIN,
} from "../../../protocols/values/event_complexity.ts";
import { fromJsonValue } from "../../../protocols/values/json_values.ts";
import { checkLevels, type ParsedEvents, parseEventJson } from "../../../protocols/values/parse_json.ts";
import type { ScanLimits } from "../../../protocols/values/scan.ts";
import { sliceEvents } from "../../../protocols/values/slice_events.ts";
import { type EventInput, isEvent, UnreadableInput } from "../../../protocols/values/unreadable.ts";
import { unreadableJson } from "../../../protocols/wire/codec_json.ts";
import { WIRE_DEFAULTS } from "../../../protocols/wire/frames.ts";

interface EventFault extends Omit<Verdict, "index"> {
  readonly code: "MALFORMED_EVENT" | "EVENT_TOO_LARGE";
}

export interface RequestEvent {
  /** The event; unreadable input, or its bytes of MessagePack, where `fault` is present. */
  readonly event: EventInput;
  readonly fault?: EventFault;
  /** The event has more than `SHARED_VALUES_MAX` values: it gets a batch of its own. */
  readonly isBulky: boolean;
}

type BodyFormat = "json" | "ndjson" | "msgpack" | "form" | "text";

export const REQUEST_EVENTS_MAX: number = WIRE_DEFAULTS.batchEventsMax;
/** The most values in one body, which bounds the work of its parser. */
const BODY_TOKENS_MAX = 1_000_000;
/** The most values of an event that shares a batch: times the events of a batch, they stay within those of a frame. */
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

/** Formats that a stream takes only where its configuration says so. */
const OPTIONAL_FORMATS: ReadonlyMap<string, "form" | "text"> = new Map([
  ["application/x-www-form-urlencoded", "form"],
  ["text/plain", "text"],
]);

/** The format of a body, or the reason why no format fits. */
type ChosenFormat =
  | { readonly kind: "format"; readonly format: BodyFormat }
  | { readonly kind: "refused"; readonly reason: string };

const UTF_8 = new Set(["utf-8", "utf8", "us-ascii"]);

/**
 * Chooses the format of a body by `Content-Type`. Types that end in `+json` are JSON (RFC 6839). A charset other than
 * UTF-8 is refused, as its bytes would be misread.
 */
export function chooseFormat(contentType: string | undefined, allowed: readonly string[]): ChosenFormat {
  const [type = "", ...parameters] = (contentType ?? "").split(";").map((part) => part.trim().toLowerCase());
  const refused = (reason: string): ChosenFormat => ({ kind: "refused", reason });
  const charset = parameters
    .find((one) => one.startsWith("charset="))
    ?.slice("charset=".length)
    .replaceAll('"', "");
  if (charset !== undefined && !UTF_8.has(charset))
    return refused(`its charset must be UTF-8: current value is ${charset}`);
  const format = FORMATS.get(type) ?? (/^[a-z]+\/[^+]+\+json$/.test(type) ? "json" : undefined);
  if (format !== undefined) return { kind: "format", format };
  const optional = OPTIONAL_FORMATS.get(type);
  if (optional !== undefined && allowed.includes(optional)) return { kind: "format", format: optional };
  if (optional !== undefined) return refused(`the stream's bodyFormats must name ${optional} to take ${type}`);
  return refused(
    `its type must be JSON, application/x-ndjson or application/msgpack: current value is ${type || "none"}`,
  );
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Reads the events of a body. Throws `RejectedError` where the body as a whole is refused. */
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
  form: readForm,
  text: readText,
};

/** One event of the form's fields. Percent-encoded bytes that are not UTF-8 make the form unreadable input. */
function readForm(bytes: Uint8Array): readonly RequestEvent[] {
  const refuse = (reason: string) => [unreadable(new UnreadableInput(reason, bytes))];
  const text = utf8Of(bytes);
  if (text === undefined) return refuse("it is not UTF-8");
  const fields = new Map<string, string | string[]>();
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const split = pair.includes("=") ? pair.indexOf("=") : pair.length;
    const name = decodeFormText(pair.slice(0, split));
    const value = decodeFormText(pair.slice(split + 1));
    if (name === undefined || value === undefined) return refuse("a percent-encoded field of the form is not UTF-8");
    const before = fields.get(name);
    if (before === undefined) fields.set(name, value);
    else if (Array.isArray(before)) before.push(value);
    else fields.set(name, [before, value]);
    if (fields.size > FORM_FIELDS_MAX) return refuse(`a form must have at most ${FORM_FIELDS_MAX} fields: it has more`);
  }
  const event = Object.fromEntries(fields);
  return [{ event, isBulky: isBulky(event, bytes.length) }];
}

const FORM_FIELDS_MAX = 10_000;

function decodeFormText(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined; // the caller gives the reason
  }
}

function readText(bytes: Uint8Array): readonly RequestEvent[] {
  const text = utf8Of(bytes);
  if (text === undefined) return [unreadable(new UnreadableInput("it is not UTF-8", bytes))];
  return [{ event: { text }, isBulky: false }];
}

function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined; // the caller gives the reason
  }
}

function readJson(bytes: Uint8Array): readonly RequestEvent[] {
  const { value, isDeep } = parseText(bytes, { tokensMax: BODY_TOKENS_MAX, depthMax: EVENT_LEVELS_MAX }, 1);
  const isSmall = bytes.length <= SHARED_VALUES_MAX;
  const events = Array.isArray(value)
    ? value.map((one) => jsonEvent(one, isSmall ? bytes.length : Number.POSITIVE_INFINITY))
    : [jsonEvent(value, bytes.length, bytes)];
  if (isDeep) for (const { event } of events) if (isEvent(event)) checkLevels(event, EVENT_LEVELS_MAX);
  return events;
}

/** @param sizeBytes size of the text that holds the event @param original the event's own text, where it is known */
function jsonEvent(value: unknown, sizeBytes: number, original?: Uint8Array): RequestEvent {
  const malformed = (error: unknown): RequestEvent => unreadable(unreadableJson(error, value, original));
  if (typeof value !== "object" || value === null || Array.isArray(value)) return malformed("must be a map");
  try {
    const event = fromJsonValue(value);
    if (typeof event !== "object" || event === null || event instanceof Date || event instanceof Uint8Array) {
      return malformed("must be a map");
    }
    if (sizeBytes >= WIDE_MAP_CHARACTERS_MIN && isTooWide(event)) return malformed(TOO_MANY_KEYS);
    return { event: event as Event, isBulky: isBulky(event, sizeBytes) };
  } catch (error) {
    if (error instanceof RejectedError) return malformed(error);
    throw error;
  }
}

/** Unreadable input has few values, whatever its bytes hold, so it may share a batch. */
const unreadable = (event: UnreadableInput): RequestEvent => ({
  event,
  fault: { code: "MALFORMED_EVENT", path: event.path, reason: event.reason },
  isBulky: false,
});

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
  try {
    const limits = { tokensMax: EVENT_LIMITS.tokensMax / 2, depthMax: EVENT_LEVELS_MAX };
    const { value, isDeep } = parseText(line, limits, 0);
    const read = jsonEvent(value, line.length, line);
    if (isDeep && isEvent(read.event)) checkLevels(read.event, EVENT_LEVELS_MAX);
    return read;
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    return unreadable(unreadableJson(error, undefined, line));
  }
}

const isBlank = (line: Uint8Array): boolean => line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);

function parseText(bytes: Uint8Array, limits: ScanLimits, levelsAround: number): ParsedEvents {
  const text = utf8Of(bytes);
  if (text !== undefined) return parseEventJson(text, limits, levelsAround);
  throw new RejectedError("MALFORMED_FRAME", "Cannot read JSON as it must be well formed: it is not UTF-8");
}

function readMessagePack(body: Uint8Array): readonly RequestEvent[] {
  const bytes = isMap(body[0] ?? 0) ? wrapOne(body) : body;
  const limits = { ...EVENT_LIMITS, tokensMax: BODY_TOKENS_MAX, depthMax: EVENT_LEVELS_MAX };
  const { events, verdicts, starts } = decodeEvents(bytes, limits);
  const originals = sliceEvents(
    bytes,
    verdicts.map(({ index }) => index),
  );
  const faults = new Map(verdicts.map((verdict, at) => [verdict.index, { verdict, original: originals[at] }]));
  return events.map((event, index): RequestEvent => {
    const sizeBytes = (starts[index + 1] ?? 0) - (starts[index] ?? 0);
    const found = faults.get(index);
    if (event !== undefined && found === undefined) return { event, isBulky: isBulky(event, sizeBytes) };
    const { code = "MALFORMED_EVENT", path = "", reason = "cannot be read" } = found?.verdict ?? {};
    const fault = { code: code as EventFault["code"], path, reason };
    return { event: found?.original ?? new Uint8Array(), fault, isBulky: sizeBytes > SHARED_VALUES_MAX };
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

function isBulky(event: unknown, sizeBytes: number): boolean {
  if (sizeBytes <= SHARED_VALUES_MAX) return false; // each value takes a byte at least
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
  visit(event);
  return left < 0;
}
