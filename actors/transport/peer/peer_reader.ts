/**
 * Reads the values that `PeerWriter` writes. Checks its limits before it builds anything: each list and map is charged for
 * its values, which must also fit into the bytes that are left. Binary values are views of the frame. Throws
 * `RejectedError` for a malformed frame.
 */
import { errorFromCode, RejectedError } from "../../../protocols/errors.ts";
import { dateOf } from "../../../protocols/values/precise_date.ts";
import { isUtf8 } from "../../../protocols/values/utf8.ts";
import type { ActorReference } from "../../kernel/actor.ts";
import { PEER_LIMITS, type PeerTarget, type WireReference } from "./peer_frames.ts";
import { EXTENSIONS } from "./peer_writer.ts";

/** Bytes of text up to which reading here is faster than a call of the runtime. */
const SHORT_TEXT = 24;
const NO_BYTES = Buffer.alloc(0);

/** Makes a reference of a frame into one that local actors can use. */
export type ImportReference = (wire: WireReference) => ActorReference<never>;

export class PeerReader {
  #bytes: Buffer = NO_BYTES;
  #at = 0;
  #end = 0;
  #tokens = 0;
  #importReference: ImportReference = refuseReference;

  begin(bytes: Uint8Array, importReference: ImportReference = refuseReference): void {
    if (bytes.length > PEER_LIMITS.frameBytesMax) {
      throw new RejectedError(
        "FRAME_TOO_LARGE",
        `Cannot accept a frame of a node as it may have at most ${PEER_LIMITS.frameBytesMax} bytes: current value is ${bytes.length}`,
      );
    }
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = 0;
    this.#end = bytes.length;
    this.#tokens = 0;
    this.#importReference = importReference;
    this.#charge(1);
  }

  /** Releases the frame. Fields that were not read are those of a later minor version. */
  end(): void {
    this.#bytes = NO_BYTES;
  }

  list(): number {
    const token = this.#uint8();
    if (token >= 0x90 && token < 0xa0) return this.#charge(token & 0x0f);
    if (token === 0xdc) return this.#charge(this.#uint16());
    if (token === 0xdd) return this.#charge(this.#uint32());
    throw malformed("a list was expected");
  }

  value(depth = 0): unknown {
    const token = this.#uint8();
    if (token < 0x80) return token;
    if (token < 0x90) return this.#fields(this.#charge((token & 0x0f) * 2) / 2, depth);
    if (token < 0xa0) return this.#elements(this.#charge(token & 0x0f), depth);
    if (token < 0xc0) return this.#text(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint8());
      case 0xc5:
        return this.#binary(this.#uint16());
      case 0xc6:
        return this.#binary(this.#uint32());
      case 0xc7:
        return this.#extension(this.#uint8(), depth);
      case 0xc8:
        return this.#extension(this.#uint16(), depth);
      case 0xc9:
        return this.#extension(this.#uint32(), depth);
      case 0xca:
        return this.#bytes.readFloatBE(this.#skip(4));
      case 0xcb:
        return this.#bytes.readDoubleBE(this.#skip(8));
      case 0xcc:
        return this.#uint8();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return narrowed(this.#bytes.readBigUInt64BE(this.#skip(8)));
      case 0xd0:
        return this.#bytes.readInt8(this.#skip(1));
      case 0xd1:
        return this.#bytes.readInt16BE(this.#skip(2));
      case 0xd2:
        return this.#bytes.readInt32BE(this.#skip(4));
      case 0xd3:
        return narrowed(this.#bytes.readBigInt64BE(this.#skip(8)));
      case 0xd4:
        return this.#extension(1, depth);
      case 0xd9:
        return this.#text(this.#uint8());
      case 0xda:
        return this.#text(this.#uint16());
      case 0xdb:
        return this.#text(this.#uint32());
      case 0xdc:
        return this.#elements(this.#charge(this.#uint16()), depth);
      case 0xdd:
        return this.#elements(this.#charge(this.#uint32()), depth);
      case 0xde:
        return this.#fields(this.#charge(this.#uint16() * 2) / 2, depth);
      case 0xdf:
        return this.#fields(this.#charge(this.#uint32() * 2) / 2, depth);
      default:
        throw malformed(`byte 0x${token.toString(16)} has no meaning`);
    }
  }

  #elements(count: number, depth: number): unknown[] {
    checkDepth(depth);
    const list: unknown[] = [];
    for (let index = 0; index < count; index += 1) list.push(this.value(depth + 1));
    return list;
  }

  #fields(count: number, depth: number): Record<string, unknown> {
    checkDepth(depth);
    const fields: Record<string, unknown> = {};
    for (let index = 0; index < count; index += 1) {
      const name = this.value(depth + 1);
      if (typeof name !== "string" || name === "__proto__") throw malformed("a map must have text as keys");
      fields[name] = this.value(depth + 1);
    }
    return fields;
  }

  #extension(length: number, depth: number): unknown {
    const type = this.#uint8();
    const end = this.#at + length;
    if (end > this.#end) throw truncated();
    checkDepth(depth);
    const value = this.#extended(type, depth);
    if (this.#at !== end) throw malformed(`extension ${type} must be as long as it says`);
    return value;
  }

  #extended(type: number, depth: number): unknown {
    switch (type) {
      case EXTENSIONS.undefined:
        this.#skip(1);
        return undefined;
      case EXTENSIONS.map:
        return this.#map(depth);
      case EXTENSIONS.error:
        return asError(this.value(depth + 1));
      case EXTENSIONS.reference:
        return this.#importReference(asWireReference(this.value(depth + 1)));
      case EXTENSIONS.time: {
        const time = this.value(depth + 1);
        const [atMs, nanoseconds = 0] = Array.isArray(time) ? (time as unknown[]) : [time];
        if (typeof atMs !== "number" || !isWithinMs(nanoseconds)) throw malformed("a time must be a number");
        return dateOf(atMs, nanoseconds);
      }
      default:
        throw malformed(`extension ${type} is not known`);
    }
  }

  #map(depth: number): Map<unknown, unknown> {
    const token = this.#uint8();
    let count: number;
    if (token >= 0x80 && token < 0x90) count = token & 0x0f;
    else if (token === 0xde) count = this.#uint16();
    else if (token === 0xdf) count = this.#uint32();
    else throw malformed("a map was expected");
    this.#charge(count * 2);
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < count; index += 1) {
      const key = this.value(depth + 1);
      map.set(key, this.value(depth + 1));
    }
    return map;
  }

  #binary(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  #text(length: number): string {
    const start = this.#skip(length);
    const bytes = this.#bytes;
    let text = "";
    let at = start;
    if (length <= SHORT_TEXT) {
      for (; at < this.#at; at += 1) {
        const byte = bytes[at] as number;
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (at === this.#at) return text;
    }
    if (!isUtf8(bytes, at, this.#at)) throw malformed("text must be valid UTF-8");
    return bytes.toString("utf8", start, this.#at);
  }

  #skip(length: number): number {
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw truncated();
    return start;
  }

  #uint8(): number {
    return this.#bytes[this.#skip(1)] as number;
  }

  #uint16(): number {
    return this.#bytes.readUInt16BE(this.#skip(2));
  }

  #uint32(): number {
    return this.#bytes.readUInt32BE(this.#skip(4));
  }

  #charge(count: number): number {
    // Every value takes at least a byte, so a count beyond the bytes that are left is refused before anything is built.
    if (count > this.#end - this.#at) throw truncated();
    this.#tokens += count;
    if (this.#tokens > PEER_LIMITS.tokensMax) {
      throw new RejectedError(
        "FRAME_TOO_COMPLEX",
        `Cannot accept a frame of a node as it may hold at most ${PEER_LIMITS.tokensMax} values: it holds more`,
      );
    }
    return count;
  }
}

/** The value as a number where that is exact, else as a bigint. */
const narrowed = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

function checkDepth(depth: number): void {
  // The frame itself is a list, so a message's values lie one level deeper than in the message.
  if (depth <= PEER_LIMITS.depthMax + 1) return;
  throw new RejectedError(
    "FRAME_TOO_COMPLEX",
    `Cannot accept a frame of a node as it may be at most ${PEER_LIMITS.depthMax} levels deep: it is deeper`,
  );
}

function asError(parts: unknown): Error {
  if (!Array.isArray(parts)) throw malformed("an error must be a list");
  const [code, message, retryAfterMs] = parts as unknown[];
  if (typeof code !== "string" || typeof message !== "string")
    throw malformed("an error must have a code and a message");
  return errorFromCode(code, message, typeof retryAfterMs === "number" ? retryAfterMs : undefined);
}

function asWireReference(parts: unknown): WireReference {
  if (!Array.isArray(parts)) throw malformed("a reference must be a list");
  const [target, path] = parts as unknown[];
  if (path === undefined && isTarget(target)) return { kind: "yours", target };
  if (typeof target !== "number" || !isTarget(target) || typeof path !== "string")
    throw malformed("a reference must have a number and a path");
  return { kind: "mine", id: target, path };
}

export const isTarget = (value: unknown): value is PeerTarget =>
  typeof value === "string" || (Number.isSafeInteger(value) && (value as number) > 0);

function refuseReference(): never {
  throw malformed("a frame of the handshake may not hold a reference");
}

export const malformed = (reason: string): RejectedError =>
  new RejectedError("MALFORMED_FRAME", `Cannot read a frame of a node as ${reason}`);

const truncated = (): RejectedError => malformed("a value must end within it: it is cut short or its length is wrong");

const isWithinMs = (nanoseconds: unknown): nanoseconds is number =>
  Number.isInteger(nanoseconds) && (nanoseconds as number) >= 0 && (nanoseconds as number) < 1_000_000;
