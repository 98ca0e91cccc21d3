/**
 * Where reading of a file stands, and how that place is found again: by the file's inode, and by a mark of the bytes before
 * it. The mark tells a file that was written anew, another file with the same inode, and a copy with another.
 */
import { createHash } from "node:crypto";
import type { SourceFile } from "./source_file.ts";

/** What identifies a file of which no byte was read. */
export interface MadeFile {
  readonly inode: string;
  /** When the file was made; missing or 0 where nobody knows. */
  readonly bornMs?: number;
}

/** A file that was read to its end. */
export interface ReadFile extends MadeFile {
  readonly offset: number;
  readonly mark: string;
}

/** As it is stored: what older versions did not store may be missing. */
export interface FilePlace extends ReadFile {
  /** Counts files and truncations: the term of the events' sequences (E3). */
  readonly generation: number;
  /** First byte that is not read. */
  readonly offset: number;
  /** How many of the file's first bytes were seen, and a mark of them; missing while there were none. */
  readonly seen?: { readonly bytes: number; readonly mark: string };
  /** The last line, which has no line break, was ended here. */
  readonly lineEndsAt?: number;
  /** Where the path led, where it is a link. */
  readonly path?: string;
  /** Size of the file and time of its last change when it was last looked at. */
  readonly sizeBytes?: number;
  readonly modifiedMs?: number;
  /** Files read before, newest first: none of them is read again under another name. */
  readonly before?: readonly ReadFile[];
  /** This is a file read before that has grown: reading goes back to this place of the file that is followed. */
  readonly backTo?: Omit<FilePlace, "generation" | "before" | "backTo">;
}

/** Files read before that are kept in mind: as many as rotate before the oldest of them is compressed. */
export const FILES_BEFORE_MAX = 4;

/** The files read before, and the one of this place. Empty ones push out none that was read. */
export function beforeOf({ inode, offset, mark, bornMs, before = [] }: FilePlace): readonly ReadFile[] {
  const own = { inode, offset, mark, ...(bornMs === undefined ? {} : { bornMs }) };
  const isOwn = (one: ReadFile) => isSameFile(own, one) !== false && one.offset === offset && one.mark === mark;
  return limited([own, ...before.filter((one) => !isOwn(one))]);
}

/** Newest first. */
export function limited(all: readonly ReadFile[]): readonly ReadFile[] {
  const isKept = (one: ReadFile, index: number) =>
    all.slice(0, index).filter((newer) => newer.offset > 0 === one.offset > 0).length < FILES_BEFORE_MAX;
  return all.filter(isKept);
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

/**
 * Whether two looks met one file; undefined where it can not be told. An inode is given to another file once it is free: the time
 * when the file was made tells them apart, also where no byte was read.
 */
export function isSameFile(one: MadeFile, other: MadeFile): boolean | undefined {
  if (one.inode !== other.inode) return false;
  const [bornMs, otherBornMs] = [one.bornMs ?? 0, other.bornMs ?? 0];
  return bornMs === 0 || otherBornMs === 0 ? undefined : bornMs === otherBornMs;
}

/** Whether this is beyond doubt the file that was read before, under its inode, with all that was read of it. */
export async function isKnown(file: SourceFile, read: ReadFile): Promise<boolean> {
  const { bornMs } = await file.standing();
  const isMade = isSameFile({ inode: file.inode, bornMs }, read) === true;
  const isIt = file.inode === read.inode && (isMade || read.offset >= STRONG_MARK_BYTES);
  return isIt && !file.isCompressed && (await holds(file, read));
}

/** Whether this file holds what was seen at its beginning, and before the place what was read there. */
export async function holds(
  file: SourceFile,
  { offset, mark, seen }: Pick<ReadFile, "offset" | "mark"> & Pick<FilePlace, "seen">,
): Promise<boolean> {
  if (seen !== undefined && markOf(await file.bytes(0, seen.bytes), NOTHING) !== seen.mark) return false;
  return (await markAt(file, offset)) === mark;
}

const NOTHING = new Uint8Array(0);
/** Of a file of which nothing was read. */
export const EMPTY_MARK = markOf(NOTHING, NOTHING);

/** What is kept of a file's first bytes. */
export const seenOf = (head: Uint8Array): Pick<FilePlace, "seen"> =>
  head.length === 0 ? {} : { seen: { bytes: head.length, mark: markOf(head, NOTHING) } };

/** Whether this file holds what was read, and nothing after it. */
export const isSame = async (file: SourceFile, read: ReadFile): Promise<boolean> =>
  (await file.bytes(read.offset, 1)).length === 0 && (await holds(file, read));
