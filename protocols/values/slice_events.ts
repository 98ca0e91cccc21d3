/**
 * Cuts single events out of an encoded batch, byte for byte, for the dead letters: the bytes are kept, even where they
 * cannot be decoded. Records become plain maps, so that each slice decodes by itself (E11). Takes only batches that
 * `scanEvents` has let through.
 */
import { EventWalk, type Place } from "./event_walk.ts";

/** Bytes between two remembered places of a batch: the most that a walk passes over before its event. */
const PLACE_EVERY_BYTES = 16_384;

/**
 * Places of batches that were walked, kept for as long as the batch is in memory. Without these, a reader of a batch
 * part by part would walk from its beginning each time. A place takes some hundred bytes, with many definitions some
 * kilobytes.
 */
const PLACES = new WeakMap<Uint8Array, Place[]>();

/** Yields events from `firstIndex` on, on demand; earlier ones walked before cost nothing. Bytes must not change. */
export function* slicesFrom(bytes: Uint8Array, firstIndex: number): Iterable<Uint8Array> {
  const walk = new EventWalk(bytes);
  for (const index of placesFrom(walk, bytes, firstIndex)) {
    if (index >= firstIndex) walk.startCopy();
    walk.value();
    if (index >= firstIndex) yield walk.takeCopy();
  }
}

/**
 * The index of each event that `walk` stands before, from the nearest known place before `firstIndex` on. The caller walks
 * over the event before it asks for the next one.
 */
export function* placesFrom(walk: EventWalk, bytes: Uint8Array, firstIndex: number): Iterable<number> {
  const count = walk.arrayHeader();
  const places = placesOf(bytes);
  const begin = placeBefore(bytes, firstIndex);
  if (begin !== undefined) walk.resume(begin);
  for (let index = begin?.index ?? 0; index < count; index++) {
    if (walk.position - (places.at(-1)?.at ?? 0) >= PLACE_EVERY_BYTES) places.push(walk.place(index));
    yield index;
  }
}

/** The nearest known place at or before an event; undefined for the beginning of the batch. */
export const placeBefore = (bytes: Uint8Array, index: number): Place | undefined =>
  placesOf(bytes).findLast((place) => place.index <= index);

function placesOf(bytes: Uint8Array): Place[] {
  const known = PLACES.get(bytes);
  if (known !== undefined) return known;
  const places: Place[] = [];
  if (bytes.length > PLACE_EVERY_BYTES) PLACES.set(bytes, places);
  return places;
}

/** The events at `indexes` (ascending, from 0), each as one MessagePack value that decodes by itself. */
export function sliceEvents(bytes: Uint8Array, indexes: readonly number[]): Uint8Array[] {
  const walk = new EventWalk(bytes);
  const slices: Uint8Array[] = [];
  const count = walk.arrayHeader();
  for (let index = 0; index < count && slices.length < indexes.length; index++) {
    const isWanted = indexes[slices.length] === index;
    if (isWanted) walk.startCopy();
    walk.value();
    if (isWanted) slices.push(walk.takeCopy());
  }
  return slices;
}

/** The event at `index`, as {@linkcode sliceEvents} cuts it. Throws `RangeError` for an index outside the batch. */
export function sliceEvent(bytes: Uint8Array, index: number): Uint8Array {
  for (const slice of slicesFrom(bytes, index)) return slice;
  throw new RangeError(`Cannot slice an event as its index must be in the batch: current value is ${index}`);
}
