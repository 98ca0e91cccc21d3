/** Chooses the events that `headrace replay` sends into a stream: of rejections and dead letters, each event once. */
import type { Event } from "../../../protocols/mod.ts";
import {
  contentOf,
  LaterLetters,
  type LetterPlace,
  placeSentFrom,
  placeText,
  type ReadLetter,
  readLetter,
} from "../../../supervisors/replay/replay_letters.ts";
import type { NodeClient } from "../node_client.ts";
import { type Range, type RangeRecord, readRange } from "./read_range.ts";

type ReadHooks = Parameters<typeof readRange>[2];

export type EventReader = (record: RangeRecord) => Event | "unreadable" | "repeated";

/**
 * Reads the event of a record, or tells that it is a repeat: each failed try has added another letter of one record.
 */
export async function eventReader(
  client: NodeClient,
  range: Range,
  into: string,
  hooks: ReadHooks,
): Promise<EventReader> {
  const { channel } = range;
  if (channel === "records") return ({ event }) => event;
  const placeOf = ({ epoch, offset }: RangeRecord): LetterPlace => ({ ...range, epoch, offset });
  const ofRejected = () =>
    into === range.stream ? laterRejections(client, range, hooks, placeOf) : earlierRejections();
  const isRepeated = channel === "rejected" ? await ofRejected() : earlierLetters();
  return (record) => {
    const at = placeOf(record);
    const read = readLetter(record.event, channel, at);
    if (read === undefined) return "unreadable";
    return isRepeated(read, at, record.event) ? "repeated" : read.event;
  };
}

type IsRepeated = (read: ReadLetter, at: LetterPlace, letter: Event) => boolean;

/**
 * An event that this command sent and the target refused again has a newer rejection. The newest is sent, as the target
 * takes no sequence up to the last one of this producer (E3).
 */
async function laterRejections(
  client: NodeClient,
  range: Range,
  hooks: ReadHooks,
  placeOf: (record: RangeRecord) => LetterPlace,
): Promise<IsRepeated> {
  const later = new LaterLetters(range.channel);
  for await (const record of readRange(client, range, hooks)) later.see(record.event, placeOf(record));
  return (read, at) => later.has(read, at);
}

/** Of the rejections of another stream, the oldest is sent, as with dead letters. */
function earlierRejections(): IsRepeated {
  const seen = new Map<string, string>();
  return ({ event }, at, letter) => {
    const content = contentOf(event);
    seen.set(placeText(at), content);
    return seen.get(placeSentFrom(letter, at) ?? "") === content;
  };
}

/**
 * The oldest letter is sent: its place never changes, however often its record is tried, so the target takes it once
 * (E3).
 */
function earlierLetters(): IsRepeated {
  const seen = new Set<string>();
  return ({ id, index, hasRun }) => {
    const own = hasRun ? `${id}.${index}` : id;
    const isRepeated = seen.has(id) || seen.has(own);
    seen.add(own);
    return isRepeated;
  };
}
