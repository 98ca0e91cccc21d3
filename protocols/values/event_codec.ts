/**
 * Events to bytes and back: a MessagePack array of maps, or of msgpackr records whose definitions lie inline. Either
 * decodes by itself (E11). Bytes from outside are scanned before they are decoded. A bad event gets a verdict and the
 * other events are decoded; broken framing refuses the whole array.
 */
import { Packr, Unpackr } from "../../deps.ts";
import { RejectedError } from "../errors.ts";
import type { Event, Verdict } from "../event.ts";
import { FIELD_LIMITS } from "../limits.ts";
import { WIRE_DEFAULTS } from "../wire/frames.ts";
import { ANY_NUMBERS, type NumberKinds } from "./number_kinds.ts";
import { packNumbers } from "./packed_numbers.ts";
import "./precise_date.ts"; // times keep all of their digits
import { DEFINITIONS_MAX, type EventScan, scanEvents } from "./scan.ts";
import { sliceEvents } from "./slice_events.ts";
import { readUnreadable } from "./unreadable.ts";

/** The bounds of a batch of events. */
export interface EventLimits {
  /** Bytes of one event as a map. */
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  /** MessagePack values in the whole array. */
  readonly tokensMax: number;
  /** Levels of lists and maps within one event. */
  readonly depthMax: number;
  /** Bytes by which the records of a batch may grow as maps. Default: 8,388,608. */
  readonly growthBytesMax?: number;
}

/** The bounds of protocol v1. */
export const EVENT_LIMITS: EventLimits = {
  eventBytesMax: WIRE_DEFAULTS.eventBytesMax,
  batchEventsMax: WIRE_DEFAULTS.batchEventsMax,
  tokensMax: WIRE_DEFAULTS.frameTokensMax,
  depthMax: WIRE_DEFAULTS.frameDepthMax,
};

/** A decoded batch. */
export interface DecodedEvents {
  /** One entry for each event of the array; undefined for an event with a verdict. */
  readonly events: readonly (Event | undefined)[];
  /** Ascending by index: `MALFORMED_EVENT` or `EVENT_TOO_LARGE`. Empty in the ordinary case. */
  readonly verdicts: readonly Verdict[];
  /** Event i lies at `[starts[i], starts[i + 1])` of the bytes; a record's first use carries its definition. */
  readonly starts: Uint32Array;
  /** True where some events are records with inline definitions. */
  readonly hasDefinitions: boolean;
}

const packRecords = new Packr({ useRecords: true, encodeUndefinedAsNil: true });
const packMaps = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const packCompact = new Packr({ useRecords: false, encodeUndefinedAsNil: true, variableMapSize: true });
/** Binary is copied, so that no event keeps its whole frame alive. @param int64AsType `auto`: big integers beyond 2^53 */
const unpackerOf = (useRecords: boolean, int64AsType: "auto" | "number"): Unpackr =>
  new Unpackr({ useRecords, mapsAsObjects: true, int64AsType, copyBuffers: true } as object);
const unpacker = unpackerOf(true, "auto");
/** As `unpacker`, and faster with integers of 64 bits. It rounds those beyond 2^53, so it is for events without any. */
const narrowUnpacker = unpackerOf(true, "number");
const mapUnpacker = unpackerOf(false, "auto");

/** The options of {@linkcode encodeEvents}. */
export interface EncodeOptions {
  /** True to write events of like shape as msgpackr records with inline definitions; false to write plain maps. */
  readonly asRecords: boolean;
  /** The kinds of numbers that the events may hold. Default: {@linkcode ANY_NUMBERS}. */
  readonly numbers?: NumberKinds;
}

/**
 * Encodes a batch. With `asRecords`, events of like shape share one definition of their keys: smaller, and three times
 * as fast to decode. Whole numbers from -2^53 to 2^53 and big integers are written as integers, all other numbers and
 * -0 as floats. Throws what the encoder throws for a value that has no MessagePack form (a function, a big integer
 * beyond 64 bits, a cycle).
 */
export function encodeEvents(events: readonly unknown[], options: EncodeOptions): Uint8Array {
  const { asRecords, numbers = ANY_NUMBERS } = options;
  if (!asRecords) return packNumbers(packMaps, events, numbers);
  const bytes = packNumbers(packRecords, events, numbers);
  // Events of many shapes cost more as records than as maps, and the receiver bounds the definitions.
  return isDefinitionHeavy(bytes) ? packNumbers(packMaps, events, numbers) : bytes;
}

/** Encodes one value by itself, as {@linkcode sliceEvents} would cut it. */
export const encodeEvent = (value: unknown): Uint8Array => packNumbers(packMaps, value, ANY_NUMBERS);

/** As {@linkcode encodeEvent}, in the fewest bytes: each map has the shortest form of its length. */
export const encodeCompact = (value: unknown): Uint8Array => packNumbers(packCompact, value, ANY_NUMBERS);

/** Encodes a resume point; above `positionBytesMax` in the compact form, whose longer floats stay below twice that. */
export function encodePosition(position: unknown): Uint8Array {
  const bytes = encodeEvent(position);
  return bytes.length <= FIELD_LIMITS.positionBytesMax ? bytes : encodeCompact(position);
}

/** Counts bytes that look like definitions. Text may look like one too, which costs some size and no correctness. */
function isDefinitionHeavy(bytes: Uint8Array): boolean {
  let definitions = 0;
  for (let at = bytes.indexOf(0xd4); at >= 0; at = bytes.indexOf(0xd4, at + 1)) {
    if (bytes[at + 1] === 0x72 && ++definitions > DEFINITIONS_MAX) return true;
  }
  return false;
}

/** The number of events in the array, from its header. Throws `RejectedError` `MALFORMED_FRAME` for other values. */
export function countEvents(bytes: Uint8Array): number {
  const token = bytes[0] ?? 0;
  if (token >= 0x90 && token < 0xa0) return token & 0x0f;
  const lengthBytes = token === 0xdc ? 2 : token === 0xdd ? 4 : 0;
  if (lengthBytes === 0 || bytes.length < 1 + lengthBytes) {
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot count events as they must be a MessagePack array: first byte is ${token}`,
    );
  }
  let count = 0;
  for (let at = 1; at <= lengthBytes; at++) count = count * 256 + (bytes[at] ?? 0);
  return count;
}

/** A scanned batch: everything that can be said about its events without their values. */
export class ScannedEvents {
  /** Ascending by index: `MALFORMED_EVENT` or `EVENT_TOO_LARGE`. Empty in the ordinary case. */
  readonly verdicts: readonly Verdict[];
  private readonly bytes: Uint8Array;
  private readonly scan: EventScan;

  constructor(bytes: Uint8Array, scan: EventScan, verdicts: readonly Verdict[]) {
    this.bytes = bytes;
    this.scan = scan;
    this.verdicts = verdicts;
  }

  get count(): number {
    return this.scan.count;
  }

  get starts(): Uint32Array {
    return this.scan.starts;
  }

  /** True where some events are records with inline definitions. */
  get hasDefinitions(): boolean {
    return this.scan.hasDefinitions;
  }

  /** Decodes the events; undefined for an event with a verdict. */
  decode(): readonly (Event | undefined)[] {
    return decodeScanned(this.bytes, this.scan, this.verdicts);
  }
}

/**
 * Scans a batch, and judges the framing and the size of each event. Throws `RejectedError` (`MALFORMED_FRAME`,
 * `FRAME_TOO_COMPLEX`, `BATCH_TOO_LARGE`) where the whole batch is refused.
 */
export function scanBatch(bytes: Uint8Array, limits: EventLimits = EVENT_LIMITS): ScannedEvents {
  const scan = scanEvents(bytes, limits, limits.batchEventsMax);
  return new ScannedEvents(bytes, scan, judgeEvents(bytes, scan, limits.eventBytesMax));
}

/** Scans and decodes a batch. Throws as {@linkcode scanBatch} does. */
export function decodeEvents(bytes: Uint8Array, limits: EventLimits = EVENT_LIMITS): DecodedEvents {
  const scanned = scanBatch(bytes, limits);
  const { verdicts, starts, hasDefinitions } = scanned;
  return { events: scanned.decode(), verdicts, starts, hasDefinitions };
}

function decodeScanned(
  bytes: Uint8Array,
  scan: EventScan,
  verdicts: readonly Verdict[],
): readonly (Event | undefined)[] {
  const fitting = scan.hasWideIntegers ? unpacker : narrowUnpacker;
  if (verdicts.length === 0) return fitting.unpack(bytes) as Event[];
  const events = scan.isDecodable
    ? (fitting.unpack(bytes) as (Event | undefined)[])
    : decodeOneByOne(bytes, scan.count, verdicts);
  for (const { index } of verdicts) events[index] = undefined;
  return events;
}

/** Decodes events that this process or its log has scanned before: no limits, no verdicts. */
export const decodeTrustedEvents = (bytes: Uint8Array): readonly Event[] => unpacker.unpack(bytes) as Event[];

/** A log's events were judged when they were taken; dead letters are larger than an event may be. */
export const STORED_LIMITS: EventLimits = {
  ...EVENT_LIMITS,
  eventBytesMax: Number.MAX_SAFE_INTEGER,
  batchEventsMax: Number.MAX_SAFE_INTEGER,
  tokensMax: Number.MAX_SAFE_INTEGER,
  growthBytesMax: Number.MAX_SAFE_INTEGER,
};

/**
 * Decodes a stored batch with rejected events. A rejected event that no decoder can read is undefined.
 *
 * @param isRejected whether the event at an index was rejected
 */
export function decodeJudgedEvents(
  bytes: Uint8Array,
  isRejected: (index: number) => boolean,
): readonly (Event | undefined)[] {
  const { events, verdicts } = decodeEvents(bytes, STORED_LIMITS);
  // Events that an earlier version accepted, and this version's scan would not.
  const taken = verdicts.map(({ index }) => index).filter((index) => !isRejected(index));
  if (taken.length === 0) return events;
  const decoded = [...events];
  for (const [at, slice] of sliceEvents(bytes, taken).entries()) decoded[taken[at] as number] = decodeSlice(slice);
  return decoded;
}

/** Decodes one event as `sliceEvent` cut it. */
export const decodeSlice = (bytes: Uint8Array): Event => mapUnpacker.unpack(bytes) as Event;

const NO_VERDICTS: readonly Verdict[] = [];

function judgeEvents(bytes: Uint8Array, scan: EventScan, eventBytesMax: number): readonly Verdict[] {
  let verdicts: Verdict[] | undefined;
  let nextFlaw = 0;
  for (let index = 0; index < scan.count; index++) {
    // The size as a map, as JSON, sinks and dead letters write the keys of each record again.
    const sizeBytes =
      (scan.starts[index + 1] as number) - (scan.starts[index] as number) + (scan.growths?.[index] ?? 0);
    const flaw = scan.flaws[nextFlaw];
    const isFlawed = flaw !== undefined && flaw.index === index;
    if (isFlawed) nextFlaw++;
    if (sizeBytes > eventBytesMax) {
      verdicts ??= [];
      verdicts.push({
        index,
        code: "EVENT_TOO_LARGE",
        path: "",
        reason: `must be at most ${eventBytesMax} bytes: current value is ${sizeBytes}`,
      });
    } else if (isFlawed) {
      verdicts ??= [];
      const { path, reason } = readUnreadable(bytes.subarray(scan.starts[index], scan.starts[index + 1])) ?? flaw;
      verdicts.push({ index, code: "MALFORMED_EVENT", path, reason });
    }
  }
  return verdicts ?? NO_VERDICTS;
}

function decodeOneByOne(bytes: Uint8Array, count: number, verdicts: readonly Verdict[]): (Event | undefined)[] {
  const bad = new Set(verdicts.map((verdict) => verdict.index));
  const good = Array.from({ length: count }, (_, index) => index).filter((index) => !bad.has(index));
  const events = new Array<Event | undefined>(count).fill(undefined);
  sliceEvents(bytes, good).forEach((slice, at) => {
    events[good[at] as number] = decodeSlice(slice);
  });
  return events;
}
