/**
 * The partition of an event: murmur3 (x86, 32 bits, seed 0) of its key's UTF-8 bytes, unsigned, modulo the stream's
 * partitions. The key is the value at a JSON Pointer (RFC 6901). Clients in all languages must agree on this:
 * `vectors.json` has test vectors.
 */
import type { Event } from "./event.ts";

const encoder = new TextEncoder();

/** MurmurHash3 x86 32-bit (Austin Appleby, public domain algorithm) of the first `length` bytes, unsigned. */
export function murmur3(bytes: Uint8Array, seed = 0, length = bytes.length): number {
  const blockBytes = length & ~3;
  let hash = seed;
  for (let at = 0; at < blockBytes; at += 4) {
    hash ^= mixBlock(
      byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24),
    );
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = length - 1; at >= blockBytes; at--) tail = (tail << 8) | byteAt(bytes, at);
  if (length > blockBytes) hash ^= mixBlock(tail);
  return avalanche(hash ^ length);
}

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

function mixBlock(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The partition, from 0, of events with this key. @param partitions number of the stream's partitions, from 1 */
export function partitionOfKey(key: string, partitions: number): number {
  // Most keys are short ASCII: copying those by hand takes a third of TextEncoder's time.
  if (key.length > scratch.length) return murmur3(encoder.encode(key)) % partitions;
  for (let at = 0; at < key.length; at++) {
    const code = key.charCodeAt(at);
    if (code >= 0x80) return murmur3(encoder.encode(key)) % partitions;
    scratch[at] = code;
  }
  return murmur3(scratch, 0, key.length) % partitions;
}

const scratch = new Uint8Array(64);

/**
 * The text of the value at `pointer`: a string as it is, a number, big integer or boolean as its JSON text. `undefined`
 * where the event has no such value, or it is null, a list, a map, binary or a timestamp: such an event has no key, and
 * any partition will do.
 */
export function keyOf(event: Event, pointer: readonly string[]): string | undefined {
  let value: unknown = event;
  for (const part of pointer) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Event)[part];
  }
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : undefined;
  return typeof value === "boolean" || typeof value === "bigint" ? String(value) : undefined;
}

/** Splits a JSON Pointer into its unescaped reference tokens. Throws `RangeError` where it does not begin with `/`. */
export function parsePointer(pointer: string): readonly string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) {
    throw new RangeError(
      `Cannot read a JSON Pointer as it must be empty or begin with "/": current value is ${pointer}`,
    );
  }
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Joins reference tokens to a JSON Pointer, escaping `~` and `/`. */
export const formatPointer = (parts: readonly (string | number)[]): string =>
  parts.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
