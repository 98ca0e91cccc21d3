/**
 * Writes values as MessagePack, into slabs of memory that frames share. Binary values are copied once. Values that
 * MessagePack lacks (undefined, maps with any keys, times, errors, references) are extensions, numbered in `EXTENSIONS`.
 *
 * A value that cannot be sent (a function, an instance of a class, a cycle, too many values) is a bug of the sender. It
 * throws `InvariantError`, and no byte leaves.
 */
import { HeadraceError, InvariantError, OverloadedError } from "../../../protocols/errors.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";
import type { ActorReference } from "../../kernel/actor.ts";
import { PEER_LIMITS, type WireReference } from "./peer_frames.ts";

export const EXTENSIONS = { undefined: 0, map: 1, error: 2, reference: 3, time: 4 } as const;

/** Bytes of one allocation, in which small frames lie side by side. */
const SLAB_BYTES = 65_536;
/** Characters of text up to which writing here is faster than a call of the runtime. */
const SHORT_TEXT = 48;

/** Makes a reference to a local actor, or to one of the peer's own, into the form in which it travels. */
export type ExportReference = (reference: ActorReference<never>) => WireReference;

export class PeerWriter {
  #slab = Buffer.allocUnsafe(SLAB_BYTES);
  #start = 0;
  #at = 0;
  #tokens = 0;
  #exportReference: ExportReference = refuseReference;

  /** Begins a frame. `bytes` is its expected size. */
  begin(exportReference: ExportReference = refuseReference, bytes = 0): void {
    this.#exportReference = exportReference;
    this.#start = this.#at;
    this.#tokens = 0;
    if (this.#slab.length - this.#at < bytes + 64) this.#grow(bytes + 64);
  }

  /** Ends the frame. Its memory is not written to again. */
  end(): Buffer {
    const frame = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    if (frame.length <= PEER_LIMITS.frameBytesMax) return frame;
    throw cannot(`a frame may have at most ${PEER_LIMITS.frameBytesMax} bytes: current value is ${frame.length}`);
  }

  abandon(): void {
    this.#at = this.#start;
  }

  list(count: number): void {
    this.#countTokens(1);
    if (count < 16) this.#byte(0x90 | count);
    else this.#head(0xdd, count);
  }

  value(value: unknown, depth = 0): void {
    this.#countTokens(1);
    switch (typeof value) {
      case "string":
        this.#text(value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        this.#byte(value ? 0xc3 : 0xc2);
        return;
      case "undefined":
        this.#reserve(3);
        this.#byte(0xd4); // an extension of one byte
        this.#byte(EXTENSIONS.undefined);
        this.#byte(0);
        return;
      case "bigint":
        this.#bigint(value);
        return;
      case "object":
        if (value === null) this.#byte(0xc0);
        else this.#object(value, depth);
        return;
      default:
        throw cannot(`it may not hold a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): void {
    if (value instanceof Uint8Array) {
      this.#binary(value);
      return;
    }
    if (depth >= PEER_LIMITS.depthMax) throw cannot(`it may be ${PEER_LIMITS.depthMax} levels deep: it is deeper`);
    if (Array.isArray(value)) {
      this.#head(0xdd, value.length, 0x90);
      for (const element of value) this.value(element, depth + 1);
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (isReference(value)) this.#reference(value, depth);
    else if (prototype === Object.prototype || prototype === null) this.#fields(value, depth);
    else if (value instanceof Map) this.#map(value, depth);
    else if (value instanceof Error) this.#error(value, depth);
    else if (value instanceof Date)
      this.#extension(EXTENSIONS.time, () => this.value(wireTime(value as Date), depth + 1));
    else throw cannot(`it may not hold an instance of ${value.constructor?.name ?? "a class"}`);
  }

  #fields(value: object, depth: number): void {
    const names = Object.keys(value);
    this.#head(0xdf, names.length, 0x80);
    for (const name of names) {
      if (name === "__proto__") throw cannot('it may not have a key "__proto__"');
      this.#countTokens(1);
      this.#text(name);
      this.value((value as Record<string, unknown>)[name], depth + 1);
    }
  }

  #map(value: ReadonlyMap<unknown, unknown>, depth: number): void {
    this.#extension(EXTENSIONS.map, () => {
      this.#head(0xdf, value.size, 0x80);
      for (const [key, element] of value) {
        this.value(key, depth + 1);
        this.value(element, depth + 1);
      }
    });
  }

  /** An error that is no `HeadraceError` is a bug: it arrives as `INVARIANT_VIOLATED`, with its name in the message. */
  #error(error: Error, depth: number): void {
    const isOurs = error instanceof HeadraceError;
    const parts: unknown[] = [
      isOurs ? error.code : "INVARIANT_VIOLATED",
      isOurs ? error.message : `${error.name}: ${error.message}`,
    ];
    if (error instanceof OverloadedError) parts.push(error.retryAfterMs);
    this.#extension(EXTENSIONS.error, () => this.value(parts, depth + 1));
  }

  #reference(reference: ActorReference<never>, depth: number): void {
    const wire = this.#exportReference(reference);
    this.#extension(EXTENSIONS.reference, () =>
      this.value(wire.kind === "mine" ? [wire.id, wire.path] : [wire.target], depth + 1),
    );
  }

  #extension(type: number, write: () => void): void {
    this.#reserve(6);
    const sizeAt = this.#at - this.#start + 1;
    this.#byte(0xc9);
    this.#at += 4;
    this.#byte(type);
    const before = this.#at - this.#start;
    write();
    this.#slab.writeUInt32BE(this.#at - this.#start - before, this.#start + sizeAt); // the slab may be another by now
  }

  #binary(bytes: Uint8Array): void {
    this.#reserve(bytes.length + 5);
    if (bytes.length < 256) {
      this.#byte(0xc4);
      this.#byte(bytes.length);
    } else this.#head(0xc6, bytes.length);
    this.#slab.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #text(text: string): void {
    const length = text.length;
    if (length <= SHORT_TEXT && this.#shortText(text, length)) return;
    const sizeBytes = Buffer.byteLength(text);
    this.#reserve(sizeBytes + 5);
    this.#head(0xdb, sizeBytes);
    this.#at += this.#slab.write(text, this.#at, sizeBytes, "utf8");
  }

  #shortText(text: string, length: number): boolean {
    this.#reserve(length + 2);
    const slab = this.#slab;
    let at = this.#at;
    if (length < 32) slab[at++] = 0xa0 | length;
    else {
      slab[at++] = 0xd9;
      slab[at++] = length;
    }
    for (let index = 0; index < length; index += 1) {
      const unit = text.charCodeAt(index);
      if (unit >= 0x80) return false;
      slab[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  #number(value: number): void {
    this.#reserve(9);
    if (value >= 0 && value < 0x80 && Number.isInteger(value) && !Object.is(value, -0)) {
      this.#byte(value);
    } else if (value > 0 && value <= 0xffff_ffff && Number.isInteger(value)) {
      this.#head(0xce, value);
    } else {
      // A double holds every safe integer, and is read faster than 64 bits of one.
      this.#byte(0xcb);
      this.#at = this.#slab.writeDoubleBE(value, this.#at);
    }
  }

  #bigint(value: bigint): void {
    this.#reserve(9);
    if (value >= 0n && value < 1n << 64n) {
      this.#byte(0xcf);
      this.#at = this.#slab.writeBigUInt64BE(value, this.#at);
    } else if (value < 0n && value >= -(1n << 63n)) {
      this.#byte(0xd3);
      this.#at = this.#slab.writeBigInt64BE(value, this.#at);
    } else throw cannot("a whole number must have at most 64 bits");
  }

  /** Writes a token and its size in 32 bits or, where `short` is given and the size is below 16, both in one byte. */
  #head(token: number, size: number, short?: number): void {
    this.#reserve(5);
    if (short !== undefined && size < 16) {
      this.#byte(short | size);
      return;
    }
    this.#byte(token);
    this.#at = this.#slab.writeUInt32BE(size, this.#at);
  }

  #byte(byte: number): void {
    if (this.#at === this.#slab.length) this.#reserve(1);
    this.#slab[this.#at++] = byte;
  }

  #reserve(bytes: number): void {
    if (this.#slab.length - this.#at < bytes) this.#grow(bytes);
  }

  /** Goes on in a new slab, into which the frame's bytes so far are copied. */
  #grow(bytes: number): void {
    const written = this.#at - this.#start;
    if (written + bytes > PEER_LIMITS.frameBytesMax + SLAB_BYTES)
      throw cannot(`a frame may have ${PEER_LIMITS.frameBytesMax} bytes: it has more`);
    const slab = Buffer.allocUnsafe(Math.max(SLAB_BYTES, written * 2 + bytes));
    this.#slab.copy(slab, 0, this.#start, this.#at);
    this.#slab = slab;
    this.#start = 0;
    this.#at = written;
  }

  #countTokens(count: number): void {
    this.#tokens += count;
    if (this.#tokens > PEER_LIMITS.tokensMax)
      throw cannot(`it may hold ${PEER_LIMITS.tokensMax} values: it holds more`);
  }
}

export function isReference(value: object): value is ActorReference<never> {
  const { tell, send } = value as Partial<ActorReference<never>>;
  return typeof tell === "function" && typeof send === "function";
}

function refuseReference({ path }: ActorReference<never>): never {
  throw new InvariantError(`Cannot send a reference as the frame must be a message: current value is ${path}`);
}

const cannot = (reason: string): InvariantError =>
  new InvariantError(`Cannot send a message to another node as ${reason}`);

/** Milliseconds, or a list of milliseconds and nanoseconds. Nodes of older releases cannot read the list. */
const wireTime = (time: Date): number | readonly number[] =>
  time instanceof PreciseDate ? [time.getTime(), time.nanoseconds] : time.getTime();
