/**
 * JSON text that reads back as the same value: the one way out for values that people and programs sent.
 * `JSON.stringify` writes -0 as 0, and a double beyond 2^53 as the digits of another number.
 */

/** Up to 2^53 every integer is a double of its own and is written in digits; beyond, doubles skip integers. */
export const WHOLE_MAX: number = 2 ** 53;

/** Answers the value to write in place of one that has no form in JSON. */
export type WordOf = (value: unknown) => unknown;

/** A value that is written as this JSON text. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Writes integers (`bigint`) as digits, and whole doubles beyond 2^53 with an exponent. A field that is undefined is
 * left out; in a list it is null.
 */
export const exactJson = (value: unknown): string =>
  hasOwnWords(value) ? writeJson(value) : (JSON.stringify(value) ?? "null");

/** As `exactJson`, with a `wordOf`. Slower than `JSON.stringify`, so `exactJson` uses it only where it must. */
export const writeJson = (value: unknown, wordOf?: WordOf): string => writeWord(value, wordOf, undefined);

/** As `writeJson`, for people: one line for each field or item, indented by two spaces a level. */
export const writeIndentedJson = (value: unknown, wordOf?: WordOf): string => writeWord(value, wordOf, "\n");

/** @param lineBreak a line break with the indentation of the value's own line; undefined for a text of one line */
function writeWord(value: unknown, wordOf: WordOf | undefined, lineBreak: string | undefined): string {
  const word = wordOf === undefined ? value : wordOf(value);
  if (typeof word === "number") return isInexact(word) ? exactNumber(word) : JSON.stringify(word);
  if (typeof word === "bigint") return word.toString();
  if (typeof word !== "object" || word === null || word instanceof Date) return JSON.stringify(word) ?? "null";
  if (word instanceof JsonText) return word.text;
  const deeper = lineBreak === undefined ? undefined : `${lineBreak}  `;
  if (Array.isArray(word)) {
    const items = word.map((one) => writeWord(one, wordOf, deeper));
    return `[${joined(items, lineBreak)}]`;
  }
  const colon = lineBreak === undefined ? ":" : ": ";
  const fields = Object.entries(word).filter(([, one]) => one !== undefined);
  const texts = fields.map(([key, one]) => `${JSON.stringify(key)}${colon}${writeWord(one, wordOf, deeper)}`);
  return `{${joined(texts, lineBreak)}}`;
}

function joined(texts: readonly string[], lineBreak: string | undefined): string {
  if (lineBreak === undefined || texts.length === 0) return texts.join(",");
  return `${lineBreak}  ${texts.join(`,${lineBreak}  `)}${lineBreak}`;
}

/** Whether `JSON.stringify` would change this number: -0, and every finite double beyond 2^53 (all are whole). */
export function isInexact(value: number): boolean {
  if (value > WHOLE_MAX || value < -WHOLE_MAX) return Number.isFinite(value);
  return value === 0 && Object.is(value, -0);
}

/** The text of a number for which {@linkcode isInexact} holds. The point tells typed readers that -0 is no integer. */
export const exactNumber = (value: number): string => (value === 0 ? "-0.0" : value.toExponential());

function hasOwnWords(value: unknown): boolean {
  if (typeof value === "number") return isInexact(value);
  if (typeof value === "bigint") return true;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) {
    for (const one of value) if (typeof one !== "string" && hasOwnWords(one)) return true;
    return false;
  }
  // `for in` is the fastest walk over a map.
  for (const key in value) {
    const one = (value as Readonly<Record<string, unknown>>)[key];
    if (typeof one !== "string" && hasOwnWords(one)) return true;
  }
  return false;
}
