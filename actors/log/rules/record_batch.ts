/**
 * The stored form of record batches, the same bytes in every log. An **entry** of a store holds one or more record batches
 * end to end. The entry's key gives their place (`<epoch>-<last offset>`), its bytes the rest. Decides the layout, its
 * version and its checksum; leaves keys and grouping to the logs.
 *
 *   B1. A batch decodes by itself and carries its format version. A newer version is refused (log L5).
 *   B2. The events end the batch, byte for byte as they were appended.
 *   B3. The checksum covers all bytes that follow it: a damaged page is `STORE_CORRUPT`, never a wrong record.
 *
 * Version 1, big-endian:
 *   u8 version, u8 zero, u16 zero, u32 bytes of the whole batch, u32 crc32 of all bytes that follow,
 *   u32 records, u32 events, f64 appendedAtMs, u32 schemaVersion,
 *   u16 bytes of the traceparent, u16 bytes of the producer id, u8 flags,
 *   sequences (3 x f64: of the first event, or of each), producer id, traceparent, bitmap of rejected events, events.
 * Version 2 has in place of the traceparent, for each change of the trace context:
 *   u32 index of the first event that has it, u8 bytes of the context (0: none), the context.
 * A batch with one trace context or none is written as version 1, which older releases read.
 */
import { crc32 } from "node:zlib";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import { type Epoch, offset } from "../../../protocols/position.ts";
import { type Sequence, type Sequences, sequenceCount } from "../../../protocols/sequence.ts";
import type { TraceStart } from "../../../protocols/traceparent.ts";
import type { RecordBatch } from "../log.ts";
import type { StoredBatch } from "../stored_batches.ts";

const RECORD_BATCH_VERSION = 2;
/** The version of a batch with one trace context or none. */
const PLAIN_VERSION = 1;
/** Small batches of one call share an entry up to this size, because a store works and a read seeks by entry. */
export const ENTRY_BYTES_TARGET = 65_536;

const FIXED_BYTES = 37;
const CHECKED_FROM = 12;
const [LISTED, TRACED, HAS_REJECTS, MANY_TRACES] = [1, 2, 4, 8];
/** Of the start of one trace context: index and length. */
const TRACE_START_BYTES = 5;
const SEQUENCE_BYTES = 24;

export function storedBytes({ producerId, sequences, rejected, traceparent, traces, events }: StoredBatch): number {
  const listed = "list" in sequences ? sequences.list.length : 1;
  let sizeBytes = FIXED_BYTES + listed * SEQUENCE_BYTES + Buffer.byteLength(producerId) + events.length;
  if (rejected !== undefined) sizeBytes += rejected.length;
  if (traces !== undefined) for (const one of traces) sizeBytes += TRACE_START_BYTES + (one.traceparent?.length ?? 0);
  else if (traceparent !== undefined) sizeBytes += Buffer.byteLength(traceparent);
  return sizeBytes;
}

/** Writes `batch` at `start` of `target` and answers where it ends; `target` has room for {@linkcode storedBytes}. */
function writeStoredBatch(target: Buffer, start: number, batch: StoredBatch): number {
  const { sequences, traceparent, traces, rejected, events } = batch;
  let at = start + FIXED_BYTES;
  let flags = 0;
  if ("list" in sequences) {
    flags |= LISTED;
    for (const sequence of sequences.list) at = writeSequence(target, at, sequence);
  } else at = writeSequence(target, at, sequences.first);
  const producerBytes = target.write(batch.producerId, at);
  at += producerBytes;
  const tracesAt = at;
  if (traces !== undefined) {
    flags |= MANY_TRACES;
    for (const one of traces) at = writeTraceStart(target, at, one);
  } else if (traceparent !== undefined) {
    flags |= TRACED;
    at += target.write(traceparent, at);
  }
  const tracesBytes = at - tracesAt;
  if (rejected !== undefined) {
    flags |= HAS_REJECTS;
    target.set(rejected, at);
    at += rejected.length;
  }
  target.set(events, at);
  const end = at + events.length;
  target[start] = traces === undefined ? PLAIN_VERSION : RECORD_BATCH_VERSION;
  target.fill(0, start + 1, start + 4);
  target.writeUInt32BE(end - start, start + 4);
  target.writeUInt32BE(batch.count, start + 12);
  target.writeUInt32BE(sequenceCount(sequences), start + 16);
  target.writeDoubleBE(batch.appendedAtMs, start + 20);
  target.writeUInt32BE(batch.schemaVersion, start + 28);
  target.writeUInt16BE(tracesBytes, start + 32);
  target.writeUInt16BE(producerBytes, start + 34);
  target[start + 36] = flags;
  target.writeUInt32BE(crc32(target.subarray(start + CHECKED_FROM, end)), start + 8);
  return end;
}

/** Groups batches in their order. Small ones share an entry of up to `ENTRY_BYTES_TARGET`: a store works by entry. */
export class EntryGroups {
  readonly groups: StoredBatch[][] = [];
  #sizeBytes = 0;

  add(batch: StoredBatch, sizeBytes: number): void {
    const group = this.groups.at(-1);
    const isFull = this.#sizeBytes + sizeBytes > ENTRY_BYTES_TARGET;
    if (group === undefined || isFull) this.groups.push([batch]);
    else group.push(batch);
    this.#sizeBytes = isFull ? sizeBytes : this.#sizeBytes + sizeBytes;
  }
}

export function encodeEntry(batches: readonly StoredBatch[]): Buffer {
  let sizeBytes = 0;
  for (const batch of batches) sizeBytes += storedBytes(batch);
  const entry = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for (const batch of batches) at = writeStoredBatch(entry, at, batch);
  return entry;
}

/**
 * The batches of an entry, in order. Their binary fields are views of the entry. Throws `ConfigurationError` for a newer
 * format (B1) and `UnavailableError` for damaged bytes (B3).
 */
export function decodeEntry(entry: Uint8Array, epoch: Epoch, lastOffset: number): RecordBatch[] {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.length);
  const batches: RecordBatch[] = [];
  const name = `${epoch}-${lastOffset}`;
  for (let at = 0; at < bytes.length; ) {
    const sizeBytes = checkedSize(bytes, at, name);
    batches.push({ epoch, firstOffset: offset(0), ...readStoredBatch(bytes.subarray(at, at + sizeBytes)) });
    at += sizeBytes;
  }
  let endOffset = lastOffset + 1;
  for (const batch of batches.toReversed()) {
    endOffset -= batch.count;
    (batch as { firstOffset: number }).firstOffset = endOffset;
  }
  return batches;
}

function checkedSize(bytes: Buffer, at: number, name: string): number {
  const version = bytes[at] ?? 0;
  if (version > RECORD_BATCH_VERSION) {
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot read entry ${name} as its format must be at most ${RECORD_BATCH_VERSION}: current value is ${version}`,
    );
  }
  const left = bytes.length - at;
  const sizeBytes = left < FIXED_BYTES ? 0 : bytes.readUInt32BE(at + 4);
  const isHeader = version !== 0 && sizeBytes >= FIXED_BYTES && bytes.readUIntBE(at + 1, 3) === 0;
  if (!isHeader || sizeBytes > left) throw corrupt(name, `its length is ${sizeBytes}`);
  const expected = bytes.readUInt32BE(at + 8);
  const found = crc32(bytes.subarray(at + CHECKED_FROM, at + sizeBytes));
  if (found !== expected) throw corrupt(name, `its checksum is ${found}, not ${expected}`);
  return sizeBytes;
}

const corrupt = (name: string, reason: string): UnavailableError =>
  new UnavailableError("STORE_CORRUPT", `Cannot read entry ${name} as its bytes are damaged: ${reason}`);

function readStoredBatch(bytes: Buffer): StoredBatch {
  const flags = bytes[36] ?? 0;
  const eventCount = bytes.readUInt32BE(16);
  let at = FIXED_BYTES;
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const readSequence = (): Sequence => {
    at += SEQUENCE_BYTES;
    return [bytes.readDoubleBE(at - 24), bytes.readDoubleBE(at - 16), bytes.readDoubleBE(at - 8)];
  };
  const sequences: Sequences =
    (flags & LISTED) === 0
      ? { first: readSequence(), count: eventCount }
      : { list: Array.from({ length: eventCount }, readSequence) };
  const producerId = take(bytes.readUInt16BE(34)).toString();
  const traceparent = (flags & TRACED) === 0 ? undefined : take(bytes.readUInt16BE(32)).toString();
  const traces = (flags & MANY_TRACES) === 0 ? undefined : readTraceStarts(take(bytes.readUInt16BE(32)));
  const rejected = (flags & HAS_REJECTS) === 0 ? undefined : take((eventCount + 7) >> 3);
  return {
    count: bytes.readUInt32BE(12),
    appendedAtMs: bytes.readDoubleBE(20),
    schemaVersion: bytes.readUInt32BE(28),
    producerId,
    sequences,
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(traces === undefined ? {} : { traces }),
    ...(rejected === undefined ? {} : { rejected }),
    events: bytes.subarray(at),
  };
}

function writeTraceStart(target: Buffer, at: number, { index, traceparent = "" }: TraceStart): number {
  target.writeUInt32BE(index, at);
  target[at + 4] = traceparent.length;
  return at + TRACE_START_BYTES + target.write(traceparent, at + TRACE_START_BYTES, "latin1");
}

function readTraceStarts(bytes: Buffer): TraceStart[] {
  const traces: TraceStart[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + TRACE_START_BYTES + (bytes[at + 4] ?? 0);
    const traceparent = bytes.toString("latin1", at + TRACE_START_BYTES, end);
    traces.push({ index: bytes.readUInt32BE(at), ...(traceparent === "" ? {} : { traceparent }) });
    at = end;
  }
  return traces;
}

function writeSequence(target: Buffer, at: number, [term, position, index]: Sequence): number {
  target.writeDoubleBE(term, at);
  target.writeDoubleBE(position, at + 8);
  target.writeDoubleBE(index, at + 16);
  return at + SEQUENCE_BYTES;
}
