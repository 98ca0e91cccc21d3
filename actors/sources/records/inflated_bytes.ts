/**
 * Reads the inflated bytes of a compressed file at any place. Holds its beginning and the bytes read last, so that
 * reading on is cheap. To read an earlier place, the file is inflated again from its beginning.
 */
import type { FileHandle } from "node:fs/promises";
import { RejectedError } from "../../../protocols/errors.ts";
import { overFile } from "../file/file_trouble.ts";
import { type Compression, inflate } from "./inflate.ts";

const CHUNK_BYTES = 65_536;
/** How much of the file's beginning is held, as marks and names of columns are read often. */
const HEAD_BYTES = 65_536;
/** How many bytes read last are held: more than the longest line and the bytes read ahead of it. */
const WINDOW_BYTES = 2_097_152;

interface Piece {
  readonly position: number;
  readonly bytes: Uint8Array;
}

export class InflatedBytes {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #compression: Compression;
  readonly #signal: AbortSignal;
  #pieces: Piece[] = [];
  #endsAt = 0;
  #head: Uint8Array = new Uint8Array(0);
  #inflating: AsyncGenerator<Uint8Array> | undefined;
  #endedAtBytes: number | undefined;
  damage: string | undefined;

  constructor(path: string, handle: FileHandle, compression: Compression, signal: AbortSignal) {
    this.#path = path;
    this.#handle = handle;
    this.#compression = compression;
    this.#signal = signal;
  }

  async read(buffer: Uint8Array, length: number, position: number): Promise<number> {
    if (position < this.#head.length) return copy({ position: 0, bytes: this.#head }, buffer, length, position);
    if (position < (this.#pieces[0]?.position ?? 0)) await this.#restart();
    while (position >= this.#endsAt) {
      this.#signal.throwIfAborted();
      if (!(await this.#inflateMore())) return 0;
    }
    const piece = this.#pieces.find((one) => position < one.position + one.bytes.length);
    return piece === undefined ? 0 : copy(piece, buffer, length, position);
  }

  async close(): Promise<void> {
    await this.#inflating?.return(undefined);
    this.#inflating = undefined;
  }

  /** False at the end of the file. */
  async #inflateMore(): Promise<boolean> {
    if (this.#endedAtBytes !== undefined) {
      const { size } = await overFile(this.#path, this.#handle.stat());
      if (size === this.#endedAtBytes) return false;
      await this.#restart(); // members were added, or the file was written anew
    }
    this.#inflating ??= inflate(this.#compressed(), this.#compression);
    const { size } = await overFile(this.#path, this.#handle.stat());
    try {
      const next = await this.#inflating.next();
      if (next.done !== true) {
        this.#take(next.value);
        return true;
      }
    } catch (error) {
      if (!(error instanceof RejectedError)) throw error;
      this.damage = error.message;
    }
    this.#endedAtBytes = size;
    return false;
  }

  #take(bytes: Uint8Array): void {
    this.#pieces.push({ position: this.#endsAt, bytes });
    this.#endsAt += bytes.length;
    if (this.#head.length < HEAD_BYTES) {
      this.#head = Buffer.concat([this.#head, bytes]).subarray(0, HEAD_BYTES);
    }
    for (let second = this.#pieces[1]; second !== undefined; second = this.#pieces[1]) {
      if (this.#endsAt - second.position < WINDOW_BYTES) break;
      this.#pieces.shift();
    }
  }

  async #restart(): Promise<void> {
    await this.close();
    this.#pieces = [];
    this.#endsAt = 0;
    this.#head = new Uint8Array(0);
    this.#endedAtBytes = undefined;
    this.damage = undefined;
  }

  async *#compressed(): AsyncGenerator<Uint8Array> {
    for (let at = 0; ; ) {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      const { bytesRead } = await overFile(this.#path, this.#handle.read(buffer, 0, CHUNK_BYTES, at));
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}

function copy({ position: from, bytes }: Piece, buffer: Uint8Array, length: number, position: number): number {
  const found = bytes.subarray(position - from, position - from + length);
  buffer.set(found);
  return found.length;
}
