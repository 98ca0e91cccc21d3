/**
 * A typed reader of MessagePack, as Go and Rust have: it tells integers from floats, which a JavaScript number does
 * not. Written from the specification and docs/protocol.md ("Records"), without the product's own readers.
 */

/** Integers are `bigint`, floats `number`; binary and extensions are the text of their bytes. */
export type Typed = null | boolean | string | bigint | number | readonly Typed[] | { readonly [key: string]: Typed };

export function readTyped(bytes: Uint8Array): Typed {
  const reader = new TypedReader(bytes);
  const value = reader.value();
  if (reader.at !== bytes.length) throw new Error(`${bytes.length - reader.at} bytes follow the value`);
  return value;
}

class TypedReader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #records = new Map<number, readonly string[]>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): Typed {
    const token = this.#uint(1);
    const keys = this.#records.get(token);
    if (keys !== undefined) return this.#record(keys);
    if (token < 0x80) return BigInt(token);
    if (token < 0x90) return this.#map(token & 0x0f);
    if (token < 0xa0) return this.#list(token & 0x0f);
    if (token < 0xc0) return this.#text(token & 0x1f);
    if (token >= 0xe0) return BigInt(token - 256);
    return this.#typed(token);
  }

  #typed(token: number): Typed {
    const start = this.at;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        this.at += 4;
        return this.#view.getFloat32(start);
      case 0xcb:
        this.at += 8;
        return this.#view.getFloat64(start);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return BigInt(this.#uint(1 << (token - 0xcc)));
      case 0xcf:
        this.at += 8;
        return this.#view.getBigUint64(start);
      case 0xd0:
        this.at += 1;
        return BigInt(this.#view.getInt8(start));
      case 0xd1:
        this.at += 2;
        return BigInt(this.#view.getInt16(start));
      case 0xd2:
        this.at += 4;
        return BigInt(this.#view.getInt32(start));
      case 0xd3:
        this.at += 8;
        return this.#view.getBigInt64(start);
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#raw("bytes", this.#uint(1 << (token - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#raw("extension", this.#uint(1 << (token - 0xc7)) + 1);
      case 0xd4:
        return this.#bytes[this.at] === 0x72 ? this.#definition() : this.#raw("extension", 2);
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#raw("extension", (1 << (token - 0xd4)) + 1);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (token - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#list(this.#uint(2 << (token - 0xdc)));
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(2 << (token - 0xde)));
      default:
        throw new Error(`byte ${token} has no meaning`);
    }
  }

  #definition(): Typed {
    this.at += 1;
    const id = this.#uint(1);
    const keys = this.value() as readonly string[];
    this.#records.set(id, keys);
    return this.#record(keys);
  }

  #record(keys: readonly string[]): Typed {
    return Object.fromEntries(keys.map((key) => [key, this.value()]));
  }

  #map(count: number): Typed {
    return Object.fromEntries(Array.from({ length: count }, () => [this.value() as string, this.value()]));
  }

  #list(count: number): Typed {
    return Array.from({ length: count }, () => this.value());
  }

  #text(length: number): string {
    this.at += length;
    return new TextDecoder("utf-8", { fatal: true }).decode(this.#bytes.subarray(this.at - length, this.at));
  }

  #raw(name: string, length: number): string {
    this.at += length;
    return `${name} ${Buffer.from(this.#bytes.subarray(this.at - length, this.at)).toString("hex")}`;
  }

  #uint(length: number): number {
    let value = 0;
    for (let left = length; left > 0; left--) value = value * 256 + (this.#bytes[this.at++] as number);
    return value;
  }
}
