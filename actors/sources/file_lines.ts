/**
 * Cuts a file's bytes into lines, each with its place in the file. Holds at most one line, and of one that is too long
 * only its beginning. For CSV a line break between quotes belongs to its record; a quote that is never closed ends with
 * the longest line allowed.
 */
export interface FoundLine {
  /** Byte offset of its first byte. */
  readonly position: number;
  /** Without its line break; only the beginning of a line that is too long. */
  readonly bytes: Uint8Array;
  /** The length it has, where that is over the limit. */
  readonly tooLongBytes?: number;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x22;
/** What is kept of a line that is too long, for its dead letter. */
const KEPT_BYTES = 4_096;

export class LineCutter {
  readonly #lineBytesMax: number;
  readonly #isQuoted: boolean;
  #start: number;
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;
  #length = 0;
  #isInQuotes = false;

  /** @param offset where the first byte pushed lies in the file */
  constructor(offset: number, lineBytesMax: number, isQuoted: boolean) {
    this.#start = offset;
    this.#lineBytesMax = lineBytesMax;
    this.#isQuoted = isQuoted;
  }

  /** Where the first line lies that is not complete: everything before it has been given out. */
  get offset(): number {
    return this.#start;
  }

  /** The lines that these bytes complete, in order; bytes are copied where they have to wait. */
  push(chunk: Uint8Array): FoundLine[] {
    const lines: FoundLine[] = [];
    let from = 0;
    for (let end = this.#endOfLine(chunk, 0); end >= 0; end = this.#endOfLine(chunk, from)) {
      this.#hold(chunk.subarray(from, end));
      lines.push(this.#take(1));
      from = end + 1;
    }
    if (from < chunk.length) this.#hold(chunk.slice(from));
    return lines;
  }

  /** What is left once the file has ended for good, if anything. */
  finish(): FoundLine | undefined {
    return this.#length === 0 ? undefined : this.#take(0);
  }

  #endOfLine(chunk: Uint8Array, from: number): number {
    if (!this.#isQuoted) return chunk.indexOf(NEWLINE, from);
    for (let at = from; at < chunk.length; at += 1) {
      if (chunk[at] === QUOTE) this.#isInQuotes = !this.#isInQuotes;
      if (chunk[at] !== NEWLINE) continue;
      if (!this.#isInQuotes || this.#length + at - from > this.#lineBytesMax) return at;
    }
    return -1;
  }

  #hold(piece: Uint8Array): void {
    this.#length += piece.length;
    const isTooLong = this.#length > this.#lineBytesMax;
    const room = isTooLong ? KEPT_BYTES - this.#heldBytes : piece.length;
    if (isTooLong && this.#heldBytes > KEPT_BYTES) this.#keepBeginning();
    if (room <= 0) return;
    const kept = piece.length > room ? piece.slice(0, room) : piece;
    this.#pieces.push(kept);
    this.#heldBytes += kept.length;
  }

  #keepBeginning(): void {
    const beginning = Buffer.concat(this.#pieces).subarray(0, KEPT_BYTES);
    this.#pieces = [Uint8Array.from(beginning)];
    this.#heldBytes = beginning.length;
  }

  #take(breakBytes: number): FoundLine {
    const [only] = this.#pieces;
    const held = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces);
    const position = this.#start;
    const length = this.#length;
    this.#start += length + breakBytes;
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#length = 0;
    this.#isInQuotes = false;
    if (length > this.#lineBytesMax) return { position, bytes: held, tooLongBytes: length };
    return { position, bytes: held.at(-1) === RETURN ? held.subarray(0, -1) : held };
  }
}
