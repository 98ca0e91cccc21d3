/**
 * Files on a disk, exactly once (E17). The commit is a checkpoint in the partition's log, fenced by its owner: bytes that
 * no checkpoint covers do not exist.
 *
 *   F1. Bytes are flushed before the checkpoint that covers them is written: by the write itself where the system can
 *       do both in one call, which spares a busy node a turn of its event loop for each commit.
 *   F2. Each opening appends to files of its own name; a predecessor's file is read up to its committed length only.
 *   F3. A segment is published whole, after its commit, by a `link` that fails where the name exists.
 *   F4. Files of owners above our own fence are never touched. Segments say nothing of their owner: what is to be removed is
 *       looked up first, and our fence shown after that, so that nobody above us can have published what was found.
 *   F5. The commit is what there is: where the log lost its tail, and the newest commits with it, what the folder holds beyond
 *       the commit that is left is taken back, in segments too.
 *   F6. One operation at a time, each decided on what the one before it left: one whose caller has given up may still be
 *       under way when the next is asked for. After `close` nothing is committed.
 */
import { constants } from "node:fs";
import { copyFile, type FileHandle, link, open, rm, stat, truncate } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { FencedError, UnavailableError } from "../../protocols/errors.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import { checkColumns, type LineEncoder, lineEncoder } from "./file_format.ts";
import { FileIndex, writeFully } from "./file_index.ts";
import {
  type Boundary,
  checkFolder,
  decodeCommit,
  encodeCommit,
  type FileCommit,
  type FileFormat,
  listLeftovers,
  listSegments,
  makeFolder,
  partitionFolder,
  readBoundaries,
  replayFolder,
  segmentName,
  syncFolder,
} from "./file_layout.ts";
import type { SinkBatch, SinkContext, SinkDefinition, SinkWriter, WriteOutcome } from "./sink.ts";

export interface FileSinkOptions {
  readonly directory: string;
  readonly shared?: boolean;
  readonly format?: FileFormat;
  /** CSV: the fields written, in order. */
  readonly columns?: readonly string[];
  /** CSV: texts that a spreadsheet would run as formulas get a leading apostrophe. Off: data as they are. */
  readonly spreadsheetSafe?: boolean;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMaxMs?: number;
}

const SEGMENT_BYTES_MAX = 128 * 1024 * 1024;
const SEGMENT_AGE_MAX_MS = 600_000;

/** Node on Linux passes O_DSYNC on: a write returns once its bytes, and the length that they need, are on disk. */
const WRITES_THROUGH = process.platform === "linux" && !("deno" in process.versions || "bun" in process.versions);
const WRITE_THROUGH = WRITES_THROUGH ? constants.O_DSYNC : 0;

export const fileSink: SinkDefinition<FileSinkOptions> = {
  type: "file",
  delivery: "transactional",
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["directory"],
    properties: {
      directory: {
        type: "string",
        minLength: 1,
        description: "Folder for the files; one folder a partition below it.",
      },
      shared: {
        type: "boolean",
        default: false,
        description: "All nodes of the cluster see this folder, by this path. Must be true in a cluster.",
      },
      format: { enum: ["ndjson", "csv"], default: "ndjson" },
      columns: { type: "array", items: { type: "string" }, minItems: 1, description: "CSV: the fields, in order." },
      spreadsheetSafe: { type: "boolean", default: false, description: "CSV: mark texts that look like formulas." },
      segmentBytesMax: { type: "integer", minimum: 1, default: SEGMENT_BYTES_MAX },
      segmentAgeMaxMs: { type: "integer", minimum: 1, default: SEGMENT_AGE_MAX_MS },
    },
  },
  async check({ directory, format = "ndjson", columns }, folder) {
    checkColumns(format, columns);
    if (folder !== undefined) await checkFolder(resolve(folder, directory));
  },
  clusterProblem({ directory, shared = false }) {
    if (shared && isAbsolute(directory)) return undefined;
    return `all nodes must write to one folder (shared: true, and an absolute directory): current values are ${shared} and ${directory}`;
  },
  place: ({ directory }, folder) => resolve(folder, directory),
  async open(options, context) {
    const { format = "ndjson", columns, spreadsheetSafe = false } = options;
    const writer = new FileWriter(options, context, await lineEncoder(format, columns, spreadsheetSafe));
    await writer.recover();
    return writer;
  },
};

interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
  readonly index: FileIndex;
  readonly first: number;
  readonly openedAtMs: number;
  /** Committed bytes: the next batch is written here, over whatever a failed write left. */
  length: number;
  isReplacement: boolean;
}

class FileWriter implements SinkWriter {
  readonly #options: FileSinkOptions;
  readonly #context: SinkContext;
  readonly #encoder: LineEncoder;
  readonly #format: FileFormat;
  readonly #folder: string;
  #commit: FileCommit = { version: 1, position: undefined };
  #open: OpenFile | undefined;
  #filesMade = 0;
  #isUncertain = false;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: FileSinkOptions, context: SinkContext, encoder: LineEncoder) {
    this.#options = options;
    this.#context = context;
    this.#encoder = encoder;
    this.#format = options.format ?? "ndjson";
    const directory = resolve(context.folder, options.directory);
    const root = context.replay === undefined ? directory : replayFolder(directory, context.replay);
    this.#folder = partitionFolder(root, context.partition);
  }

  /** Publishes what a predecessor committed, and removes what it did not. */
  async recover(): Promise<void> {
    await makeFolder(this.#folder);
    this.#commit = decodeCommit(await this.#context.checkpoint.read());
    // Nothing is touched before the log has confirmed that we own the partition.
    await this.#store(this.#commit);
    const { open: left, position } = this.#commit;
    if (left !== undefined) await this.#recoverOpen(left);
    else if (position !== undefined) await this.#removeSegments(position.offset + 1); // F5
    for (const name of await listLeftovers(this.#folder, this.#context.fence))
      await rm(this.#path(name), { force: true });
  }

  async #recoverOpen(left: NonNullable<FileCommit["open"]>): Promise<void> {
    await this.#removeSegments(left.isReplacement ? left.first : left.first + 1);
    const published = await sizeOf(this.#path(segmentName(left.first, this.#format)));
    if (published !== undefined && published !== left.length) {
      // F5: it was published, or replaced, after the commit that is left.
      if (((await sizeOf(this.#path(left.file))) ?? 0) < left.length) {
        await this.#cutTo(this.#commit.position);
        return this.#publishOpen();
      }
      await this.#removeSegments(left.first);
    }
    if (left.length > 0) await this.#publishCommitted(left);
    await this.#store({ version: 1, position: this.#commit.position });
  }

  position(): Promise<Position | undefined> {
    return this.#inTurn(async () => this.#commit.position);
  }

  write(batch: SinkBatch): Promise<WriteOutcome> {
    return this.#inTurn(() => this.#write(batch));
  }

  rewind(to: Position | undefined, from: Position | undefined): Promise<void> {
    return this.#inTurn(() => this.#rewind(to, from));
  }

  finish(): Promise<void> {
    return this.#inTurn(() => this.#publishOpen());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#closeOpen();
  }

  /** F6 */
  #inTurn<Value>(operation: () => Promise<Value>): Promise<Value> {
    const turn = this.#last.then(async () => {
      if (this.#isUncertain) await this.#settle();
      return operation();
    });
    this.#last = turn.catch(() => undefined); // It is its caller's to hear.
    return turn;
  }

  async #write(batch: SinkBatch): Promise<WriteOutcome> {
    const { position } = this.#commit;
    if (comparePositions(position, batch.end) === 0) return { kind: "duplicate" };
    if (comparePositions(position, batch.predecessor) !== 0) return { kind: "misplaced", position };
    try {
      await this.#append(batch);
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", fence: this.#context.fence };
      throw error;
    }
    await this.#publishIfDue();
    return { kind: "written" };
  }

  async #rewind(to: Position | undefined, from: Position | undefined): Promise<void> {
    const { position } = this.#commit;
    if (comparePositions(position, from) !== 0 || comparePositions(position, to) <= 0) return; // S6
    await this.#publishOpen();
    await this.#cutTo(to);
  }

  async #cutTo(to: Position | undefined): Promise<void> {
    const segments = await listSegments(this.#folder);
    for (const segment of segments.reverse()) {
      const boundaries = await readBoundaries(this.#path(`${segment.name}.index`));
      const kept = boundaries.filter((boundary) => comparePositions(boundary.position, to) <= 0).at(-1);
      if (kept === undefined) continue;
      return this.#replace(segment, kept, boundaries);
    }
    await this.#replaceAll();
  }

  async #closeOpen(): Promise<void> {
    const file = this.#open;
    this.#open = undefined;
    await file?.handle.close();
    await file?.index.close();
  }

  async #append(batch: SinkBatch): Promise<void> {
    if (batch.records.length === 0) {
      await this.#store({ ...this.#commit, position: batch.end });
      return;
    }
    const file = this.#open ?? (await this.#makeFile(nextOffset(batch.predecessor), 0));
    if (file.length === 0) await this.#begin(file, batch.predecessor);
    const bytes = this.#encoder.encode(batch.records);
    await writeFully(file.handle, bytes, file.length);
    if (!WRITES_THROUGH) await file.handle.datasync(); // F1
    const length = file.length + bytes.length;
    const { name, first, isReplacement } = file;
    await this.#store({ version: 1, position: batch.end, open: { file: name, length, first, isReplacement } });
    file.length = length;
    await file.index.add({ position: batch.end, length });
  }

  async #makeFile(first: number, length: number): Promise<OpenFile> {
    this.#filesMade += 1;
    const name = `open-${this.#context.fence}-${this.#context.nowMs()}-${this.#filesMade}.part`;
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    const handle = await open(this.#path(name), O_RDWR | O_CREAT | O_EXCL | WRITE_THROUGH);
    const index = await FileIndex.create(this.#path(`${name}.index`));
    await syncFolder(this.#folder);
    const openedAtMs = this.#context.nowMs();
    const file = { name, handle, index, first, openedAtMs, length, isReplacement: false };
    this.#open = file;
    if (this.#isClosed) await this.#closeOpen();
    this.#refuseAfterClose();
    return file;
  }

  async #begin(file: OpenFile, predecessor: Position | undefined): Promise<void> {
    const { header } = this.#encoder;
    await writeFully(file.handle, header, 0);
    file.length = header.length;
    await file.index.add({ position: predecessor, length: header.length });
    await file.index.flush(); // Where the file begins: without that line a rewind would have to void it whole.
  }

  /** The fenced commit. One that failed in any other way may have taken place. */
  async #store(commit: FileCommit): Promise<void> {
    this.#refuseAfterClose();
    this.#isUncertain = true;
    await this.#context.checkpoint.write(encodeCommit(commit));
    this.#isUncertain = false;
    this.#commit = commit;
  }

  #refuseAfterClose(): void {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot commit as the sink is closed");
  }

  async #settle(): Promise<void> {
    this.#commit = decodeCommit(await this.#context.checkpoint.read());
    this.#isUncertain = false;
    const { open: committed } = this.#commit;
    if (this.#open !== undefined && committed?.file === this.#open.name) this.#open.length = committed.length;
    else if (this.#open !== undefined) await this.#closeOpen();
  }

  async #publishIfDue(): Promise<void> {
    const file = this.#open;
    if (file === undefined) return;
    const ageMs = this.#context.nowMs() - file.openedAtMs;
    const isLarge = file.length >= (this.#options.segmentBytesMax ?? SEGMENT_BYTES_MAX);
    if (!isLarge && ageMs < (this.#options.segmentAgeMaxMs ?? SEGMENT_AGE_MAX_MS)) return;
    try {
      await this.#publishOpen();
    } catch (error) {
      // The records are committed where they are; the next write tries again.
      this.#context.log("warn", `Cannot publish ${file.name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  async #publishOpen(): Promise<void> {
    const { open: committed, position } = this.#commit;
    if (committed === undefined) return;
    await this.#publishCommitted(committed);
    await this.#closeOpen();
    await this.#store({ version: 1, position });
    await rm(this.#path(committed.file), { force: true });
    await rm(this.#path(`${committed.file}.index`), { force: true });
  }

  /** F3: cuts the file to its committed length in a copy of our own (F2), and links that. */
  async #publishCommitted({ file, length, first }: NonNullable<FileCommit["open"]>): Promise<void> {
    const segment = segmentName(first, this.#format);
    const published = await sizeOf(this.#path(segment));
    if (published === length) return;
    const found = await sizeOf(this.#path(file));
    if (published !== undefined || found === undefined || found < length) {
      throw new UnavailableError(
        "STORE_CORRUPT",
        `Cannot publish ${file} as it must hold ${length} bytes and ${segment} must not exist: current sizes are ${found} and ${published}`,
      );
    }
    const isOwn = this.#open?.name === file && found === length;
    if (this.#open?.name === file) await this.#open.index.flush();
    const source = isOwn ? file : await this.#copyOf(file, length);
    await copyFile(this.#path(`${file}.index`), this.#path(`${segment}.index`)).catch(ignoreMissing);
    try {
      await link(this.#path(source), this.#path(segment));
    } catch (error) {
      const size = (error as NodeJS.ErrnoException).code === "EEXIST" ? await sizeOf(this.#path(segment)) : undefined;
      if (size !== length) throw error;
    }
    await syncFolder(this.#folder);
    if (source !== file) await rm(this.#path(source), { force: true });
  }

  async #copyOf(file: string, length: number): Promise<string> {
    this.#filesMade += 1;
    const name = `open-${this.#context.fence}-${this.#context.nowMs()}-${this.#filesMade}.part`;
    await copyFile(this.#path(file), this.#path(name));
    await truncate(this.#path(name), length);
    const handle = await open(this.#path(name), "r+");
    await handle.sync();
    await handle.close();
    return name;
  }

  async #replace(
    segment: { readonly name: string; readonly first: number },
    kept: Boundary,
    boundaries: readonly Boundary[],
  ): Promise<void> {
    const name = await this.#copyOf(segment.name, kept.length);
    const handle = await open(this.#path(name), constants.O_RDWR | WRITE_THROUGH);
    const index = await FileIndex.create(this.#path(`${name}.index`));
    for (const boundary of boundaries) if (boundary.length <= kept.length) await index.add(boundary);
    await index.flush();
    await syncFolder(this.#folder);
    const { first } = segment;
    const replacement = { file: name, length: kept.length, first, isReplacement: true };
    await this.#store({ version: 1, position: kept.position, open: replacement });
    this.#open = {
      name,
      handle,
      index,
      first,
      openedAtMs: this.#context.nowMs(),
      length: kept.length,
      isReplacement: true,
    };
    await this.#removeSegments(first);
    this.#open.isReplacement = false;
    await this.#store({ version: 1, position: kept.position, open: { ...replacement, isReplacement: false } });
  }

  /** Not even the first segment begins early enough: an empty file takes the place of all. */
  async #replaceAll(): Promise<void> {
    const { name } = await this.#makeFile(0, 0);
    const replacement = { file: name, length: 0, first: 0, isReplacement: true };
    await this.#store({ version: 1, position: undefined, open: replacement });
    await this.#removeSegments(0);
    await this.#closeOpen();
    await this.#store({ version: 1, position: undefined });
    await rm(this.#path(name), { force: true });
    await rm(this.#path(`${name}.index`), { force: true });
  }

  async #removeSegments(from: number): Promise<void> {
    const found = (await listSegments(this.#folder)).filter(({ first }) => first >= from);
    if (found.length === 0) return;
    await this.#store(this.#commit); // F4
    for (const { name } of found.reverse()) {
      await rm(this.#path(name), { force: true });
      await rm(this.#path(`${name}.index`), { force: true });
    }
    await syncFolder(this.#folder);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

const nextOffset = (predecessor: Position | undefined): number =>
  predecessor === undefined ? 0 : predecessor.offset + 1;

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
