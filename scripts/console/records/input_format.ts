/**
 * Chooses the format of an input without `--format`: by its name's ending, else by its beginning. Gives the reason in
 * words.
 */
import type { Format } from "../../../actors/sources/records/record_reader.ts";

export interface ChosenFormat {
  readonly format: Format;
  /** Why the format was chosen, for a person. */
  readonly why: string;
  /** The delimiter of CSV, if the name or the text tells it. */
  readonly delimiter?: string;
}

const FORMAT_OF_ENDING: Readonly<Record<string, Format>> = {
  ndjson: "ndjson",
  jsonl: "ndjson",
  json: "json",
  csv: "csv",
  tsv: "csv",
  log: "lines",
  txt: "lines",
};

/** The format by a file's ending, below an ending of compression. Undefined for other endings. */
export function formatOfFile(file: string): ChosenFormat | undefined {
  const ending = /\.([a-z]+)$/i.exec(file.replace(/\.(gz|gzip|zst|zstd)$/i, ""))?.[1]?.toLowerCase() ?? "";
  const format = FORMAT_OF_ENDING[ending];
  if (format === undefined) return undefined;
  const why = `its name ends in .${ending}`;
  return ending === "tsv" ? { format, why, delimiter: "\t" } : { format, why };
}

/** @param first the beginning of the text: its first line at least, or all of it */
export function formatOfText(first: string): ChosenFormat {
  const text = first.trimStart();
  if (/^\[\s*(\{\s*["}]|\]\s*$)/.test(text)) return { format: "json", why: "it begins with a list of maps" };
  if (!/^\{\s*["}]/.test(text))
    return { format: "lines", why: "it begins with neither a map of JSON nor a list of them" };
  const [line = ""] = text.split(/[\r\n]/, 1);
  const isWholeLine = line.length < text.length;
  if (isWholeLine && /[{[,:]\s*$/.test(line)) return { format: "json", why: "it begins with a map of JSON over lines" };
  return { format: "ndjson", why: "it begins with a map of JSON on one line" };
}

/** The first line of CSV from Excel, which names the delimiter and is no record. */
const DELIMITER_LINE = /^sep=([^\r\n])(?=\r?\n|\r|$)/i;
/** Most bytes of that line: two for each character, and its line break. */
export const DELIMITER_LINE_BYTES = 14;

/** The delimiter that Excel's first line of CSV names, and the line without its line break. */
export function delimiterLineOf(first: string): { readonly delimiter: string; readonly line: string } | undefined {
  const [line, delimiter] = DELIMITER_LINE.exec(first) ?? [];
  return line === undefined || delimiter === undefined ? undefined : { delimiter, line };
}

/** Whether these characters may be the beginning of that line, so that more are needed. */
export const mayBeDelimiterLine = (first: string): boolean =>
  first.length < "sep=;\n".length && "sep=".startsWith(first.slice(0, "sep=".length).toLowerCase());
