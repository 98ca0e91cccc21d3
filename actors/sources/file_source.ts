/**
 * Follows a file that grows, over rotation and truncation, and gives each of its lines once. A line's sequence is the
 * file's generation and the line's byte offset (E3).
 *
 *   F1. A generation's number is stored before the first line of it is given out: a restart counts no other way.
 *   F2. A rotated file (renamed, another made in its place) is read to its end before the next; its last line counts
 *       even without a line break, as nobody will end it any more. In a file that still grows, such a line waits.
 *   F3. A file that is shorter than what was read, or holds other bytes there, was truncated: a new generation begins.
 *   F4. At most one chunk and one line are held, however long the lines are.
 */
import type { FileHandle } from "node:fs/promises";
import { type FormatOptions, type LineReader, lineReader, withTerm } from "./file_formats.ts";
import { type FoundLine, LineCutter } from "./file_lines.ts";
import { type FilePlace, holds, inodeAt, inodeOf, markAt, openIfThere, rotatedFiles } from "./file_place.ts";
import type { SourceBatch, SourceContext, SourceDefinition, SourcePosition, SourceReader } from "./source.ts";

export interface FileSourceOptions extends FormatOptions {
  readonly path: string;
  readonly from?: "beginning" | "end";
  readonly everyMs?: number;
  readonly lineBytesMax?: number;
}

const CHUNK_BYTES = 262_144;
/** Times that a file is looked for before it counts as gone: it may be renamed in the middle of a look. */
const LOOKS = 3;
const EVERY_MS = 250;
const LINE_BYTES_MAX = 1_048_576;

export const fileSource: SourceDefinition<FileSourceOptions> = {
  type: "file",
  optionsSchema: {
    type: "object",
    required: ["path", "format"],
    properties: {
      path: { type: "string", minLength: 1, description: "The file to follow. It need not exist yet." },
      format: {
        enum: ["ndjson", "csv", "lines"],
        description: "A map of JSON in each line; records of CSV; or plain lines, each as {line}.",
      },
      from: {
        enum: ["beginning", "end"],
        default: "beginning",
        description: "Where a file that was never read is begun.",
      },
      delimiter: { type: "string", minLength: 1, default: ",", description: "Of CSV." },
      columns: {
        type: "array",
        items: { type: "string" },
        minItems: 1,
        description: "Of CSV. Without it, the first record of each file names them.",
      },
      numbers: { type: "boolean", default: false, description: "CSV values that look like numbers become numbers." },
      everyMs: { type: "integer", minimum: 10, default: EVERY_MS, description: "Milliseconds between looks." },
      lineBytesMax: {
        type: "integer",
        minimum: 1,
        maximum: LINE_BYTES_MAX,
        default: LINE_BYTES_MAX,
        description: "A longer line is set aside with its beginning.",
      },
    },
    additionalProperties: false,
  },
  open: async (options, context, resume) => new FileReader(options, context, resume as FilePlace | undefined),
};

/** One generation of the file, open. */
interface Generation {
  readonly number: number;
  readonly handle: FileHandle;
  readonly inode: string;
  readonly cutter: LineCutter;
  readonly reader: LineReader;
  /** Where the next read begins: past the part of a line that is held. */
  nextByte: number;
  /** Mark of the bytes before the last place given out. */
  place: FilePlace;
}

class FileReader implements SourceReader {
  readonly #options: FileSourceOptions;
  readonly #context: SourceContext;
  readonly #resume: FilePlace | undefined;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #open: FileHandle | undefined;

  constructor(options: FileSourceOptions, context: SourceContext, resume: FilePlace | undefined) {
    this.#options = options;
    this.#context = context;
    this.#resume = resume;
  }

  async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    let generation = await this.#first(signal);
    while (generation !== undefined && !signal.aborted) {
      yield { items: [], resume: resumeOf(generation) }; // F1
      const next = yield* this.#follow(generation, signal);
      generation = next === undefined ? undefined : await this.#after(generation, next, signal);
    }
  }

  async close(): Promise<void> {
    await this.#open?.close();
    this.#open = undefined;
  }

  /** Reads one generation until it is over: answers what ended it, or undefined when `signal` did. */
  async *#follow(
    generation: Generation,
    signal: AbortSignal,
  ): AsyncGenerator<SourceBatch, "truncated" | "rotated" | undefined> {
    let isRotated = false;
    while (!signal.aborted) {
      if (!(await this.#isIntact(generation))) return "truncated";
      for (let lines = await this.#lines(generation); lines !== undefined; lines = await this.#lines(generation)) {
        yield await this.#batch(generation, lines);
        if (signal.aborted) return undefined;
      }
      if (isRotated) {
        const last = generation.cutter.finish();
        if (last !== undefined) yield await this.#batch(generation, [last]); // F2
        return "rotated";
      }
      const inode = await inodeAt(this.#options.path);
      // Looked at once more after the pause: a writer may hold the renamed file for a while.
      isRotated = inode !== undefined && inode !== generation.inode;
      await pause(this.#options.everyMs ?? EVERY_MS, signal);
    }
    return undefined;
  }

  /** F3. */
  async #isIntact({ handle, nextByte, place }: Generation): Promise<boolean> {
    const { size } = await handle.stat();
    if (size === nextByte) return true;
    return size > nextByte && (await holds(handle, place));
  }

  /** The lines that the next chunks complete; undefined at the end of what there is. */
  async #lines(generation: Generation): Promise<readonly FoundLine[] | undefined> {
    for (;;) {
      const { bytesRead } = await generation.handle.read(this.#chunk, 0, CHUNK_BYTES, generation.nextByte);
      if (bytesRead === 0) return undefined;
      generation.nextByte += bytesRead;
      // The chunk is read into again: what is given out must not change under its reader.
      const lines = generation.cutter.push(Uint8Array.from(this.#chunk.subarray(0, bytesRead)));
      if (lines.length > 0) return lines;
    }
  }

  async #batch(generation: Generation, lines: readonly FoundLine[]): Promise<SourceBatch> {
    const { cutter, handle, number, inode } = generation;
    const items = withTerm(await generation.reader.read(lines), number);
    for (const { item, position } of items) {
      if (item.kind === "malformed") this.#warn(item.reason, number, position);
    }
    generation.place = { generation: number, inode, offset: cutter.offset, mark: await markAt(handle, cutter.offset) };
    return { items, resume: resumeOf(generation) };
  }

  #warn(reason: string, generation: number, offset: number): void {
    this.#context.log("warn", "a line was set aside", { path: this.#options.path, generation, offset, reason });
  }

  // Which file comes next -------------------------------------------------------------------------------------------

  async #first(signal: AbortSignal): Promise<Generation | undefined> {
    const resume = this.#resume;
    if (resume === undefined) {
      const handle = await this.#openPath(signal);
      if (handle === undefined) return undefined;
      const offset = this.#options.from === "end" ? await afterLastLine(handle) : 0;
      return this.#generation(handle, 1, offset);
    }
    const same = await this.#findAgain(resume, signal);
    if (same !== undefined) return this.#generation(same, resume.generation, resume.offset);
    this.#context.log("warn", "the file that was being read is gone or was truncated: reading begins anew", {
      path: this.#options.path,
      ...resume,
    });
    const handle = await this.#openPath(signal);
    return handle === undefined ? undefined : this.#generation(handle, resume.generation + 1, 0);
  }

  /** A rename between two looks hides a file from both: it is looked for again before it is given up. */
  async #findAgain(resume: FilePlace, signal: AbortSignal): Promise<FileHandle | undefined> {
    for (let look = 1; ; look += 1) {
      const found = await this.#find(resume);
      if (found !== undefined || look === LOOKS || signal.aborted) return found;
      await pause(this.#options.everyMs ?? EVERY_MS, signal);
    }
  }

  /** The file that was read last, under its own or a rotated name. */
  async #find(resume: FilePlace): Promise<FileHandle | undefined> {
    const rotated = (await rotatedFiles(this.#options.path)).filter(({ inode }) => inode === resume.inode);
    for (const path of [this.#options.path, ...rotated.map((one) => one.path)]) {
      const handle = await openIfThere(path);
      if (handle === undefined) continue;
      if ((await inodeOf(handle)) === resume.inode && (await holds(handle, resume))) return handle;
      await handle.close();
    }
    return undefined;
  }

  async #after(
    over: Generation,
    ending: "truncated" | "rotated",
    signal: AbortSignal,
  ): Promise<Generation | undefined> {
    if (ending === "truncated") return this.#generation(over.handle, over.number + 1, 0);
    const handle = (await this.#rotatedAfter(over)) ?? (await this.#openPath(signal));
    await over.handle.close();
    this.#open = undefined;
    return handle === undefined ? undefined : this.#generation(handle, over.number + 1, 0);
  }

  /** The oldest file that was rotated after this one: several may have been while nobody looked. */
  async #rotatedAfter({ handle, inode }: Generation): Promise<FileHandle | undefined> {
    const { mtimeNs } = await handle.stat({ bigint: true });
    const rotated = await rotatedFiles(this.#options.path);
    const own = rotated.findIndex((one) => one.inode === inode);
    const later = own < 0 ? rotated.find(({ modifiedNs }) => modifiedNs > mtimeNs) : rotated[own + 1];
    return later === undefined ? undefined : openIfThere(later.path);
  }

  async #openPath(signal: AbortSignal): Promise<FileHandle | undefined> {
    let isSaid = false;
    while (!signal.aborted) {
      const handle = await openIfThere(this.#options.path);
      if (handle !== undefined) return handle;
      if (!isSaid) this.#context.log("info", "waiting for the file to be there", { path: this.#options.path });
      isSaid = true;
      await pause(this.#options.everyMs ?? EVERY_MS, signal);
    }
    return undefined;
  }

  async #generation(handle: FileHandle, number: number, offset: number): Promise<Generation> {
    this.#open = handle;
    const inode = await inodeOf(handle);
    const { format, lineBytesMax = LINE_BYTES_MAX } = this.#options;
    const cutterFrom = (start: number) => new LineCutter(start, lineBytesMax, format === "csv");
    const firstLine = offset > 0 && format === "csv" ? await firstLineOf(handle, cutterFrom(0)) : undefined;
    return {
      number,
      handle,
      inode,
      cutter: cutterFrom(offset),
      reader: await lineReader(this.#options, firstLine),
      nextByte: offset,
      place: { generation: number, inode, offset, mark: await markAt(handle, offset) },
    };
  }
}

const resumeOf = ({ place }: Generation): SourcePosition => ({ ...place });

async function firstLineOf(handle: FileHandle, cutter: LineCutter): Promise<FoundLine | undefined> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; ; at += CHUNK_BYTES) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
    const [line] = cutter.push(Uint8Array.from(chunk.subarray(0, bytesRead)));
    if (line !== undefined || bytesRead === 0) return line;
  }
}

/** Where the last line begins that is not complete. */
async function afterLastLine(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const from = Math.max(0, size - LINE_BYTES_MAX);
  const buffer = Buffer.alloc(size - from);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
  return from + buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
}

const pause = (delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, delayMs);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
