/** Opens the files and stdin that `headrace produce` reads, and decides how each is read. Leaves formats to `read_input.ts`. */
import { constants, createReadStream, openSync, type ReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import { FORMATS } from "../../../actors/sources/records/record_reader.ts";
import { ENCODINGS } from "../../../actors/sources/records/text_shape.ts";
import { oneOf } from "../arguments.ts";
import { fileError, UsageError } from "../exit_codes.ts";
import { remark } from "../output.ts";
import { type InputEvent, type InputOptions, readInput } from "./read_input.ts";

export interface ReadingOptions {
  readonly format?: string;
  readonly text?: boolean;
  readonly delimiter?: string;
  readonly encoding?: string;
}

export interface Input {
  readonly name: string;
  readonly sizeBytes: number | undefined;
  open(onBytes: (count: number) => void): AsyncIterable<InputEvent>;
  /** Closes an input that was not read to its end. */
  close(): void;
}

/** @param files `-` is stdin, and so is no file at all */
export async function openInputs(files: readonly string[], options: ReadingOptions): Promise<readonly Input[]> {
  const reading = readingOf(options);
  const inputs: Input[] = [];
  for (const file of files.length === 0 ? ["-"] : files) {
    if (file === "-") {
      if (process.stdin.isTTY) remark("reading events from the terminal; end with Ctrl-D");
      const open: Input["open"] = (onBytes) => readInput(process.stdin, { ...reading, name: "stdin", onBytes });
      inputs.push({ name: "stdin", sizeBytes: undefined, open, close: () => process.stdin.destroy() });
    } else inputs.push(await fileInput(file, reading));
  }
  return inputs;
}

type Reading = Omit<InputOptions, "name" | "onBytes">;

function readingOf({ format, delimiter, encoding, text }: ReadingOptions): Reading {
  if (delimiter === "") throw new UsageError("Cannot use --delimiter as it must have a character: it has none");
  const given = format === undefined ? undefined : oneOf("--format", format, FORMATS);
  if (delimiter !== undefined && given !== undefined && given !== "csv") {
    throw new UsageError(`Cannot use --delimiter as it must come with CSV: the format is ${given}`);
  }
  return {
    isText: text === true,
    remark,
    ...(given === undefined ? {} : { format: given }),
    ...(delimiter === undefined ? {} : { delimiter: delimiter === "tab" || delimiter === "\\t" ? "\t" : delimiter }),
    ...(encoding === undefined ? {} : { encoding: oneOf("--encoding", encoding.toLowerCase(), ENCODINGS) }),
  };
}

async function fileInput(file: string, reading: Reading): Promise<Input> {
  const found = await stat(file).catch((error: unknown) => {
    throw fileError("read", file, error);
  });
  if (found.isDirectory()) throw new UsageError(`Cannot read ${file} as it must be a file: it is a folder`);
  let opened: ReadStream | Socket | undefined;
  return {
    name: file,
    sizeBytes: found.isFile() ? found.size : undefined,
    open: (onBytes) => {
      opened = found.isFIFO() ? openPipe(file) : createReadStream(file);
      return readInput(chunksOf(file, opened), { ...reading, name: file, onBytes });
    },
    close: () => opened?.destroy(),
  };
}

/** Opens a pipe without waiting for a writer, as a thread that waits for one cannot be cancelled. */
const openPipe = (file: string): Socket =>
  new Socket({ fd: openSync(file, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });

async function* chunksOf(file: string, opened: ReadStream | Socket): AsyncGenerator<Uint8Array> {
  try {
    yield* opened;
  } catch (error) {
    throw fileError("read", file, error);
  }
}
