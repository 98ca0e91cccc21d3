/**
 * The append frame in MessagePack, written and read directly. With one event a frame, the general codec of frames costs
 * more than all other work on the event.
 *
 *   A1. `readAppend` answers exactly the frame that the general codec does, or undefined. Unusual frames, such as those
 *       with an unknown or repeated field, are left to the general codec, which also words the errors.
 *   A2. Each byte is checked as it is read, and no byte outside the frame is read into it.
 */
import { FIELD_LIMITS } from "../limits.ts";
import type { Sequence } from "../sequence.ts";
import { readTraceparent, TRACEPARENT_BYTES } from "../traceparent.ts";
import type { AppendFrame } from "./frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The most values and levels of an append. Where the limits allow fewer, the general codec must count. */
const TOKENS_OF_AN_APPEND = 64;
const LEVELS_OF_AN_APPEND = 4;

export const isAppendWithin = (limits: { readonly tokensMax: number; readonly depthMax: number }): boolean =>
  limits.tokensMax >= TOKENS_OF_AN_APPEND && limits.depthMax >= LEVELS_OF_AN_APPEND;

// Writing -------------------------------------------------------------------------------------------------------------

const text = (value: string): Uint8Array => {
  const bytes = encoder.encode(value);
  return Uint8Array.of(0xa0 | bytes.length, ...bytes);
};

const TYPE = Uint8Array.of(...text("type"), ...text("append"), ...text("stream"));
const PARTITION = text("partition");
const PRODUCER_EPOCH = text("producerEpoch");
const PREVIOUS_SEQUENCE = text("previousSequence");
const SEQUENCES = Uint8Array.of(...text("sequences"), 0x82, ...text("first"));
const COUNT = text("count");
const SCHEMA_VERSION = text("schemaVersion");
const TRACEPARENT = text("traceparent");
const EVENTS = text("events");

/** Bytes of a frame besides the stream's name and the events: the keys, the longest numbers, a trace context. */
const FIXED_BYTES = 340;
const STREAM_BYTES_MAX = 255;

let target = new Uint8Array(0);
let at = 0;
/** Converts between bytes and a double. A `DataView` for each number would cost more than the frame. */
const floatBytes = new Uint8Array(8);
const float = new DataView(floatBytes.buffer);

/** Writes an append; undefined for one with listed sequences, a resume point or a trace context of another length. */
export function writeAppend(frame: AppendFrame): Uint8Array | undefined {
  const { sequences, events } = frame;
  const { traceparent } = frame;
  if (!("first" in sequences) || frame.position !== undefined) return undefined;
  if (traceparent !== undefined && traceparent.length !== TRACEPARENT_BYTES) return undefined;
  const stream = streamBytes(frame.stream);
  if (stream.length > STREAM_BYTES_MAX) return undefined;
  target = new Uint8Array(FIXED_BYTES + stream.length + events.length);
  target[0] = 0x87 + Number(frame.schemaVersion !== undefined) + Number(traceparent !== undefined);
  at = 1;
  put(TYPE);
  target[at++] = 0xd9;
  target[at++] = stream.length;
  put(stream);
  put(PARTITION);
  putNumber(frame.partition);
  put(PRODUCER_EPOCH);
  putNumber(frame.producerEpoch);
  put(PREVIOUS_SEQUENCE);
  if (frame.previousSequence === null) target[at++] = 0xc0;
  else putSequence(frame.previousSequence);
  put(SEQUENCES);
  putSequence(sequences.first);
  put(COUNT);
  putNumber(sequences.count);
  if (frame.schemaVersion !== undefined) {
    put(SCHEMA_VERSION);
    putNumber(frame.schemaVersion);
  }
  if (traceparent !== undefined) {
    put(TRACEPARENT);
    target[at++] = 0xd9;
    target[at++] = TRACEPARENT_BYTES;
    if (!putAscii(traceparent)) return undefined;
  }
  put(EVENTS);
  target[at++] = 0xc6;
  putUint32(events.length);
  put(events);
  return target.subarray(0, at);
}

/** The bytes of the last stream's name, which the next frame most likely names again. */
let nameWritten = "";
let nameBytes = encoder.encode("");

function streamBytes(name: string): Uint8Array {
  if (name !== nameWritten) {
    nameWritten = name;
    nameBytes = encoder.encode(name);
  }
  return nameBytes;
}

/** False for a text whose characters are not one byte each. */
function putAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return false;
    target[at++] = code;
  }
  return true;
}

function put(bytes: Uint8Array): void {
  target.set(bytes, at);
  at += bytes.length;
}

function putUint32(value: number): void {
  target[at++] = value >>> 24;
  target[at++] = (value >>> 16) & 0xff;
  target[at++] = (value >>> 8) & 0xff;
  target[at++] = value & 0xff;
}

function putNumber(value: number): void {
  if (value >= 0 && value < 0x80 && Number.isInteger(value)) target[at++] = value;
  else if (value >= 0 && value <= 0xffff_ffff && Number.isInteger(value)) {
    target[at++] = 0xce;
    putUint32(value);
  } else if (value < 0 || !Number.isSafeInteger(value)) {
    target[at++] = 0xcb; // the node refuses this number
    float.setFloat64(0, value);
    put(floatBytes);
  } else {
    // A whole number is written as an integer: typed readers refuse a float.
    target[at++] = 0xcf;
    putUint32(Math.floor(value / 0x1_0000_0000));
    putUint32(value % 0x1_0000_0000);
  }
}

function putSequence([term, position, index]: Sequence): void {
  target[at++] = 0x93;
  putNumber(term);
  putNumber(position);
  putNumber(index);
}

// Reading -------------------------------------------------------------------------------------------------------------

const NO_BYTES = new Uint8Array(0);
let source: Uint8Array = NO_BYTES;
let end = 0;

/** `readNumber` answers this for bytes that it does not read: no field may hold it. */
const UNUSUAL = -1;

/** The name of the last stream, which the next frame most likely names again. */
let lastStreamBytes = NO_BYTES;
let lastStream = "";

/** Fields, as bits of a set. */
const HAS_TYPE = 1;
const HAS_STREAM = 2;
const HAS_PARTITION = 4;
const HAS_EPOCH = 8;
const HAS_PREVIOUS = 16;
const HAS_SEQUENCES = 32;
const HAS_VERSION = 64;
const HAS_EVENTS = 128;
const HAS_TRACEPARENT = 256;
const REQUIRED = HAS_TYPE | HAS_STREAM | HAS_PARTITION | HAS_EPOCH | HAS_PREVIOUS | HAS_SEQUENCES | HAS_EVENTS;

/** Reads an append whose `events` are a view of `data`; undefined for a frame that needs the general codec (A1). */
export function readAppend(data: Uint8Array): AppendFrame | undefined {
  source = data;
  end = data.length;
  const frame = readFields();
  source = NO_BYTES;
  return frame;
}

function readFields(): AppendFrame | undefined {
  at = 0;
  const size = readMapSize();
  if (size < 6 || size > 9) return undefined;
  let has = 0;
  let stream = "";
  let partition = UNUSUAL;
  let producerEpoch = UNUSUAL;
  let previousSequence: Sequence | null | undefined = null;
  let first: Sequence | null | undefined;
  let count = UNUSUAL;
  let schemaVersion = UNUSUAL;
  let traceparent = "";
  let events: Uint8Array | undefined;
  for (let left = size; left > 0; left--) {
    const field = readKey();
    if (field === 0 || (has & field) !== 0) return undefined;
    has |= field;
    switch (field) {
      case HAS_TYPE:
        if (!isNext(APPEND)) return undefined;
        break;
      case HAS_STREAM:
        stream = readStream();
        if (stream === "") return undefined;
        break;
      case HAS_PARTITION:
        partition = readNumber();
        if (partition < 0) return undefined;
        break;
      case HAS_EPOCH:
        producerEpoch = readNumber();
        if (producerEpoch < 0) return undefined;
        break;
      case HAS_PREVIOUS:
        previousSequence = readSequence();
        if (previousSequence === undefined) return undefined;
        break;
      case HAS_SEQUENCES:
        if (readMapSize() !== 2 || !isNext(FIRST)) return undefined;
        first = readSequence();
        if (first === null || first === undefined || !isNext(COUNT)) return undefined;
        count = readNumber();
        if (count < 0 || !Number.isSafeInteger(first[1] + count)) return undefined;
        break;
      case HAS_VERSION:
        schemaVersion = readNumber();
        if (schemaVersion < 0 || schemaVersion > FIELD_LIMITS.schemaVersionMax) return undefined;
        break;
      case HAS_TRACEPARENT:
        traceparent = traceparentNext();
        if (traceparent === "") return undefined;
        break;
      case HAS_EVENTS:
        events = readBytes();
        if (events === undefined) return undefined;
        break;
    }
  }
  if ((has & REQUIRED) !== REQUIRED || at !== end || first === undefined || first === null || events === undefined)
    return undefined;
  const sequences = { first, count };
  // Each shape is written out, as a spread costs more than the rest of the reading.
  if (traceparent !== "") {
    const traced = {
      type: "append",
      stream,
      partition,
      producerEpoch,
      previousSequence,
      sequences,
      traceparent,
      events,
    } as const;
    return schemaVersion < 0 ? traced : { ...traced, schemaVersion };
  }
  if (schemaVersion < 0)
    return { type: "append", stream, partition, producerEpoch, previousSequence, sequences, events };
  return { type: "append", stream, partition, producerEpoch, previousSequence, sequences, schemaVersion, events };
}

const APPEND = text("append");
const FIRST = text("first");

/** The number of entries of a map, in one byte or in three: some encoders do not count before they write. */
function readMapSize(): number {
  const token = source[at++] as number;
  if (token >= 0x80 && token < 0x90) return token & 0x0f;
  return token === 0xde ? readUint(2) : UNUSUAL;
}

/** The field of a key, found by its length and first letter, then letter by letter; 0 for an unknown key. */
function readKey(): number {
  const token = source[at] as number;
  const letter = source[at + 1];
  switch (token) {
    case 0xa4:
      return isNext(KEY_TYPE) ? HAS_TYPE : 0;
    case 0xa6:
      if (letter === 0x73) return isNext(KEY_STREAM) ? HAS_STREAM : 0;
      return isNext(EVENTS) ? HAS_EVENTS : 0;
    case 0xa9:
      if (letter === 0x70) return isNext(PARTITION) ? HAS_PARTITION : 0;
      return isNext(KEY_SEQUENCES) ? HAS_SEQUENCES : 0;
    case 0xab:
      return isNext(TRACEPARENT) ? HAS_TRACEPARENT : 0;
    case 0xad:
      if (letter === 0x70) return isNext(PRODUCER_EPOCH) ? HAS_EPOCH : 0;
      return isNext(SCHEMA_VERSION) ? HAS_VERSION : 0;
    case 0xb0:
      return isNext(PREVIOUS_SEQUENCE) ? HAS_PREVIOUS : 0;
    default:
      return 0;
  }
}

const KEY_TYPE = text("type");
const KEY_STREAM = text("stream");
const KEY_SEQUENCES = text("sequences");

/** Passes over `expected` where these bytes come next. Beyond its end `source` is undefined, which equals no byte. */
function isNext(expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (source[at + index] !== expected[index]) return false;
  }
  at += expected.length;
  return true;
}

/** A whole number from 0 to 2^53 - 1 in any of its forms. */
function readNumber(): number {
  const token = source[at++] as number;
  if (token < 0x80) return token;
  if (token === 0xcc) return readUint(1);
  if (token === 0xcd) return readUint(2);
  if (token === 0xce) return readUint(4);
  if (token === 0xcf) {
    const value = readUint(8);
    return Number.isSafeInteger(value) ? value : UNUSUAL;
  }
  if (token !== 0xcb || at + 8 > end) return UNUSUAL;
  for (let index = 0; index < 8; index++) floatBytes[index] = source[at + index] as number;
  at += 8;
  const value = float.getFloat64(0);
  return Number.isSafeInteger(value) && value > 0 ? value : UNUSUAL;
}

function readUint(length: number): number {
  if (at + length > end) return UNUSUAL;
  let value = 0;
  for (const stop = at + length; at < stop; at++) value = value * 256 + (source[at] as number);
  return value;
}

/** Reads a sequence: null for nil, undefined for any other value. */
function readSequence(): Sequence | null | undefined {
  const token = source[at++];
  if (token === 0xc0) return null;
  if (token !== 0x93) return undefined;
  const term = readNumber();
  const position = readNumber();
  const index = readNumber();
  return term < 0 || position < 0 || index < 0 ? undefined : [term, position, index];
}

/** Reads a name of 1 to 255 ASCII characters; "" for any other value. */
function readStream(): string {
  const token = source[at++] as number;
  const length = token >= 0xa0 && token < 0xc0 ? token & 0x1f : token === 0xd9 ? (source[at++] as number) : 0;
  const start = at;
  if (length === 0 || !(start + length <= end)) return "";
  at += length;
  if (isLastStream(start, length)) return lastStream;
  for (let next = start; next < at; next++) if ((source[next] as number) >= 0x80) return "";
  const name = decoder.decode(source.subarray(start, at));
  lastStreamBytes = source.slice(start, at);
  lastStream = name;
  return name;
}

/** "" for a text that is no trace context: the general codec has the words for it. */
function traceparentNext(): string {
  if (source[at] !== 0xd9 || source[at + 1] !== TRACEPARENT_BYTES || at + 2 + TRACEPARENT_BYTES > end) return "";
  at += 2 + TRACEPARENT_BYTES;
  return readTraceparent(source, at - TRACEPARENT_BYTES);
}

function isLastStream(start: number, length: number): boolean {
  if (length !== lastStreamBytes.length) return false;
  for (let index = 0; index < length; index++) {
    if (source[start + index] !== lastStreamBytes[index]) return false;
  }
  return true;
}

function readBytes(): Uint8Array | undefined {
  const token = source[at++];
  const length = token === 0xc4 ? readUint(1) : token === 0xc5 ? readUint(2) : token === 0xc6 ? readUint(4) : UNUSUAL;
  if (length < 0 || at + length > end) return undefined;
  at += length;
  // Not `subarray`: where the input is a Node Buffer, it makes another Buffer, at several times the cost.
  return new Uint8Array(source.buffer, source.byteOffset + at - length, length);
}
