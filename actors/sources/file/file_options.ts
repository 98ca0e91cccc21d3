/** The options of the source `file`: their schema, and their form for the reader of the text. */
import type { TextOptions } from "../records/file_text.ts";
import { ENCODINGS, type Encoding } from "../records/text_shape.ts";
import type { OptionWarning } from "../source.ts";

export interface FileSourceOptions {
  readonly path: string;
  readonly format: "ndjson" | "csv" | "lines";
  readonly from?: "beginning" | "end";
  readonly encoding?: Encoding;
  readonly delimiter?: string;
  readonly columns?: readonly string[];
  readonly numbers?: boolean;
  readonly everyMs?: number;
  readonly lastLineAfterMs?: number | "never";
  readonly lineBytesMax?: number;
}

const LINE_BYTES_MAX = 1_048_576;

export const FILE_OPTIONS = {
  type: "object",
  required: ["path", "format"],
  properties: {
    path: {
      type: "string",
      minLength: 1,
      description: "The file to follow, plain or compressed with gzip or Zstandard. It need not exist yet.",
    },
    format: {
      enum: ["ndjson", "csv", "lines"],
      description: "A map of JSON in each line; records of CSV; or plain lines, each as {line}.",
    },
    from: {
      enum: ["beginning", "end"],
      default: "beginning",
      description: "Where reading begins in a file that was never read.",
    },
    encoding: {
      enum: ENCODINGS,
      default: "utf-8",
      description: "Encoding of the text. A byte order mark in the file wins over it.",
    },
    delimiter: { type: "string", minLength: 1, default: ",", description: "Delimiter of CSV." },
    columns: {
      type: "array",
      items: { type: "string" },
      minItems: 1,
      uniqueItems: true,
      description: "Names of the CSV columns. Without it, the first record of each file names them.",
    },
    numbers: {
      type: "boolean",
      default: false,
      description: "CSV values become numbers where the number reads back as the same text: 5, not 007 or 1.10.",
    },
    everyMs: { type: "integer", minimum: 10, default: 250, description: "Milliseconds between looks." },
    lastLineAfterMs: {
      oneOf: [{ type: "integer", minimum: 10 }, { enum: ["never"] }],
      default: 3_000,
      description:
        "Milliseconds without more bytes after which a last line without a line break is read. `never`: not before the file is rotated.",
    },
    lineBytesMax: {
      type: "integer",
      minimum: 1,
      maximum: LINE_BYTES_MAX,
      default: LINE_BYTES_MAX,
      description: "The beginning of a longer line is set aside.",
    },
  },
  additionalProperties: false,
} as const;

const GLOB = /[*?[]/;

export function fileOptionWarnings({ path }: FileSourceOptions): readonly OptionWarning[] {
  const found = GLOB.exec(path)?.[0];
  if (found === undefined) return [];
  const reason = `the path holds ${found} and is taken literally, as the name of one file: patterns (globs) are not supported`;
  return [{ key: "path", reason }];
}

/** The option in ms; infinity for `never`. */
export function lastLineAfterMsOf({ lastLineAfterMs }: FileSourceOptions): number {
  if (lastLineAfterMs === "never") return Number.POSITIVE_INFINITY;
  return lastLineAfterMs ?? FILE_OPTIONS.properties.lastLineAfterMs.default;
}

export function textOptionsOf(options: FileSourceOptions, warn: (reason: string) => void): TextOptions {
  const { format, delimiter, columns, numbers = false, encoding, lineBytesMax = LINE_BYTES_MAX } = options;
  return {
    format,
    values: numbers ? "numbers" : "text",
    recordBytesMax: lineBytesMax,
    warn,
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(columns === undefined ? {} : { columns }),
    ...(encoding === undefined ? {} : { encoding }),
  };
}
