/**
 * A file that is open for reading at any place. One that is compressed is read as what it inflates to: places count
 * inflated bytes.
 */
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { overFile, requireFile } from "./file_trouble.ts";
import { type Compression, compressionOf, MAGIC_BYTES } from "./inflate.ts";
import { InflatedBytes } from "./inflated_bytes.ts";

export interface FileStanding {
  readonly inode: string;
  readonly sizeBytes: number;
  readonly modifiedNs: bigint;
  /** No name leads to it any more. */
  readonly isUnlinked: boolean;
}

/** Throws `FileTroubleError`, also where the path is no regular file. */
export async function standingOf(path: string): Promise<FileStanding> {
  const about = await overFile(path, stat(path, { bigint: true }));
  requireFile(path, about as never);
  return standing(about);
}

const standing = (about: { ino: bigint; size: bigint; mtimeNs: bigint; nlink: bigint }): FileStanding => ({
  inode: String(about.ino),
  sizeBytes: Number(about.size),
  modifiedNs: about.mtimeNs,
  isUnlinked: about.nlink === 0n,
});

export class SourceFile {
  readonly path: string;
  readonly inode: string;
  readonly #handle: FileHandle;
  #compression: Compression | undefined;
  #inflated: InflatedBytes | undefined;

  private constructor(path: string, inode: string, handle: FileHandle) {
    this.path = path;
    this.inode = inode;
    this.#handle = handle;
  }

  /** Throws `FileTroubleError`, also where the path is no regular file. Never waits for a writer. */
  static async open(path: string): Promise<SourceFile> {
    await standingOf(path); // before it is opened: to open a device may change it
    const handle = await overFile(path, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
    try {
      const about = await overFile(path, handle.stat({ bigint: true }));
      requireFile(path, about as never);
      return new SourceFile(path, String(about.ino), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get isCompressed(): boolean {
    return this.#inflated !== undefined;
  }

  /** Why a compressed file ends before its end, if it does. */
  get damage(): string | undefined {
    return this.#inflated?.damage;
  }

  /** Bytes read into `buffer`; 0 at the end of what there is. */
  async read(buffer: Uint8Array, length: number, position: number): Promise<number> {
    if (this.#compression === undefined) await this.#learn(false);
    if (this.#compression === undefined) return 0;
    if (this.#inflated !== undefined) return this.#inflated.read(buffer, length, position);
    const { bytesRead } = await overFile(this.path, this.#handle.read(buffer, 0, length, position));
    return bytesRead;
  }

  /** The bytes from `from` on, fewer where the file ends. */
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

  async standing(): Promise<FileStanding> {
    return standing(await overFile(this.path, this.#handle.stat({ bigint: true })));
  }

  /** A file that begins like a compressed one and goes no further is none. */
  async settle(): Promise<void> {
    if (this.#compression === undefined) await this.#learn(true);
  }

  async close(): Promise<void> {
    await this.#inflated?.close();
    await this.#handle.close();
  }

  async #learn(isEnd: boolean): Promise<void> {
    const buffer = Buffer.alloc(MAGIC_BYTES);
    const { bytesRead } = await overFile(this.path, this.#handle.read(buffer, 0, MAGIC_BYTES, 0));
    if (bytesRead === 0) return;
    this.#compression = compressionOf(buffer.subarray(0, bytesRead), isEnd);
    if (this.#compression === undefined || this.#compression === "none") return;
    this.#inflated = new InflatedBytes(this.path, this.#handle, this.#compression);
  }
}
