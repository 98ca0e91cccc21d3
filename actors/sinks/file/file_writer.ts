/**
 * Writes one partition of a file sink, exactly once (E17). The commit is a checkpoint in the partition's log, fenced by
 * its owner: bytes that no checkpoint covers do not exist.
 *
 *   F1. Bytes are flushed before the checkpoint that covers them is written.
 *   F2. Each opening appends to files of its own name; a predecessor's file is read up to its committed length only.
 *   F3. A segment is published whole, after its commit, by one rename, under a name that no file has yet. Nothing is
 *       appended to a published file.
 *   F4. Files of owners above our own fence are never touched. Segments are touched through the owner folder alone
 *       (file_owner_folder.ts): a frozen owner that wakes up after a newer opening can neither publish nor take back.
 *   F5. The commit says which records exist. If the log lost its tail, and the newest commits with it, records beyond
 *       the commit that is left are taken back, in segments too.
 *   F6. One operation at a time, each decided on the state that the one before left: an operation that its caller gave
 *       up may still be under way. After `close`, or another opening by the same owner, nothing is committed.
 *   F7. A segment closes by size with the write that fills it, and by age with a timer, so that it closes in a quiet
 *       partition too. Both are turns like any other (F6), under the fence.
 *   F8. A committed file that is not the open one was left by a step that failed half-way. It is recovered, as at an
 *       opening, before anything else is written.
 *   F9. Only records of this log are taken back. A folder that belongs to another log is not touched
 *       (file_log_mark.ts), as the commits of two logs cannot be compared.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FencedError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { syncFolder } from "../../kernel/durable_files.ts";
import type { SinkBatch, SinkContext, SinkWriter, WriteOutcome } from "../sink.ts";
import type { LineEncoder } from "./file_format.ts";
import { FileIndex, writeFully } from "./file_index.ts";
import {
  type Boundary,
  copyStart,
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
  sizeOf,
} from "./file_layout.ts";
import { markFolder, refuseOtherLog } from "./file_log_mark.ts";
import { OwnerFolder } from "./file_owner_folder.ts";

export interface FileWriterOptions {
  readonly directory: string;
  readonly format?: FileFormat;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMaxMs?: number;
}

export const SEGMENT_BYTES_MAX = 128 * 1024 * 1024;
export const SEGMENT_AGE_MAX_MS = 600_000;
/** Wait before the next try to publish a segment that could not be published at its age, in ms. */
const PUBLISH_AGAIN_MS = 10_000;

/** Node on Linux passes O_DSYNC on: a write returns once its bytes are on disk (F1), without another call. */
const WRITES_THROUGH = process.platform === "linux" && !("deno" in process.versions || "bun" in process.versions);
const WRITE_THROUGH = WRITES_THROUGH ? constants.O_DSYNC : 0;

type CommittedFile = NonNullable<FileCommit["open"]>;

interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
  readonly index: FileIndex;
  readonly first: number;
  readonly openedAtMs: number;
  /** Committed bytes. The next batch is written at this place, over any bytes that a failed write left. */
  length: number;
}

export class FileWriter implements SinkWriter {
  readonly #options: FileWriterOptions;
  readonly #context: SinkContext;
  readonly #encoder: LineEncoder;
  readonly #format: FileFormat;
  readonly #folder: string;
  readonly #own: OwnerFolder;
  #commit: FileCommit = { version: 1, position: undefined };
  #open: OpenFile | undefined;
  #ageTimer: { cancel(): void } | undefined;
  #filesMade = 0;
  #isUncertain = false;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: FileWriterOptions, context: SinkContext, encoder: LineEncoder) {
    const directory = resolve(context.folder, options.directory);
    const root = context.replay === undefined ? directory : replayFolder(directory, context.replay);
    this.#options = options;
    this.#context = context;
    this.#encoder = encoder;
    this.#format = options.format ?? "ndjson";
    this.#folder = partitionFolder(root, context.partition);
    this.#own = new OwnerFolder(this.#folder, context.fence);
  }

  /** Opens the sink: publishes the records that a predecessor committed, and removes its other bytes. */
  static async open(options: FileWriterOptions, context: SinkContext, encoder: LineEncoder): Promise<FileWriter> {
    const writer = new FileWriter(options, context, encoder);
    try {
      await makeFolder(writer.#folder);
      await refuseOtherLog(writer.#folder, context.clusterId); // F9
      await writer.#own.make();
      await writer.#recover();
    } catch (error) {
      await writer.close().catch((second: Error) => context.log("warn", `Cannot close the sink: ${second.message}`));
      throw error;
    }
    return writer;
  }

  async #recover(): Promise<void> {
    this.#commit = decodeCommit(await this.#context.checkpoint.read());
    // The log must confirm that we own the partition before any file is touched.
    await this.#store(this.#commit);
    await markFolder(this.#folder, this.#context.clusterId, this.#commit, this.#own.passing()); // F9
    await this.#own.removeEarlier(); // F4
    const { open: left, position } = this.#commit;
    if (left !== undefined) await this.#recoverOpen(left);
    else if (position !== undefined) await this.#takeBackFrom(position.offset + 1); // F5
    const leftovers = await listLeftovers(this.#folder, this.#context.fence);
    this.#refuseAfterClose(); // Else `leftovers` may hold files of a later opening by the same owner.
    for (const name of leftovers) await rm(this.#path(name), { force: true });
  }

  async #recoverOpen(left: CommittedFile): Promise<void> {
    const published = await sizeOf(this.#path(segmentName(left.first, this.#format)));
    if (((await sizeOf(this.#path(left.file))) ?? 0) >= left.length) {
      const isDone = published === left.length && !left.isReplacement;
      await this.#takeBackFrom(isDone ? left.first + 1 : left.first);
    } else if (published === left.length && !left.isReplacement) await this.#takeBackFrom(left.first + 1);
    // F5: the file was published or replaced after the commit that is left, and was appended to before.
    else await this.#cutTo(this.#commit.position);
    await this.#publishOpen();
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
    return this.#inTurn(() => this.#publishAll());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#closeOpen();
    await this.#own.remove();
  }

  /** F6 */
  #inTurn<Value>(operation: () => Promise<Value>): Promise<Value> {
    const turn = this.#last.then(async () => {
      if (this.#isUncertain) await this.#settle();
      return operation();
    });
    this.#last = turn.catch(() => undefined); // The caller of `turn` gets the error.
    return turn;
  }

  async #write(batch: SinkBatch): Promise<WriteOutcome> {
    const { position } = this.#commit;
    if (comparePositions(position, batch.end) === 0) return { kind: "duplicate" };
    if (comparePositions(position, batch.predecessor) !== 0) return { kind: "misplaced", position };
    // Before anything is written: a record without a line is rejected (sink S8).
    const encoded = this.#encoder.encode(batch.records);
    if (encoded.kind === "rejected") return encoded;
    try {
      await this.#append(batch, encoded.bytes);
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", fence: this.#context.fence };
      throw error;
    }
    await this.#publishIfDue();
    return { kind: "written" };
  }

  async #rewind(to: Position | undefined, from: Position | undefined): Promise<void> {
    const { position } = this.#commit;
    if (comparePositions(position, from) !== 0 || comparePositions(position, to) <= 0) return; // sink S6
    await this.#publishAll();
    await this.#cutTo(to);
  }

  async #publishAll(): Promise<void> {
    await this.#endHalfDone();
    await this.#publishOpen();
  }

  /** F8 */
  async #endHalfDone(): Promise<void> {
    this.#refuseAfterClose();
    const { open: left } = this.#commit;
    if (left !== undefined && this.#open === undefined) await this.#recoverOpen(left);
  }

  async #cutTo(to: Position | undefined): Promise<void> {
    const segments = await listSegments(this.#folder);
    for (const segment of segments.reverse()) {
      const size = (await sizeOf(this.#path(segment.name))) ?? 0;
      // An index may name places beyond the segment's end: those of commits that the log has lost since.
      const all = await readBoundaries(this.#path(`${segment.name}.index`));
      const boundaries = all.filter((one) => one.length <= size);
      const kept = boundaries.filter((boundary) => comparePositions(boundary.position, to) <= 0).at(-1);
      if (kept === undefined) continue;
      return this.#replace(segment, kept, boundaries);
    }
    await this.#replaceAll();
  }

  async #closeOpen(): Promise<void> {
    const file = this.#open;
    this.#open = undefined;
    this.#ageTimer?.cancel();
    await file?.handle.close();
    await file?.index.close();
  }

  async #append(batch: SinkBatch, bytes: Uint8Array): Promise<void> {
    if (batch.records.length === 0) {
      await this.#store({ ...this.#commit, position: batch.end });
      return;
    }
    await this.#endHalfDone();
    const file = this.#open ?? (await this.#makeFile(nextOffset(batch.predecessor)));
    if (file.length === 0) await this.#begin(file, batch.predecessor);
    await writeFully(file.handle, bytes, file.length);
    if (!WRITES_THROUGH) await file.handle.datasync(); // F1
    const length = file.length + bytes.length;
    const { name, first } = file;
    await this.#store({ version: 1, position: batch.end, open: { file: name, length, first, isReplacement: false } });
    file.length = length;
    await file.index.add({ position: batch.end, length });
  }

  async #makeFile(first: number): Promise<OpenFile> {
    const name = this.#fileName();
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    const handle = await open(this.#path(name), O_RDWR | O_CREAT | O_EXCL | WRITE_THROUGH);
    const index = await orClose(handle, () => FileIndex.create(this.#path(`${name}.index`)));
    const file = await this.#keepOpen({ name, handle, index, first, openedAtMs: this.#context.nowMs(), length: 0 });
    // The file's name must be durable before its first byte is written.
    await orClose({ close: () => this.#closeOpen() }, () => syncFolder(this.#folder));
    return file;
  }

  async #keepOpen(file: OpenFile): Promise<OpenFile> {
    this.#open = file;
    if (this.#isClosed) await this.#closeOpen();
    this.#refuseAfterClose();
    this.#watchAge(file, this.#options.segmentAgeMaxMs ?? SEGMENT_AGE_MAX_MS);
    return file;
  }

  /** F7. A timer decides, as a clock that was set back would keep the segment open. */
  #watchAge(file: OpenFile, withinMs: number): void {
    this.#ageTimer?.cancel();
    this.#ageTimer = this.#context.setTimer(withinMs, () => {
      const isDue = () => !this.#isClosed && this.#commit.open?.file === file.name;
      void this.#inTurn(async () => isDue() && this.#publishAll())
        .catch((error: unknown) => this.#say(file, error))
        .then(() => isDue() && this.#watchAge(file, PUBLISH_AGAIN_MS));
    });
  }

  async #begin(file: OpenFile, predecessor: Position | undefined): Promise<void> {
    const { header } = this.#encoder;
    await writeFully(file.handle, header, 0);
    file.length = header.length;
    await file.index.add({ position: predecessor, length: header.length });
    await file.index.flush(); // The line of the file's beginning: without it a rewind would have to void the whole file.
  }

  /** The fenced commit. After any error but `FencedError` it may have taken effect. */
  async #store(commit: FileCommit): Promise<void> {
    this.#refuseAfterClose();
    this.#isUncertain = true;
    await this.#context.checkpoint.write(encodeCommit(commit));
    this.#isUncertain = false;
    this.#commit = commit;
  }

  #refuseAfterClose(): void {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot commit as the sink is closed");
    if (!this.#own.isNewest) throw new UnavailableError("STOPPING", "Cannot commit as the sink was opened again");
  }

  async #settle(): Promise<void> {
    this.#commit = decodeCommit(await this.#context.checkpoint.read());
    this.#isUncertain = false;
    const { open: committed } = this.#commit;
    if (this.#open === undefined) return;
    if (committed?.file === this.#open.name) this.#open.length = committed.length;
    else await this.#closeOpen();
  }

  async #publishIfDue(): Promise<void> {
    const file = this.#open;
    if (file === undefined) return;
    const ageMs = this.#context.nowMs() - file.openedAtMs;
    const isLarge = file.length >= (this.#options.segmentBytesMax ?? SEGMENT_BYTES_MAX);
    if (!isLarge && ageMs < (this.#options.segmentAgeMaxMs ?? SEGMENT_AGE_MAX_MS)) return;
    // The records are committed in the open file. The next write, or the timer, tries to publish again.
    await this.#publishOpen().catch((error: unknown) => this.#say(file, error));
  }

  #say(file: OpenFile, error: unknown): void {
    this.#context.log("warn", `Cannot publish ${file.name}: ${reasonOf(error)}`);
  }

  async #publishOpen(): Promise<void> {
    const { open: committed, position } = this.#commit;
    if (committed === undefined) return;
    if (committed.length > 0) await this.#publishCommitted(committed);
    await this.#closeOpen();
    await this.#store({ version: 1, position });
    await rm(this.#path(committed.file), { force: true });
    await rm(this.#path(`${committed.file}.index`), { force: true });
  }

  /** F3. A predecessor's file, or one that holds uncommitted bytes, is published as a copy (F2). */
  async #publishCommitted({ file, length, first }: CommittedFile): Promise<void> {
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
    const isOwn = this.#open?.name === file;
    if (isOwn) await this.#open?.index.flush();
    try {
      await this.#own.publish({ file, length, isWhole: isOwn && found === length, segment });
    } catch (error) {
      // F3: the rename may have taken effect, so nothing is appended to the file any more.
      if ((await sizeOf(this.#path(segment))) !== undefined) await this.#closeOpen();
      throw error;
    }
  }

  async #replace(
    segment: { readonly name: string; readonly first: number },
    kept: Boundary,
    boundaries: readonly Boundary[],
  ): Promise<void> {
    const name = this.#fileName();
    await copyStart(this.#path(segment.name), this.#path(name), kept.length);
    const index = await FileIndex.create(this.#path(`${name}.index`));
    const { first } = segment;
    const { length, position } = kept;
    const replacement = { file: name, length, first };
    const handle = await orClose(index, async () => {
      for (const boundary of boundaries) if (boundary.length <= length) await index.add(boundary);
      await index.flush();
      await syncFolder(this.#folder);
      await this.#store({ version: 1, position, open: { ...replacement, isReplacement: true } });
      await this.#takeBackFrom(first);
      return open(this.#path(name), constants.O_RDWR | WRITE_THROUGH);
    });
    await this.#keepOpen({ name, handle, index, first, openedAtMs: this.#context.nowMs(), length });
    await this.#store({ version: 1, position, open: { ...replacement, isReplacement: false } });
  }

  /** Even the first segment begins too late: an empty file replaces all segments. */
  async #replaceAll(): Promise<void> {
    const { name } = await this.#makeFile(0);
    await this.#closeOpen();
    const replacement = { file: name, length: 0, first: 0, isReplacement: true };
    await this.#store({ version: 1, position: undefined, open: replacement });
    await this.#takeBackFrom(0);
    await this.#publishOpen();
  }

  async #takeBackFrom(from: number): Promise<void> {
    const found = (await listSegments(this.#folder)).filter(({ first }) => first >= from);
    if (found.length === 0) return;
    await this.#store(this.#commit); // The log confirms our fence: no newer owner of a release without owner folders published these.
    for (const { name } of found.reverse()) {
      await this.#own.takeBack(`${name}.index`);
      await this.#own.takeBack(name);
    }
    await syncFolder(this.#folder);
  }

  #fileName(): string {
    this.#filesMade += 1;
    return `open-${this.#own.name}-${this.#filesMade}.part`;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

const nextOffset = (predecessor: Position | undefined): number =>
  predecessor === undefined ? 0 : predecessor.offset + 1;

async function orClose<Value>(opened: { close(): Promise<void> }, step: () => Promise<Value>): Promise<Value> {
  try {
    return await step();
  } catch (error) {
    await opened.close();
    throw error;
  }
}
