/**
 * Makes one batch of events that lie in other batches, without decoding them: their bytes are copied, and records stay
 * records. Takes only batches that `scanEvents` has let through.
 */
import { EventWalk, RecordArray } from "./event_walk.ts";
import { DEFINITIONS_MAX } from "./scan.ts";
import { placeBefore, placesFrom } from "./slice_events.ts";

/** An event as it lies in an encoded batch. */
export interface EncodedEvent {
  /** The whole batch: a MessagePack array of events. */
  readonly batch: Uint8Array;
  /** The event's index in the batch, from 0. */
  readonly index: number;
}

/** The most events that are walked over for one that is copied: about eight cost as much as encoding one. */
const WALKED_FOR_ONE_MAX = 4;

/**
 * The events in their order, as one MessagePack array that decodes by itself (E11). Undefined where encoding them anew is
 * better: plain maps become records then, events that lie far apart are not walked for, and `DEFINITIONS_MAX` holds.
 */
export function copyEvents(events: readonly EncodedEvent[]): Uint8Array | undefined {
  const array = new RecordArray(events.length);
  for (let from = 0; from < events.length; ) {
    const { batch } = events[from] as EncodedEvent;
    if (!beginsWithRecord(batch)) return undefined;
    const to = endOfRun(events, from);
    if (walkOf(events, from, to) > (to - from) * WALKED_FOR_ONE_MAX) return undefined;
    copyRun(events, from, to, new EventWalk(batch, array));
    if (array.definitions > DEFINITIONS_MAX) return undefined;
    from = to;
  }
  return array.out.bytes();
}

/** The end of the events from `from` on that lie in one batch and ascend: one walk finds them all. */
function endOfRun(events: readonly EncodedEvent[], from: number): number {
  let to = from + 1;
  for (let before = events[from] as EncodedEvent; to < events.length; to++) {
    const next = events[to] as EncodedEvent;
    if (next.batch !== before.batch || next.index <= before.index) return to;
    before = next;
  }
  return to;
}

/** How many events of a batch a walk to the last one of a run passes. */
function walkOf(events: readonly EncodedEvent[], from: number, to: number): number {
  const { batch, index } = events[from] as EncodedEvent;
  const last = events[to - 1] as EncodedEvent;
  return last.index + 1 - (placeBefore(batch, index)?.index ?? 0);
}

function copyRun(events: readonly EncodedEvent[], from: number, to: number, walk: EventWalk): void {
  const { batch, index: firstIndex } = events[from] as EncodedEvent;
  let next = from;
  for (const index of placesFrom(walk, batch, firstIndex)) {
    const isWanted = events[next]?.index === index;
    walk.add(isWanted);
    if (isWanted) next += 1;
    if (next === to) break;
  }
  walk.endAdding();
  if (next === to) return;
  const missing = (events[next] as EncodedEvent).index;
  throw new RangeError(`Cannot copy an event as its index must be in the batch: current value is ${missing}`);
}

function beginsWithRecord(batch: Uint8Array): boolean {
  const token = batch[0] as number;
  const at = token === 0xdc ? 3 : token === 0xdd ? 5 : 1;
  return batch[at] === 0xd4 && batch[at + 1] === 0x72;
}
