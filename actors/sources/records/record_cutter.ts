/**
 * Cuts bytes into records, each with its place and its line. Where a record ends is for a scanner to say; this file holds
 * the bytes meanwhile.
 *   R1. However the bytes are cut into chunks, the records are the same.
 *   R2. Of a record that is too long only the beginning is held and given out, with the length it had.
 *   R3. A record that was ended before its line break came gives what follows as a record of its own; a line break alone
 *       gives nothing.
 */
export interface FoundRecord {
  /** Byte offset of its first byte. */
  readonly position: number;
  /** 1-based line on which it begins, counted from where cutting began. */
  readonly line: number;
  /** Without its line break; only the beginning of a record that is too long. */
  readonly bytes: Uint8Array;
  /** The length it has in bytes, where that is over the limit. */
  readonly tooLongBytes?: number;
  /** Why it is no record, where the scanner could tell. */
  readonly fault?: string;
  /** The rest of a line whose first part was given out before (R3). */
  readonly isRest?: true;
}

/** Where a record ends: indexes of the bytes that were scanned. */
export interface Cut {
  /** One past its last byte. */
  readonly end: number;
  /** Where the next record begins. */
  readonly next: number;
  /** Line breaks before `next`. */
  readonly breaks: number;
  readonly fault?: string;
  /** What lies between two records, and is none. */
  readonly isNothing?: boolean;
}

export interface Scanner {
  /**
   * Where the record that begins at `start` ends; bytes before `from` were shown before. Undefined: not among these. `start` is
   * negative where the record is too long and its beginning is not held any more: a cut never lies there.
   */
  scan(data: Uint8Array, start: number, from: number): Cut | undefined;
  /** Where it ends as no bytes follow. Asked only where some of it is there. */
  finish(data: Uint8Array, start: number): Cut;
  /** The record shown so far can not end here: a quoted field of it is open. */
  readonly isOpen: boolean;
}

/** Kept of a record that is too long, for its dead letter. */
export const KEPT_BYTES = 4_096;

const NOTHING = new Uint8Array(0);

export interface CutterOptions {
  /** Where the first byte pushed lies in the input. */
  readonly offset: number;
  readonly recordBytesMax: number;
  /** Bytes of one unit of the text: chunks are shown to the scanner in whole units. */
  readonly unitBytes: 1 | 2;
  /** Cutting begins in the middle of a line (R3). */
  readonly isMidLine?: boolean;
}

export class RecordCutter {
  readonly #scanner: Scanner;
  readonly #recordBytesMax: number;
  readonly #unitBytes: 1 | 2;
  #start: number;
  #line = 1;
  #isMidLine: boolean;
  /** What was shown to the scanner and is not cut off yet. */
  #held: Uint8Array = NOTHING;
  /** Half a unit, which waits for its other half. */
  #half: Uint8Array = NOTHING;
  /** Bytes of a record that is too long which are not held. */
  #droppedBytes = 0;
  #beginning: Uint8Array = NOTHING;

  constructor(scanner: Scanner, { offset, recordBytesMax, unitBytes, isMidLine = false }: CutterOptions) {
    this.#scanner = scanner;
    this.#start = offset;
    this.#recordBytesMax = recordBytesMax;
    this.#unitBytes = unitBytes;
    this.#isMidLine = isMidLine;
  }

  /** Where the first record lies that is not complete: everything before it has been given out. */
  get offset(): number {
    return this.#start;
  }

  /** Bytes of a record that is not complete. */
  get pendingBytes(): number {
    return this.#droppedBytes + this.#held.length + this.#half.length;
  }

  /** The record that is not complete can not end here: a quoted field, or a unit of two bytes, is half there. */
  get isOpen(): boolean {
    return this.#scanner.isOpen || this.#half.length > 0;
  }

  /** Bytes of the record that is not complete; undefined where it is too long to be held. */
  get pending(): Uint8Array | undefined {
    return this.#droppedBytes > 0 ? undefined : this.#held;
  }

  /** The records that these bytes complete, in order. The chunk is copied. */
  push(chunk: Uint8Array): FoundRecord[] {
    const found: FoundRecord[] = [];
    const scanned = this.#held.length;
    let data = joined(this.#held, this.#half, chunk);
    const odd = (data.length - scanned) % this.#unitBytes;
    this.#half = data.slice(data.length - odd);
    data = data.subarray(0, data.length - odd);
    this.#hold(data, this.#cutFrom(data, 0, scanned, found));
    return found;
  }

  /** What is left as no bytes follow, or none have for long. Cutting may go on after it (R3). */
  finish(): FoundRecord[] {
    const found: FoundRecord[] = [];
    const data = joined(this.#held, this.#half, NOTHING);
    this.#half = NOTHING;
    let start = 0;
    while (start < data.length || this.#droppedBytes > 0) {
      const cut = this.#scanner.finish(data, start - this.#droppedBytes);
      this.#take(data, start, cut, found);
      this.#isMidLine = cut.breaks === 0;
      start = this.#cutFrom(data, cut.next, cut.next, found);
    }
    this.#hold(data, data.length);
    return found;
  }

  /** Takes what is complete; answers where the rest begins. */
  #cutFrom(data: Uint8Array, begin: number, scanned: number, found: FoundRecord[]): number {
    let start = begin;
    let from = scanned;
    for (let cut = this.#scanner.scan(data, start - this.#droppedBytes, from); cut !== undefined; ) {
      this.#take(data, start, cut, found);
      start = cut.next;
      from = start;
      cut = this.#scanner.scan(data, start, from);
    }
    return start;
  }

  #hold(data: Uint8Array, start: number): void {
    const rest = data.subarray(start);
    const isTooLong = this.#droppedBytes + rest.length > this.#recordBytesMax + this.#unitBytes;
    if (!isTooLong) {
      this.#held = rest.slice();
      return;
    }
    // The last unit stays: it may be a CR, which is no part of the record if LF follows.
    const droppedBytes = rest.length - this.#unitBytes;
    this.#beginning = this.#beginningWith(rest.subarray(0, droppedBytes));
    this.#droppedBytes += droppedBytes;
    this.#held = rest.slice(droppedBytes);
  }

  #take(data: Uint8Array, start: number, cut: Cut, found: FoundRecord[]): void {
    const length = this.#droppedBytes + cut.end - start;
    const position = this.#start;
    const line = this.#line;
    const isTooLong = length > this.#recordBytesMax;
    const bytes = isTooLong ? this.#beginningWith(data.subarray(start, cut.end)) : data.subarray(start, cut.end);
    const isLeftOut = cut.isNothing === true || (this.#isMidLine && length === 0);
    const rest = this.#isMidLine ? ({ isRest: true } as const) : {};
    this.#start += this.#droppedBytes + cut.next - start;
    this.#line += cut.breaks;
    this.#droppedBytes = 0;
    this.#beginning = NOTHING;
    this.#isMidLine = false;
    if (isLeftOut) return;
    if (!isTooLong && cut.fault === undefined) {
      found.push({ position, line, bytes, ...rest });
      return;
    }
    const tooLong = isTooLong ? { tooLongBytes: length } : {};
    found.push({
      position,
      line,
      bytes,
      ...rest,
      ...tooLong,
      ...(cut.fault === undefined ? {} : { fault: cut.fault }),
    });
  }

  /** R2. */
  #beginningWith(more: Uint8Array): Uint8Array {
    const held = this.#beginning;
    return joined(held, more.subarray(0, KEPT_BYTES - held.length), NOTHING);
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
