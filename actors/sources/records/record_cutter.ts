/**
 * Cuts bytes into records, each with its place and its line. A scanner finds the ends of records; this file holds the
 * bytes until then.
 *   R1. However the bytes are cut into chunks, the records are the same.
 *   R2. Of a record that is too long only the beginning is held and given out, with its whole length.
 *   R3. After a record that was ended before its line break, the rest of the line is a record of its own. A line break
 *       alone is none.
 */
export interface FoundRecord {
  readonly position: number;
  /** The record's first line, 1-based, counted from the place where cutting began. */
  readonly line: number;
  /** The bytes without the line break. Of a record that is too long, only the beginning. */
  readonly bytes: Uint8Array;
  /** The record's whole length in bytes, if it is over the limit. */
  readonly tooLongBytes?: number;
  /** Why the bytes are no record, if the scanner found a fault. */
  readonly fault?: string;
  /** Present on the rest of a line whose first part was given out before (R3). */
  readonly isRest?: true;
}

/** The end of a record, by indexes into the scanned bytes. */
export interface Cut {
  readonly end: number;
  readonly next: number;
  readonly breaks: number;
  readonly fault?: string;
  /** Present if the bytes lie between two records, and are no record. */
  readonly isNothing?: boolean;
}

export interface Scanner {
  /**
   * The end of the record that begins at `start`, if it is among these bytes. Bytes before `from` were shown before. A
   * negative `start`: the beginning of a too long record is no longer held, and no cut lies in it.
   */
  scan(data: Uint8Array, start: number, from: number): Cut | undefined;
  /** The end of the last record, as no bytes follow. Called only if the record has bytes. */
  finish(data: Uint8Array, start: number): Cut;
  /** Whether the record cannot end here, as one of its quoted fields is open. */
  readonly isOpen: boolean;
}

/** How many bytes of a too long record are kept, for its dead letter. */
export const KEPT_BYTES = 4_096;

const NOTHING = new Uint8Array(0);

export interface CutterOptions {
  readonly offset: number;
  readonly recordBytesMax: number;
  /** Bytes of one unit of the text. The scanner sees whole units only. */
  readonly unitBytes: 1 | 2;
  /** Whether cutting begins in the middle of a line (R3). */
  readonly isMidLine?: boolean;
}

export class RecordCutter {
  readonly #scanner: Scanner;
  readonly #recordBytesMax: number;
  readonly #unitBytes: 1 | 2;
  #start: number;
  #line = 1;
  #isMidLine: boolean;
  /** Bytes that the scanner has seen and that are not cut off yet. */
  #held: Uint8Array = NOTHING;
  /** The first half of a unit, until the second half comes. */
  #half: Uint8Array = NOTHING;
  #droppedBytes = 0;
  #beginning: Uint8Array = NOTHING;

  constructor(scanner: Scanner, { offset, recordBytesMax, unitBytes, isMidLine = false }: CutterOptions) {
    this.#scanner = scanner;
    this.#start = offset;
    this.#recordBytesMax = recordBytesMax;
    this.#unitBytes = unitBytes;
    this.#isMidLine = isMidLine;
  }

  /** Offset of the first incomplete record. All bytes before it have been given out. */
  get offset(): number {
    return this.#start;
  }

  /** Whether the incomplete record cannot end here, within a quoted field or a unit of two bytes. */
  get isOpen(): boolean {
    return this.#scanner.isOpen || this.#half.length > 0;
  }

  /** The bytes of the incomplete record; undefined if it is too long to be held. */
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

  /** Ends the incomplete record. Cutting may go on afterwards (R3). */
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

  /** Cuts off the complete records. Answers the index of the rest. */
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
    // The last unit is held: it may be a CR, which does not belong to the record if LF follows.
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
    const record = { position, line, bytes, ...rest };
    const tooLong = isTooLong ? { tooLongBytes: length } : {};
    if (cut.fault !== undefined) found.push({ ...record, ...tooLong, fault: cut.fault });
    else found.push(isTooLong ? { ...record, ...tooLong } : record);
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
