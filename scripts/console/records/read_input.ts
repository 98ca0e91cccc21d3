/**
 * Events from a file or from stdin, by the same reader as the `file` source: NDJSON, JSON, CSV with a header, or plain
 * lines, inflated if compressed. Bytes that are no event are passed on with the reason, so that the node sets them
 * aside. No byte of the input is dropped or changed here.
 */
import { foreignFormatOf, foreignReason } from "../../../actors/sources/records/foreign_format.ts";
import { compressionOf, inflate, MAGIC_BYTES } from "../../../actors/sources/records/inflate.ts";
import { JsonScanner } from "../../../actors/sources/records/json_scanner.ts";
import type { PlacedItem } from "../../../actors/sources/records/placed_item.ts";
import { type Format, recordCutter, recordReader } from "../../../actors/sources/records/record_reader.ts";
import {
  decodeText,
  type Encoding,
  shapeOf,
  type TextShape,
  unitBytesOf,
  wideEncodingOf,
} from "../../../actors/sources/records/text_shape.ts";
import { RejectedError } from "../../../protocols/errors.ts";
import { type EventInput, UnreadableInput } from "../../../protocols/mod.ts";
import { WIRE_DEFAULTS } from "../../../protocols/wire/frames.ts";
import { DataError } from "../exit_codes.ts";
import {
  type ChosenFormat,
  DELIMITER_LINE_BYTES,
  delimiterLineOf,
  formatOfFile,
  formatOfText,
  mayBeDelimiterLine,
} from "./input_format.ts";

/** Most bytes of one record: more than any event may have. */
const RECORD_BYTES_MAX = WIRE_DEFAULTS.frameBytesMax * 4;

export interface InputEvent {
  readonly event: EventInput;
  /** 1-based. */
  readonly line: number;
}

export interface InputOptions {
  /** The input's name for a person: a file's path, or stdin. */
  readonly name: string;
  readonly format?: Format;
  readonly delimiter?: string;
  readonly encoding?: Encoding;
  /** Whether every value of CSV stays text. */
  readonly isText: boolean;
  /** Called with the number of bytes read, before they are inflated. */
  readonly onBytes: (count: number) => void;
  /** Called once with how the input is read, and for whatever looks wrong. */
  readonly remark: (line: string) => void;
}

/** Throws `DataError` if the input is damaged, after it has yielded the events before the damage. */
export async function* readInput(input: AsyncIterable<Uint8Array>, options: InputOptions): AsyncGenerator<InputEvent> {
  const { name } = options;
  const isKnown = (first: Uint8Array) => compressionOf(first) !== undefined && foreignFormatOf(first) !== undefined;
  const raw = await peek(counted(input, options.onBytes), isKnown);
  const compression = compressionOf(raw.first, true) ?? "none";
  refuseForeign(name, raw.first);
  const text = await peek(
    inflate(raw.all, compression),
    (first) => first.length >= MAGIC_BYTES && foreignFormatOf(first) !== undefined && !isDelimiterLineOpen(first),
  );
  refuseForeign(name, text.first, compression === "none" ? "" : ` within ${compression}`);
  const shape = shapeOf(text.first, options.encoding, true) ?? { encoding: "utf-8", markBytes: 0 };
  refuseWide(name, text.first, shape, options.encoding);
  const chosen = choose(options, text.first, shape);
  const inflated = compression === "none" ? "" : `inflated from ${compression}, `;
  const named = chosen.format === "csv" ? delimiterLine(text.first, shape) : undefined;
  const delimiter = options.delimiter ?? named?.delimiter ?? chosen.delimiter;
  const why = [chosen.why, ...(chosen.delimiter === delimiter ? delimiterWhy(delimiter) : [])].join(", ");
  options.remark(`reading ${name}: ${inflated}${shape.encoding}, as ${chosen.format}: ${why}`);
  if (named !== undefined) options.remark(delimiterLineRemark(name, named.delimiter, delimiter));
  const skippedBytes = shape.markBytes + (named?.bytes ?? 0);
  yield* readText(text.all, { ...shape, markBytes: skippedBytes }, chosen.format, {
    ...options,
    ...(delimiter === undefined ? {} : { delimiter }),
  });
}

const delimiterWhy = (delimiter: string | undefined): readonly string[] =>
  delimiter === "\t" ? ["a tab between two values"] : [];

const delimiterLineRemark = (name: string, named: string, delimiter: string | undefined): string =>
  named === delimiter
    ? `${name}: its first line says sep=${named}: ${JSON.stringify(named)} stands between two values, and the line is no record`
    : `${name}: its first line says sep=${named}, but --delimiter is given: the line is no record`;

/** The delimiter that the first line names, and the bytes of that line without its line break. */
function delimiterLine(
  first: Uint8Array,
  { encoding, markBytes }: TextShape,
): { readonly delimiter: string; readonly bytes: number } | undefined {
  const begin = decodedBeginning(first.subarray(markBytes, markBytes + DELIMITER_LINE_BYTES), encoding);
  const found = delimiterLineOf(begin);
  return found === undefined
    ? undefined
    : { delimiter: found.delimiter, bytes: found.line.length * unitBytesOf(encoding) };
}

/** The beginning, decoded for its ASCII characters, which are one byte in UTF-8 and in all encodings of one byte. */
const decodedBeginning = (bytes: Uint8Array, encoding: Encoding): string =>
  unitBytesOf(encoding) === 1
    ? Buffer.from(bytes).toString("latin1")
    : new TextDecoder(encoding, { ignoreBOM: true }).decode(bytes, { stream: true });

function isDelimiterLineOpen(first: Uint8Array): boolean {
  const shape = shapeOf(first, undefined, true) ?? { encoding: "utf-8", markBytes: 0 };
  return mayBeDelimiterLine(decodedBeginning(first.subarray(shape.markBytes), shape.encoding));
}

async function* readText(
  chunks: AsyncIterable<Uint8Array>,
  shape: TextShape,
  format: Format,
  options: InputOptions,
): AsyncGenerator<InputEvent> {
  const { name, delimiter, isText, remark } = options;
  const read = {
    format,
    values: isText ? ("text" as const) : ("all" as const),
    warn: (reason: string) => remark(`${name}: ${reason}`),
    ...(delimiter === undefined ? {} : { delimiter }),
  };
  const reader = await recordReader(read, shape.encoding);
  const { cutter, scanner } = recordCutter(read, shape, RECORD_BYTES_MAX, { offset: shape.markBytes });
  const refuseHeader = () => {
    if (reader.headerFault !== undefined) throw new DataError(`Cannot read ${name} as ${reader.headerFault}`);
  };
  let markBytes = shape.markBytes;
  try {
    for await (const chunk of chunks) {
      const items = await reader.read(cutter.push(chunk.subarray(markBytes)));
      markBytes = Math.max(0, markBytes - chunk.length);
      refuseHeader();
      for (const item of items) yield inputEvent(name, item);
    }
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    for (const { bytes, line } of cutter.finish()) {
      yield { event: new UnreadableInput(`${name}:${line}: the input is cut short or damaged here`, bytes), line };
    }
    throw new DataError(`Cannot read ${name} to its end: ${error.message}`, { cause: error });
  }
  const items = await reader.read(cutter.finish());
  refuseHeader();
  for (const item of items) yield inputEvent(name, item);
  if (scanner instanceof JsonScanner && scanner.isArrayOpen) {
    throw new DataError(`Cannot read ${name} to its end as its list must be closed: it is cut short`);
  }
}

function inputEvent(name: string, { item, line }: PlacedItem): InputEvent {
  if (item.kind === "event") return { event: item.event, line };
  return { event: new UnreadableInput(`${name}:${line}: ${item.reason}`, item.original), line };
}

function refuseForeign(name: string, first: Uint8Array, where = ""): void {
  const foreign = foreignFormatOf(first, true) ?? "none";
  if (foreign !== "none") throw new DataError(`Cannot read ${name} as ${foreignReason(foreign)}${where}`);
}

function refuseWide(name: string, first: Uint8Array, { markBytes }: TextShape, named: Encoding | undefined): void {
  const wide = markBytes > 0 || named !== undefined ? undefined : wideEncodingOf(first);
  if (wide === undefined) return;
  throw new DataError(
    `Cannot read ${name} as every second byte is 0 and no encoding is named: --encoding ${wide} may be meant, or utf-8`,
  );
}

function choose({ name, format, delimiter }: InputOptions, first: Uint8Array, shape: TextShape): ChosenFormat {
  if (format !== undefined) return { format, why: "--format says so" };
  const found = formatOfFile(name);
  const isJson = found?.format === "ndjson" || found?.format === "json";
  if (delimiter !== undefined && !isJson) return { format: "csv", why: "--delimiter is given" };
  if (found !== undefined) return found;
  const text = decodeText(first.subarray(shape.markBytes), shape.encoding);
  // The first chunk may end within a character. The characters that tell the format are ASCII, and need no decoding.
  return formatOfText(typeof text === "string" ? text : Buffer.from(first).toString("latin1"));
}

async function* counted(
  input: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of input) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Reads ahead until `isEnough`, or to the end. `all` yields the beginning too. */
async function peek(
  chunks: AsyncGenerator<Uint8Array>,
  isEnough: (first: Uint8Array) => boolean,
): Promise<{ readonly first: Uint8Array; readonly all: AsyncGenerator<Uint8Array> }> {
  let first: Uint8Array = new Uint8Array(0);
  let failure: { readonly error: unknown } | undefined;
  let isEnd = false;
  while (!isEnd && failure === undefined && (first.length === 0 || !isEnough(first))) {
    try {
      const next = await chunks.next();
      isEnd = next.done === true;
      if (next.done !== true) first = Buffer.concat([first, next.value]);
    } catch (error) {
      failure = { error }; // thrown at its place, after the bytes before it
    }
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    if (first.length > 0) yield first;
    if (failure !== undefined) throw failure.error;
    if (!isEnd) yield* chunks;
  }
  return { first, all: all() };
}
