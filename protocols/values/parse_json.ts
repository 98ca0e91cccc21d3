/**
 * JSON text to values, exactly: an integer beyond 2^53 becomes a big integer instead of its nearest double. The one way in
 * for JSON that people and programs send; `JSON.parse` alone is for what this program wrote.
 */
import { RejectedError } from "../errors.ts";
import { isTooDeep } from "./event_complexity.ts";
import { isOf64Bits, PLAIN_KEY } from "./json_values.ts";
import type { NumberKinds } from "./number_kinds.ts";
import type { ScanLimits } from "./scan.ts";
import { scanJson, tooComplex } from "./scan_json.ts";

/**
 * Parses within `limits`. Integers beyond 2^53 are left as `{"$int": "..."}`, of which `fromJsonValue` makes big integers. One
 * beyond 64 bits is left as `{"$int": {"plain": "..."}}`, which `fromJsonValue` refuses as the plain integer it was. Throws `RejectedError` (`MALFORMED_FRAME`, `FRAME_TOO_COMPLEX`).
 */
export const parseJson = (text: string, limits: ScanLimits): unknown => parseTagged(text, limits, tagOf);

const tagOf: Tagged = (digits) =>
  isOf64Bits(digits) ? `{"$int":"${digits}"}` : `{"$int":{"${PLAIN_KEY}":"${digits}"}}`;

export interface ParsedEvents {
  /** As `parseJson` answers it. */
  readonly value: unknown;
  /** Whether `checkLevels` has to look at what `fromJsonValue` makes of it. */
  readonly isDeep: boolean;
  /** What the numbers of the events may be. */
  readonly numbers: NumberKinds;
}

/**
 * As `parseJson` for text that holds events, whose levels `limits.depthMax` bounds. Their text may have more: a map that looks
 * like a tag is wrapped (`$map`), and the deepest values may be tags.
 *
 * @param levelsAround of what the text has around each event
 */
export function parseEventJson(text: string, limits: ScanLimits, levelsAround: number): ParsedEvents {
  const { depthMax } = limits;
  const { integers, levels, mayBeMinusZero } = scanJson(text, limits, 2 * depthMax + 1 + levelsAround);
  const numbers = { mayBeLong: true, mayBeMinusZero };
  return { value: parseScanned(text, integers, tagOf), isDeep: levels > depthMax, numbers };
}

/** Throws `FRAME_TOO_COMPLEX` where a value of `fromJsonValue` has more than `levelsMax` levels. */
export function checkLevels(value: unknown, levelsMax: number): void {
  if (isTooDeep(value, levelsMax)) throw tooComplex("levels", levelsMax);
}

/** A key that no text from outside has: the parsed text was made here. */
const OWN_TAG = "\u0000int";

/** Parses text of {@linkcode exactJson}, or other JSON without tags: integers beyond 2^53 are big integers. Throws as `parseJson`. */
export function parseExactJson(text: string, limits: ScanLimits): unknown {
  return withIntegers(parseTagged(text, limits, (digits) => `{${JSON.stringify(OWN_TAG)}:"${digits}"}`));
}

function withIntegers(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withIntegers);
  const digits = (value as Readonly<Record<string, unknown>>)[OWN_TAG];
  if (typeof digits === "string") return ownInteger(digits);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withIntegers(one)]));
}

/** Beyond 64 bits, digits that are those of a double exactly are what earlier versions wrote of that double. */
function ownInteger(digits: string): number | bigint {
  const double = Number(digits);
  const isDouble = !isOf64Bits(digits) && Number.isFinite(double) && BigInt(double) === BigInt(digits);
  return isDouble ? double : BigInt(digits);
}

type Tagged = (digits: string) => string;

const parseTagged = (text: string, limits: ScanLimits, tagged: Tagged): unknown =>
  parseScanned(text, scanJson(text, limits).integers, tagged);

function parseScanned(text: string, integers: readonly number[] | undefined, tagged: Tagged): unknown {
  try {
    return JSON.parse(integers === undefined ? text : tagIntegers(text, integers, tagged));
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

function tagIntegers(text: string, places: readonly number[], tagged: Tagged): string {
  const parts: string[] = [];
  let from = 0;
  for (let index = 0; index < places.length; index += 2) {
    const start = places[index] as number;
    const end = places[index + 1] as number;
    parts.push(text.slice(from, start), tagged(text.slice(start, end)));
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join("");
}
