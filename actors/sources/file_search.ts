/**
 * Finds the file that was being read, and the file to read after it, by what they hold and not by their names alone.
 *   S1. The file with the inode is looked for first, under any name in its folder or directly below.
 *   S2. Without it, a copy is looked for: plain or compressed, at least as new, holding the very bytes before the place.
 *       Where few bytes were read, only names that begin with the file's or that rotation gives are believed.
 *   S3. The next file is the oldest rotated one that is newer than the file that is over, else the one at the path.
 *   S4. What was read before is not read again: a file that holds just that is passed over, where the file that was read
 *       is not there any more under its own inode.
 */
import { type FilePlace, holds, isSame, type ReadFile, STRONG_MARK_BYTES } from "./file_place.ts";
import { FileTroubleError, ifThere } from "./file_trouble.ts";
import { type Sibling, siblingsOf } from "./rotated_files.ts";
import { SourceFile } from "./source_file.ts";

/** S1, S2. Whoever asks closes it. */
export async function findPlace(path: string, place: FilePlace): Promise<SourceFile | undefined> {
  const siblings = await siblingsOf(path);
  const own = siblings.filter(({ inode }) => inode === place.inode);
  const found = await firstHolding([path, ...own.map((one) => one.path)], place, (file) => file.inode === place.inode);
  return found ?? findCopy(path, place, siblings);
}

/** S2. */
export async function findCopy(
  path: string,
  place: FilePlace,
  siblings?: readonly Sibling[],
): Promise<SourceFile | undefined> {
  if (place.offset === 0) return undefined;
  const isStrong = place.offset >= STRONG_MARK_BYTES;
  const copies = (siblings ?? (await siblingsOf(path))).filter(
    (one) => one.inode !== place.inode && (one.isNear || isStrong) && (isAsNew(one, place) ?? true),
  );
  const plainFirst = copies.toSorted((left, right) => Number(isCompressed(left)) - Number(isCompressed(right)));
  const paths = plainFirst.map((one) => one.path);
  return firstHolding(isStrong ? [...paths, path] : paths, place, (file) => file.inode !== place.inode);
}

/** S3, S4. Undefined where none was rotated since. */
export async function findLater(path: string, over: FilePlace): Promise<SourceFile | undefined> {
  const siblings = await siblingsOf(path);
  const rotated = siblings.filter(({ isRotated }) => isRotated);
  const own = rotated.findIndex(({ inode }) => inode === over.inode);
  const later = own < 0 ? rotated.filter((one) => isAsNew(one, over) ?? false) : rotated.slice(own + 1);
  const gone = [over, ...(over.before ?? [])].filter((read) => !siblings.some(({ inode }) => inode === read.inode));
  const known = new Set((over.before ?? []).map(({ inode }) => inode));
  for (const one of later) {
    const file = await openOrNothing(one.path);
    if (file === undefined) continue;
    const isRead = (known.has(one.inode) && (await isOneOf(file, over.before ?? []))) || (await isOneOf(file, gone));
    if (!isRead) return file;
    await file.close();
  }
  return undefined;
}

const isCompressed = ({ path }: Sibling): boolean => /\.(gz|gzip|zst|zstd)$/.test(path);

/** Undefined for a place that an older version stored, without a time. */
const isAsNew = ({ modifiedNs }: Sibling, { modifiedMs }: FilePlace): boolean | undefined =>
  modifiedMs === undefined ? undefined : modifiedNs / 1_000_000n >= BigInt(modifiedMs);

async function firstHolding(
  paths: readonly string[],
  place: FilePlace,
  isWanted: (file: SourceFile) => boolean,
): Promise<SourceFile | undefined> {
  for (const path of paths) {
    const file = await openOrNothing(path);
    if (file === undefined) continue;
    if (isWanted(file) && (await holds(file, place))) return file;
    await file.close();
  }
  return undefined;
}

async function isOneOf(file: SourceFile, reads: readonly ReadFile[]): Promise<boolean> {
  for (const read of reads) if (read.offset > 0 && (await isSame(file, read))) return true;
  return false;
}

/** A file that can not be opened is none that could be read on; the path's own trouble is told by who opens it next. */
async function openOrNothing(path: string): Promise<SourceFile | undefined> {
  try {
    return await ifThere(SourceFile.open(path));
  } catch (error) {
    if (error instanceof FileTroubleError) return undefined;
    throw error;
  }
}
