/**
 * The kinds of numbers in MessagePack. msgpackr writes a whole number beyond 32 bits as a float, and -0 as an integer:
 * a typed reader then gets a float for an integer, and the sign is lost. Here each whole number from -2^53 to 2^53 is
 * written as an integer, and -0 as a float.
 */
import { addExtension, type Packr } from "../../deps.ts";
import { WHOLE_MAX } from "./exact_json.ts";
import type { NumberKinds } from "./number_kinds.ts";

/** Packs a value so that each of its numbers keeps its kind. */
export function packNumbers(packer: Packr, value: unknown, { mayBeLong, mayBeMinusZero }: NumberKinds): Uint8Array {
  const packed = pack(packer, mayBeMinusZero ? withMinusZeros(value) : value);
  if (mayBeLong) writeIntegers(packed);
  return packed;
}

/**
 * Packs a value. The packer takes a map with a key `constructor` for an instance of a class, and calls its `toJSON`;
 * both may be keys of an event. Where that throws, the value is packed again without calls of `toJSON`.
 */
function pack(packer: Packr, value: unknown): Uint8Array {
  try {
    return packer.pack(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const asking = packer as { useToJSON?: boolean };
    asking.useToJSON = false;
    try {
      return packer.pack(value);
    } finally {
      delete asking.useToJSON;
    }
  }
}

/**
 * Rewrites whole floats as integers, in place: a float 64 and an integer of 64 bits both take nine bytes. The bytes
 * come from the packer and are not checked. Maps and records need no walk of their own, as their values follow their
 * headers.
 */
function writeIntegers(packed: Uint8Array): void {
  for (let at = 0; at < packed.length; ) {
    const token = packed[at] as number;
    if (token < 0xa0 || token >= 0xe0) {
      at++;
    } else if (token < 0xc0) {
      at += 1 + (token & 0x1f);
    } else if (token === 0xcb) {
      // The first byte of a double between 2^31 and 2^53 is one of three.
      const first = (packed[at + 1] as number) & 0x7f;
      if (first >= 0x41 && first <= 0x43) rewriteFloat(packed, at);
      at += 9;
    } else {
      at += sizeOf(packed, at, token);
    }
  }
}

const WORD = 0x1_0000_0000;
/** The hidden first bit of a double's 53 bits, as a number. */
const FIRST_DIGIT = 0x10_0000 * WORD;
/** 2^-21 to 2: the factors of the 53 bits for doubles between 2^31 and 2^54. */
const SCALES = Float64Array.from({ length: 23 }, (_, index) => 2 ** (index - 21));
/** The exponent of 2^31, as a double holds it. */
const LEAST_EXPONENT = 1_023 + 31;

/** Reads the float and writes the integer as two words each, which is faster than a `DataView`. */
function rewriteFloat(packed: Uint8Array, at: number): void {
  const upper = wordAt(packed, at + 1);
  const scale = SCALES[((upper >>> 20) & 0x7ff) - LEAST_EXPONENT];
  if (scale === undefined) return;
  const size = (FIRST_DIGIT + (upper & 0xf_ffff) * WORD + wordAt(packed, at + 5)) * scale;
  if (size > WHOLE_MAX || Math.floor(size) !== size) return;
  const value = upper < 0x8000_0000 ? size : -size;
  packed[at] = value < 0 ? 0xd3 : 0xcf;
  putWord(packed, at + 1, Math.floor(value / WORD));
  putWord(packed, at + 5, value);
}

const wordAt = (packed: Uint8Array, at: number): number =>
  (((packed[at] as number) << 24) |
    ((packed[at + 1] as number) << 16) |
    ((packed[at + 2] as number) << 8) |
    (packed[at + 3] as number)) >>>
  0;

function putWord(packed: Uint8Array, at: number, word: number): void {
  packed[at] = word >>> 24;
  packed[at + 1] = word >>> 16;
  packed[at + 2] = word >>> 8;
  packed[at + 3] = word;
}

/** Bytes of the value at `at`; for a list or a map, bytes of its header. */
function sizeOf(packed: Uint8Array, at: number, token: number): number {
  switch (token) {
    case 0xcc:
    case 0xd0:
      return 2;
    case 0xcd:
    case 0xd1:
    case 0xd4:
    case 0xdc:
    case 0xde:
      return 3;
    case 0xd5:
      return 4;
    case 0xca:
    case 0xce:
    case 0xd2:
    case 0xdd:
    case 0xdf:
      return 5;
    case 0xd6:
      return 6;
    case 0xcf:
    case 0xd3:
      return 9;
    case 0xd7:
      return 10;
    case 0xd8:
      return 18;
    case 0xc4:
    case 0xd9:
      return 2 + lengthAt(packed, at + 1, 1);
    case 0xc5:
    case 0xda:
      return 3 + lengthAt(packed, at + 1, 2);
    case 0xc6:
    case 0xdb:
      return 5 + lengthAt(packed, at + 1, 4);
    case 0xc7:
      return 3 + lengthAt(packed, at + 1, 1);
    case 0xc8:
      return 4 + lengthAt(packed, at + 1, 2);
    case 0xc9:
      return 6 + lengthAt(packed, at + 1, 4);
    default:
      return 1;
  }
}

function lengthAt(packed: Uint8Array, at: number, lengthBytes: number): number {
  let length = 0;
  for (let next = at; next < at + lengthBytes; next++) length = length * 256 + (packed[next] as number);
  return length;
}

// Minus zero ----------------------------------------------------------------------------------------------------------

/** Stands for -0 where msgpackr is to write it as a float. */
class MinusZero {}

const MINUS_ZERO = new MinusZero();
/** The packer needs a type for each extension. This one writes a float without a header: no reader meets the type. */
const UNUSED_TYPE = 0x2d;

addExtension({
  Class: MinusZero,
  type: UNUSED_TYPE,
  pack: (_value: MinusZero, allocate: (sizeBytes: number) => { targetView: DataView; position: number }) => {
    const { targetView, position } = allocate(9);
    targetView.setUint8(position, 0xcb);
    targetView.setFloat64(position + 1, -0);
  },
  unpack: () => {
    throw new Error("Unknown extension type");
  },
} as never);

/** A copy of the value in which `MinusZero` stands for each -0; the value itself where it has none. */
function withMinusZeros(value: unknown): unknown {
  if (typeof value === "number") return isMinusZero(value) ? MINUS_ZERO : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return listWithMinusZeros(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let changed: object | undefined;
  for (const key in value) {
    const before = (value as Readonly<Record<string, unknown>>)[key];
    if (typeof before !== "object" && !isMinusZero(before)) continue;
    const after = withMinusZeros(before);
    if (after === before) continue;
    changed ??= { ...value };
    // Defined instead of assigned, so that a key "__proto__" stays a key.
    Object.defineProperty(changed, key, { value: after, enumerable: true, writable: true, configurable: true });
  }
  return changed ?? value;
}

function listWithMinusZeros(list: readonly unknown[]): readonly unknown[] {
  let changed: unknown[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const before = list[index];
    if (typeof before !== "object" && !isMinusZero(before)) continue;
    const after = withMinusZeros(before);
    if (after === before) continue;
    changed ??= [...list];
    changed[index] = after;
  }
  return changed ?? list;
}

const isMinusZero = (value: unknown): boolean => value === 0 && Object.is(value, -0);
