/**
 * Sorts partitions by name, so that a decision does not depend on the order of its input, and by load. Among equal loads the
 * streams take turns, in proportion to their sizes: the real loads of streams differ, and no node should hold one stream.
 */
import type { PartitionName } from "../cluster.ts";

export interface NameOrder {
  /** Places in the input, sorted by the partition's place within its stream (0 to 1), then by stream. */
  readonly order: Uint32Array;
  /** By place in the input: the stream's rank among the streams. */
  readonly streams: Int32Array;
  readonly streamCount: number;
}

/** A place within a stream, from 0 to 1, is rounded to one of this many steps. */
const SHARES = 2 ** 30;

const ZERO = "0".charCodeAt(0);

/** A stream's name is everything before the last `/`. */
export function orderByName(names: readonly PartitionName[]): NameOrder {
  const members = new Map<string, number[]>();
  const numbers = new Float64Array(names.length);
  // Partitions of a stream often come in a row: comparing with the last name is far faster than a look-up.
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
      // One number below 2^53 holds place and stream: a typed array sorts numbers far faster than a comparator.
      keys[next] = Math.floor(((at + 0.5) / places.length) * SHARES) * names.length + next;
      streams[place] = rank;
      next += 1;
    }
  }
  const order = new Uint32Array(names.length);
  for (const [at, key] of keys.sort().entries()) order[at] = byStream[key % names.length] as number;
  return { order, streams, streamCount: ranked.length };
}

/** The number that the name ends with, from `start`; -1 where that is no number. */
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

/** Indices by descending load, equal loads by ascending index. Loads must be whole numbers. */
export function orderByLoad(loads: Float64Array): Uint32Array {
  const count = loads.length;
  // One number below 2^53 (loads.ts) holds load and index: a typed array sorts numbers far faster than a comparator.
  const keys = loads.map((load, index) => load * count + (count - 1 - index)).sort();
  const order = new Uint32Array(count);
  for (let rank = 0; rank < count; rank += 1) order[count - 1 - rank] = count - 1 - ((keys[rank] as number) % count);
  return order;
}

/** Compares by code units: the same order on every machine, whatever its language. */
export const compareText = (left = "", right = ""): number => (left < right ? -1 : left > right ? 1 : 0);
