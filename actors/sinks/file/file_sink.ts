/** The sink `file`: files on a disk, exactly once. Defines its options and their checks; `file_writer.ts` writes. */
import { isAbsolute, resolve } from "node:path";
import type { SinkDefinition } from "../sink.ts";
import { checkColumns, lineEncoder } from "./file_format.ts";
import { checkDirectory, checkFolder } from "./file_layout.ts";
import { FileWriter, type FileWriterOptions, SEGMENT_AGE_MAX_MS, SEGMENT_BYTES_MAX } from "./file_writer.ts";

export interface FileSinkOptions extends FileWriterOptions {
  readonly shared?: boolean;
  readonly columns?: readonly string[];
  /** CSV: texts that a spreadsheet would run as formulas get a leading apostrophe. Default: texts stay as they are. */
  readonly spreadsheetSafe?: boolean;
}

export const fileSink: SinkDefinition<FileSinkOptions> = {
  type: "file",
  delivery: "transactional",
  keepsDeliveriesApart: true,
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["directory"],
    properties: {
      directory: {
        type: "string",
        minLength: 1,
        description: "Folder for the files; one folder a partition below it. A relative one lies in `node.data`.",
      },
      shared: {
        type: "boolean",
        default: false,
        description: "All nodes of the cluster see this folder, by this path. Must be true in a cluster.",
      },
      format: { enum: ["ndjson", "csv"], default: "ndjson", description: "A line of JSON for each event, or a row." },
      columns: { type: "array", items: { type: "string" }, minItems: 1, description: "CSV: the fields, in order." },
      spreadsheetSafe: { type: "boolean", default: false, description: "CSV: mark texts that look like formulas." },
      segmentBytesMax: {
        type: "integer",
        minimum: 1,
        default: SEGMENT_BYTES_MAX,
        description: "Bytes after which a file is closed and the next one begins.",
      },
      segmentAgeMaxMs: {
        type: "integer",
        minimum: 1,
        default: SEGMENT_AGE_MAX_MS,
        description: "Milliseconds after which a file is closed, even where no record comes.",
      },
    },
  },
  async check({ directory, format = "ndjson", columns }, folder) {
    checkColumns(format, columns);
    checkDirectory(directory);
    if (folder !== undefined) await checkFolder(resolve(folder, directory));
  },
  clusterProblem({ directory, shared = false }) {
    if (shared && isAbsolute(directory)) return undefined;
    return `all nodes must write to one folder (shared: true, and an absolute directory): current values are ${shared} and ${directory}`;
  },
  place: ({ directory }, folder) => resolve(folder, directory),
  async open(options, context) {
    const { format = "ndjson", columns, spreadsheetSafe = false } = options;
    return FileWriter.open(options, context, await lineEncoder(format, columns, spreadsheetSafe));
  },
};
