/**
 * What JSON can not say, said in JSON: `{"$int": "9007199254740993"}`, `{"$bytes": base64}`, `{"$time": RFC 3339}`. A map
 * that happens to look like one of these is wrapped: `{"$map": {"$int": "..."}}`.
 */
import { RejectedError } from "./errors.ts";
import type { Fields } from "./narrow.ts";
import { readRfc3339 } from "./rfc3339.ts";

const TAGS: ReadonlySet<string> = new Set(["$int", "$bytes", "$time", "$map"]);
const INTEGER = /^-?(0|[1-9]\d{0,19})$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d(\.\d{1,9})?Z$/;
/** Years before 0 and beyond 9999, as ECMAScript writes them. */
const FAR_TIME = /^[+-]\d{6}-/;

/**
 * A value of MessagePack's as one of JSON's, to be written by `exactJson`. Numbers that are not finite become null: JSON has no
 * word for them. Maps and lists that need no tag are shared, not copied.
 */
export function toJsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return { $int: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return { $bytes: toBase64(value) };
  // A time beyond what a Date holds has no word in JSON, as a number that is not finite has none.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : { $time: value.toISOString() };
  if (Array.isArray(value)) return toJsonList(value);
  const fields = value as Fields;
  const json = toJsonFields(fields);
  const key = onlyKey(fields);
  return key !== undefined && TAGS.has(key) ? { $map: json } : json;
}

function toJsonList(list: readonly unknown[]): readonly unknown[] {
  let changed: unknown[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const before = list[index];
    if (typeof before !== "object" && typeof before !== "bigint") continue;
    const after = toJsonValue(before);
    if (after === before) continue;
    changed ??= [...list];
    changed[index] = after;
  }
  return changed ?? list;
}

function toJsonFields(fields: Fields): Fields {
  let changed: Fields | undefined;
  for (const key in fields) {
    const before = fields[key];
    if (typeof before !== "object" && typeof before !== "bigint") continue;
    const after = toJsonValue(before);
    if (after === before) continue;
    changed ??= { ...fields };
    setField(changed, key, after);
  }
  return changed ?? fields;
}

/** The key of a map that has one alone. */
function onlyKey(fields: Fields): string | undefined {
  let only: string | undefined;
  for (const key in fields) {
    if (only !== undefined) return undefined;
    only = key;
  }
  return only;
}

/** The way back, in place where nothing is tagged. Throws `MALFORMED_FRAME` for a tag with a bad value. */
export function fromJsonValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = fromJsonValue(value[index]);
    return value;
  }
  const fields = value as Fields;
  const keys = Object.keys(fields);
  const [key] = keys;
  if (keys.length === 1 && key !== undefined && TAGS.has(key)) return untag(key, fields[key]);
  return convertFields(fields, keys);
}

function convertFields(fields: Fields, keys: readonly string[]): Fields {
  for (const key of keys) {
    const before = fields[key];
    const after = fromJsonValue(before);
    if (after !== before) setField(fields, key, after);
  }
  return fields;
}

/** Defined, not assigned: a key "__proto__" stays a key, for the scan of the events to refuse. */
const setField = (fields: Fields, key: string, value: unknown): Fields =>
  Object.defineProperty(fields, key, { value, enumerable: true, writable: true, configurable: true });

function untag(tag: string, value: unknown): unknown {
  if (tag === "$map" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    return convertFields(value as Fields, Object.keys(value));
  }
  if (tag === "$int" && typeof value === "string" && INTEGER.test(value)) return toInteger(value);
  if (tag === "$bytes" && typeof value === "string") return fromBase64(value);
  if (tag === "$time" && typeof value === "string") return toTime(value);
  throw badTag(tag, WORDS[tag] ?? "a map", value);
}

const WORDS: Readonly<Record<string, string>> = {
  $int: "the digits of an integer, as text",
  $bytes: "base64, as text",
  $time: "a time of RFC 3339 in UTC, as text",
};

const badTag = (tag: string, wanted: string, value: unknown): RejectedError =>
  new RejectedError(
    "MALFORMED_FRAME",
    `Cannot read JSON as ${tag} must hold ${wanted}: current value is ${String(JSON.stringify(value)).slice(0, 64)}`,
  );

/** Refuses days and times that do not exist, and digits finer than the milliseconds that a time holds: none is moved or cut. */
function toTime(text: string): Date {
  if (FAR_TIME.test(text)) {
    const far = new Date(text);
    if (!Number.isNaN(far.getTime()) && far.toISOString() === text) return far;
  }
  const time = TIME.test(text) ? readRfc3339(text) : undefined;
  if (time === undefined) throw badTag("$time", WORDS.$time ?? "", text);
  if (time.isCut) throw badTag("$time", "at most milliseconds", text);
  return new Date(time.timeMs);
}

function toInteger(text: string): number | bigint {
  const value = BigInt(text);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) {
    throw new RejectedError("MALFORMED_FRAME", `Cannot read JSON as $int must fit 64 bits: current value is ${text}`);
  }
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Characters of one call of `fromCharCode`: more would overflow the stack. */
const CHUNK_BYTES = 8_192;

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK_BYTES));
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array {
  try {
    const binary = atob(text);
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch (error) {
    throw new RejectedError("MALFORMED_FRAME", "Cannot read JSON as $bytes must be base64", { cause: error });
  }
}
