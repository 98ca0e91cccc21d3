/**
 * Events from a file or from stdin: NDJSON, a JSON array, CSV with a header, or plain lines. What can not be made an
 * event is handed on as bytes, for the node to set aside with its reason: nothing of the input is dropped here.
 */
import type { Readable } from "node:stream";
import { loadDriver } from "../../deps.ts";
import { WIRE_DEFAULTS } from "../../protocols/frames.ts";
import type { Event, EventInput } from "../../protocols/mod.ts";
import { DataError } from "./exit_codes.ts";
import { JsonElements } from "./json_elements.ts";

export const INPUT_FORMATS = ["ndjson", "json", "csv", "lines"] as const;
export type InputFormat = (typeof INPUT_FORMATS)[number];

/** One value of the input: more than any event may have. */
const VALUE_CHARACTERS_MAX = WIRE_DEFAULTS.frameBytesMax * 4;

export interface InputEvent {
  readonly event: EventInput;
  /** 1-based. */
  readonly line: number;
}

const FORMAT_OF_ENDING: Readonly<Record<string, InputFormat>> = {
  ndjson: "ndjson",
  jsonl: "ndjson",
  json: "json",
  csv: "csv",
  log: "lines",
  txt: "lines",
};

/** By a file's ending; else undefined, and what the input begins with decides. */
export const formatOfFile = (file: string): InputFormat | undefined =>
  FORMAT_OF_ENDING[/\.([a-z]+)$/i.exec(file)?.[1]?.toLowerCase() ?? ""];

/** @param isText keeps every value of CSV as text */
export async function* readInput(
  input: Readable,
  format: InputFormat | undefined,
  isText: boolean,
  onBytes: (count: number) => void,
): AsyncIterable<InputEvent> {
  const decoder = new TextDecoder();
  async function* texts(): AsyncIterable<string> {
    for await (const chunk of input) {
      onBytes((chunk as Uint8Array).length);
      const text = decoder.decode(chunk as Uint8Array, { stream: true });
      if (text !== "") yield text;
    }
    const rest = decoder.decode();
    if (rest !== "") yield rest;
  }
  const { first, all } = await peek(texts());
  switch (format ?? sniff(first)) {
    case "ndjson":
      yield* readLines(all, jsonEvent);
      return;
    case "lines":
      yield* readLines(all, (line) => ({ line }));
      return;
    case "json":
      yield* readJson(all);
      return;
    case "csv":
      yield* readCsv(all, isText);
      return;
  }
}

const sniff = (text: string): InputFormat => {
  const begin = text.trimStart()[0];
  if (begin === "[") return "json";
  return begin === "{" ? "ndjson" : "lines";
};

async function peek(texts: AsyncIterable<string>): Promise<{ first: string; all: AsyncIterable<string> }> {
  const iterator = texts[Symbol.asyncIterator]();
  const { value, done } = await iterator.next();
  const first = done === true ? "" : value;
  async function* all(): AsyncIterable<string> {
    if (first !== "") yield first;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  return { first, all: all() };
}

async function* readLines(
  texts: AsyncIterable<string>,
  convert: (line: string) => Event | Uint8Array,
): AsyncIterable<InputEvent> {
  let held = "";
  let number = 0;
  const take = (text: string): InputEvent | undefined => {
    number += 1;
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    return line.trim() === "" ? undefined : { event: convert(line), line: number };
  };
  for await (const text of texts) {
    const lines = (held + text).split("\n");
    held = lines.pop() ?? "";
    if (held.length > VALUE_CHARACTERS_MAX) {
      throw new DataError(`Cannot read line ${number + 1} as it must have at most ${VALUE_CHARACTERS_MAX} characters`);
    }
    for (const line of lines) {
      const found = take(line);
      if (found !== undefined) yield found;
    }
  }
  const last = take(held);
  if (last !== undefined) yield last;
}

async function* readJson(texts: AsyncIterable<string>): AsyncIterable<InputEvent> {
  const elements = new JsonElements(VALUE_CHARACTERS_MAX);
  for await (const text of texts) {
    for (const { text: value, line } of elements.take(text)) yield { event: jsonEvent(value), line };
  }
  for (const { text: value, line } of elements.end()) yield { event: jsonEvent(value), line };
}

function jsonEvent(text: string): Event | Uint8Array {
  try {
    const value: unknown = JSON.parse(text.replace(/^\ufeff/, ""));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Event;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return new TextEncoder().encode(text);
}

async function* readCsv(texts: AsyncIterable<string>, isText: boolean): AsyncIterable<InputEvent> {
  const { parse } = await loadDriver("csv-parse");
  const { Readable } = await import("node:stream");
  const skipped: InputEvent[] = [];
  const parser = parse({
    columns: true,
    bom: true,
    info: true,
    raw: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: VALUE_CHARACTERS_MAX,
    on_skip: (error, raw) => {
      skipped.push({ event: new TextEncoder().encode(raw ?? ""), line: (error as { lines?: number }).lines ?? 0 });
      return undefined;
    },
  });
  const source = Readable.from(texts);
  source.on("error", (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      yield* skipped.splice(0);
      yield { event: isText ? record : castFields(record), line: info.lines };
    }
  } catch (error) {
    throw new DataError(`Cannot read CSV: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  yield* skipped;
}

interface CsvRecord {
  readonly record: Readonly<Record<string, string>>;
  readonly info: { readonly lines: number };
}

/** Only what reads back the same: `007` and account numbers beyond 2^53 stay text. An empty field is left out. */
function castFields(record: Readonly<Record<string, string>>): Event {
  const event: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(record)) {
    if (text !== "") event[name] = castText(text);
  }
  return event;
}

function castText(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  if (!/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text)) return text;
  const value = Number(text);
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? text : value;
}
