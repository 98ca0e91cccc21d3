/**
 * Input that could not be made an event: a line that is no JSON, bytes that are no UTF-8. Its bytes and the reason travel in
 * the event's place, as a list of two (`[reason, bytes]`), and the node sets the bytes aside with that reason. A node of an
 * older minor version sets the list aside as no map. docs/protocol.md has the words for other clients.
 */
import type { Event } from "./event.ts";

/** Characters of a reason that are kept. */
export const UNREADABLE_REASON_CHARACTERS_MAX = 1_000;

export class UnreadableInput {
  readonly reason: string;
  /** The bytes as they came. Whoever cuts them says so in the reason. */
  readonly original: Uint8Array;

  constructor(reason: string, original: Uint8Array) {
    this.reason = reason.slice(0, UNREADABLE_REASON_CHARACTERS_MAX);
    this.original = original;
  }
}

/** What a producer is given to send: an event, or what could not be made one, with its reason or without. */
export type EventInput = Event | Uint8Array | UnreadableInput;

export const isEvent = (input: EventInput): input is Event =>
  !(input instanceof Uint8Array) && !(input instanceof UnreadableInput);

/** The value that stands for `input` in a batch. */
export const wireValue = (input: EventInput): unknown =>
  input instanceof UnreadableInput ? [input.reason, input.original] : input;

const LIST_OF_TWO = 0x92;
const decoder = new TextDecoder();

/**
 * Reads what {@linkcode wireValue} made, from the MessagePack bytes of one value that was scanned; undefined for any other
 * value. Read by hand: a value that failed the scan is shown to no decoder.
 */
export function readUnreadable(bytes: Uint8Array): UnreadableInput | undefined {
  if (bytes[0] !== LIST_OF_TWO) return undefined;
  const reason = span(bytes, 1, [0xd9, 0xda, 0xdb]);
  if (reason === undefined) return undefined;
  const original = span(bytes, reason.end, [0xc4, 0xc5, 0xc6]);
  if (original === undefined || original.end !== bytes.length) return undefined;
  return new UnreadableInput(
    decoder.decode(bytes.subarray(reason.start, reason.end)),
    bytes.slice(original.start, original.end),
  );
}

/** Where the text or binary at `at` lies: `tokens` are those whose length follows in 1, 2 and 4 bytes. */
function span(bytes: Uint8Array, at: number, tokens: readonly number[]): { start: number; end: number } | undefined {
  const token = bytes[at] ?? 0;
  if (token >= 0xa0 && token < 0xc0 && tokens[0] === 0xd9) return { start: at + 1, end: at + 1 + (token & 0x1f) };
  const size = tokens.indexOf(token);
  if (size < 0) return undefined;
  const lengthBytes = 1 << size;
  let length = 0;
  for (let next = at + 1; next <= at + lengthBytes; next++) length = length * 256 + (bytes[next] ?? 0);
  const start = at + 1 + lengthBytes;
  return { start, end: start + length };
}
