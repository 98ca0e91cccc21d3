/**
 * Writes a change batch: the keys of a pipeline's tables that have changed, as the events of one attached batch. The log keeps
 * these bytes, and change_reader.ts reads them in a later life.
 *
 *   G1. A batch carries its format version. A newer version is refused.
 *   G2. Each batch names its tables and their times, so it is understood without the batches before it.
 *
 * Version 1 is a MessagePack array. Its first value is the head: [version, name of table 0, its time, name of table 1, ...].
 * Each further value is one change: [table, key, number of the put, time of the put, value], or [table, key] for a removal.
 * A time is in ms since 1970, or nil where `at` was never called. A value is a number, a truth value or nil, or else binary
 * data: the MessagePack bytes of any other value. So a reader takes a value over without decoding it.
 */
import type { StateTable } from "./state_table.ts";
import { type HeldValue, isInteger } from "./state_values.ts";
import type { StoredKey } from "./table_keys.ts";

export const CHANGES_VERSION = 1;

export const TOKEN = {
  ...{ array32: 0xdd, array: 0x90, nil: 0xc0, false: 0xc2, true: 0xc3, bin8: 0xc4, bin16: 0xc5, bin32: 0xc6 },
  ...{ float64: 0xcb, uint8: 0xcc, uint16: 0xcd, uint32: 0xce, uint64: 0xcf, int64: 0xd3 },
  ...{ text: 0xa0, text8: 0xd9, text16: 0xda },
} as const;
const BYTES_AT_FIRST = 4_096;
/** Bytes that a change takes at most beside key and value. */
const FRAME_BYTES_MAX = 64;
const WORD = 0x1_0000_0000;

/** Bytes of a change beside its key and value, within a few: the measure by which the channel is cleaned. */
export const CHANGE_FRAME_BYTES = 24;

export class ChangeWriter {
  #bytes = Buffer.allocUnsafe(BYTES_AT_FIRST);
  /** Behind the length of the array, which is written at the end. */
  #at = 5;
  #count = 1;

  constructor(tables: readonly StateTable[]) {
    this.#array(1 + 2 * tables.length);
    this.#number(CHANGES_VERSION);
    for (const { name, keys } of tables) {
      this.#reserve(name.length * 3);
      this.#text(name);
      this.#time(keys.timeMs);
    }
  }

  /** Values of the array, its head included. */
  get count(): number {
    return this.#count;
  }

  /** Bytes so far. */
  get sizeBytes(): number {
    return this.#at;
  }

  put(table: number, { key, putNumber, timeMs, value }: StoredKey): void {
    this.#begin(5, table, key, typeof value === "string" ? value.length : 0);
    this.#number(putNumber);
    this.#time(timeMs);
    this.#value(value);
  }

  remove(table: number, key: string): void {
    this.#begin(2, table, key, 0);
  }

  end(): Uint8Array {
    this.#bytes[0] = TOKEN.array32;
    this.#bytes.writeUInt32BE(this.#count, 1);
    return this.#bytes.subarray(0, this.#at);
  }

  #begin(length: number, table: number, key: string, valueBytes: number): void {
    this.#reserve(key.length * 3 + valueBytes);
    this.#array(length);
    this.#number(table);
    this.#text(key);
    this.#count += 1;
  }

  #reserve(moreBytes: number): void {
    const neededBytes = this.#at + moreBytes + FRAME_BYTES_MAX;
    if (neededBytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(neededBytes, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }

  #array(length: number): void {
    if (length < 16) this.#bytes[this.#at++] = TOKEN.array + length;
    else {
      this.#bytes[this.#at++] = TOKEN.array32;
      this.#at = this.#bytes.writeUInt32BE(length, this.#at);
    }
  }

  #time(timeMs: number): void {
    if (Number.isFinite(timeMs)) this.#number(timeMs);
    else this.#bytes[this.#at++] = TOKEN.nil;
  }

  #value(value: HeldValue): void {
    if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.#binary(value);
    else this.#bytes[this.#at++] = value === null ? TOKEN.nil : value ? TOKEN.true : TOKEN.false;
  }

  /** An integer in its shortest form where it is not negative, any other number as a double. */
  #number(value: number): void {
    const bytes = this.#bytes;
    const at = this.#at;
    if (!isInteger(value)) this.#token(TOKEN.float64, bytes.writeDoubleBE(value, at + 1));
    else if (value < 0) this.#token(TOKEN.int64, this.#words(value));
    else if (value < 0x80) this.#token(value, at + 1);
    else if (value < 0x100) this.#token(TOKEN.uint8, bytes.writeUInt8(value, at + 1));
    else if (value < 0x1_0000) this.#token(TOKEN.uint16, bytes.writeUInt16BE(value, at + 1));
    else if (value < WORD) this.#token(TOKEN.uint32, bytes.writeUInt32BE(value, at + 1));
    else this.#token(TOKEN.uint64, this.#words(value));
  }

  /** Writes the token in front of what was written up to `end`. */
  #token(token: number, end: number): void {
    this.#bytes[this.#at] = token;
    this.#at = end;
  }

  #words(value: number): number {
    const high = Math.floor(value / WORD);
    this.#bytes.writeInt32BE(high, this.#at + 1);
    return this.#bytes.writeUInt32BE(value - high * WORD, this.#at + 5);
  }

  #binary(held: string): void {
    const { length } = held;
    const at = this.#at;
    if (length < 0x100) this.#token(TOKEN.bin8, this.#bytes.writeUInt8(length, at + 1));
    else if (length < 0x1_0000) this.#token(TOKEN.bin16, this.#bytes.writeUInt16BE(length, at + 1));
    else this.#token(TOKEN.bin32, this.#bytes.writeUInt32BE(length, at + 1));
    this.#at += this.#bytes.write(held, this.#at, length, "latin1");
  }

  /** A text of up to 65,535 bytes. Its length is written in front once it is known. */
  #text(text: string): void {
    const headBytes = text.length < 11 ? 1 : text.length < 86 ? 2 : 3;
    const length = this.#bytes.write(text, this.#at + headBytes);
    if (headBytes === 1) this.#bytes[this.#at] = TOKEN.text + length;
    else if (headBytes === 2) {
      this.#bytes[this.#at] = TOKEN.text8;
      this.#bytes[this.#at + 1] = length;
    } else {
      this.#bytes[this.#at] = TOKEN.text16;
      this.#bytes.writeUInt16BE(length, this.#at + 1);
    }
    this.#at += headBytes + length;
  }
}
