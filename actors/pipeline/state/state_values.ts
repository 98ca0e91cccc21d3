/**
 * The form in which a state table holds keys and values. A number, a truth value or null is held as it is. Any other value
 * is held as its MessagePack bytes, in a text of one character a byte.
 *
 * So a value that `get` answers shares nothing with the state: a change of it, or of the value that was put, reaches no
 * other call (keyed K3). A restored state answers the same values as before, because it decodes the same bytes (keyed K1).
 *
 * Measured on two cores for `{count, sum, last}` (Node 20): a put encodes in 0.4 us and a get decodes in 0.2 us. Held
 * decoded, a put copies and measures in 0.15 us, and a get copies in 0.08 us, but a restore decodes every value. A text of
 * 33 bytes takes 64 bytes of memory, the decoded map 71, and a `Buffer` 145.
 */
import { Unpackr } from "../../../deps.ts";
import { encodeEvent } from "../../../protocols/values/event_codec.ts";
import "../../../protocols/values/precise_date.ts"; // times keep all of their digits
import type { StateValue } from "../keyed_state.ts";

/** A value as it is, or a text with the bytes of its MessagePack form. */
export type HeldValue = number | boolean | null | string;

const unpacker = new Unpackr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: "auto",
  copyBuffers: true,
} as object);
/** Values are decoded in one place: a view for each one would double the time. It grows to the largest value. */
let scratch = Buffer.allocUnsafeSlow(65_536);

function scratchOf(length: number): Buffer {
  if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(length * 2);
  return scratch;
}

/** Throws the encoder's error for a value that has no MessagePack form. */
export function heldValue(value: StateValue): HeldValue {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  const bytes = encodeEvent(value);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

export function answeredValue(held: HeldValue): StateValue {
  if (typeof held !== "string") return held;
  const bytes = scratchOf(held.length);
  bytes.write(held, 0, held.length, "latin1");
  return unpackAt(bytes, held.length);
}

/** msgpackr takes the end of the bytes in place of its options. */
const unpackAt = (bytes: Buffer, end: number): StateValue =>
  (unpacker as unknown as { unpack(bytes: Buffer, end: number): StateValue }).unpack(bytes, end);

/** Bytes of the value as MessagePack. */
export function heldBytes(held: HeldValue): number {
  if (typeof held === "string") return held.length;
  return typeof held === "number" ? numberBytes(held) : 1;
}

/** Whether the number is written as an integer: a whole one up to 2^53, and not -0. */
export const isInteger = (value: number): boolean => Number.isSafeInteger(value) && !Object.is(value, -0);

function numberBytes(value: number): number {
  if (!isInteger(value)) return 9;
  const size = value < 0 ? -1 - value : value;
  if (value < 0 ? size < 0x20 : size < 0x80) return 1;
  const limits = value < 0 ? [0x80, 0x8000, 0x8000_0000] : [0x100, 0x1_0000, 0x1_0000_0000];
  const at = limits.findIndex((limit) => size < limit);
  return [2, 3, 5][at] ?? 9;
}

/** Bytes of a text as MessagePack, of which `utf8Bytes` are its characters. */
export const textBytes = (utf8Bytes: number): number =>
  utf8Bytes + (utf8Bytes < 32 ? 1 : utf8Bytes < 0x100 ? 2 : utf8Bytes < 0x1_0000 ? 3 : 5);

/** Bytes of a key and its value as MessagePack. */
export const entryBytes = (key: string, held: HeldValue): number => textBytes(Buffer.byteLength(key)) + heldBytes(held);

/** UTF-8 has no form for half of a surrogate pair, so a key counts as the text that a restore would read. */
export function wellFormed(key: string): string {
  const text = key as string & { isWellFormed(): boolean; toWellFormed(): string };
  return text.isWellFormed() ? key : text.toWellFormed();
}

/**
 * A copy of the key that stands alone. A key that was cut out of a text, as msgpackr cuts the texts of a batch out of one,
 * would keep that whole text in memory for as long as the key lives.
 */
export function ownText(key: string): string {
  const bytes = scratchOf(key.length * 3);
  return bytes.toString("utf8", 0, bytes.write(key, 0));
}
