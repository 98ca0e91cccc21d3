/**
 * Where reading of a file stands, and how that place is found again: by the file's inode, and by a mark of the bytes before
 * it, which tells a file that was written anew, another file with the same inode, and a copy with another.
 */
import { createHash } from "node:crypto";
import type { SourceFile } from "./source_file.ts";

/** A file that was read to its end. */
export interface ReadFile {
  readonly inode: string;
  readonly offset: number;
  readonly mark: string;
}

/** As it is stored: what older versions did not store may be missing. */
export interface FilePlace extends ReadFile {
  /** Counts files and truncations: the term of the events' sequences (E3). */
  readonly generation: number;
  /** First byte that is not read. */
  readonly offset: number;
  /** The last line, which has no line break, was ended here. */
  readonly lineEndsAt?: number;
  /** Size of the file and time of its last change when it was last looked at. */
  readonly sizeBytes?: number;
  readonly modifiedMs?: number;
  /** Files read before, newest first: none of them is read again under another name. */
  readonly before?: readonly ReadFile[];
}

export const HEAD_BYTES = 1_024;
export const TAIL_BYTES = 256;

/** From here on a mark tells a file beyond doubt: shorter ones may be those of another, such as a line of columns. */
export const STRONG_MARK_BYTES = HEAD_BYTES;

/** Of the file's first bytes and of those just before the place. */
export const markOf = (head: Uint8Array, tail: Uint8Array): string =>
  createHash("sha256").update(head).update(tail).digest("hex").slice(0, 32);

export async function markAt(file: SourceFile, offset: number): Promise<string> {
  const head = await file.bytes(0, Math.min(HEAD_BYTES, offset));
  const tailBytes = Math.min(TAIL_BYTES, offset);
  return markOf(head, await file.bytes(offset - tailBytes, tailBytes));
}

/** Whether this file holds, before the place, what was read there. */
export const holds = async (file: SourceFile, { offset, mark }: Pick<ReadFile, "offset" | "mark">): Promise<boolean> =>
  (await markAt(file, offset)) === mark;

/** Whether this file holds what was read, and nothing after it. */
export const isSame = async (file: SourceFile, read: ReadFile): Promise<boolean> =>
  (await file.bytes(read.offset, 1)).length === 0 && (await holds(file, read));
