/**
 * Equality of two values of events. Numbers are compared by their mathematical value, doubles with big integers too;
 * maps are equal whatever the order of their keys. Times and bytes are kinds of their own.
 */
import { isSameTime } from "../../../protocols/values/precise_date.ts";
import { isNumeric } from "./rules.ts";
import type { Run } from "./run.ts";

const CHARACTERS_PER_STEP = 16;

export function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left === "bigint" || typeof right === "bigint") {
    return isNumeric(left) && isNumeric(right) && left >= right && left <= right; // across the two kinds
  }
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (left instanceof Date || right instanceof Date) {
    return left instanceof Date && right instanceof Date && isSameTime(left, right);
  }
  if (left instanceof Uint8Array || right instanceof Uint8Array) return isSameBytes(left, right);
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((one, index) => isSame(one, right[index]));
  }
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(right, key) &&
      isSame((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]),
  );
}

function isSameBytes(left: object, right: object): boolean {
  if (!(left instanceof Uint8Array) || !(right instanceof Uint8Array) || left.length !== right.length) return false;
  return left.every((byte, index) => byte === right[index]);
}

/** Finds the first item that equals an earlier one; undefined where there is none, or where the steps are spent. */
export function findRepeated(
  items: readonly unknown[],
  run: Run,
): readonly [before: number, index: number] | undefined {
  const simple = new Set<unknown>();
  /** Indexes of lists and maps, by their hash. */
  const composed = new Map<number, number[]>();
  for (const [index, item] of items.entries()) {
    if (typeof item !== "object" || item === null) {
      if (!run.take(typeof item === "string" ? TEXT_STEPS + item.length / CHARACTERS_PER_STEP : SIMPLE_STEPS))
        return undefined;
      const value = exactly(item);
      if (simple.has(value)) return [items.findIndex((one) => isSame(one, item)), index];
      simple.add(value);
      continue;
    }
    const hash = hashOf(item, run);
    if (run.isSpent) return undefined;
    const alike = composed.get(hash);
    for (const before of alike ?? []) {
      if (!run.take(sizeOf(item))) return undefined;
      if (isSame(items[before], item)) return [before, index];
    }
    if (alike === undefined) composed.set(hash, [index]);
    else alike.push(index);
  }
  return undefined;
}

/** Steps to find a number or a text in a large set. */
const SIMPLE_STEPS = 16;
const TEXT_STEPS = 20;
/** Steps to hash one value within a list or map. */
const HASH_STEPS = 8;

/** A whole number beyond 2^53 as a big integer, whether it came as a double or a big integer. */
const exactly = (value: unknown): unknown =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;

/** The most steps for one item of a list whose items must differ, where its texts are short. */
export const UNIQUE_ITEM_STEPS = TEXT_STEPS + HASH_STEPS;

/** A hash that is equal for equal values, whatever the order of their keys. Takes steps. */
function hashOf(value: unknown, run: Run): number {
  if (!run.take(HASH_STEPS)) return 0;
  if (typeof value === "string") return run.take(value.length / 4) ? hashText(value, 1) : 0;
  if (typeof value !== "object" || value === null) return hashText(String(exactly(value)), 2);
  if (value instanceof Date) return hashText(String(value.getTime()), 3);
  if (value instanceof Uint8Array) {
    return run.take(value.length / 4) ? value.reduce((hash, byte) => (Math.imul(hash, 31) + byte) | 0, 4) : 0;
  }
  if (Array.isArray(value)) {
    let hash = 5;
    for (const one of value) {
      if (run.isSpent) return 0;
      hash = (Math.imul(hash, 31) + hashOf(one, run)) | 0;
    }
    return hash;
  }
  return hashMap(value as Readonly<Record<string, unknown>>, run);
}

function hashMap(fields: Readonly<Record<string, unknown>>, run: Run): number {
  const keys = Object.keys(fields);
  if (!run.take(keys.length * HASH_STEPS)) return 0;
  let sum = 6;
  for (const key of keys) {
    if (!run.take(key.length / 4)) return 0;
    sum = (sum + Math.imul(hashText(key, 7), hashOf(fields[key], run) | 1)) | 0;
  }
  return sum;
}

function hashText(text: string, seed: number): number {
  let hash = seed;
  for (let at = 0; at < text.length; at += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}

/** Steps to compare `value` with another value of its size. */
export function sizeOf(value: unknown): number {
  if (typeof value === "string") return 1 + Math.ceil(value.length / CHARACTERS_PER_STEP);
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof Uint8Array) return 1 + value.length;
  return 1 + Object.values(value).reduce((sum: number, one) => sum + 1 + sizeOf(one), 0);
}
