/**
 * Values that JSON has no form for, as tagged maps: `{"$int": "9007199254740993"}`, `{"$bytes": base64}`,
 * `{"$time": RFC 3339}`. A map that looks like one of these is wrapped: `{"$map": {"$int": "..."}}`.
 */
import { RejectedError } from "../errors.ts";
import type { Fields } from "../wire/narrow.ts";
import { JsonText, WHOLE_MAX, writeJson } from "./exact_json.ts";
import { dateOf } from "./precise_date.ts";
import { readRfc3339 } from "./rfc3339.ts";

const TAGS: ReadonlySet<string> = new Set(["$int", "$bytes", "$time", "$map"]);
const INTEGER = /^-?(0|[1-9]\d{0,19})$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d(\.\d{1,9})?Z$/;
/** Years before 0 and beyond 9999, as ECMAScript writes them. */
const FAR_TIME = /^[+-]\d{6}-/;
/** The text up to the milliseconds, the digits beyond, and the rest. */
const FAR_DIGITS = /^([^.]*(?:\.\d{1,3})?)(\d{0,6})(.*)$/;

/** Makes a value for `exactJson`. A number that is not finite becomes null. Maps and lists without tags are shared. */
export function toJsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return { $int: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return { $bytes: toBase64(value) };
  // An invalid `Date` becomes null, as a number that is not finite does.
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

/** The key of a map with a single key; undefined for any other map. */
function onlyKey(fields: Fields): string | undefined {
  let only: string | undefined;
  for (const key in fields) {
    if (only !== undefined) return undefined;
    only = key;
  }
  return only;
}

/**
 * Turns a parsed JSON value back into a MessagePack value, in place. Throws `JsonValueError` (`MALFORMED_FRAME`) for a
 * tag with a bad value and for a plain integer beyond 64 bits, with its path (JSON Pointer, RFC 6901).
 */
export const fromJsonValue = (value: unknown): unknown => convert(value, []);

type Path = (string | number)[];

/** @param path the path of the value; the walk changes it as it goes */
function convert(value: unknown, path: Path): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = convertInner(value[index], path, index);
    return value;
  }
  const fields = value as Fields;
  const keys = Object.keys(fields);
  const [key] = keys;
  if (keys.length === 1 && key !== undefined && TAGS.has(key)) return untag(key, fields[key], path);
  return convertFields(fields, keys, path);
}

function convertInner(value: unknown, path: Path, key: string | number): unknown {
  if (typeof value !== "object" || value === null) return value;
  path.push(key);
  const after = convert(value, path);
  path.pop();
  return after;
}

function convertFields(fields: Fields, keys: readonly string[], path: Path): Fields {
  for (const key of keys) {
    const before = fields[key];
    const after = convertInner(before, path, key);
    if (after !== before) setField(fields, key, after);
  }
  return fields;
}

/** Defines the field: an assignment would make no key of "__proto__", which the scan of events refuses. */
const setField = (fields: Fields, key: string, value: unknown): Fields =>
  Object.defineProperty(fields, key, { value, enumerable: true, writable: true, configurable: true });

function untag(tag: string, value: unknown, path: Path): unknown {
  if (tag === "$map" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    return convertFields(value as Fields, Object.keys(value), [...path, tag]);
  }
  if (tag === "$int" && typeof value === "string" && INTEGER.test(value)) return toInteger(value, path);
  if (tag === "$bytes" && typeof value === "string") return fromBase64(value, path);
  if (tag === "$time" && typeof value === "string") return toTime(value, path);
  const plain = tag === "$int" ? plainInteger(value) : undefined;
  if (plain !== undefined) throw beyond64Bits(plain, path);
  throw badTag(tag, WORDS[tag] ?? "a map", value, path);
}

/** `{"$int": {"plain": digits}}` stands for a plain integer beyond 64 bits, as the sender wrote it. */
export const PLAIN_KEY = "plain";

/** The digits of a plain integer beyond 64 bits; undefined for other values, which are the sender's bad `$int`. */
function plainInteger(value: unknown): string | undefined {
  const digits = (value as Fields | null | undefined)?.[PLAIN_KEY];
  return typeof digits === "string" && PLAIN.test(digits) && !isOf64Bits(digits) ? digits : undefined;
}

const PLAIN = /^-?[1-9]\d*$/;

/** The text of a parsed JSON value as the sender may have written it, also after changes by `fromJsonValue`. */
export const sentJson = (value: unknown): string => writeJson(value, sentWord);

function sentWord(value: unknown): unknown {
  if (typeof value === "bigint") return { $int: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array || value instanceof Date) return toJsonValue(value);
  const plain = plainInteger((value as Fields).$int);
  return plain === undefined ? value : new JsonText(plain);
}

/** The error for a JSON value that no event can hold. */
export class JsonValueError extends RejectedError {
  /** JSON Pointer of the value. */
  readonly path: string;
  readonly reason: string;

  constructor(path: string, reason: string) {
    super("MALFORMED_FRAME", `Cannot read JSON as ${path || "the value"} ${reason}`);
    this.path = path;
    this.reason = reason;
  }
}

const beyond64Bits = (digits: string, path: Path): JsonValueError =>
  new JsonValueError(
    pointerOf(path),
    `must be an integer of 64 bits, or be written with an exponent: current value is ${shortened(digits)}`,
  );

const pointerOf = (path: Path): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

const WORDS: Readonly<Record<string, string>> = {
  $int: "the digits of an integer, as text",
  $bytes: "base64 of RFC 4648 with padding, as text",
  $time: "a time of RFC 3339 in UTC, as text",
};

const SHOWN_CHARACTERS = 64;
const shortened = (text: string): string =>
  text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;

const badTag = (tag: string, wanted: string, value: unknown, path: Path): JsonValueError =>
  new JsonValueError(pointerOf([...path, tag]), `must hold ${wanted}: current value is ${shortened(sentJson(value))}`);

/** Reads a time. Refuses days and times that do not exist, and digits finer than a nanosecond: no time is changed. */
function toTime(text: string, path: Path): Date {
  if (FAR_TIME.test(text)) {
    const far = readFarTime(text);
    if (far?.toISOString() === text) return far;
  }
  const time = TIME.test(text) ? readRfc3339(text) : undefined;
  if (time === undefined) throw badTag("$time", WORDS.$time ?? "", text, path);
  return dateOf(time.timeMs, time.nanoseconds);
}

/** Reads a time of a year before 0 or beyond 9999; undefined for a text that is no such time. */
function readFarTime(text: string): Date | undefined {
  const [, whole = "", finer = "", end = ""] = FAR_DIGITS.exec(text) ?? [];
  const time = new Date(`${whole}${end}`);
  return Number.isNaN(time.getTime()) ? undefined : dateOf(time.getTime(), Number(finer.padEnd(6, "0")));
}

/** Whether the digits are an integer from -2^63 to 2^64 - 1. */
export function isOf64Bits(digits: string): boolean {
  if (digits.length > INTEGER_CHARACTERS_MAX) return false;
  const value = BigInt(digits);
  return value >= -(2n ** 63n) && value < 2n ** 64n;
}

/** The number of characters of 2^64 - 1 and of -2^63. */
const INTEGER_CHARACTERS_MAX = 20;

function toInteger(text: string, path: Path): number | bigint {
  if (!isOf64Bits(text)) {
    throw new JsonValueError(pointerOf([...path, "$int"]), `must fit 64 bits: current value is ${text}`);
  }
  const value = BigInt(text);
  return value >= -WHOLE_MAX && value <= WHOLE_MAX ? Number(value) : value;
}

/** The bytes for one call of `fromCharCode`: more would overflow the stack. */
const CHUNK_BYTES = 8_192;

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK_BYTES));
  return btoa(binary);
}

/** Reads strict base64: text that would be written otherwise (no padding, spaces, spare bits) is refused. */
function fromBase64(text: string, path: Path): Uint8Array {
  const binary = binaryOf(text);
  if (binary === undefined || btoa(binary) !== text) throw badTag("$bytes", WORDS.$bytes ?? "", text, path);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function binaryOf(text: string): string | undefined {
  try {
    return atob(text);
  } catch {
    return undefined; // the caller throws the reason
  }
}
