/**
 * Finds the ends of the top values of a JSON text: the elements of one array, or values that follow each other.
 * `parseJson` judges whether a value is valid.
 *   J1. A line break within a string ends the value, as JSON allows none there. So a string that is never closed costs
 *       one line.
 */
import type { Cut, Scanner } from "./record_cutter.ts";

const LF = 0x0a;
const OPENING: ReadonlySet<number> = new Set([0x7b, 0x5b]);
const CLOSING: ReadonlySet<number> = new Set([0x7d, 0x5d]);
const WHITE: ReadonlySet<number> = new Set([0x20, 0x09, LF, 0x0d]);
const [QUOTE, BACKSLASH, COMMA, LIST, LIST_END] = [0x22, 0x5c, 0x2c, 0x5b, 0x5d];

export class JsonScanner implements Scanner {
  readonly #width: 1 | 2;
  readonly #low: 0 | 1;
  #isInArray: boolean | undefined;
  #isClosed = false;
  #isInValue = false;
  #isInText = false;
  #isEscaped = false;
  #depth = 0;
  #breaks = 0;

  constructor(unitBytes: 1 | 2, isBigEndian: boolean) {
    this.#width = unitBytes;
    this.#low = isBigEndian ? 1 : 0;
  }

  /** Whether the array around the values is still open: then the text was cut short. */
  get isArrayOpen(): boolean {
    return this.#isInArray === true && !this.#isClosed;
  }

  get isOpen(): boolean {
    return this.#isInValue;
  }

  scan(data: Uint8Array, _start: number, from: number): Cut | undefined {
    for (let at = from; at < data.length; at += this.#width) {
      const unit =
        this.#width === 1 ? (data[at] ?? 0) : ((data[at + 1 - this.#low] ?? 0) << 8) | (data[at + this.#low] ?? 0);
      const next = at + this.#width;
      if (unit === LF) this.#breaks += 1;
      if (this.#isInText) {
        if (unit === LF) return this.#cut(at, next, "a string of JSON must end on its line");
        this.#stepInText(unit);
      } else if (this.#isInValue) {
        const cut = this.#stepInValue(unit, at, next);
        if (cut !== undefined) return cut;
      } else if (this.#isSeparator(unit)) {
        const { breaks } = this.#cut(at, next);
        return { end: next, next, breaks, isNothing: true };
      } else {
        this.#isInValue = true;
        this.#step(unit);
      }
    }
    return undefined;
  }

  finish(data: Uint8Array): Cut {
    return this.#cut(data.length, data.length);
  }

  #isSeparator(unit: number): boolean {
    if (WHITE.has(unit)) return true;
    if (this.#isInArray === undefined) {
      this.#isInArray = unit === LIST;
      return this.#isInArray;
    }
    if (this.#isInArray && unit === LIST_END) this.#isClosed = true;
    return this.#isInArray && (unit === COMMA || unit === LIST_END);
  }

  #stepInValue(unit: number, at: number, next: number): Cut | undefined {
    const isEnd =
      this.#depth === 0 && (WHITE.has(unit) || (this.#isInArray === true && (unit === COMMA || unit === LIST_END)));
    if (isEnd) {
      if (unit === LIST_END) this.#isClosed = true;
      return this.#cut(at, next);
    }
    this.#step(unit);
    return this.#depth === 0 && CLOSING.has(unit) ? this.#cut(next, next) : undefined;
  }

  #step(unit: number): void {
    if (unit === QUOTE) this.#isInText = true;
    else if (OPENING.has(unit)) this.#depth += 1;
    else if (CLOSING.has(unit) && this.#depth > 0) this.#depth -= 1;
  }

  #stepInText(unit: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (unit === BACKSLASH) this.#isEscaped = true;
    else if (unit === QUOTE) this.#isInText = false;
  }

  #cut(end: number, next: number, fault?: string): Cut {
    const breaks = this.#breaks;
    this.#isInValue = false;
    this.#isInText = false;
    this.#isEscaped = false;
    this.#depth = 0;
    this.#breaks = 0;
    return { end, next, breaks, ...(fault === undefined ? {} : { fault }) };
  }
}
