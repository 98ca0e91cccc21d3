/**
 * Orders for deciding about partitions: by name, so that a decision does not hang on the order of its input, and by load. Equal
 * partitions of many streams are taken in turns, each stream in proportion: its load is seldom that of another, and should
 * not come to lie on one node.
 */
import type { PartitionName } from "../cluster.ts";

export interface NameOrder {
  /** Places in the input, in the order of names: by number as a share of the stream's, then by stream. */
  readonly order: Uint32Array;
  /** By place in the input: the stream's rank among the streams. */
  readonly streams: Int32Array;
  readonly streamCount: number;
}

/** Steps in which a place within its stream is told apart from another. */
const SHARES = 2 ** 30;

const ZERO = "0".charCodeAt(0);

/** A stream's name is everything before the last `/`. */
export function orderByName(names: readonly PartitionName[]): NameOrder {
  const members = new Map<string, number[]>();
  const numbers = new Float64Array(names.length);
  // Those of a stream often come together: to see that is far faster than to look for it each time.
  let [stream, streamEnd]: [string, number] = ["", -1];
  let places: number[] | undefined;
  for (let place = 0; place < names.length; place += 1) {
    const name = names[place] as PartitionName;
    const at = name.lastIndexOf("/");
    if (places === undefined || at !== streamEnd || !name.startsWith(stream)) {
      [stream, streamEnd] = [name.slice(0, Math.max(0, at)), at];
      places = members.get(stream);
      if (places === undefined) {
        places = [];
        members.set(stream, places);
      }
    }
    numbers[place] = numberFrom(name, at + 1);
    places.push(place);
  }
  const byStream = new Uint32Array(names.length);
  const keys = new Float64Array(names.length);
  const streams = new Int32Array(names.length);
  const byNumber = (left: number, right: number) =>
    (numbers[left] as number) - (numbers[right] as number) || compareText(names[left], names[right]);
  let next = 0;
  const ranked = [...members].sort(([left], [right]) => compareText(left, right));
  for (const [rank, [, places]] of ranked.entries()) {
    if (!isAscending(places, numbers)) places.sort(byNumber);
    for (let at = 0; at < places.length; at += 1) {
      const place = places[at] as number;
      byStream[next] = place;
      // One number holds both, as numbers are sorted far faster than by a comparison: up to 2^53.
      keys[next] = Math.floor(((at + 0.5) / places.length) * SHARES) * names.length + next;
      streams[place] = rank;
      next += 1;
    }
  }
  const order = new Uint32Array(names.length);
  for (const [at, key] of keys.sort().entries()) order[at] = byStream[key % names.length] as number;
  return { order, streams, streamCount: ranked.length };
}

/** What the name ends with, from there on: -1 where that is no number. */
function numberFrom(name: string, start: number): number {
  let number = 0;
  for (let at = start; at < name.length; at += 1) {
    const digit = name.charCodeAt(at) - ZERO;
    if (!(digit >= 0 && digit <= 9)) {
      const other = Number(name.slice(start));
      return Number.isFinite(other) ? other : -1;
    }
    number = number * 10 + digit;
  }
  return number;
}

function isAscending(places: readonly number[], numbers: Float64Array): boolean {
  for (let at = 1; at < places.length; at += 1) {
    if (!((numbers[places[at] as number] as number) > (numbers[places[at - 1] as number] as number))) return false;
  }
  return true;
}

/** Indices by descending load; equal loads in ascending order. Loads are whole numbers. */
export function orderByLoad(loads: Float64Array): Uint32Array {
  const count = loads.length;
  // One number holds both, as numbers are sorted far faster than by a comparison: up to 2^53 (loads.ts).
  const keys = loads.map((load, index) => load * count + (count - 1 - index)).sort();
  const order = new Uint32Array(count);
  for (let rank = 0; rank < count; rank += 1) order[count - 1 - rank] = count - 1 - ((keys[rank] as number) % count);
  return order;
}

/** By code units: the same on every machine, whatever its language. */
export const compareText = (left = "", right = ""): number => (left < right ? -1 : left > right ? 1 : 0);
