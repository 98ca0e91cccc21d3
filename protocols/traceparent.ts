/** The W3C Trace Context header `traceparent`, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */

const PATTERN = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The length of a trace context in bytes: each character is ASCII. */
export const TRACEPARENT_BYTES = 55;

/** Whether `text` is a trace context. Any other text is dropped and counted; its batch is never refused for it. */
export const isTraceparent = (text: string): boolean =>
  text.length === TRACEPARENT_BYTES && (text === lastRead || PATTERN.test(text));

/** The text that was read last: whoever asks about it next need not look at it again. */
let lastRead = "";
const decoder = new TextDecoder();

/** The trace context whose text begins at `at`; "" for bytes that are none. They lie within `bytes`. */
export function readTraceparent(bytes: Uint8Array, at: number): string {
  const traceId = at + 3;
  const parentId = traceId + 33;
  const isHex = areHex(bytes, at, 2) && areHex(bytes, traceId, 32) && areHex(bytes, parentId, 16);
  if (!isHex || !areHex(bytes, parentId + 17, 2)) return "";
  const isDashed = bytes[traceId - 1] === DASH && bytes[parentId - 1] === DASH && bytes[parentId + 16] === DASH;
  if (!isDashed || (bytes[at] === F && bytes[at + 1] === F)) return "";
  if (areZeros(bytes, traceId, 32) || areZeros(bytes, parentId, 16)) return "";
  // Not `subarray`: of a Node Buffer that makes another, at several times the cost.
  lastRead = decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + at, TRACEPARENT_BYTES));
  return lastRead;
}

const DASH = 0x2d;
const ZERO = 0x30;
const F = 0x66;
/** 1 for each digit of hexadecimal, in lower case. */
const HEX = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[0-9a-f]/.test(String.fromCharCode(byte))));

function areHex(bytes: Uint8Array, from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (HEX[bytes[at] as number] === 0) return false;
  return true;
}

function areZeros(bytes: Uint8Array, from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (bytes[at] !== ZERO) return false;
  return true;
}

/** The trace context of the events of a batch from `index` on, up to the next start; absent: these events have none. */
export interface TraceStart {
  readonly index: number;
  readonly traceparent?: string;
}

/** A batch has one trace context for all its events, or a start for each change, in the order of its events; or none. */
export interface Traced {
  readonly traceparent?: string;
  readonly traces?: readonly TraceStart[];
}

/** The trace context of one event of a batch. */
export function traceparentAt({ traceparent, traces }: Traced, index: number): string | undefined {
  if (traces === undefined) return traceparent;
  return traces.findLast((start) => start.index <= index)?.traceparent;
}

/** The trace contexts of a batch, to be spread into one that is made of it. */
export function tracesOf({ traceparent, traces }: Traced): Traced {
  if (traces !== undefined) return { traces };
  return traceparent === undefined ? NONE : { traceparent };
}

/** The trace contexts of the events from `first` on, as those of a batch of their own. */
export function tracesFrom(traced: Traced, first: number): Traced {
  if (traced.traces === undefined || first === 0) return tracesOf(traced);
  const later = traced.traces.filter(({ index }) => index > first);
  const traceparent = traceparentAt(traced, first);
  const starts = [{ index: first, ...(traceparent === undefined ? {} : { traceparent }) }, ...later];
  return { traces: starts.map((start) => ({ ...start, index: start.index - first })) };
}

const NONE: Traced = {};
