/**
 * Input that could not be made an event: a line that is no JSON, bytes that are no UTF-8. Its bytes and the reason
 * travel in place of the event, as a list (`[reason, bytes]`), and the node sets the bytes aside with that reason. A
 * node's own way in for JSON adds the path of the fault (`[reason, bytes, path]`). A node of an older minor version
 * sets the list aside, as it is no map. docs/protocol.md describes the list for other clients.
 */
import type { Event } from "../event.ts";
import { exactJson } from "./exact_json.ts";
import { toJsonValue } from "./json_values.ts";

/** The most characters of a reason, which is cut, and of a path: a longer path is left out. */
export const UNREADABLE_REASON_CHARACTERS_MAX = 1_000;

/** Input that is sent in place of an event, so that a node sets it aside as a dead letter with its reason. */
export class UnreadableInput {
  /** The reason, cut to 1,000 characters. */
  readonly reason: string;
  /** The bytes as they came. A caller that cuts them says so in the reason. */
  readonly original: Uint8Array;
  /** JSON Pointer of the fault within the input; empty for the whole. */
  readonly path: string;

  constructor(reason: string, original: Uint8Array, path = "") {
    this.reason = reason.slice(0, UNREADABLE_REASON_CHARACTERS_MAX);
    this.original = original;
    this.path = path.length > UNREADABLE_REASON_CHARACTERS_MAX ? "" : path;
  }
}

/** The most bytes of an event's JSON that are kept: with the reason they fit the size of an event. */
const EVENT_JSON_BYTES_MAX = 1_040_000;

/** An event that cannot be sent, as unreadable input of its JSON; undefined for an event without JSON. */
export function unreadableEvent(event: Event, reason: string): UnreadableInput | undefined {
  const bytes = jsonOf(event);
  if (bytes === undefined) return undefined;
  if (bytes.length <= EVENT_JSON_BYTES_MAX) return new UnreadableInput(reason, bytes);
  const kept = bytes.subarray(0, EVENT_JSON_BYTES_MAX);
  return new UnreadableInput(`${reason}; its JSON is cut to ${EVENT_JSON_BYTES_MAX} of ${bytes.length} bytes`, kept);
}

function jsonOf(event: Event): Uint8Array | undefined {
  try {
    return encoder.encode(exactJson(toJsonValue(event)));
  } catch {
    return undefined; // The event holds itself, or a value without a form in JSON: the caller has the reason already.
  }
}

/** The input of `send`: an event, or input that could not be made one, with its reason or as plain bytes. */
export type EventInput = Event | Uint8Array | UnreadableInput;

export const isEvent = (input: EventInput): input is Event =>
  !(input instanceof Uint8Array) && !(input instanceof UnreadableInput);

/** The value that stands for `input` in an encoded batch. */
export const wireValue = (input: EventInput): unknown =>
  input instanceof UnreadableInput ? [input.reason, input.original, ...(input.path === "" ? [] : [input.path])] : input;

const LIST_OF_TWO = 0x92;
const LIST_OF_THREE = 0x93;
const TEXTS = [0xd9, 0xda, 0xdb];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Reads a scanned value as unreadable input, without a decoder as the scan refused it; undefined for others. */
export function readUnreadable(bytes: Uint8Array): UnreadableInput | undefined {
  if (bytes[0] !== LIST_OF_TWO && bytes[0] !== LIST_OF_THREE) return undefined;
  const reason = span(bytes, 1, TEXTS);
  if (reason === undefined) return undefined;
  const original = span(bytes, reason.end, [0xc4, 0xc5, 0xc6]);
  if (original === undefined) return undefined;
  const path =
    bytes[0] === LIST_OF_THREE ? span(bytes, original.end, TEXTS) : { start: original.end, end: original.end };
  if (path?.end !== bytes.length) return undefined;
  const textOf = ({ start, end }: Span): string => decoder.decode(bytes.subarray(start, end));
  return new UnreadableInput(textOf(reason), bytes.slice(original.start, original.end), textOf(path));
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The place of the text or binary at `at`. @param tokens the tokens whose length follows in 1, 2 and 4 bytes */
function span(bytes: Uint8Array, at: number, tokens: readonly number[]): Span | undefined {
  const token = bytes[at] ?? 0;
  if (token >= 0xa0 && token < 0xc0 && tokens === TEXTS) return { start: at + 1, end: at + 1 + (token & 0x1f) };
  const size = tokens.indexOf(token);
  if (size < 0) return undefined;
  const lengthBytes = 1 << size;
  let length = 0;
  for (let next = at + 1; next <= at + lengthBytes; next++) length = length * 256 + (bytes[next] ?? 0);
  const start = at + 1 + lengthBytes;
  return { start, end: start + length };
}
