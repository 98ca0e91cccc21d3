/**
 * Dates and times of RFC 3339 alone. Days and times that do not exist are refused, no zone is guessed, and the
 * machine's clock and zone are not used. Written by hand, linear in the text.
 */

const DIGIT_ZERO = 0x30;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
/** The most characters of a text: that of `2026-12-01T10:00:00Z` and a fraction of up to 44 digits. */
const TEXT_MAX = 64;
const MINUTES_A_DAY = 1_440;

/** The number of the two digits at `at`, or -1 where one of these is no digit. */
function pair(text: string, at: number): number {
  const tens = text.charCodeAt(at) - DIGIT_ZERO;
  const ones = text.charCodeAt(at + 1) - DIGIT_ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

const HYPHEN = 0x2d;
const COLON = 0x3a;
const POINT = 0x2e;
const PLUS = 0x2b;
const SPACE = 0x20;
const LOWER_T = 0x74;
const LOWER_Z = 0x7a;
/** The bit that turns a capital letter into a small one. */
const LOWER = 0x20;

const isLeap = (century: number, year: number): boolean => year % 4 === 0 && (year !== 0 || century % 4 === 0);

/** Whether the first ten characters are a day that exists. */
function isDayAtFront(text: string): boolean {
  const century = pair(text, 0);
  const year = pair(text, 2);
  const month = pair(text, 5);
  const day = pair(text, 8);
  if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1) return false;
  if (text.charCodeAt(4) !== HYPHEN || text.charCodeAt(7) !== HYPHEN) return false;
  if (day <= 28) return true;
  return day <= (month === 2 && isLeap(century, year) ? 29 : (DAYS[month - 1] ?? 0));
}

/** A `full-date`: `2026-12-01`. */
export const isRfc3339Date = (text: string): boolean => text.length === 10 && isDayAtFront(text);

/** One past the fraction that begins at `at`; `at` itself without a fraction; -1 for a point without digits. */
function endOfFraction(text: string, at: number): number {
  if (text.charCodeAt(at) !== POINT) return at;
  let end = at + 1;
  for (; end < text.length; end++) {
    const digit = text.charCodeAt(end) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) break;
  }
  return end === at + 1 ? -1 : end;
}

const NO_OFFSET = Number.POSITIVE_INFINITY;

/** Minutes ahead of UTC of the offset at `at`; `NO_OFFSET` at the end of the text; NaN for anything else. */
function offsetMinutesAt(text: string, at: number): number {
  if (at === text.length) return NO_OFFSET;
  const sign = text.charCodeAt(at);
  if ((sign | LOWER) === LOWER_Z) return at + 1 === text.length ? 0 : Number.NaN;
  if ((sign !== PLUS && sign !== HYPHEN) || at + 6 !== text.length || text.charCodeAt(at + 3) !== COLON)
    return Number.NaN;
  const hours = pair(text, at + 1);
  const minutes = pair(text, at + 4);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return Number.NaN;
  return (sign === PLUS ? 1 : -1) * (hours * 60 + minutes);
}

/** Whether a time begins at `from` and ends with the text. A leap second is taken at 23:59:60 UTC alone. */
function isTimeAt(text: string, from: number, mayLackOffset: boolean): boolean {
  const hour = pair(text, from);
  const minute = pair(text, from + 3);
  const second = pair(text, from + 6);
  if (text.charCodeAt(from + 2) !== COLON || text.charCodeAt(from + 5) !== COLON) return false;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
  const end = endOfFraction(text, from + 8);
  if (end < 0) return false;
  const offset = offsetMinutesAt(text, end);
  if (Number.isNaN(offset) || (offset === NO_OFFSET && !mayLackOffset)) return false;
  if (second < 60) return true;
  const utc = hour * 60 + minute - (offset === NO_OFFSET ? 0 : offset);
  return (utc + MINUTES_A_DAY) % MINUTES_A_DAY === MINUTES_A_DAY - 1;
}

/** Whether the text is a `full-time` with its offset, `10:00:00.5+01:00`. `mayLackOffset` takes local times too. */
export const isRfc3339Time = (text: string, mayLackOffset = false): boolean =>
  text.length <= TEXT_MAX && isTimeAt(text, 0, mayLackOffset);

/** Most texts: a day that every month has, no leap second, an offset. The pattern never backtracks. */
const ORDINARY =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * Whether the text is a `date-time`, with `T` or a space between. `mayLackOffset` takes local times too. A leap second
 * is valid at the end of a month in UTC.
 */
export function isRfc3339(text: string, mayLackOffset = false): boolean {
  if (text.length <= TEXT_MAX && ORDINARY.test(text)) return true;
  const between = text.charCodeAt(10);
  if (((between | LOWER) !== LOWER_T && between !== SPACE) || text.length > TEXT_MAX) return false;
  if (!isDayAtFront(text) || !isTimeAt(text, 11, mayLackOffset)) return false;
  return pair(text, 17) < 60 || new Date(timeOf(text)).getUTCDate() === 1;
}

export interface Rfc3339 {
  /** Milliseconds since 1970, which do not count leap seconds: a leap second is read as the second after it. */
  readonly timeMs: number;
  /** Nanoseconds beyond the millisecond: 0 to 999,999. Digits finer than a nanosecond are cut. */
  readonly nanoseconds: number;
}

/** Reads a `date-time` with its offset; undefined for any other text. */
export function readRfc3339(text: string): Rfc3339 | undefined {
  if (!isRfc3339(text)) return undefined;
  const end = endOfFraction(text, 19);
  const finer = text.slice(Math.min(end, 23), Math.min(end, 29));
  return { timeMs: timeOf(text), nanoseconds: Number(finer.padEnd(6, "0")) };
}

/** The time of a valid `date-time`, in ms since 1970. */
function timeOf(text: string): number {
  const day = new Date(0);
  // Not `Date.UTC`, which takes the years 0 to 99 for those after 1900.
  day.setUTCFullYear(pair(text, 0) * 100 + pair(text, 2), pair(text, 5) - 1, pair(text, 8));
  const end = endOfFraction(text, 19);
  const offset = offsetMinutesAt(text, end);
  const minutes = pair(text, 11) * 60 + pair(text, 14) - (offset === NO_OFFSET ? 0 : offset);
  const milliseconds = Number(text.slice(20, Math.min(end, 23)).padEnd(3, "0"));
  return day.getTime() + (minutes * 60 + pair(text, 17)) * 1_000 + milliseconds;
}
