/** Texts for keys of a table that sort as what they stand for. */

/** Event times from -2^52 ms on are ordered as text by their distance from there, in hexadecimal. */
const EARLIEST_MS = -(2 ** 52);
const TIME_DIGITS = 14;

/** @param timeMs whole ms since 1970, from -2^52 to 2^54 */
export const timeText = (timeMs: number): string => (timeMs - EARLIEST_MS).toString(16).padStart(TIME_DIGITS, "0");

/** A text with its end: "a" with anything behind it sorts before "aa" with anything, and no two texts run together. */
export const endedText = (text: string): string => `${text.replaceAll("\0", "\0\x01")}\0\0`;
