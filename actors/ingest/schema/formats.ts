/**
 * The formats of JSON Schema, each checked by code that is linear in the text, and each with a bound on its characters.
 * Formats judge texts alone, except those of numbers.
 */
import { isRfc3339, isRfc3339Date, isRfc3339Time } from "../../../protocols/values/rfc3339.ts";
import { isEmail, isHostname, isIpv4, isIpv6 } from "./host_formats.ts";
import { isUri, isUriReference, isUriTemplate } from "./uri_formats.ts";

export interface TextFormat {
  readonly charactersMax: number;
  /** Steps for a short text; a long text takes one more for each character. */
  readonly steps: number;
  isValid(text: string): boolean;
}

/** The most characters of an event: formats that are read in one pass need no closer bound. */
const ANY_LENGTH = 1_048_576;

const DURATION = /^P(?:\d+W|(?=[\dT])(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)$/;
const UUID = /^(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const RELATIVE_POINTER = /^(?:0|[1-9]\d*)(?:#|(?:\/.*)?)$/s;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Whether a text is a JSON Pointer: 0 or 1 follows each `~`. */
function isJsonPointer(text: string): boolean {
  if (text !== "" && !text.startsWith("/")) return false;
  for (let at = text.indexOf("~"); at >= 0; at = text.indexOf("~", at + 1)) {
    if (text[at + 1] !== "0" && text[at + 1] !== "1") return false;
  }
  return true;
}

function isRelativePointer(text: string): boolean {
  if (!RELATIVE_POINTER.test(text)) return false;
  const slash = text.indexOf("/");
  return slash < 0 || isJsonPointer(text.slice(slash));
}

/** Whether a text is a regular expression, compiled and never run. The flag `u` refuses escapes such as `\Z`. */
function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text, "u").source.length > 0;
  } catch {
    return false; // the host's error is the answer
  }
}

const text = (charactersMax: number, isValid: (text: string) => boolean, steps = 8): TextFormat => ({
  charactersMax,
  steps,
  isValid,
});

export const TEXT_FORMATS: ReadonlyMap<string, TextFormat> = new Map(
  Object.entries({
    date: text(10, isRfc3339Date),
    time: text(64, (value) => isRfc3339Time(value)),
    "date-time": text(64, (value) => isRfc3339(value)),
    "iso-time": text(64, (value) => isRfc3339Time(value, true)),
    "iso-date-time": text(64, (value) => isRfc3339(value, true)),
    duration: text(128, (value) => DURATION.test(value)),
    uri: text(ANY_LENGTH, isUri),
    "uri-reference": text(ANY_LENGTH, isUriReference),
    "uri-template": text(ANY_LENGTH, isUriTemplate),
    url: text(ANY_LENGTH, (value) => /^(?:https?|ftp):\/\//i.test(value) && isUri(value)),
    email: text(320, isEmail, 100),
    hostname: text(254, isHostname, 100),
    ipv4: text(15, isIpv4, 50),
    ipv6: text(45, isIpv6, 100),
    regex: text(1_000, isRegularExpression, 1_000),
    uuid: text(45, (value) => UUID.test(value)),
    "json-pointer": text(ANY_LENGTH, isJsonPointer),
    "json-pointer-uri-fragment": text(
      ANY_LENGTH,
      (value) => value.startsWith("#") && isUriReference(value) && isJsonPointer(value.slice(1).replaceAll("%7E", "~")),
    ),
    "relative-json-pointer": text(ANY_LENGTH, isRelativePointer),
    byte: text(ANY_LENGTH, (value) => value.length % 4 === 0 && BASE64.test(value)),
    password: text(ANY_LENGTH, () => true),
    binary: text(ANY_LENGTH, () => true),
  }),
);

const between =
  ([low, high]: readonly [bigint, bigint]) =>
  (value: number | bigint) =>
    typeof value === "bigint"
      ? value >= low && value <= high
      : Number.isInteger(value) && value >= low && value <= high;

/** Formats of integers, each with its least and its largest value. */
export const INTEGER_FORMATS: ReadonlyMap<string, readonly [bigint, bigint]> = new Map([
  ["int32", [-(2n ** 31n), 2n ** 31n - 1n]],
  ["int64", [-(2n ** 63n), 2n ** 63n - 1n]],
]);

/** Formats of numbers; big integers are judged exactly. */
export const NUMBER_FORMATS: ReadonlyMap<string, (value: number | bigint) => boolean> = new Map([
  ...[...INTEGER_FORMATS].map(([name, limits]) => [name, between(limits)] as const),
  ...["float", "double"].map((name) => [name, () => true] as const),
]);

export const isKnownFormat = (format: string): boolean => TEXT_FORMATS.has(format) || NUMBER_FORMATS.has(format);
