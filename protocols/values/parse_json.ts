/**
 * JSON text to exact values: an integer beyond 2^53 becomes a big integer instead of its nearest double. The one way in
 * for JSON that people and programs send; `JSON.parse` alone is for text that this program wrote.
 */
import { RejectedError } from "../errors.ts";
import { isTooDeep } from "./event_complexity.ts";
import { isOf64Bits, PLAIN_KEY } from "./json_values.ts";
import type { NumberKinds } from "./number_kinds.ts";
import type { ScanLimits } from "./scan.ts";
import { scanJson, tooComplex } from "./scan_json.ts";

/**
 * Parses JSON within `limits`. An integer beyond 2^53 becomes `{"$int": "..."}`, of which `fromJsonValue` makes a big
 * integer. One beyond 64 bits becomes `{"$int": {"plain": "..."}}`, which `fromJsonValue` refuses. Throws
 * `RejectedError` (`MALFORMED_FRAME`, `FRAME_TOO_COMPLEX`).
 */
export const parseJson = (text: string, limits: ScanLimits): unknown => parseTagged(text, limits, tagOf);

const tagOf: Tagged = (digits) =>
  isOf64Bits(digits) ? `{"$int":"${digits}"}` : `{"$int":{"${PLAIN_KEY}":"${digits}"}}`;

export interface ParsedEvents {
  /** The value, as `parseJson` answers it. */
  readonly value: unknown;
  /** True where the caller must pass the result of `fromJsonValue` to `checkLevels`. */
  readonly isDeep: boolean;
  /** The kinds of numbers that the events may hold. */
  readonly numbers: NumberKinds;
}

/**
 * As `parseJson`, for text with events, whose levels `limits.depthMax` bounds. The text may have more levels: a map
 * that looks like a tag is wrapped (`$map`), and the deepest values may be tags.
 *
 * @param levelsAround levels of the text around each event
 */
export function parseEventJson(text: string, limits: ScanLimits, levelsAround: number): ParsedEvents {
  const { depthMax } = limits;
  const { integers, levels, mayBeMinusZero } = scanJson(text, limits, 2 * depthMax + 1 + levelsAround);
  const numbers = { mayBeLong: true, mayBeMinusZero };
  return { value: parseScanned(text, integers, tagOf), isDeep: levels > depthMax, numbers };
}

/** Throws `RejectedError` `FRAME_TOO_COMPLEX` where a value has more than `levelsMax` levels. */
export function checkLevels(value: unknown, levelsMax: number): void {
  if (isTooDeep(value, levelsMax)) throw tooComplex("levels", levelsMax);
}

/** The tag of an integer in text that was made here: no stored text has this key. */
const OWN_TAG = "\u0000int";

/** Parses text of `exactJson`, or other JSON without tags: integers beyond 2^53 become big. Throws as `parseJson`. */
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

/** Earlier versions wrote a double beyond 64 bits as digits: such digits, if exactly a double, become it. */
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
