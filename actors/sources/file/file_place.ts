/**
 * The place up to which a file is read. It is found again by the file's inode and by a mark of the bytes before the
 * place. The mark tells a file that was written anew, another file with the same inode, and a copy with another inode.
 */
import { createHash } from "node:crypto";
import type { SourceFile } from "./source_file.ts";

/** Identifies a file of which no byte was read. */
export interface MadeFile {
  readonly inode: string;
  /** When the file was made, in ms since 1970. Missing or 0 where the file system does not tell. */
  readonly bornMs?: number;
}

/** A file that was read to its end. */
export interface ReadFile extends MadeFile {
  readonly offset: number;
  readonly mark: string;
}

/** The stored form. Fields that older releases did not store may be missing. */
export interface FilePlace extends ReadFile {
  /** Counts files and truncations. It is the term of the events' sequences (E3). */
  readonly generation: number;
  readonly offset: number;
  /** How many of the file's first bytes were seen, and a mark of them. Missing while the file was empty. */
  readonly seen?: { readonly bytes: number; readonly mark: string };
  /** Offset at which a last line without a line break was ended. */
  readonly lineEndsAt?: number;
  /** The target of the path, if the path is a link. */
  readonly path?: string;
  /** Size of the file, and time of its last change, at the last look. */
  readonly sizeBytes?: number;
  readonly modifiedMs?: number;
  /** Files read before, newest first. None of them is read again under another name. */
  readonly before?: readonly ReadFile[];
  /** Present while late bytes of an earlier file are read: the place in the followed file to go back to. */
  readonly backTo?: Omit<FilePlace, "generation" | "before" | "backTo">;
}

/** Most earlier files that are remembered: as many as usually rotate before the oldest is compressed. */
export const FILES_BEFORE_MAX = 4;

/** The earlier files together with the file of this place. Empty files push out none that was read. */
export function beforeOf({ inode, offset, mark, bornMs, before = [] }: FilePlace): readonly ReadFile[] {
  const own = { inode, offset, mark, ...(bornMs === undefined ? {} : { bornMs }) };
  const isOwn = (one: ReadFile) => isSameFile(own, one) !== false && one.offset === offset && one.mark === mark;
  return limited([own, ...before.filter((one) => !isOwn(one))]);
}

export function limited(all: readonly ReadFile[]): readonly ReadFile[] {
  const isKept = (one: ReadFile, index: number) =>
    all.slice(0, index).filter((newer) => newer.offset > 0 === one.offset > 0).length < FILES_BEFORE_MAX;
  return all.filter(isKept);
}

export const HEAD_BYTES = 1_024;
export const TAIL_BYTES = 256;

/** A shorter mark may match another file, such as one with the same CSV header. */
export const STRONG_MARK_BYTES = HEAD_BYTES;

/** A mark of the file's first bytes and of the bytes just before the place. */
export const markOf = (head: Uint8Array, tail: Uint8Array): string =>
  createHash("sha256").update(head).update(tail).digest("hex").slice(0, 32);

export async function markAt(file: SourceFile, offset: number): Promise<string> {
  const head = await file.bytes(0, Math.min(HEAD_BYTES, offset));
  const tailBytes = Math.min(TAIL_BYTES, offset);
  return markOf(head, await file.bytes(offset - tailBytes, tailBytes));
}

/** Undefined where unknown: a free inode may go to another file. The time when each was made tells them apart. */
export function isSameFile(one: MadeFile, other: MadeFile): boolean | undefined {
  if (one.inode !== other.inode) return false;
  const [bornMs, otherBornMs] = [one.bornMs ?? 0, other.bornMs ?? 0];
  return bornMs === 0 || otherBornMs === 0 ? undefined : bornMs === otherBornMs;
}

/** Whether this certainly is the earlier file: it has the inode, and holds all bytes that were read. */
export async function isKnown(file: SourceFile, read: ReadFile): Promise<boolean> {
  const isMade = isSameFile(await file.standing(), read) === true;
  const isIt = file.inode === read.inode && (isMade || read.offset >= STRONG_MARK_BYTES);
  return isIt && !file.isCompressed && (await holds(file, read));
}

/** Whether this file holds the bytes seen at its beginning, and the bytes read before the place. */
export async function holds(
  file: SourceFile,
  { offset, mark, seen }: Pick<ReadFile, "offset" | "mark"> & Pick<FilePlace, "seen">,
): Promise<boolean> {
  if (seen !== undefined && markOf(await file.bytes(0, seen.bytes), NOTHING) !== seen.mark) return false;
  return (await markAt(file, offset)) === mark;
}

const NOTHING = new Uint8Array(0);
export const EMPTY_MARK = markOf(NOTHING, NOTHING);

export const seenOf = (head: Uint8Array): Pick<FilePlace, "seen"> =>
  head.length === 0 ? {} : { seen: { bytes: head.length, mark: markOf(head, NOTHING) } };

/** Whether this file holds the bytes that were read, and no more. */
export const isSame = async (file: SourceFile, read: ReadFile): Promise<boolean> =>
  !(await file.hasBytesAt(read.offset)) && (await holds(file, read));
