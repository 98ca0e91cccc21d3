/** What `headrace replay` sends into a stream of each record that it reads: of what was set aside, each event once. */
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

/** Of the letters of one record one is sent: each failed try has added another. */
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
 * What this command sent and the target refused again is a newer rejection of the same event. The newest is sent: the target
 * takes none up to the place that it was sent last from (E3).
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

/** Of what another stream has rejected, the oldest rejection is sent, as of dead letters. */
function earlierRejections(): IsRepeated {
  const seen = new Map<string, string>();
  return ({ event }, at, letter) => {
    const content = contentOf(event);
    seen.set(placeText(at), content);
    return seen.get(placeSentFrom(letter, at) ?? "") === content;
  };
}

/** The oldest letter is sent: its place stays the same, however often its record is tried, and the target takes it once (E3). */
function earlierLetters(): IsRepeated {
  const seen = new Set<string>();
  return ({ id, index, hasRun }) => {
    const own = hasRun ? `${id}.${index}` : id;
    const isRepeated = seen.has(id) || seen.has(own);
    seen.add(own);
    return isRepeated;
  };
}
