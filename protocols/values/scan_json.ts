/** Scans JSON text before `JSON.parse`, which checks syntax: values, depth, repeated keys, integers beyond a double. */
import { RejectedError } from "../errors.ts";
import { WHOLE_MAX } from "./exact_json.ts";
import type { ScanLimits } from "./scan.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;

export interface JsonScan {
  /** Start and end of each plain integer beyond 2^53, in order: `JSON.parse` rounds these. Undefined where none is. */
  readonly integers: readonly number[] | undefined;
  /** Levels of lists and maps. */
  readonly levels: number;
  /** True where a number may be read as -0: it begins with `-0`, or has a negative exponent. */
  readonly mayBeMinusZero: boolean;
}

/**
 * Throws `RejectedError`: `FRAME_TOO_COMPLEX`, or `MALFORMED_FRAME` where a map has a key twice.
 *
 * @param levelsMax bound of the text's own levels, where it may have more than its value
 */
export function scanJson(text: string, limits: ScanLimits, levelsMax = limits.depthMax): JsonScan {
  /** Keys seen in each open map; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let tokens = 0;
  let levels = 0;
  let isKeyNext = false;
  let mayBeMinusZero = false;
  let integers: number[] | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) {
      const end = endOfString(text, at);
      if (isKeyNext) takeKey(open.at(-1), text.slice(at, end));
      isKeyNext = false;
      at = end - 1;
    } else if (character === 0x7b || character === 0x5b) {
      open.push(character === 0x7b ? new Set() : undefined);
      isKeyNext = character === 0x7b;
      tokens++;
      if (open.length > levels) levels = open.length;
      if (levels > levelsMax) throw tooComplex("levels", limits.depthMax);
    } else if (character === 0x7d || character === 0x5d) {
      open.pop();
      isKeyNext = false;
    } else if (character === 0x2c || character === 0x3a) {
      isKeyNext = character === 0x2c && open.at(-1) !== undefined;
      tokens++;
    } else if (character <= 0x39 && character >= 0x2d) {
      // A digit, or the minus sign before one: no other JSON token outside of text begins so.
      const end = endOfDigits(text, at);
      if (character === MINUS && (text.charCodeAt(at + 1) === 0x30 || isOfFraction(text.charCodeAt(at - 1))))
        mayBeMinusZero = true;
      if (end - at > SAFE_CHARACTERS && isBigInteger(text, at, end)) {
        integers ??= [];
        integers.push(at, end);
      }
      at = end - 1;
    }
    if (tokens > limits.tokensMax) throw tooComplex("values", limits.tokensMax);
  }
  return { integers, levels, mayBeMinusZero };
}

/** Any number of up to this many characters fits a double exactly. */
const SAFE_CHARACTERS = 15;

/** One past the digits that begin at `start` or after its minus sign. */
function endOfDigits(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character < 0x30 || character > 0x39) return at;
  }
  return text.length;
}

/** Whether the digits are a whole integer beyond 2^53, and no part of a fraction or an exponent. */
function isBigInteger(text: string, start: number, end: number): boolean {
  if (isOfFraction(text.charCodeAt(start)) || isOfFraction(text.charCodeAt(end))) return false;
  const before = text.charCodeAt(start - 1);
  if (isOfFraction(before) || (before >= 0x30 && before <= 0x39)) return false;
  const token = text.slice(start, end);
  if (!INTEGER.test(token)) return false; // no JSON: `JSON.parse` refuses it
  const value = Number(token);
  if (value < WHOLE_MAX && value > -WHOLE_MAX) return false;
  return token !== WHOLE_TOKEN && token !== `-${WHOLE_TOKEN}`; // 2^53 + 1 rounds to 2^53
}

const WHOLE_TOKEN = String(WHOLE_MAX);

const INTEGER = /^-?[1-9]\d*$/;

/** Whether a character is a point, or the letter or the plus sign of an exponent. */
const isOfFraction = (character: number): boolean =>
  character === 0x2e || character === 0x65 || character === 0x45 || character === 0x2b;

/** One past the closing quote, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === BACKSLASH) at++;
    else if (character === QUOTE) return at + 1;
  }
  return text.length;
}

function takeKey(seen: Set<string> | undefined, quoted: string): void {
  const key = quoted.includes("\\") ? unescaped(quoted) : quoted.slice(1, -1);
  if (seen?.has(key))
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot read JSON as a map must not have a key twice: current value is ${key.slice(0, 64)}`,
    );
  seen?.add(key);
}

function unescaped(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch (error) {
    throw new RejectedError("MALFORMED_FRAME", "Cannot read JSON as a key must be a JSON string", { cause: error });
  }
}

export const tooComplex = (what: string, limit: number): RejectedError =>
  new RejectedError("FRAME_TOO_COMPLEX", `Cannot read JSON as it may hold ${limit} ${what}: it holds more`);
