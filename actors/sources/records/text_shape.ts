/**
 * Decodes bytes as text. No encoding is guessed: a byte order mark names it, or else a person, or else it is UTF-8. No
 * byte is replaced: bytes that the encoding does not know make a fault with its column.
 */

export const ENCODINGS = ["utf-8", "utf-16le", "utf-16be", "latin1", "windows-1252"] as const;
export type Encoding = (typeof ENCODINGS)[number];

export interface TextShape {
  readonly encoding: Encoding;
  /** Length of the byte order mark, which is no part of the text. */
  readonly markBytes: number;
}

const MARKS: readonly (readonly [Encoding, readonly number[]])[] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/** A byte order mark wins over `named`. Undefined while a mark may be incomplete and more bytes may follow. */
export function shapeOf(first: Uint8Array, named: Encoding = "utf-8", isEnd = false): TextShape | undefined {
  for (const [encoding, mark] of MARKS) {
    if (first.length >= mark.length && mark.every((byte, at) => first[at] === byte)) {
      return { encoding, markBytes: mark.length };
    }
    if (!isEnd && first.length < mark.length && mark.slice(0, first.length).every((byte, at) => first[at] === byte)) {
      return undefined;
    }
  }
  return { encoding: named, markBytes: 0 };
}

/** Length in bytes of the units in which line breaks and quotes are found. */
export const unitBytesOf = (encoding: Encoding): 1 | 2 => (encoding.startsWith("utf-16") ? 2 : 1);

export interface TextFault {
  readonly reason: string;
}

const strictDecoders = {
  "utf-8": new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }),
  "utf-16le": new TextDecoder("utf-16le", { fatal: true, ignoreBOM: true }),
  "utf-16be": new TextDecoder("utf-16be", { fatal: true, ignoreBOM: true }),
};
const lossyUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The characters of Windows-1252 from 0x80 to 0x9f. All others are those of Latin-1. */
const WINDOWS_1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";

export function decodeText(bytes: Uint8Array, encoding: Encoding): string | TextFault {
  switch (encoding) {
    case "utf-8":
      try {
        return strictDecoders["utf-8"].decode(bytes);
      } catch {
        return utf8Fault(bytes); // the decoder does not tell the place
      }
    case "utf-16le":
    case "utf-16be":
      try {
        return strictDecoders[encoding].decode(bytes);
      } catch {
        return utf16Fault(bytes, encoding); // the decoder does not tell the place
      }
    case "latin1":
      return latin1(bytes);
    case "windows-1252":
      return latin1(bytes).replace(/[\u0080-\u009f]/g, (one) => WINDOWS_1252[one.charCodeAt(0) - 0x80] ?? one);
  }
}

/** Whether the bytes are text except for their last character, which is incomplete. */
export function endsWithinCharacter(bytes: Uint8Array, encoding: Encoding): boolean {
  if (encoding === "latin1" || encoding === "windows-1252") return false;
  if (typeof decodeText(bytes, encoding) === "string") return false;
  try {
    new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false; // another byte is at fault, so more bytes do not help
  }
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

const hexOf = (byte: number | undefined): string => `0x${(byte ?? 0).toString(16).padStart(2, "0")}`;

function utf8Fault(bytes: Uint8Array): TextFault {
  let at = 0;
  let column = 1;
  for (const character of lossyUtf8.decode(bytes)) {
    const isReplaced =
      character === "\ufffd" && !(bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd);
    if (isReplaced) break;
    at += Buffer.byteLength(character);
    column += 1;
  }
  return { reason: `must be UTF-8: byte ${hexOf(bytes[at])} at column ${column} is none; its encoding may be named` };
}

function utf16Fault(bytes: Uint8Array, encoding: "utf-16le" | "utf-16be"): TextFault {
  const low = encoding === "utf-16le" ? 0 : 1;
  const unitAt = (index: number): number => ((bytes[index * 2 + 1 - low] ?? 0) << 8) | (bytes[index * 2 + low] ?? 0);
  const count = Math.floor(bytes.length / 2);
  let index = 0;
  let column = 1;
  for (; index < count; index += 1, column += 1) {
    const unit = unitAt(index);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = index + 1 < count ? unitAt(index + 1) : 0;
    if (unit > 0xdbff || next < 0xdc00 || next > 0xdfff) break;
    index += 1;
  }
  return { reason: `must be ${encoding.toUpperCase()}: column ${column} is half a character` };
}

/** How many first bytes are tested for two bytes a character, and the share of zero bytes that suggests it. */
const WIDE_LOOK_BYTES = 64;
const WIDE_SHARE = 0.8;

/** The encoding that these first bytes suggest, if every second one is 0. Never used unless named. */
export function wideEncodingOf(first: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  const seen = first.subarray(0, WIDE_LOOK_BYTES);
  const zerosAt = (parity: 0 | 1): number => seen.filter((byte, at) => at % 2 === parity && byte === 0).length;
  const half = Math.floor(seen.length / 2);
  if (half < 2) return undefined;
  if (zerosAt(1) >= half * WIDE_SHARE && zerosAt(0) === 0) return "utf-16le";
  return zerosAt(0) >= half * WIDE_SHARE && zerosAt(1) === 0 ? "utf-16be" : undefined;
}
