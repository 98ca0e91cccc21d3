/**
 * JSON text to values, exactly: an integer beyond 2^53 becomes a big integer instead of its nearest double. The one way in
 * for JSON that people and programs send; `JSON.parse` alone is for what this program wrote.
 */
import { RejectedError } from "./errors.ts";
import type { ScanLimits } from "./scan.ts";
import { scanJson } from "./scan_json.ts";

/**
 * Parses within `limits`. Integers that a double can not hold are left as `{"$int": "..."}`: `fromJsonValue` makes big
 * integers of them, and refuses those beyond 64 bits. Throws `RejectedError` (`MALFORMED_FRAME`, `FRAME_TOO_COMPLEX`).
 */
export function parseJson(text: string, limits: ScanLimits): unknown {
  return parseTagged(text, limits, "$int");
}

/** A key that no text from outside has: the parsed text was made here. */
const OWN_TAG = "\u0000int";

/** Parses text of {@linkcode exactJson}, or other JSON without tags: integers beyond 2^53 are big integers. Throws as `parseJson`. */
export function parseExactJson(text: string, limits: ScanLimits): unknown {
  return withIntegers(parseTagged(text, limits, OWN_TAG));
}

function withIntegers(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withIntegers);
  const digits = (value as Readonly<Record<string, unknown>>)[OWN_TAG];
  if (typeof digits === "string") return BigInt(digits);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withIntegers(one)]));
}

function parseTagged(text: string, limits: ScanLimits, tag: string): unknown {
  const integers = scanJson(text, limits);
  try {
    return JSON.parse(integers === undefined ? text : tagIntegers(text, integers, tag));
  } catch (error) {
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot read JSON as it must be well formed: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

function tagIntegers(text: string, places: readonly number[], tag: string): string {
  const opening = `{${JSON.stringify(tag)}:"`;
  const parts: string[] = [];
  let from = 0;
  for (let index = 0; index < places.length; index += 2) {
    const start = places[index] as number;
    const end = places[index + 1] as number;
    parts.push(text.slice(from, start), opening, text.slice(start, end), '"}');
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join("");
}
