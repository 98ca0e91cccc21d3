/**
 * What a dead letter stands for, and which of several letters of one record a replay takes. Every failed replay adds a letter:
 * the channel is only appended to. Pure; a replay on a node and `headrace replay` into a stream both ask here.
 *
 *   L1. A letter stands for one event: the innermost one, where a replay of an earlier release had set a letter aside.
 *   L2. Letters of one record have the same `id`, and letters of two records never do. Where a letter does not say for sure
 *       which record it is of, it counts as the only letter of its own.
 *   L3. Of the letters of one output, a replay takes the newest in its range. A record on which a step failed stands for all
 *       of its outputs, but for those with a later letter.
 */
import { createHash } from "node:crypto";
import type { DeadLetter } from "../../actors/log/dead_letter.ts";
import type { Event } from "../../protocols/event.ts";
import { decodeSlice, encodeEvent } from "../../protocols/values/event_codec.ts";

/** Where a letter lies in its channel, or a record in its stream. */
export interface LetterPlace {
  readonly stream: string;
  readonly partition: number;
  readonly epoch: number;
  readonly offset: number;
}

export interface ReadLetter {
  /** L2 */
  readonly id: string;
  /** The event as it was, its own bytes, and where its record lies. */
  readonly event: Event;
  readonly original: Uint8Array;
  readonly source: Event;
  /** Which output of its record it is; 0 for a record that never came out of the steps. */
  readonly index: number;
  /** It came out of a pipeline's steps: a sink had refused it. */
  readonly hasRun: boolean;
}

/** Undefined where nobody has the event, or it is no event. @param channel that the letter lies in */
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
  // Of what an earlier release's replay read, nobody knows whether it was a letter or a record.
  const known = isSinks && isMap(source) && !isOfEarlierReplay(letter) ? source : undefined;
  const { index = 0, ...record } = known ?? place;
  const { channel = "records", isStraight, epoch, offset } = record;
  const id = `${isStraight === true ? "~straight/" : ""}${channel === "records" ? "" : `~${channel}/`}${at.stream}/${at.partition}/${epoch}/${offset}`;
  return { id, event, original, source: record, index: Number(index), hasRun };
}

/** The event as it was, out of a dead letter; undefined where nobody has it, or it is no event. */
function originalOf(letter: Event): Event | undefined {
  if (!(letter.original instanceof Uint8Array)) return undefined;
  try {
    const event: unknown = decodeSlice(letter.original);
    return isMap(event) ? event : undefined;
  } catch {
    return undefined; // Malformed: that is why it was set aside, and it would be again.
  }
}

const isMap = (value: unknown): value is Event =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const isOfReplay = ({ by, producerId }: Event): boolean => String(producerId).startsWith(`${by}/replay/`);

const isOfEarlierReplay = (letter: Event): boolean => isOfReplay(letter) && !isMap(letter.replayed);

/** An event that looks like a letter is one only inside what an earlier release's replay set aside. */
const isLetter = ({ code, path, reason, by, producerId, sequence, original }: Event): boolean =>
  [code, path, reason, by, producerId].every((text) => typeof text === "string") &&
  (by === "validation" || String(by).startsWith("sink/")) &&
  Array.isArray(sequence) &&
  sequence.length === 3 &&
  original instanceof Uint8Array;

interface Later {
  /** Newest letter of a step that failed. */
  ofRecord: number;
  readonly ofOutputs: Map<number, number>;
}

/**
 * Which letters of a range have a later one there (L3): shown every letter once, then asked. Remembers letters that replays
 * wrote, and no others: a sink's own delivery sets each output aside once.
 */
export class LaterLetters {
  readonly #channel: string;
  readonly #later = new Map<string, Later>();
  /** Rejections that name, as their sequence, a place where another one may lie: what they hold, by that place. */
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

  /** The whole letter: nothing of it is left to send. */
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

/** The text of a place, as `placeSentFrom` has it. */
export const placeText = ({ epoch, offset }: Pick<LetterPlace, "epoch" | "offset">): string => `${epoch}/${offset}`;

/**
 * Where the rejection may lie that this one repeats: `headrace replay --into-stream` sends a rejection under its place, as the
 * producer `<name>/<partition>`. It is a repeat where the same event lies there.
 */
export function placeSentFrom(letter: Event, { partition, offset }: LetterPlace): string | undefined {
  const { producerId, sequence } = letter as Partial<DeadLetter>;
  const [epoch = -1, from = -1, index] = sequence ?? [];
  if (index !== 0 || from < 0 || from >= offset || !String(producerId).endsWith(`/${partition}`)) return undefined;
  return placeText({ epoch, offset: from });
}

/** Alike for the same event, whoever wrote its bytes. No producer can make another event with the same: a replay would pass one over. */
export const contentOf = (event: Event): string => createHash("sha256").update(encodeEvent(event)).digest("base64");
