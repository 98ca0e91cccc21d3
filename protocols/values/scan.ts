/**
 * Reads MessagePack without decoding it, to decide whether it may be decoded at all. A decoder builds all that the
 * bytes ask for: 5 MB of empty maps cost a second and 350 MB. This walks the bytes once, allocates nothing per value,
 * and knows the record extension of msgpackr (docs/protocol.md, "Records").
 *
 *   C1. Broken framing (truncated input, a length beyond the buffer, bytes after the end) and exceeded limits (values,
 *       depth, definitions) throw: no part of such input can be trusted.
 *   C2. A fault within one value (a number that is not finite, bad UTF-8, a repeated or forbidden key, an unknown
 *       extension) is noted, once for each event, and the walk goes on. The other events are taken.
 *   C3. The walk reads the bytes as the decoder does: 0x40 to 0x7f is a record where that id was defined in this input,
 *       and an integer otherwise.
 */
import { RejectedError } from "../errors.ts";
import { formatPointer } from "../partitioner.ts";
import { isTimestamp } from "./precise_date.ts";
import { isUtf8 } from "./utf8.ts";

export interface ScanLimits {
  /** MessagePack values: elements of lists, and keys and values of maps. */
  readonly tokensMax: number;
  /** Levels of lists and maps. */
  readonly depthMax: number;
  /** Default: {@linkcode GROWTH_BYTES_MAX}. */
  readonly growthBytesMax?: number;
}

/** The most record definitions in one input: a decoder compiles a reader for each, which takes about 20 us. */
export const DEFINITIONS_MAX = 256;

/** Bytes by which the records of an input may grow as maps: kilobytes of references could be gigabytes of JSON. */
export const GROWTH_BYTES_MAX = 8_388_608;

/** The first fault of one event. `path` is a JSON Pointer from the event. */
export interface Flaw {
  readonly index: number;
  readonly path: string;
  readonly reason: string;
}

/** The result of a walk over a batch of events. */
export interface EventScan {
  readonly count: number;
  /** The beginning of each event, and the end of the last: event i lies at `[starts[i], starts[i + 1])`. */
  readonly starts: Uint32Array;
  /** Bytes by which each event grows as a map; undefined where the input has no records. */
  readonly growths: Uint32Array | undefined;
  /** Ascending by index, at most one for each event. */
  readonly flaws: readonly Flaw[];
  /** False where a flaw would stop a decoder: the events are then decoded one by one. */
  readonly isDecodable: boolean;
  /** True where an integer of 64 bits may lie beyond 2^53. */
  readonly hasWideIntegers: boolean;
  /** True where the input has record definitions. */
  readonly hasDefinitions: boolean;
}

// The walk's state lives in module variables: it never awaits or re-enters, and a call with six arguments for every
// value costs more than the rest of the walk.
const NO_BYTES = new Uint8Array(0);
let source: Uint8Array = NO_BYTES;
let end = 0;
let at = 0;
let tokens = 0;
let tokensMax = 0;
let depthMax = 0;
let definitions = 0;
let isWithRecords = false;
let isDecodable = true;
let hasWideIntegers = false;
let flawReason: string | undefined;
let flawPath: string | undefined;

/** Keys of the record with this id, or -1 while it is undefined. */
const fieldCounts = new Int32Array(64).fill(-1);
/** The flaw in the keys of a record's definition, which each record of it shares. */
const fieldFlaws = new Array<string | undefined>(64).fill(undefined);
/** Place of the first key of a record's definition. */
const fieldStarts = new Int32Array(64);
/** Bytes of all keys of a definition: a record grows by these once it is written as a map. */
const fieldBytes = new Int32Array(64);
/** Bytes by which the records read so far grow as maps. */
let growth = 0;
let growthMax = 0;
/** The path to the current value, level by level: the place of a key (positive), or ~index of an element (negative). */
let trail = new Int32Array(128);
/** By level, the number of keys behind `trail` to skip: in a record the trail holds the place of the first key. */
let trailSkips = new Int32Array(128);
/** Hashes and places of the keys of all open maps, as a stack. */
let keyHashes = new Int32Array(256);
let keyStarts = new Int32Array(256);
let keyTop = 0;
/** Up to this many keys are compared pairwise; more go through a set. */
const PAIRWISE_KEYS_MAX = 24;

/** Walks one MessagePack value without records. Throws `RejectedError` `MALFORMED_FRAME` or `FRAME_TOO_COMPLEX`. */
export function scanFrame(bytes: Uint8Array, limits: ScanLimits): void {
  begin(bytes, limits, false);
  try {
    scanValue(0);
    if (flawReason !== undefined) throw malformed(`${flawPath || "/"} ${flawReason}`);
    if (at !== end) throw malformed(`it must end after one value: ${end - at} bytes follow`);
  } finally {
    source = NO_BYTES;
  }
}

/** Bytes of the value under a key, in a map that `scanFrame` has let through; 0 where the key is absent. */
export function sizeOfField(bytes: Uint8Array, name: string, limits: ScanLimits): number {
  begin(bytes, limits, false);
  try {
    const token = uint8();
    const count = token < 0x90 ? token & 0x0f : token === 0xde ? uint16() : uint32();
    for (let index = 0; index < count; index++) {
      const keyStart = at;
      const length = readStringLength();
      at += length;
      const valueStart = at;
      scanValue(1);
      if (readKeyText(keyStart, 0) === name) return at - valueStart;
    }
    return 0;
  } finally {
    source = NO_BYTES;
  }
}

/** Walks a MessagePack array of events. Throws as `scanFrame` does, and `BATCH_TOO_LARGE`, for the array as a whole. */
export function scanEvents(bytes: Uint8Array, limits: ScanLimits, countMax: number): EventScan {
  begin(bytes, limits, true);
  try {
    const count = readArrayHeader();
    if (count > countMax) {
      throw new RejectedError(
        "BATCH_TOO_LARGE",
        `Cannot take a batch as it may have ${countMax} events: current value is ${count}`,
      );
    }
    const starts = new Uint32Array(count + 1);
    const flaws: Flaw[] = [];
    let growths: Uint32Array | undefined;
    for (let index = 0; index < count; index++) {
      starts[index] = at;
      const before = growth;
      scanEvent();
      if (growth > before) {
        growths ??= new Uint32Array(count);
        growths[index] = growth - before;
      }
      if (flawReason !== undefined) flaws.push({ index, path: flawPath ?? "", reason: flawReason });
    }
    starts[count] = at;
    if (at !== end) throw malformed(`events must end with their array: ${end - at} bytes follow`);
    return { count, starts, growths, flaws, isDecodable, hasWideIntegers, hasDefinitions: definitions > 0 };
  } finally {
    source = NO_BYTES;
  }
}

function begin(bytes: Uint8Array, limits: ScanLimits, withRecords: boolean): void {
  source = bytes;
  end = bytes.length;
  at = 0;
  tokens = 0;
  tokensMax = limits.tokensMax;
  depthMax = limits.depthMax;
  if (trail.length < depthMax + 2) {
    trail = new Int32Array(depthMax + 2);
    trailSkips = new Int32Array(depthMax + 2);
  }
  definitions = 0;
  growth = 0;
  growthMax = limits.growthBytesMax ?? GROWTH_BYTES_MAX;
  isWithRecords = withRecords;
  isDecodable = true;
  hasWideIntegers = false;
  flawReason = undefined;
  flawPath = undefined;
  keyTop = 0;
  if (withRecords) fieldCounts.fill(-1);
}

function scanEvent(): void {
  flawReason = undefined;
  flawPath = undefined;
  const token = source[at] ?? 0xc0;
  const isRecord = token >= 0x40 && token < 0x80 && (fieldCounts[token & 0x3f] ?? -1) >= 0;
  const isDefinition = token === 0xd4 && source[at + 1] === 0x72;
  const isMap = (token >= 0x80 && token < 0x90) || token === 0xde || token === 0xdf;
  if (!isMap && !isRecord && !isDefinition) note(0, "must be a map");
  scanValue(0);
}

function malformed(reason: string): RejectedError {
  return new RejectedError("MALFORMED_FRAME", `Cannot read MessagePack as ${reason}`);
}

function truncated(): RejectedError {
  return malformed(`a value must end within its ${end} bytes: it is cut short or its length is wrong`);
}

function tooComplex(what: string, limit: number): RejectedError {
  return new RejectedError(
    "FRAME_TOO_COMPLEX",
    `Cannot read MessagePack as it may hold ${limit} ${what}: it holds more`,
  );
}

/** C2. Keeps the first flaw of an event, with its path. */
function note(depth: number, reason: string): void {
  if (flawReason !== undefined) return;
  flawReason = reason;
  const parts: (string | number)[] = [];
  for (let level = 0; level < depth; level++) {
    const step = trail[level] ?? 0;
    parts.push(step < 0 ? ~step : readKeyText(step, trailSkips[level] ?? 0));
  }
  flawPath = formatPointer(parts).slice(0, PATH_CHARACTERS_MAX);
}

/** The most characters of a path: each event of a batch may have a verdict with one. */
const PATH_CHARACTERS_MAX = 256;

const lenientText = new TextDecoder();

function readKeyText(keyStart: number, skips: number): string {
  const saved = at;
  at = keyStart;
  for (let skipped = 0; skipped < skips; skipped++) {
    const length = readStringLength();
    at += length;
  }
  const length = readStringLength();
  const text = lenientText.decode(source.subarray(at, at + length));
  at = saved;
  return text;
}

function skip(length: number): void {
  at += length;
  if (at > end) throw truncated();
}

function uint8(): number {
  if (at >= end) throw truncated();
  return source[at++] as number;
}

function uint16(): number {
  skip(2);
  return ((source[at - 2] as number) << 8) | (source[at - 1] as number);
}

function uint32(): number {
  return uint16() * 0x10000 + uint16();
}

function charge(count: number): void {
  // A value takes a byte at least: a count beyond the bytes that are left is refused before anything is built.
  if (count > end - at) throw truncated();
  tokens += count;
  if (tokens > tokensMax) throw tooComplex("values", tokensMax);
}

function readArrayHeader(): number {
  const token = uint8();
  let count: number;
  if (token >= 0x90 && token < 0xa0) count = token & 0x0f;
  else if (token === 0xdc) count = uint16();
  else if (token === 0xdd) count = uint32();
  else throw malformed("events must be an array");
  charge(count);
  return count;
}

function scanValue(depth: number): void {
  if (at >= end) throw truncated();
  const token = source[at++] as number;
  if (token < 0x80) {
    if (token >= 0x40 && isWithRecords) {
      const count = fieldCounts[token & 0x3f] as number;
      growth += fieldBytes[token & 0x3f] as number;
      if (growth > growthMax) throw tooComplex("bytes more once its records are maps", growthMax);
      if (count < 0) return; // C3
      const flaw = fieldFlaws[token & 0x3f];
      if (flaw !== undefined) note(depth, flaw);
      scanRecord(count, fieldStarts[token & 0x3f] as number, depth);
    }
    return;
  }
  if (token < 0xc0) {
    if (token >= 0xa0) scanString(token & 0x1f, depth);
    else if (token < 0x90) scanMap(token & 0x0f, depth);
    else scanArray(token & 0x0f, depth);
    return;
  }
  if (token >= 0xe0) return;
  scanTyped(token, depth);
}

function scanTyped(token: number, depth: number): void {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return;
    case 0xc4:
      skip(uint8());
      return;
    case 0xc5:
      skip(uint16());
      return;
    case 0xc6:
      skip(uint32());
      return;
    case 0xc7:
      scanExtension(uint8(), depth);
      return;
    case 0xc8:
      scanExtension(uint16(), depth);
      return;
    case 0xc9:
      scanExtension(uint32(), depth);
      return;
    case 0xca:
      skip(4);
      if (((source[at - 4] as number) & 0x7f) === 0x7f && (source[at - 3] as number) >= 0x80)
        note(depth, "must be a finite number");
      return;
    case 0xcb:
      skip(8);
      if (((source[at - 8] as number) & 0x7f) === 0x7f && (source[at - 7] as number) >= 0xf0)
        note(depth, "must be a finite number");
      return;
    case 0xcc:
    case 0xd0:
      skip(1);
      return;
    case 0xcd:
    case 0xd1:
      skip(2);
      return;
    case 0xce:
    case 0xd2:
      skip(4);
      return;
    case 0xcf:
      skip(8);
      if (uint32At(at - 8) >>> 0 >= WIDE_WORD) hasWideIntegers = true;
      return;
    case 0xd3:
      skip(8);
      if ((uint32At(at - 8) + WIDE_WORD) >>> 0 >= WIDE_WORD * 2) hasWideIntegers = true;
      return;
    case 0xd4:
      if (isWithRecords && source[at] === 0x72) scanDefinition(depth);
      else scanExtension(1, depth);
      return;
    case 0xd5:
      scanExtension(2, depth);
      return;
    case 0xd6:
      scanExtension(4, depth);
      return;
    case 0xd7:
      scanExtension(8, depth);
      return;
    case 0xd8:
      scanExtension(16, depth);
      return;
    case 0xd9:
      scanString(uint8(), depth);
      return;
    case 0xda:
      scanString(uint16(), depth);
      return;
    case 0xdb:
      scanString(uint32(), depth);
      return;
    case 0xdc:
      scanArray(uint16(), depth);
      return;
    case 0xdd:
      scanArray(uint32(), depth);
      return;
    case 0xde:
      scanMap(uint16(), depth);
      return;
    case 0xdf:
      scanMap(uint32(), depth);
      return;
    default:
      throw malformed("byte 0xc1 has no meaning");
  }
}

/** The upper 32 bits of 2^53. */
const WIDE_WORD = 0x20_0000;

const uint32At = (start: number): number =>
  ((source[start] as number) << 24) |
  ((source[start + 1] as number) << 16) |
  ((source[start + 2] as number) << 8) |
  (source[start + 3] as number);

const NO_TIME = "must be a time that exists: nanoseconds below 1,000,000,000, and a year from -271821 to 275760";

/** Walks an extension. Only the timestamp (type -1; 4, 8 or 12 bytes) is known. */
function scanExtension(length: number, depth: number): void {
  const type = uint8();
  const start = at;
  skip(length);
  if (type === 0xff && (length === 4 || length === 8 || length === 12)) {
    if (!isTimestamp(source, start, length)) note(depth, NO_TIME);
    return;
  }
  isDecodable = false;
  note(depth, `must not be of extension type ${(type << 24) >> 24} with ${length} bytes`);
}

function scanString(length: number, depth: number): void {
  const start = at;
  skip(length);
  for (let next = start; next < at; next++) {
    if ((source[next] as number) >= 0x80) {
      if (!isUtf8(source, next, at)) note(depth, "must be valid UTF-8");
      return;
    }
  }
}

function scanArray(count: number, depth: number): void {
  charge(count);
  if (depth >= depthMax) throw tooComplex("levels", depthMax);
  for (let index = 0; index < count; index++) {
    trail[depth] = ~index;
    scanValue(depth + 1);
  }
}

function scanMap(count: number, depth: number): void {
  charge(count * 2);
  if (depth >= depthMax) throw tooComplex("levels", depthMax);
  const base = openKeys(count);
  const seen = count > PAIRWISE_KEYS_MAX ? new Set<string>() : undefined;
  for (let index = 0; index < count; index++) {
    const keyStart = at;
    trailSkips[depth] = 0;
    trail[depth] = keyStart;
    scanKey(base + index, seen, depth);
    scanValue(depth + 1);
  }
  closeKeys(base, depth);
}

function scanRecord(count: number, firstKey: number, depth: number): void {
  charge(count);
  if (depth >= depthMax) throw tooComplex("levels", depthMax);
  trail[depth] = firstKey;
  for (let index = 0; index < count; index++) {
    trailSkips[depth] = index;
    scanValue(depth + 1);
  }
}

/** 0xd4 0x72 id, then the array of keys, then the values of the first record of this kind. */
function scanDefinition(depth: number): void {
  if (++definitions > DEFINITIONS_MAX) throw tooComplex("record definitions", DEFINITIONS_MAX);
  at++;
  const id = uint8();
  if (id < 0x40 || id > 0x7f) throw malformed(`a record's id must be 0x40 to 0x7f: current value is ${id}`);
  const count = readArrayHeader();
  const firstKey = at;
  const flawBefore = flawReason;
  const pathBefore = flawPath;
  flawReason = undefined;
  const base = openKeys(count);
  const seen = count > PAIRWISE_KEYS_MAX ? new Set<string>() : undefined;
  trailSkips[depth] = 0;
  for (let index = 0; index < count; index++) {
    trail[depth] = at;
    if (!isStringToken(source[at] ?? 0)) throw malformed("the keys of a record must be strings");
    scanKey(base + index, seen, depth);
  }
  closeKeys(base, depth);
  fieldFlaws[id & 0x3f] = flawReason;
  if (flawBefore !== undefined) {
    flawReason = flawBefore;
    flawPath = pathBefore;
  }
  fieldCounts[id & 0x3f] = count;
  fieldStarts[id & 0x3f] = firstKey;
  fieldBytes[id & 0x3f] = at - firstKey;
  scanRecord(count, firstKey, depth);
}

const isStringToken = (token: number): boolean => (token >= 0xa0 && token < 0xc0) || (token >= 0xd9 && token <= 0xdb);

function readStringLength(): number {
  const token = uint8();
  if (token >= 0xa0 && token < 0xc0) return token & 0x1f;
  if (token === 0xd9) return uint8();
  if (token === 0xda) return uint16();
  return token === 0xdb ? uint32() : -1;
}

function openKeys(count: number): number {
  const base = keyTop;
  if (count <= PAIRWISE_KEYS_MAX) keyTop += count;
  if (keyTop > keyHashes.length) {
    const hashes = new Int32Array(keyTop * 2);
    hashes.set(keyHashes);
    keyHashes = hashes;
    const starts = new Int32Array(keyTop * 2);
    starts.set(keyStarts);
    keyStarts = starts;
  }
  return base;
}

/** Walks a key, which must be a string of valid UTF-8, and not `__proto__`. */
function scanKey(slot: number, seen: Set<string> | undefined, depth: number): void {
  const keyStart = at;
  const length = readStringLength();
  if (length < 0) {
    at = keyStart;
    isDecodable = false;
    note(depth, "must have strings as keys");
    scanValue(depth + 1);
    return;
  }
  const textStart = at;
  skip(length);
  let hash = length;
  let high = 0;
  for (let next = textStart; next < at; next++) {
    const byte = source[next] as number;
    high |= byte;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  if (high >= 0x80 && !isUtf8(source, textStart, at)) note(depth, "must have keys of valid UTF-8");
  if (length === 9 && source[textStart] === 0x5f && isPrototypeKey(textStart))
    note(depth + 1, 'must not have a key "__proto__"');
  if (seen === undefined) {
    keyHashes[slot] = hash;
    keyStarts[slot] = keyStart;
  } else {
    const text = lenientText.decode(source.subarray(textStart, at));
    if (seen.has(text)) note(depth, REPEATED_KEY);
    seen.add(text);
  }
}

const REPEATED_KEY = "must not have a key twice";

function closeKeys(base: number, depth: number): void {
  const top = keyTop;
  keyTop = base;
  if (flawReason !== undefined) return;
  for (let right = base + 1; right < top; right++) {
    const hash = keyHashes[right];
    for (let left = base; left < right; left++) {
      if (keyHashes[left] === hash && isSameKey(keyStarts[left] as number, keyStarts[right] as number)) {
        note(depth, REPEATED_KEY);
      }
    }
  }
}

const isSameKey = (left: number, right: number): boolean => readKeyText(left, 0) === readKeyText(right, 0);

const PROTOTYPE_KEY = new TextEncoder().encode("__proto__");

function isPrototypeKey(textStart: number): boolean {
  for (let index = 0; index < PROTOTYPE_KEY.length; index++) {
    if (source[textStart + index] !== PROTOTYPE_KEY[index]) return false;
  }
  return true;
}
