/**
 * A file that is open for reading at any place. A compressed file is read as the bytes that it inflates to, and places
 * count these bytes.
 */
import { constants } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { FOREIGN_BYTES, foreignFormatOf } from "../records/foreign_format.ts";
import { type Compression, compressionOf } from "../records/inflate.ts";
import { InflatedBytes } from "../records/inflated_bytes.ts";
import { overFile, requireFile, requireText } from "./file_trouble.ts";

export interface FileStanding {
  readonly inode: string;
  readonly sizeBytes: number;
  readonly modifiedNs: bigint;
  /** When the file was made, in ms since 1970; 0 where the file system does not tell. */
  readonly bornMs: number;
  readonly isUnlinked: boolean;
}

export async function standingOf(path: string): Promise<FileStanding> {
  const about = await overFile(path, stat(path, { bigint: true }));
  requireFile(path, about as never);
  return standing(about);
}

const standing = (
  about: Readonly<Record<"ino" | "size" | "mtimeNs" | "nlink" | "birthtimeMs", bigint>>,
): FileStanding => ({
  inode: String(about.ino),
  sizeBytes: Number(about.size),
  modifiedNs: about.mtimeNs,
  bornMs: Number(about.birthtimeMs),
  isUnlinked: about.nlink === 0n,
});

export class SourceFile {
  readonly path: string;
  /** The target of the path, if the path is a link. */
  readonly target: string | undefined;
  readonly inode: string;
  readonly #handle: FileHandle;
  readonly #signal: AbortSignal;
  #compression: Compression | undefined;
  #inflated: InflatedBytes | undefined;

  private constructor(path: string, target: string, inode: string, handle: FileHandle, signal: AbortSignal) {
    this.path = path;
    this.target = target === resolve(path) ? undefined : target;
    this.inode = inode;
    this.#handle = handle;
    this.#signal = signal;
  }

  /** Throws `FileTroubleError`, also for a path that is no regular file or holds no text. Never waits for a writer. */
  static async open(path: string, signal: AbortSignal): Promise<SourceFile> {
    await standingOf(path); // before the open, which could change a device
    const handle = await overFile(path, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
    let file: SourceFile | undefined;
    try {
      const about = await overFile(path, handle.stat({ bigint: true }));
      requireFile(path, about as never);
      const target = await overFile(path, realpath(path));
      file = new SourceFile(path, target, String(about.ino), handle, signal);
      await file.#learn(false); // so that a foreign format is refused now, not at the first read
      return file;
    } catch (error) {
      await (file ?? handle).close();
      throw error;
    }
  }

  get isCompressed(): boolean {
    return this.#inflated !== undefined;
  }

  /** Why a compressed file cannot be read to its end; undefined if it can. */
  get damage(): string | undefined {
    return this.#inflated?.damage;
  }

  /** The number of bytes read into `buffer`; 0 at the end of the file. */
  async read(buffer: Uint8Array, length: number, position: number): Promise<number> {
    if (this.#compression === undefined) await this.#learn(false);
    if (this.#compression === undefined) return 0;
    if (this.#inflated !== undefined) return this.#inflated.read(buffer, length, position);
    const { bytesRead } = await overFile(this.path, this.#handle.read(buffer, 0, length, position));
    return bytesRead;
  }

  /** The bytes from `from` on; fewer than `length` at the end of the file. */
  async bytes(from: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.alloc(length);
    let at = 0;
    while (at < length) {
      const count = await this.read(buffer.subarray(at), length - at, from + at);
      if (count === 0) break;
      at += count;
    }
    return buffer.subarray(0, at);
  }

  async hasBytesAt(offset: number): Promise<boolean> {
    return (await this.bytes(offset, 1)).length > 0;
  }

  async standing(): Promise<FileStanding> {
    return standing(await overFile(this.path, this.#handle.stat({ bigint: true })));
  }

  /** Decides that a file with half a magic number, which grows no more, is plain. */
  async settle(): Promise<void> {
    if (this.#compression === undefined) await this.#learn(true);
  }

  /** Whether the file is wanted. If not, it is closed, also where that cannot be told. */
  async isKept(isWanted: Promise<boolean>): Promise<boolean> {
    let isKept = false;
    try {
      isKept = await isWanted;
    } finally {
      if (!isKept) await this.close();
    }
    return isKept;
  }

  async close(): Promise<void> {
    await this.#inflated?.close();
    await this.#handle.close();
  }

  async #learn(isEnd: boolean): Promise<void> {
    const buffer = Buffer.alloc(FOREIGN_BYTES);
    const { bytesRead } = await overFile(this.path, this.#handle.read(buffer, 0, FOREIGN_BYTES, 0));
    if (bytesRead === 0) return;
    const first = buffer.subarray(0, bytesRead);
    const compression = compressionOf(first, isEnd);
    const foreign = foreignFormatOf(first, isEnd);
    if (foreign === undefined || compression === undefined) return;
    requireText(this.path, foreign);
    if (compression !== "none") {
      this.#inflated ??= new InflatedBytes(this.path, this.#handle, compression, this.#signal);
      const inner = Buffer.alloc(FOREIGN_BYTES);
      const count = await this.#inflated.read(inner, FOREIGN_BYTES, 0);
      requireText(this.path, foreignFormatOf(inner.subarray(0, count), true) ?? "none", ` within ${compression}`);
    }
    this.#compression = compression;
  }
}
