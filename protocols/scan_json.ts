/**
 * Reads JSON text without building it: counts values, measures depth and finds repeated keys, so that `JSON.parse` is
 * only let near what it can chew. Syntax is left to `JSON.parse`.
 */
import { RejectedError } from "./errors.ts";
import type { ScanLimits } from "./scan.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Throws `FRAME_TOO_COMPLEX`, or `MALFORMED_FRAME` where a map has a key twice. */
export function scanJson(text: string, limits: ScanLimits): void {
  /** Keys seen in each open map; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let tokens = 0;
  let isKeyNext = false;
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
      if (open.length > limits.depthMax) throw tooComplex("levels", limits.depthMax);
    } else if (character === 0x7d || character === 0x5d) {
      open.pop();
      isKeyNext = false;
    } else if (character === 0x2c || character === 0x3a) {
      isKeyNext = character === 0x2c && open.at(-1) !== undefined;
      tokens++;
    }
    if (tokens > limits.tokensMax) throw tooComplex("values", limits.tokensMax);
  }
}

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

const tooComplex = (what: string, limit: number): RejectedError =>
  new RejectedError("FRAME_TOO_COMPLEX", `Cannot read JSON as it may hold ${limit} ${what}: it holds more`);
