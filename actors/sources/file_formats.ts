/** Lines of a file as events: JSON, CSV or plain text. What can not be read keeps its bytes, and says why. */
import type { parse as CsvParse } from "csv-parse";
import { loadDriver } from "../../deps.ts";
import { RejectedError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { EVENT_LIMITS } from "../../protocols/event_codec.ts";
import { fromJsonValue } from "../../protocols/json_values.ts";
import { parseJson } from "../../protocols/parse_json.ts";
import type { FoundLine } from "./file_lines.ts";
import type { SourceBatch, SourceItem } from "./source.ts";

export type PlacedItem = { readonly item: SourceItem; readonly position: number };

/** Reads the lines of one file, from its first or from any other. */
export interface LineReader {
  read(lines: readonly FoundLine[]): Promise<readonly PlacedItem[]>;
}

export interface FormatOptions {
  readonly format: "ndjson" | "csv" | "lines";
  readonly delimiter?: string;
  readonly columns?: readonly string[];
  readonly numbers?: boolean;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
/** An event lies two levels below the frame that carries it. */
const JSON_LIMITS = { tokensMax: EVENT_LIMITS.tokensMax / 2, depthMax: EVENT_LIMITS.depthMax - 2 };

/** @param firstLine the file's first line, where reading does not begin with it: a CSV file's columns */
export async function lineReader(options: FormatOptions, firstLine: FoundLine | undefined): Promise<LineReader> {
  if (options.format !== "csv") {
    const toEvent = options.format === "ndjson" ? jsonEvent : (text: string): Event => ({ line: text });
    const skipsBlank = options.format === "ndjson";
    return { read: async (lines) => lines.flatMap((line) => readText(line, skipsBlank, toEvent)) };
  }
  const { parse } = await loadDriver("csv-parse");
  const reader = new CsvReader(options, parse);
  if (firstLine !== undefined && options.columns === undefined) await reader.read([firstLine]);
  return reader;
}

export const withTerm = (items: readonly PlacedItem[], term: number): SourceBatch["items"] =>
  items.map(({ item, position }) => ({ item, position, term }));

function malformed({ position, bytes }: FoundLine, reason: string): PlacedItem {
  return { position, item: { kind: "malformed", original: bytes, reason } };
}

function readText(line: FoundLine, skipsBlank: boolean, toEvent: (text: string) => Event): readonly PlacedItem[] {
  const fault = faultOf(line);
  if (fault !== undefined) return [malformed(line, fault)];
  try {
    const text = strictUtf8.decode(line.bytes);
    if (skipsBlank && text.trim() === "") return [];
    return [{ position: line.position, item: { kind: "event", event: toEvent(text) } }];
  } catch (error) {
    if (error instanceof RejectedError || error instanceof SyntaxError) return [malformed(line, error.message)];
    return [malformed(line, "must be UTF-8")];
  }
}

const faultOf = ({ tooLongBytes }: FoundLine): string | undefined =>
  tooLongBytes === undefined ? undefined : `EVENT_TOO_LARGE: a line of ${tooLongBytes} bytes is longer than allowed`;

function jsonEvent(text: string): Event {
  const value = parseJson(text, JSON_LIMITS);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RejectedError("MALFORMED_EVENT", "Cannot take a line as it must be a map");
  }
  return fromJsonValue(value) as Event;
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

class CsvReader implements LineReader {
  readonly #options: FormatOptions;
  readonly #parse: typeof CsvParse;
  #columns: readonly string[] | undefined;

  constructor(options: FormatOptions, parse: typeof CsvParse) {
    this.#options = options;
    this.#parse = parse;
    this.#columns = options.columns;
  }

  async read(lines: readonly FoundLine[]): Promise<readonly PlacedItem[]> {
    const present = lines.filter(({ bytes }) => bytes.length > 0);
    const rows = await this.#rowsOf(present);
    return present.flatMap((line, index) => {
      const row = rows[index];
      if (row === undefined || "reason" in row) return [malformed(line, row?.reason ?? "is no CSV record")];
      if (this.#columns === undefined) {
        this.#columns = row;
        return [];
      }
      return [this.#item(line, row, this.#columns)];
    });
  }

  #item(line: FoundLine, row: readonly string[], columns: readonly string[]): PlacedItem {
    if (row.length !== columns.length) return malformed(line, `must have ${columns.length} columns: has ${row.length}`);
    const { numbers = false } = this.#options;
    const fields = columns.map((column, at): [string, unknown] => {
      const text = row[at] ?? "";
      return [column, numbers && NUMBER.test(text) ? Number(text) : text];
    });
    return { position: line.position, item: { kind: "event", event: Object.fromEntries(fields) } };
  }

  /** All lines at once; where that fails, one by one, to find which is at fault. */
  async #rowsOf(lines: readonly FoundLine[]): Promise<readonly (readonly string[] | { readonly reason: string })[]> {
    const texts = lines.map((line) => this.#textOf(line));
    if (texts.every((text) => typeof text === "string")) {
      const rows = await this.#parseText(texts.join("\n"));
      if (Array.isArray(rows) && rows.length === lines.length) return rows;
    }
    const found: (readonly string[] | { readonly reason: string })[] = [];
    for (const text of texts) {
      if (typeof text !== "string") found.push(text);
      else {
        const rows = await this.#parseText(text);
        found.push("reason" in rows ? rows : (rows[0] ?? { reason: "is no CSV record" }));
      }
    }
    return found;
  }

  #textOf(line: FoundLine): string | { readonly reason: string } {
    const reason = faultOf(line);
    if (reason !== undefined) return { reason };
    try {
      return strictUtf8.decode(line.bytes);
    } catch {
      return { reason: "must be UTF-8" }; // the decoder has no more to say
    }
  }

  #parseText(text: string): Promise<string[][] | { readonly reason: string }> {
    const options = { delimiter: this.#options.delimiter ?? ",", relax_column_count: true };
    return new Promise((resolve) => {
      this.#parse(text, options, (error, rows) => {
        resolve(error === undefined || error === null ? (rows as string[][]) : { reason: error.message });
      });
    });
  }
}
