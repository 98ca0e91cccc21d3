/**
 * Reads the records of one file from a place up to its end. The form of the text (byte order mark, line breaks, names
 * of columns) is learned from the file's beginning, wherever reading starts.
 *   T1. Before new bytes are used, the bytes before them are compared with those that were read. If they differ, the
 *       file was written anew, whatever its size and its time.
 *   T2. Zero bytes at the beginning are skipped: a writer leaves them after its file was emptied.
 *   T3. The place is compared once more after the file is open, as the file may be emptied between the look and the
 *       opening. Bytes of the beginning that an earlier life saw count as read.
 */
import { type FilePlace, HEAD_BYTES, holds, markAt, markOf, TAIL_BYTES } from "../file/file_place.ts";
import type { SourceFile } from "../file/source_file.ts";
import type { RecordReader } from "./placed_item.ts";
import type { FoundRecord, RecordCutter } from "./record_cutter.ts";
import { canBeWhole, type ReadOptions, recordCutter, recordReader } from "./record_reader.ts";
import { type Encoding, shapeOf, type TextShape, unitBytesOf, wideEncodingOf } from "./text_shape.ts";

export interface TextOptions extends ReadOptions {
  readonly encoding?: Encoding;
  readonly recordBytesMax: number;
  readonly warn: (reason: string) => void;
}

/** The place where reading begins. With a mark, the file must hold the bytes that were read before. */
export type TextPlace = Pick<FilePlace, "offset" | "seen"> & Partial<Pick<FilePlace, "mark">>;

const CHUNK_BYTES = 262_144;
/** Bytes needed to see a byte order mark, or that one is missing. */
const LOOK_BYTES = 64;
const [LF, CR] = [0x0a, 0x0d];

interface Parts {
  readonly encoding: Encoding;
  readonly cutter: RecordCutter;
  readonly reader: RecordReader;
}

export class FileText {
  readonly file: SourceFile;
  readonly #options: TextOptions;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  readonly #begin: number;
  #parts: Parts | undefined;
  #nextByte: number;
  #head: Uint8Array;
  /** The bytes before `#nextByte`, as many as marks need. */
  #recent: Uint8Array;

  private constructor(file: SourceFile, options: TextOptions, offset: number, head: Uint8Array, tail: Uint8Array) {
    this.file = file;
    this.#options = options;
    this.#begin = offset;
    this.#nextByte = offset;
    this.#head = head;
    this.#recent = tail;
  }

  /** T3. Undefined if the bytes before the place differ, or are fewer. */
  static async open(file: SourceFile, options: TextOptions, place: TextPlace): Promise<FileText | undefined> {
    const { offset, mark, seen } = place;
    const headBytes = Math.min(HEAD_BYTES, Math.max(offset, seen?.bytes ?? 0));
    const tailBytes = Math.min(TAIL_BYTES, offset);
    const head = await file.bytes(0, headBytes);
    const tail = await file.bytes(offset - tailBytes, tailBytes);
    if (head.length < headBytes || tail.length < tailBytes) return undefined;
    // Compared after head and tail were read: if the bytes match now, head and tail belong to them.
    if (mark !== undefined && !(await holds(file, { ...place, mark }))) return undefined;
    return new FileText(file, options, offset, head, tail);
  }

  get offset(): number {
    return this.#parts?.cutter.offset ?? this.#begin;
  }

  /** Offset of the next read, behind the held part of a record. */
  get nextByte(): number {
    return this.#nextByte;
  }

  /** The file's first bytes that were read, now or in an earlier life. */
  get head(): Uint8Array {
    return this.#head;
  }

  get reader(): RecordReader | undefined {
    return this.#parts?.reader;
  }

  get isMidRecord(): boolean {
    return this.#nextByte > this.offset;
  }

  /** Whether the held record may end here, by its bytes. */
  get canEndHere(): boolean {
    if (this.#parts === undefined) return true;
    const { cutter, encoding } = this.#parts;
    const { format } = this.#options;
    if (cutter.isOpen) return false;
    return cutter.pending === undefined ? format !== "ndjson" : canBeWhole(cutter.pending, format, encoding);
  }

  /** The records that the next bytes complete. Undefined at the end of the file, or at `end`. T1. */
  async next(end = Number.POSITIVE_INFINITY): Promise<readonly FoundRecord[] | "written anew" | undefined> {
    for (;;) {
      const length = Math.min(CHUNK_BYTES, end - this.#nextByte);
      const count = length <= 0 ? 0 : await this.file.read(this.#chunk, length, this.#nextByte);
      // Learned before the comparison, which detects a file that is written anew meanwhile.
      if (count > 0) this.#parts ??= await this.#learn(false);
      if (!(await this.#isAsRead())) return "written anew";
      if (count === 0) return undefined;
      const parts = this.#parts;
      if (parts === undefined) return undefined;
      const skipped = Math.max(0, parts.cutter.offset - this.#nextByte);
      const chunk = this.#chunk.subarray(0, count);
      this.#remember(chunk);
      const records = parts.cutter.push(chunk.subarray(Math.min(skipped, count)));
      if (records.length > 0) return records;
    }
  }

  async finish(): Promise<readonly FoundRecord[]> {
    return this.#parts?.cutter.finish() ?? [];
  }

  /** Decides with the bytes at hand how the file is to be read, as no more have followed for long. */
  async settle(): Promise<void> {
    await this.file.settle();
    if (this.#parts === undefined && (await this.file.hasBytesAt(0))) this.#parts = await this.#learn(true);
  }

  /** A mark of the bytes before `offset`, made of the bytes that were read. */
  async mark(): Promise<string> {
    const { offset } = this;
    const from = this.#nextByte - this.#recent.length;
    const tailBytes = Math.min(TAIL_BYTES, offset);
    const isHeld =
      offset <= this.#nextByte && offset - tailBytes >= from && this.#head.length >= Math.min(HEAD_BYTES, offset);
    if (!isHeld) return markAt(this.file, offset);
    return markOf(this.#head.subarray(0, offset), this.#recent.subarray(offset - tailBytes - from, offset - from));
  }

  /** A mark of all bytes read, also of those of a held record. */
  seenMark(): string {
    const tail = this.#recent.subarray(Math.max(0, this.#recent.length - TAIL_BYTES));
    return markOf(this.#head.subarray(0, this.#nextByte), tail);
  }

  async #isAsRead(): Promise<boolean> {
    const tail = this.#recent.subarray(Math.max(0, this.#recent.length - TAIL_BYTES));
    const head = await this.file.bytes(0, this.#head.length);
    if (Buffer.compare(head, this.#head) !== 0) return false;
    return Buffer.compare(await this.file.bytes(this.#nextByte - tail.length, tail.length), tail) === 0;
  }

  #remember(chunk: Uint8Array): void {
    if (this.#head.length < HEAD_BYTES) {
      const fresh = chunk.subarray(Math.max(0, this.#head.length - this.#nextByte));
      this.#head = Buffer.concat([this.#head, fresh]).subarray(0, HEAD_BYTES);
    }
    const keptBytes = Math.min(this.#recent.length, this.#nextByte - this.offset + TAIL_BYTES);
    const isTooMuch = keptBytes > this.#options.recordBytesMax + TAIL_BYTES;
    const kept = this.#recent.subarray(this.#recent.length - (isTooMuch ? TAIL_BYTES : keptBytes));
    this.#recent = Buffer.concat([kept, chunk]);
    this.#nextByte += chunk.length;
  }

  /** Undefined while the beginning is too short to decide. */
  async #learn(isEnd: boolean): Promise<Parts | undefined> {
    const first = await this.file.bytes(0, LOOK_BYTES);
    const shape = shapeOf(first, this.#options.encoding, isEnd);
    if (shape === undefined) return undefined;
    const wide = this.#options.encoding === undefined && shape.markBytes === 0 ? wideEncodingOf(first) : undefined;
    if (wide !== undefined) this.#options.warn(`every second byte is 0: encoding ${wide} may be meant`);
    const textBegin = await this.#textBegin(shape, wide !== undefined);
    if (textBegin === undefined) return undefined;
    const reader = await recordReader(this.#options, shape.encoding);
    const at = { offset: Math.max(textBegin, this.#begin) };
    if (this.#begin <= textBegin) return { reader, encoding: shape.encoding, ...this.#cutterAt(shape, at) };
    const { scanner, cutter } = this.#cutterAt(shape, { offset: textBegin });
    const records = await firstRecords(this.file, cutter, textBegin, this.#begin);
    const named = this.#options.format === "csv" && this.#options.columns === undefined ? records.slice(0, 1) : [];
    if (named.length > 0) await reader.read(named);
    const lineBreak = "lineBreak" in scanner ? scanner.lineBreak : undefined;
    const before = await this.#unitBefore(this.#begin, shape);
    const isAfterReturn = before === CR && lineBreak === "any";
    const begin = { ...at, isMidLine: before !== LF && !isAfterReturn, isAfterReturn };
    const from = lineBreak === undefined ? begin : { ...begin, lineBreak };
    return { reader, encoding: shape.encoding, ...this.#cutterAt(shape, from) };
  }

  #cutterAt(shape: TextShape, begin: Parameters<typeof recordCutter>[3]): ReturnType<typeof recordCutter> {
    return recordCutter(this.#options, shape, this.#options.recordBytesMax, begin);
  }

  /** T2. Undefined while the file holds zero bytes only. */
  async #textBegin({ encoding, markBytes }: TextShape, isWide: boolean): Promise<number | undefined> {
    if (markBytes > 0 || isWide || unitBytesOf(encoding) === 2) return markBytes;
    for (let at = 0; ; ) {
      const chunk = await this.file.bytes(at, CHUNK_BYTES);
      const begin = chunk.findIndex((byte) => byte !== 0);
      at += begin < 0 ? chunk.length : begin;
      if (begin < 0 && chunk.length > 0) continue;
      if (at > 0) this.#options.warn(`${at} zero bytes at the beginning are left out`);
      return begin < 0 && at > 0 ? undefined : at;
    }
  }

  async #unitBefore(offset: number, { encoding }: TextShape): Promise<number> {
    const width = unitBytesOf(encoding);
    const bytes = await this.file.bytes(offset - width, width);
    if (width === 1) return bytes[0] ?? 0;
    const [first = 0, second = 0] = bytes;
    return encoding === "utf-16le" ? (second << 8) | first : (first << 8) | second;
  }
}

/** The first complete record of the file, for its line breaks and its names of columns. */
async function firstRecords(
  file: SourceFile,
  cutter: RecordCutter,
  begin: number,
  end: number,
): Promise<readonly FoundRecord[]> {
  const size = 16_384;
  for (let at = begin; ; at += size) {
    const chunk = await file.bytes(at, size);
    const records = cutter.push(chunk).filter(({ bytes }) => bytes.length > 0);
    if (records.length > 0) return records;
    if (chunk.length < size || at > end) return cutter.finish();
  }
}

export async function lastLineOf(file: SourceFile, options: TextOptions): Promise<number> {
  const look = await FileText.open(file, options, { offset: 0 });
  let offset = 0;
  for (;;) {
    const records = await look?.next();
    if (look === undefined || records === undefined || records === "written anew") return offset;
    offset = look.offset;
  }
}
