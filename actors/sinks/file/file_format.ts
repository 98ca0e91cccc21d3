/** Records as lines: NDJSON, or CSV (RFC 4180) with named columns. */
import { loadDriver } from "../../../deps.ts";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { exactNumber, isInexact, writeJson } from "../../../protocols/values/exact_json.ts";
import { finalRejection, type Inexpressible, isWellFormed, JSON_FORM, judgeValue } from "../expressible.ts";
import type { Rejection, SinkRecord } from "../sink.ts";
import type { FileFormat } from "./file_layout.ts";

export interface LineEncoder {
  /** The bytes at the start of every file. */
  readonly header: Uint8Array;
  /** Pure. The lines of all records, or the rejections of those records that have no line. */
  encode(records: readonly SinkRecord[]): EncodedLines;
}

export type EncodedLines =
  | { readonly kind: "lines"; readonly bytes: Uint8Array }
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] };

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
    return {
      header: new Uint8Array(0),
      encode: (records) => encodeLines(records, jsonLine, (lines) => lines.join("")),
    };
  }
  checkColumns(format, columns);
  const { stringify } = await loadDriver("csv-stringify");
  // The package quotes a field that holds the whole record delimiter (CR LF), but not one that holds a lone line feed.
  const options = { record_delimiter: "\r\n" as const, quoted_match: /[\r\n]/ };
  const guard = (value: string) => (isSpreadsheetSafe && FORMULA.test(value) ? `'${value}` : value);
  const row = ({ event }: SinkRecord) => rowOf(event, columns, guard);
  return {
    header: text.encode(stringify([[...columns]], options)),
    encode: (records) => encodeLines(records, row, (rows) => stringify(rows, options)),
  };
}

function encodeLines<Line extends string | readonly string[]>(
  records: readonly SinkRecord[],
  lineOf: (record: SinkRecord) => Line | Inexpressible,
  join: (lines: Line[]) => string,
): EncodedLines {
  const lines: Line[] = [];
  const rejected: Rejection[] = [];
  for (const [at, record] of records.entries()) {
    const line = lineOf(record);
    if (typeof line === "object" && "reason" in line) rejected.push(finalRejection(at, line));
    else lines.push(line);
  }
  if (rejected.length > 0) return { kind: "rejected", records: rejected };
  return { kind: "lines", bytes: new TextEncoder().encode(join(lines)) };
}

const jsonLine = ({ event }: SinkRecord): string | Inexpressible => {
  const json = jsonText(event);
  return typeof json === "string" ? `${json}\n` : json;
};

/** The value as JSON without a line break, or why JSON cannot express it. */
export function jsonText(value: unknown): string | Inexpressible {
  const judgement = judgeValue(value, JSON_FORM);
  if (typeof judgement === "object") return judgement;
  // Most events are plain, and do not need the slower way.
  return judgement === "plain" ? JSON.stringify(value) : writeJson(value, jsonValue);
}

/** The beginning of a text that a spreadsheet would run as a formula. */
const FORMULA = /^[=+\-@\t\r]/;

function rowOf(
  event: Event,
  columns: readonly string[],
  guard: (text: string) => string,
): readonly string[] | Inexpressible {
  const cells: string[] = [];
  for (const column of columns) {
    // A column may be named like what every object inherits.
    const found = cell(Object.hasOwn(event, column) ? event[column] : undefined, guard);
    if (typeof found === "object")
      return { ...found, path: `/${column.replaceAll("~", "~0").replaceAll("/", "~1")}${found.path}` };
    cells.push(found);
  }
  return cells;
}

function cell(value: unknown, guard: (text: string) => string): string | Inexpressible {
  if (typeof value === "string")
    return isWellFormed(value)
      ? guard(value)
      : { path: "", reason: "must be text in UTF-8: it holds half of a surrogate pair" };
  if (value === undefined || value === null) return "";
  if (typeof value === "number" && isInexact(value)) return exactNumber(value);
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  const json = jsonText(value);
  // JSON puts a time in quotes. The cell holds it without them.
  return value instanceof Date && typeof json === "string" ? (JSON.parse(json) as string) : json;
}

/** Values that JSON has no form for: 64-bit integers become decimal text, bytes become base64. */
function jsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value;
}
