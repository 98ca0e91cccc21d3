/** Records as lines: NDJSON, or CSV (RFC 4180) with named columns. */

import { loadDriver } from "../../deps.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import type { FileFormat } from "./file_layout.ts";
import type { SinkRecord } from "./sink.ts";

export interface LineEncoder {
  /** Written at the start of every file. */
  readonly header: Uint8Array;
  encode(records: readonly SinkRecord[]): Uint8Array;
}

/** Throws `ConfigurationError` for CSV that names no columns. */
export function checkColumns(format: FileFormat, columns: readonly string[] | undefined): void {
  if (format !== "csv" || (columns !== undefined && columns.length > 0)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot write CSV as 'columns' must name at least one field: current value is ${JSON.stringify(columns)}`,
  );
}

export async function lineEncoder(
  format: FileFormat,
  columns: readonly string[] = [],
  isSpreadsheetSafe: boolean,
): Promise<LineEncoder> {
  const text = new TextEncoder();
  if (format === "ndjson") {
    // A replacer is called for every value: most events hold nothing that needs one.
    const line = ({ event }: SinkRecord) =>
      `${isPlainJson(event) ? JSON.stringify(event) : JSON.stringify(event, jsonValue)}\n`;
    return { header: new Uint8Array(0), encode: (records) => text.encode(records.map(line).join("")) };
  }
  checkColumns(format, columns);
  const { stringify } = await loadDriver("csv-stringify");
  // The package quotes for the record delimiter as a whole only: a lone line feed would break the line.
  const options = { record_delimiter: "\r\n" as const, quoted_match: /[\r\n]/ };
  const guard = (value: string) => (isSpreadsheetSafe && FORMULA.test(value) ? `'${value}` : value);
  return {
    header: text.encode(stringify([[...columns]], options)),
    encode: (records) =>
      text.encode(
        stringify(
          records.map(({ event }) => columns.map((column) => cell(event[column], guard))),
          options,
        ),
      ),
  };
}

/** What a spreadsheet would run. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: unknown, guard: (text: string) => string): string {
  if (typeof value === "string") return guard(value);
  if (value === undefined || value === null) return "";
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return typeof value === "object" ? JSON.stringify(value, jsonValue) : String(value);
}

/** Whether JSON has a form for all of it. */
function isPlainJson(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value !== "bigint";
  if (value instanceof Uint8Array) return false;
  for (const key in value) if (!isPlainJson((value as Record<string, unknown>)[key])) return false;
  return true;
}

/** 64-bit integers as decimal text, bytes as base64: what JSON has no form for. */
export function jsonValue(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value;
}
