/**
 * Where reading of a file stands, and how that place is found again: by the file's inode, and by a mark of the bytes
 * before it, which tells a file that was truncated and written anew, or another file with the same inode.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

export interface FilePlace {
  /** Counts files and truncations: the term of the events' sequences (E3). */
  readonly generation: number;
  readonly inode: string;
  /** First byte that is not read. */
  readonly offset: number;
  readonly mark: string;
}

const HEAD_BYTES = 1_024;
const TAIL_BYTES = 256;

/** A hash of the file's first bytes and of those just before `offset`. */
export async function markAt(handle: FileHandle, offset: number): Promise<string> {
  const hash = createHash("sha256").update(await bytesOf(handle, 0, Math.min(HEAD_BYTES, offset)));
  const tailFrom = Math.max(0, offset - TAIL_BYTES);
  return hash
    .update(await bytesOf(handle, tailFrom, offset - tailFrom))
    .digest("hex")
    .slice(0, 32);
}

async function bytesOf(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, from);
  return buffer.subarray(0, bytesRead);
}

/** Whether this file still holds, before the place, what was read there. */
export async function holds(
  handle: FileHandle,
  { offset, mark }: Pick<FilePlace, "offset" | "mark">,
): Promise<boolean> {
  const { size } = await handle.stat();
  return size >= offset && (await markAt(handle, offset)) === mark;
}

export const inodeOf = async (handle: FileHandle): Promise<string> => String((await handle.stat({ bigint: true })).ino);

/** Undefined where there is no such file. */
export async function openIfThere(path: string): Promise<FileHandle | undefined> {
  return await absent(open(path, "r"));
}

export async function inodeAt(path: string): Promise<string | undefined> {
  const found = await absent(stat(path, { bigint: true }));
  return found === undefined ? undefined : String(found.ino);
}

async function absent<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What rotation appends to a name: a number or a date. Compressed files can not be read on. */
const ROTATED = /^[.-]\d[\dT:._-]*$/;

interface Sibling {
  readonly path: string;
  readonly inode: string;
  readonly modifiedNs: bigint;
}

/** The rotated files beside `path`, oldest first. */
export async function rotatedFiles(path: string): Promise<readonly Sibling[]> {
  const name = basename(path);
  const names = (await absent(readdir(dirname(path)))) ?? [];
  const found: Sibling[] = [];
  for (const one of names) {
    if (!one.startsWith(name) || !ROTATED.test(one.slice(name.length))) continue;
    const at = join(dirname(path), one);
    const about = await absent(stat(at, { bigint: true }));
    if (about?.isFile() === true) found.push({ path: at, inode: String(about.ino), modifiedNs: about.mtimeNs });
  }
  return found.sort(byAge);
}

/** Older first. Files written within one tick of the clock have one time: then a higher number, or an earlier date, is older. */
function byAge(left: Sibling, right: Sibling): number {
  if (left.modifiedNs !== right.modifiedNs) return left.modifiedNs < right.modifiedNs ? -1 : 1;
  const [leftNumber, rightNumber] = [numberOf(left.path), numberOf(right.path)];
  if (leftNumber !== undefined && rightNumber !== undefined) return rightNumber - leftNumber;
  return left.path < right.path ? -1 : 1;
}

function numberOf(path: string): number | undefined {
  const found = /\.(\d{1,4})$/.exec(path);
  return found === null ? undefined : Number(found[1]);
}
