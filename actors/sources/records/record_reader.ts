/**
 * Turns records of JSON, CSV or plain lines into events: the one way from bytes to events, for the source that follows
 * a file and the command that reads one. Bytes that cannot be read keep their place, with the reason. No byte is
 * replaced or left out.
 */
import { RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { jsonEvent } from "../../../protocols/values/json_event.ts";
import { type CsvOptions, csvReader } from "./csv_reader.ts";
import { JsonScanner } from "./json_scanner.ts";
import { LineScanner, type LineScannerOptions } from "./line_scanner.ts";
import { malformed, type PlacedItem, placed, type RecordReader, textOf } from "./placed_item.ts";
import { type FoundRecord, RecordCutter } from "./record_cutter.ts";
import { decodeText, type Encoding, endsWithinCharacter, type TextShape, unitBytesOf } from "./text_shape.ts";

export const FORMATS = ["ndjson", "json", "csv", "lines"] as const;
export type Format = (typeof FORMATS)[number];

export interface ReadOptions extends CsvOptions {
  /** `json`: the elements of one array, or values that follow each other, over any number of lines. */
  readonly format: Format;
}

export async function recordReader(options: ReadOptions, encoding: Encoding): Promise<RecordReader> {
  if (options.format === "csv") return csvReader(options, encoding);
  const toEvent = options.format === "lines" ? (text: string): Event => ({ line: text }) : jsonEvent;
  const isBlankSkipped = options.format !== "lines";
  return {
    read: async (records) => records.flatMap((record) => readText(record, encoding, isBlankSkipped, toEvent)),
    headerFault: undefined,
  };
}

/** Whether a last line can be whole: for NDJSON, a value that no byte can continue; else, no half character. */
export function canBeWhole(bytes: Uint8Array, format: Format, encoding: Encoding): boolean {
  if (endsWithinCharacter(bytes, encoding)) return false;
  if (format !== "ndjson") return true;
  const text = decodeText(bytes, encoding);
  if (typeof text !== "string") return false;
  if (text.trim() === "") return true;
  try {
    return typeof JSON.parse(text) !== "number"; // more digits may follow a number
  } catch {
    return false; // half a value, or none: only a line break can tell
  }
}

/** A cutter of this format's records, with its scanner, which knows the line break. */
export function recordCutter(
  { format, delimiter = "," }: ReadOptions,
  { encoding }: TextShape,
  recordBytesMax: number,
  begin: { readonly offset: number; readonly isMidLine?: boolean } & Pick<
    LineScannerOptions,
    "lineBreak" | "isAfterReturn"
  >,
): { readonly cutter: RecordCutter; readonly scanner: LineScanner | JsonScanner } {
  const unitBytes = unitBytesOf(encoding);
  const isBigEndian = encoding === "utf-16be";
  const { offset, isMidLine = false, ...lines } = begin;
  const quotes = format === "csv" ? { delimiter: unitsOf(delimiter, encoding) } : {};
  const scanner =
    format === "json"
      ? new JsonScanner(unitBytes, isBigEndian)
      : new LineScanner({ unitBytes, isBigEndian, recordBytesMax, ...quotes, ...lines });
  return { cutter: new RecordCutter(scanner, { offset, recordBytesMax, unitBytes, isMidLine }), scanner };
}

function unitsOf(text: string, encoding: Encoding): readonly number[] {
  if (encoding === "utf-8") return [...Buffer.from(text)];
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}

function readText(
  record: FoundRecord,
  encoding: Encoding,
  isBlankSkipped: boolean,
  toEvent: (text: string) => Event,
): readonly PlacedItem[] {
  const text = textOf(record, encoding);
  if (typeof text !== "string") return [malformed(record, text.reason)];
  if (isBlankSkipped && text.trim() === "") return [];
  try {
    return [placed(record, toEvent(text))];
  } catch (error) {
    if (error instanceof RejectedError) return [malformed(record, error.message)];
    throw error;
  }
}
