/**
 * Finds the ends of lines, and of records of CSV.
 *   L1. Lines end with LF or CR LF. A text whose first line ends with CR alone has lines that end with CR, LF or CR LF.
 *       So the beginning of a text decides, and bytes appended later change nothing.
 *   L2. A quote counts only at the beginning of a field. Between quotes a line break belongs to the record.
 *   L3. A record with a fault in its quotes costs only its first line; scanning goes on at the next line. Faults are a
 *       quote within a field, text after a closing quote, and a quote that is not closed within the longest record
 *       allowed. A record that is too long by then has lost its beginning, and ends with its current line.
 */
import type { Cut, Scanner } from "./record_cutter.ts";

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;

export interface LineScannerOptions {
  readonly unitBytes: 1 | 2;
  readonly isBigEndian?: boolean;
  /** The units of the CSV delimiter. Absent for plain lines, where quotes have no meaning. */
  readonly delimiter?: readonly number[];
  readonly recordBytesMax: number;
  /** The kind of line break that another scanner found at the beginning of the text. */
  readonly lineBreak?: LineBreak;
  /** Whether scanning begins after a CR, whose LF may follow. */
  readonly isAfterReturn?: boolean;
}

/** `any`: CR, LF or CR LF. */
export type LineBreak = "lf" | "any";

type Place = "field_start" | "in_field" | "in_quotes" | "after_quote" | "after_return";

export class LineScanner implements Scanner {
  readonly #width: 1 | 2;
  readonly #low: 0 | 1;
  readonly #delimiter: readonly number[] | undefined;
  readonly #recordBytesMax: number;
  /** 1 for each byte that may end a field or a line, or may be a quote. */
  readonly #isSpecial = new Uint8Array(256);
  #lineBreak: LineBreak | undefined;
  #isFeedSkipped: boolean;
  /** Whether a CR was seen whose next unit, which decides L1, was not. */
  #isReturnOpen = false;
  #place: Place = "field_start";
  #matched = 0;
  #fault: string | undefined;
  #breaks = 0;
  /** End of the record's first line, and beginning of its second, from the record's start; -1 while it has one line. */
  #firstEnd = -1;
  #firstNext = -1;

  constructor(options: LineScannerOptions) {
    this.#width = options.unitBytes;
    this.#low = options.isBigEndian === true ? 1 : 0;
    this.#delimiter = options.delimiter;
    this.#recordBytesMax = options.recordBytesMax;
    this.#lineBreak = options.lineBreak;
    this.#isFeedSkipped = options.isAfterReturn === true;
    for (const unit of [LF, CR, QUOTE, options.delimiter?.[0] ?? LF]) this.#isSpecial[unit & 0xff] = 1;
  }

  get lineBreak(): LineBreak | undefined {
    return this.#lineBreak;
  }

  get isOpen(): boolean {
    return this.#place === "in_quotes";
  }

  scan(data: Uint8Array, start: number, from: number): Cut | undefined {
    if (this.#isFeedSkipped) {
      if (start >= data.length) return undefined;
      this.#isFeedSkipped = false;
      const next = start + this.#width;
      if (this.#unit(data, start) === LF) return { end: start, next, breaks: 0, isNothing: true };
    }
    if (this.#delimiter === undefined && this.#lineBreak === "lf" && this.#width === 1) {
      const end = data.indexOf(LF, from);
      if (end < 0) return undefined;
      return { end: end > start && data[end - 1] === CR ? end - 1 : end, next: end + 1, breaks: 1 };
    }
    for (let at = this.#skip(data, start, from); at < data.length; at = this.#skip(data, start, at + this.#width)) {
      const unit = this.#unit(data, at);
      if (this.#isReturnOpen) {
        this.#isReturnOpen = false;
        this.#lineBreak = unit === LF ? "lf" : "any";
        if (unit !== LF) return this.#cut(data, start, at - this.#width, at);
      }
      const cut =
        this.#place === "in_quotes" ? this.#quoted(data, start, at, unit) : this.#unquoted(data, start, at, unit);
      if (cut !== undefined) return cut;
    }
    return undefined;
  }

  /** Skips ordinary bytes, which are most of them. */
  #skip(data: Uint8Array, start: number, from: number): number {
    if (this.#width === 2 || this.#delimiter === undefined || this.#isReturnOpen || this.#matched > 0) return from;
    let at = from;
    if (this.#place === "in_field") {
      while (at < data.length && this.#isSpecial[data[at] as number] === 0) at += 1;
    } else if (this.#place === "in_quotes") {
      const end = Math.min(data.length, Math.max(from, start + this.#recordBytesMax));
      while (at < end && this.#isSpecial[data[at] as number] === 0) at += 1;
    }
    return at;
  }

  finish(data: Uint8Array, start: number): Cut {
    const isOpen = this.#place === "in_quotes";
    if (isOpen) this.#fault ??= "a quote is opened that is never closed";
    if (isOpen && this.#canGoBack(data.length - start)) return this.#firstLine(start);
    this.#isFeedSkipped = this.#isReturnOpen && this.#lineBreak !== "lf";
    return this.#cut(data, start, data.length, data.length, 0);
  }

  #unit(data: Uint8Array, at: number): number {
    if (this.#width === 1) return data[at] ?? 0;
    return ((data[at + 1 - this.#low] ?? 0) << 8) | (data[at + this.#low] ?? 0);
  }

  /** L3. Looks at one unit between quotes. */
  #quoted(data: Uint8Array, start: number, at: number, unit: number): Cut | undefined {
    if (unit === QUOTE) this.#place = "after_quote";
    else if (unit === LF || (unit === CR && this.#lineBreak === "any")) {
      const isFeedOfReturn = unit === LF && at > start && this.#unit(data, at - this.#width) === CR;
      if (!(isFeedOfReturn && this.#lineBreak === "any")) this.#breaks += 1;
      if (this.#firstNext < 0) {
        this.#firstEnd = at - start - (isFeedOfReturn ? this.#width : 0);
        this.#firstNext = at - start + this.#width;
      }
    }
    if (at - start < this.#recordBytesMax) return undefined;
    this.#fault ??= "a quote is opened that is not closed within the longest record allowed";
    if (this.#canGoBack(at + this.#width - start)) return this.#firstLine(start);
    this.#place = "in_field";
    return undefined;
  }

  #unquoted(data: Uint8Array, start: number, at: number, unit: number): Cut | undefined {
    const next = at + this.#width;
    if (unit === LF) {
      this.#lineBreak ??= "lf";
      return this.#cut(data, start, at, next);
    }
    if (unit === CR && this.#lineBreak === "any") {
      this.#isFeedSkipped = true;
      return this.#cut(data, start, at, next);
    }
    if (unit === CR && this.#lineBreak === undefined) {
      this.#isReturnOpen = true;
      return undefined;
    }
    return this.#delimiter === undefined ? undefined : this.#field(start, at, unit, this.#delimiter);
  }

  /** L2. */
  #field(start: number, at: number, unit: number, delimiter: readonly number[]): Cut | undefined {
    const before = this.#place;
    if (before === "after_return") return this.#broken(start, at, "text follows a closing quote");
    if (before === "after_quote" && this.#matched === 0) {
      if (unit === QUOTE) {
        this.#place = "in_quotes";
        return undefined;
      }
      if (unit === CR) {
        this.#place = "after_return";
        return undefined;
      }
    }
    if (before === "field_start" && unit === QUOTE) {
      this.#place = "in_quotes";
      return undefined;
    }
    this.#matched = unit === delimiter[this.#matched] ? this.#matched + 1 : unit === delimiter[0] ? 1 : 0;
    if (this.#matched === delimiter.length) {
      this.#matched = 0;
      this.#place = "field_start";
      return undefined;
    }
    if (before === "after_quote")
      return this.#matched > 0 ? undefined : this.#broken(start, at, "text follows a closing quote");
    this.#place = "in_field";
    if (unit === QUOTE) this.#fault ??= "a quote stands within a field that does not begin with one";
    return undefined;
  }

  /** L3. */
  #broken(start: number, at: number, fault: string): Cut | undefined {
    this.#fault ??= fault;
    if (this.#canGoBack(at + this.#width - start)) return this.#firstLine(start);
    this.#place = "in_field";
    return undefined;
  }

  /** Whether the record has a first line whose bytes are all held. */
  #canGoBack(shownBytes: number): boolean {
    return this.#firstNext >= 0 && shownBytes <= this.#recordBytesMax + this.#width;
  }

  #firstLine(start: number): Cut {
    const cut = { end: start + this.#firstEnd, next: start + this.#firstNext, breaks: 1, ...this.#faultOf() };
    this.#reset();
    return cut;
  }

  #cut(data: Uint8Array, start: number, end: number, next: number, ownBreaks = 1): Cut {
    const isReturned = end - this.#width >= start && this.#unit(data, end - this.#width) === CR;
    const own = isReturned && this.#lineBreak !== "any" ? end - this.#width : end;
    const breaks = this.#breaks + ownBreaks;
    const cut = this.#fault === undefined ? { end: own, next, breaks } : { end: own, next, breaks, fault: this.#fault };
    this.#reset();
    return cut;
  }

  #faultOf(): { readonly fault?: string } {
    return this.#fault === undefined ? {} : { fault: this.#fault };
  }

  #reset(): void {
    this.#place = "field_start";
    this.#matched = 0;
    this.#fault = undefined;
    this.#breaks = 0;
    this.#firstEnd = -1;
    this.#firstNext = -1;
    this.#isReturnOpen = false;
  }
}
