/**
 * Tells which event a dead letter stands for, and which of several letters of one record a replay sends. A failed
 * replay adds a letter, as the channel is only appended to. Pure. Used by replays on a node and by `headrace replay`
 * into a stream.
 *
 *   L1. A letter stands for one event. If a replay of an earlier release had set a letter aside, that is the innermost
 *       event.
 *   L2. Letters of one record have the same `id`, and letters of two records never have. A letter that does not name
 *       its record for certain counts as the only letter of its record.
 *   L3. Of the letters of one output, a replay takes the newest in its range. A record on which a step failed stands
 *       for all of its outputs, except those with a later letter.
 */
import { createHash } from "node:crypto";
import type { DeadLetter } from "../../actors/log/dead_letter.ts";
import type { Event } from "../../protocols/event.ts";
import { decodeSlice, encodeEvent } from "../../protocols/values/event_codec.ts";

/** The place of a letter in its channel, or of a record in its stream. */
export interface LetterPlace {
  readonly stream: string;
  readonly partition: number;
  readonly epoch: number;
  readonly offset: number;
}

export interface ReadLetter {
  /** The id of the letter's record (L2). */
  readonly id: string;
  /** The event as it was, its own bytes, and the place of its record. */
  readonly event: Event;
  readonly original: Uint8Array;
  readonly source: Event;
  /** Index among the outputs of its record; 0 for a record that never came out of the steps. */
  readonly index: number;
  /** Whether it came out of a pipeline's steps, and a sink refused it. */
  readonly hasRun: boolean;
}

/** Undefined if the event is gone, or was no event. @param channel the letter's channel */
export function readLetter(letter: Event, channel: string, at: LetterPlace): ReadLetter | undefined {
  let outer: Event = letter;
  let place: Event = { ...at, channel };
  for (;;) {
    const event = originalOf(outer);
    if (event === undefined) return undefined;
    if (isOfEarlierReplay(outer) && isLetter(event)) {
      const inner = event as Event;
      const from = outer.source as Event;
      place = {
        ...from,
        channel: inner.by === "validation" ? "rejected" : String(inner.by).replace(/^sink/, "dead_letters"),
      };
      outer = inner;
      continue;
    }
    return describe(outer, event, place, at);
  }
}

function describe(letter: Event, event: Event, { index: _index, ...place }: Event, at: LetterPlace): ReadLetter {
  const { source, code, by } = letter as Partial<DeadLetter>;
  const original = letter.original as Uint8Array;
  const isSinks = typeof by === "string" && by.startsWith("sink/");
  const hasRun = isSinks && code !== "STEP_FAILED";
  // A letter of an earlier release's replay does not tell whether that replay had read a letter or a record.
  const known = isSinks && isMap(source) && !isOfEarlierReplay(letter) ? source : undefined;
  const { index = 0, ...record } = known ?? place;
  const { channel = "records", isStraight, epoch, offset } = record;
  const id = `${isStraight === true ? "~straight/" : ""}${channel === "records" ? "" : `~${channel}/`}${at.stream}/${at.partition}/${epoch}/${offset}`;
  return { id, event, original, source: record, index: Number(index), hasRun };
}

/** The event in a dead letter, as it was. Undefined if it is gone, or was no event. */
function originalOf(letter: Event): Event | undefined {
  if (!(letter.original instanceof Uint8Array)) return undefined;
  try {
    const event: unknown = decodeSlice(letter.original);
    return isMap(event) ? event : undefined;
  } catch {
    return undefined; // The bytes were set aside as malformed, and would be again.
  }
}

const isMap = (value: unknown): value is Event =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const isOfReplay = ({ by, producerId }: Event): boolean => String(producerId).startsWith(`${by}/replay/`);

const isOfEarlierReplay = (letter: Event): boolean => isOfReplay(letter) && !isMap(letter.replayed);

/** Whether an event looks like a letter. It is one only inside a letter of an earlier release's replay. */
const isLetter = ({ code, path, reason, by, producerId, sequence, original }: Event): boolean =>
  [code, path, reason, by, producerId].every((text) => typeof text === "string") &&
  (by === "validation" || String(by).startsWith("sink/")) &&
  Array.isArray(sequence) &&
  sequence.length === 3 &&
  original instanceof Uint8Array;

interface Later {
  /** The newest letter of a failed step. */
  ofRecord: number;
  readonly ofOutputs: Map<number, number>;
}

/**
 * Tells which letters of a range have a later letter there (L3), after it has seen every letter once. Remembers only
 * letters that replays wrote, as a sink's own delivery sets each output aside once.
 */
export class LaterLetters {
  readonly #channel: string;
  readonly #later = new Map<string, Later>();
  /** Rejections whose sequence names the place of another rejection: their contents, by that place. */
  readonly #again = new Map<string, string[]>();

  constructor(channel: string) {
    this.#channel = channel;
  }

  see(letter: Event, at: LetterPlace): void {
    if (this.#channel === "rejected") this.#seeRejection(letter, at);
    else this.#seeLetter(letter, at);
  }

  #seeLetter(letter: Event, at: LetterPlace): void {
    const read = isOfReplay(letter) ? readLetter(letter, this.#channel, at) : undefined;
    if (read === undefined) return;
    const later = this.#later.get(read.id) ?? { ofRecord: -1, ofOutputs: new Map() };
    if (read.hasRun) later.ofOutputs.set(read.index, Math.max(at.offset, later.ofOutputs.get(read.index) ?? -1));
    else later.ofRecord = Math.max(at.offset, later.ofRecord);
    this.#later.set(read.id, later);
  }

  /** Whether later letters cover the whole letter, so that none of its outputs is left to send. */
  has(letter: ReadLetter, at: LetterPlace): boolean {
    if (this.#channel === "rejected") {
      return this.#again.get(placeText(at))?.includes(contentOf(letter.event)) === true;
    }
    const later = this.#later.get(letter.id);
    if (later === undefined) return false;
    return later.ofRecord > at.offset || (letter.hasRun && this.hasOutput(letter, letter.index, at));
  }

  hasOutput({ id }: ReadLetter, index: number, at: LetterPlace): boolean {
    return (this.#later.get(id)?.ofOutputs.get(index) ?? -1) > at.offset;
  }

  #seeRejection(letter: Event, at: LetterPlace): void {
    const place = placeSentFrom(letter, at);
    const event = place === undefined ? undefined : originalOf(letter);
    if (place === undefined || event === undefined) return;
    this.#again.set(place, [...(this.#again.get(place) ?? []), contentOf(event)]);
  }
}

/** The text of a place, in the form of `placeSentFrom`. */
export const placeText = ({ epoch, offset }: Pick<LetterPlace, "epoch" | "offset">): string => `${epoch}/${offset}`;

/**
 * The place of the rejection that this one may repeat. `headrace replay --into-stream` sends a rejection with its place
 * as the sequence, as the producer `<name>/<partition>`. It is a repeat if the same event lies at that place.
 */
export function placeSentFrom(letter: Event, { partition, offset }: LetterPlace): string | undefined {
  const { producerId, sequence } = letter as Partial<DeadLetter>;
  const [epoch = -1, from = -1, index] = sequence ?? [];
  if (index !== 0 || from < 0 || from >= offset || !String(producerId).endsWith(`/${partition}`)) return undefined;
  return placeText({ epoch, offset: from });
}

/** A hash of the event, whoever encoded it. It resists collisions, at which a replay would skip an event. */
export const contentOf = (event: Event): string => createHash("sha256").update(encodeEvent(event)).digest("base64");
