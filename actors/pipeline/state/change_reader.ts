/**
 * Reads change batches back into tables (change_writer.ts has their form). Texts are cut out of the bytes one by one, so that
 * no key keeps its batch in memory; values stay encoded.
 */
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import { CHANGES_VERSION, TOKEN } from "./change_writer.ts";
import type { HeldValue } from "./state_values.ts";
import type { StoredKey } from "./table_keys.ts";

/** What a change batch is read into. Tables are named by their place in the batch's head. */
export interface ChangeTarget {
  head(names: readonly string[], timesMs: readonly (number | undefined)[]): void;
  put(table: number, stored: StoredKey): void;
  remove(table: number, key: string): void;
}

const WORD = 0x1_0000_0000;

/**
 * Reads a batch. Throws `ConfigurationError` `FORMAT_TOO_NEW` for a newer format (G1), and `UnavailableError`
 * `STORE_CORRUPT` for other bytes.
 */
export function readChanges(events: Uint8Array, target: ChangeTarget): void {
  const cursor = new Cursor(Buffer.from(events.buffer, events.byteOffset, events.length));
  const count = cursor.arrayLength();
  const tables = readHead(cursor, target);
  for (let at = 1; at < count; at++) {
    const length = cursor.arrayLength();
    const table = cursor.number();
    if (table >= tables) throw corrupt(`table ${table} of ${tables}`);
    const key = cursor.text();
    if (length === 2) target.remove(table, key);
    else if (length === 5) {
      const putNumber = cursor.number();
      const timeMs = cursor.time() ?? Number.NEGATIVE_INFINITY;
      target.put(table, { key, putNumber, timeMs, value: cursor.value() });
    } else throw corrupt(`a change of ${length} values`);
  }
}

/** Answers the number of tables. */
function readHead(cursor: Cursor, target: ChangeTarget): number {
  const length = cursor.arrayLength();
  const version = cursor.number();
  if (version > CHANGES_VERSION) {
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot read the state of a pipeline as its format must be at most ${CHANGES_VERSION}: current value is ${version}`,
    );
  }
  const names: string[] = [];
  const timesMs: (number | undefined)[] = [];
  while (names.length < (length - 1) / 2) {
    names.push(cursor.text());
    timesMs.push(cursor.time());
  }
  target.head(names, timesMs);
  return names.length;
}

const corrupt = (found: string): UnavailableError =>
  new UnavailableError(
    "STORE_CORRUPT",
    `Cannot read the state of a pipeline as its bytes must be a change batch: current value is ${found}`,
  );

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  arrayLength(): number {
    const token = this.#token();
    if (token >= TOKEN.array && token < TOKEN.array + 16) return token - TOKEN.array;
    if (token === TOKEN.array32) return this.#uint(4);
    throw corrupt(`token ${token} in place of an array`);
  }

  number(): number {
    const value = this.value();
    if (typeof value === "number") return value;
    throw corrupt(`${typeof value} in place of a number`);
  }

  /** Undefined where the table's time was never moved. */
  time(): number | undefined {
    const value = this.value();
    if (typeof value === "number" || value === null) return value ?? undefined;
    throw corrupt(`${typeof value} in place of a time`);
  }

  text(): string {
    const token = this.#token();
    if (token >= TOKEN.text && token < TOKEN.text + 32) return this.#utf8(token - TOKEN.text);
    if (token === TOKEN.text8) return this.#utf8(this.#uint(1));
    if (token === TOKEN.text16) return this.#utf8(this.#uint(2));
    throw corrupt(`token ${token} in place of a text`);
  }

  value(): HeldValue {
    const token = this.#token();
    if (token < 0x80) return token;
    switch (token) {
      case TOKEN.nil:
        return null;
      case TOKEN.false:
        return false;
      case TOKEN.true:
        return true;
      case TOKEN.bin8:
        return this.#latin1(this.#uint(1));
      case TOKEN.bin16:
        return this.#latin1(this.#uint(2));
      case TOKEN.bin32:
        return this.#latin1(this.#uint(4));
      case TOKEN.float64:
        return this.#bytes.readDoubleBE(this.#skip(8));
      case TOKEN.uint8:
        return this.#uint(1);
      case TOKEN.uint16:
        return this.#uint(2);
      case TOKEN.uint32:
        return this.#uint(4);
      case TOKEN.uint64:
      case TOKEN.int64:
        return this.#bytes.readInt32BE(this.#skip(4)) * WORD + this.#uint(4);
      default:
        throw corrupt(`token ${token} in place of a value`);
    }
  }

  #token(): number {
    return this.#bytes[this.#skip(1)] ?? 0;
  }

  #uint(length: number): number {
    return this.#bytes.readUIntBE(this.#skip(length), length);
  }

  #latin1(length: number): string {
    const start = this.#skip(length);
    return this.#bytes.toString("latin1", start, start + length);
  }

  #utf8(length: number): string {
    const start = this.#skip(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  /** Moves behind the next bytes. Answers where they begin. */
  #skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw corrupt(`${this.#bytes.length} bytes, and more are announced`);
    this.#at = start + length;
    return start;
  }
}
