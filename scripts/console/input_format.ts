/** How an input is read where nobody says it: by its name's ending, else by what it begins with; and why, in words. */
import type { Format } from "../../actors/sources/record_reader.ts";

export interface ChosenFormat {
  readonly format: Format;
  /** For a person: why it was taken. */
  readonly why: string;
}

const FORMAT_OF_ENDING: Readonly<Record<string, Format>> = {
  ndjson: "ndjson",
  jsonl: "ndjson",
  json: "json",
  csv: "csv",
  log: "lines",
  txt: "lines",
};

/** By a file's ending, below one of compression; undefined where it has none of these. */
export function formatOfFile(file: string): ChosenFormat | undefined {
  const ending = /\.([a-z]+)$/i.exec(file.replace(/\.(gz|gzip|zst|zstd)$/i, ""))?.[1]?.toLowerCase() ?? "";
  const format = FORMAT_OF_ENDING[ending];
  return format === undefined ? undefined : { format, why: `its name ends in .${ending}` };
}

/** @param first the beginning of the text: enough to see one line, or all of it */
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
