/**
 * Times finer than a millisecond. A MessagePack timestamp counts nanoseconds and a `Date` milliseconds. A time that a
 * `Date` would cut is a {@linkcode PreciseDate}, which keeps all digits, in MessagePack and in JSON.
 */
import { addExtension } from "../../deps.ts";

const NANOSECONDS_A_MS = 1_000_000;
const NANOSECONDS_A_SECOND = 1_000_000_000;
/** The seconds of a timestamp of 64 bits stay below this. */
const SECONDS_OF_64_BITS = 2 ** 34;
const TIMESTAMP = 0xff;

/** A time finer than a millisecond: `getTime` answers the milliseconds, rounded down, and `nanoseconds` the rest. */
export class PreciseDate extends Date {
  /** Nanoseconds beyond the millisecond: 1 to 999,999. */
  readonly nanoseconds: number;

  constructor(timeMs: number, nanoseconds: number) {
    super(timeMs);
    this.nanoseconds = nanoseconds;
  }

  /** RFC 3339 with six or nine digits of a second. */
  override toISOString(): string {
    const finer = String(this.nanoseconds).padStart(6, "0");
    return super.toISOString().replace("Z", `${finer.endsWith("000") ? finer.slice(0, 3) : finer}Z`);
  }
}

/** The largest and, negated, the least time of a `Date` in ms: the years -271821 to 275760. */
const TIME_MS_MAX = 8.64e15;

/** The time `nanoseconds` (0 to 999,999) after `timeMs`; an invalid `Date` beyond the range of a `Date`. */
export const dateOf = (timeMs: number, nanoseconds: number): Date =>
  nanoseconds === 0 || !(Math.abs(timeMs) <= TIME_MS_MAX) ? new Date(timeMs) : new PreciseDate(timeMs, nanoseconds);

export const isSameTime = (left: Date, right: Date): boolean =>
  left.getTime() === right.getTime() && nanosecondsOf(left) === nanosecondsOf(right);

const nanosecondsOf = (time: Date): number => (time instanceof PreciseDate ? time.nanoseconds : 0);

/** Reads the 4, 8 or 12 bytes of a timestamp without its header (MessagePack's "Timestamp extension type"). */
function readTimestamp(bytes: Uint8Array): Date {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength === 4) return new Date(view.getUint32(0) * 1_000);
  if (bytes.byteLength === 8) {
    const high = view.getUint32(0);
    return timeAt((high & 0x3) * 0x1_0000_0000 + view.getUint32(4), high >>> 2);
  }
  if (bytes.byteLength === 12) return timeAt(Number(view.getBigInt64(4)), view.getUint32(0));
  return new Date(Number.NaN);
}

const timeAt = (seconds: number, nanoseconds: number): Date =>
  dateOf(seconds * 1_000 + Math.floor(nanoseconds / NANOSECONDS_A_MS), nanoseconds % NANOSECONDS_A_MS);

/** Whether the `length` bytes at `start` are a time that exists. Reading any other bytes would change the time. */
export function isTimestamp(bytes: Uint8Array, start: number, length: number): boolean {
  if (length === 4) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length);
  if (length === 8) return view.getUint32(0) >>> 2 < NANOSECONDS_A_SECOND;
  const seconds = Number(view.getBigInt64(4));
  return view.getUint32(0) < NANOSECONDS_A_SECOND && Math.abs(seconds) <= TIME_MS_MAX / 1_000;
}

function writeTimestamp(time: PreciseDate): Uint8Array {
  const seconds = Math.floor(time.getTime() / 1_000);
  const nanoseconds = (time.getTime() - seconds * 1_000) * NANOSECONDS_A_MS + time.nanoseconds;
  const isShort = seconds >= 0 && seconds < SECONDS_OF_64_BITS;
  const bytes = new Uint8Array(isShort ? 8 : 12);
  const view = new DataView(bytes.buffer);
  if (isShort) {
    view.setUint32(0, nanoseconds * 4 + Math.floor(seconds / 0x1_0000_0000));
    view.setUint32(4, seconds % 0x1_0000_0000);
  } else {
    view.setUint32(0, nanoseconds);
    view.setBigInt64(4, BigInt(seconds));
  }
  return bytes;
}

// Every reader and writer of MessagePack in this process then keeps all digits of times.
addExtension({ Class: PreciseDate, type: TIMESTAMP, pack: writeTimestamp, unpack: readTimestamp } as never);
