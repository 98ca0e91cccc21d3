/**
 * The files of one partition of a file sink, and the commit that says which of their bytes exist. Keeps F1 to F5, F8 and F9
 * of file_writer.ts, which decides what is written, when a segment closes, and that one call is under way at a time (F6).
 */
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Position } from "../../../protocols/position.ts";
import { syncFolder } from "../../kernel/durable_files.ts";
import type { SinkBatch, SinkContext } from "../sink.ts";
import { cutBefore, FileIndex, type SegmentCut, writeFully } from "./file_index.ts";
import {
  copyStart,
  decodeCommit,
  deliveryFolder,
  encodeCommit,
  type FileCommit,
  type FileFormat,
  listLeftovers,
  listSegments,
  makeFolder,
  partitionFolder,
  segmentName,
  sizeOf,
} from "./file_layout.ts";
import { markFolder, refuseOtherLog } from "./file_log_mark.ts";
import { OwnerFolder } from "./file_owner_folder.ts";

/** Node on Linux passes O_DSYNC on: a write returns once its bytes are on disk (F1), without another call. */
const WRITES_THROUGH = process.platform === "linux" && !("deno" in process.versions || "bun" in process.versions);
const WRITE_THROUGH = WRITES_THROUGH ? constants.O_DSYNC : 0;

type CommittedFile = NonNullable<FileCommit["open"]>;

export interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
  readonly index: FileIndex;
  readonly first: number;
  readonly openedAtMs: number;
  /** Committed bytes. The next batch is written at this place, over any bytes that a failed write left. */
  length: number;
}

export class CommittedFiles {
  commit: FileCommit = { version: 1, position: undefined };
  open: OpenFile | undefined;
  /** Whether the outcome of the last commit is not known: `settle` finds it. */
  isUncertain = false;
  readonly #context: SinkContext;
  readonly #format: FileFormat;
  readonly #folder: string;
  readonly #own: OwnerFolder;
  readonly #header: Uint8Array;
  readonly #watch: (file: OpenFile | undefined) => void;
  #filesMade = 0;
  #isClosed = false;

  /** `watch` is told which file is open from now on. */
  constructor(
    { directory: configured, format = "ndjson" }: { readonly directory: string; readonly format?: FileFormat },
    context: SinkContext,
    header: Uint8Array,
    watch: (file: OpenFile | undefined) => void,
  ) {
    const root = deliveryFolder(resolve(context.folder, configured), context);
    this.#context = context;
    this.#format = format;
    this.#folder = partitionFolder(root, context.partition);
    this.#own = new OwnerFolder(this.#folder, context.fence);
    this.#header = header;
    this.#watch = watch;
  }

  /** Finds the files as a predecessor left them: publishes its committed records, and removes its other bytes. */
  async recover(): Promise<void> {
    await makeFolder(this.#folder);
    await refuseOtherLog(this.#folder, this.#context.clusterId); // F9
    await this.#own.make();
    this.commit = decodeCommit(await this.#context.checkpoint.read());
    // The log must confirm that we own the partition before any file is touched.
    await this.#store(this.commit);
    await markFolder(this.#folder, this.#context.clusterId, this.commit, this.#own.passing()); // F9
    await this.#own.removeEarlier(); // F4
    const { open: left, position } = this.commit;
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
    else await this.cutTo(this.commit.position);
    await this.publishOpen();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#closeOpen();
    await this.#own.remove();
  }

  /** Whether the file still has committed records that are not published. */
  holds({ name }: OpenFile): boolean {
    return !this.#isClosed && this.commit.open?.file === name;
  }

  async publishAll(): Promise<void> {
    await this.#endHalfDone();
    await this.publishOpen();
  }

  /** F8 */
  async #endHalfDone(): Promise<void> {
    this.#refuseAfterClose();
    const { open: left } = this.commit;
    if (left !== undefined && this.open === undefined) await this.#recoverOpen(left);
  }

  /** F5. Takes back everything after the position, or more. */
  async cutTo(to: Position | undefined): Promise<void> {
    const cut = await cutBefore(this.#folder, to);
    await (cut === undefined ? this.#replaceAll() : this.#replace(cut));
  }

  async #closeOpen(): Promise<void> {
    const file = this.open;
    this.open = undefined;
    this.#watch(undefined);
    await file?.handle.close();
    await file?.index.close();
  }

  async append(batch: SinkBatch, bytes: Uint8Array): Promise<void> {
    if (batch.records.length === 0) return this.#store({ ...this.commit, position: batch.end });
    await this.#endHalfDone();
    const file = this.open ?? (await this.#makeFile((batch.predecessor?.offset ?? -1) + 1));
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
    this.open = file;
    if (this.#isClosed) await this.#closeOpen();
    this.#refuseAfterClose();
    this.#watch(file);
    return file;
  }

  async #begin(file: OpenFile, predecessor: Position | undefined): Promise<void> {
    await writeFully(file.handle, this.#header, 0);
    file.length = this.#header.length;
    await file.index.add({ position: predecessor, length: file.length });
    await file.index.flush(); // The line of the file's beginning: without it a rewind would have to void the whole file.
  }

  /** The fenced commit. After any error but `FencedError` it may have taken effect. */
  async #store(commit: FileCommit): Promise<void> {
    this.#refuseAfterClose();
    this.isUncertain = true;
    await this.#context.checkpoint.write(encodeCommit(commit));
    this.isUncertain = false;
    this.commit = commit;
  }

  #refuseAfterClose(): void {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot commit as the sink is closed");
    if (!this.#own.isNewest) throw new UnavailableError("STOPPING", "Cannot commit as the sink was opened again");
  }

  /** Reads the commit again, and brings the open file in line with it. */
  async settle(): Promise<void> {
    this.commit = decodeCommit(await this.#context.checkpoint.read());
    this.isUncertain = false;
    const { open: committed } = this.commit;
    if (this.open === undefined) return;
    if (committed?.file === this.open.name) this.open.length = committed.length;
    else await this.#closeOpen();
  }

  async publishOpen(): Promise<void> {
    const { open: committed, position } = this.commit;
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
    const isOwn = this.open?.name === file;
    if (isOwn) await this.open?.index.flush();
    try {
      await this.#own.publish({ file, length, isWhole: isOwn && found === length, segment });
    } catch (error) {
      // F3: the rename may have taken effect, so nothing is appended to the file any more.
      if ((await sizeOf(this.#path(segment))) !== undefined) await this.#closeOpen();
      throw error;
    }
  }

  async #replace({ segment, kept, boundaries }: SegmentCut): Promise<void> {
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
    await this.publishOpen();
  }

  async #takeBackFrom(from: number): Promise<void> {
    const found = (await listSegments(this.#folder)).filter(({ first }) => first >= from);
    if (found.length === 0) return;
    // The log confirms our fence first: releases without owner folders let a newer owner publish segments here.
    await this.#store(this.commit);
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

async function orClose<Value>(opened: { close(): Promise<void> }, step: () => Promise<Value>): Promise<Value> {
  try {
    return await step();
  } catch (error) {
    await opened.close();
    throw error;
  }
}
