/**
 * Finds the file that was being read, and the file to read after it, by their bytes and not by their names alone.
 *   S1. The file with the inode is looked for first, under any name in its folder or directly below.
 *   S2. Without it, a copy is looked for: plain or compressed, at least as new, with the same bytes before the place.
 *       If few bytes were read, only the path, names that begin with the file's, and names that rotation gives are
 *       trusted.
 *   S3. The next file is the oldest rotated one that is newer than the finished file, else the one at the path.
 *   S4. No file is read again. A file that holds just the bytes of an earlier file is skipped, if no file has that
 *       one's inode. A file that `late_files` looks at is not begun either: all its new bytes are late ones.
 */
import {
  type FilePlace,
  holds,
  isSame,
  isSameFile,
  type MadeFile,
  type ReadFile,
  STRONG_MARK_BYTES,
} from "./file_place.ts";
import { FileTroubleError } from "./file_trouble.ts";
import { COMPRESSED, isNamedAfter, type Sibling, siblingsOf } from "./rotated_files.ts";
import { SourceFile } from "./source_file.ts";

/** S1, S2. The caller closes the file. */
export const findPlace = (path: string, place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> =>
  overMoves(async () => {
    const siblings = await siblingsOf(path);
    const own = siblings.filter(({ inode }) => inode === place.inode);
    // If the path is a link with a new target, the file may lie at its former target.
    const candidates = [{ path }, ...own, ...(place.path === undefined ? [] : [{ path: place.path }])];
    const found = await firstThat(candidates, signal, async (file) => (await isOwn(file, place)) && holds(file, place));
    return found ?? copyAmong(siblings, path, place, signal);
  });

/** S2. */
export const findCopy = (path: string, place: FilePlace, signal: AbortSignal): Promise<SourceFile | undefined> =>
  overMoves(async () => copyAmong(await siblingsOf(path), path, place, signal));

async function copyAmong(
  siblings: readonly Sibling[],
  path: string,
  place: FilePlace,
  signal: AbortSignal,
): Promise<SourceFile | Moved | undefined> {
  const markedBytes = Math.max(place.offset, place.seen?.bytes ?? 0);
  if (markedBytes === 0) return undefined;
  const isStrong = markedBytes >= STRONG_MARK_BYTES;
  const copies = siblings.filter(
    (one) => one.inode !== place.inode && (one.isNear || isStrong) && (isAsNew(one, place, COPIED_TIME_MS) ?? true),
  );
  const plainFirst = copies.toSorted((left, right) => Number(isCompressed(left)) - Number(isCompressed(right)));
  const isCopy = async (file: SourceFile) => file.inode !== place.inode && (await holds(file, place));
  // A short mark covers all the bytes that were read, so it is trusted for the file at the path itself.
  return firstThat([...plainFirst, { path }], signal, isCopy);
}

/** Files beside the path with similar names that cannot be read. A missing file's rest may lie in one. */
export async function unreadableBeside(path: string, signal: AbortSignal): Promise<readonly string[]> {
  const unreadable: string[] = [];
  for (const { path: beside } of (await siblingsOf(path)).filter(({ isNear }) => isNear).slice(-UNREADABLE_LOOKS_MAX)) {
    try {
      await (await SourceFile.open(beside, signal)).close();
    } catch (error) {
      if (!(error instanceof FileTroubleError)) throw error;
      if (error.errno !== "ENOENT") unreadable.push(beside);
    }
  }
  return unreadable;
}

/** Most files that are tried for that warning, the newest ones. */
const UNREADABLE_LOOKS_MAX = 16;

export interface LaterSearch {
  /** Whether the finished file still holds the bytes read, under its inode. If not, the inode may be another file's. */
  readonly isIntact: boolean;
  /** Time of its last change as an earlier life saw it. Late bytes written since do not make the file newer. */
  readonly foundMs: number | undefined;
  /** Whether the file, or the file that it is a copy of, is looked at for late bytes. */
  isLate(file: SourceFile): Promise<boolean>;
  /** Called for each skipped file that may still be written to, empty or looked at. Oldest first. */
  onEmpty(file: MadeFile): void;
}

/** S3, S4. Undefined if no file was rotated since. */
export const findLater = (
  path: string,
  over: FilePlace,
  { isIntact, foundMs, isLate, onEmpty }: LaterSearch,
  signal: AbortSignal,
): Promise<SourceFile | undefined> =>
  overMoves(async () => {
    const siblings = await siblingsOf(path);
    const rotated = siblings.filter(({ isRotated }) => isRotated);
    const own = isIntact ? rotated.find(({ inode }) => inode === over.inode) : undefined;
    const later =
      own === undefined
        ? rotated.filter((one) => isAsNew(one, over, KEPT_TIME_MS) ?? false)
        : rotated.filter(
            (one, index) =>
              index > rotated.indexOf(own) ||
              isMadeAfter(one, own) ||
              isNamedAfter(one.path, own.path) ||
              (one !== own &&
                isCompressed(one) &&
                foundMs !== undefined &&
                Number(one.modifiedNs / 1_000_000n) > foundMs),
          );
    const before = over.before ?? [];
    const gone: ReadFile[] = [];
    for (const read of [over, ...before]) {
      const isThere = (isIntact || read !== over) && (await isUnderItsInode(siblings, read, signal));
      if (isThere === "moved") return "moved";
      if (!isThere) gone.push(read);
    }
    // An empty file may still be written to, so it is begun, and looked at from then on (late_files). It is no copy of an empty file.
    const isForCopy = !isIntact && over.offset === 0 && over.seen === undefined;
    const isRead = async (file: SourceFile) => {
      const { inode } = file;
      const { bornMs } = await file.standing();
      const isKnown = before.some((read) => isSameFile({ inode, bornMs }, read) !== false);
      const isEmpty = (isForCopy || isKnown) && !(await file.hasBytesAt(0));
      if (isEmpty || (await isLate(file))) {
        onEmpty({ inode, bornMs });
        return true;
      }
      return (isKnown && (await isOneOf(file, before, holds))) || (await isOneOf(file, gone, isSame));
    };
    return firstThat(later, signal, async (file) => !(await isRead(file)));
  });

/** A free inode may go to a new file. If no byte was seen, the time when it was made tells them apart. */
const isOwn = async (file: SourceFile, place: FilePlace): Promise<boolean> =>
  file.inode === place.inode && (place.seen !== undefined || isSameFile(await file.standing(), place) !== false);

const isCompressed = ({ path }: Sibling): boolean => COMPRESSED.test(path);

/** By names, as late bytes and compression give older files newer times; else by times. */
const isMadeAfter = (one: Sibling, own: Sibling): boolean =>
  own.bornMs > 0 && one.bornMs > own.bornMs && Number(one.modifiedNs / 1_000_000n) >= own.bornMs && !isCompressed(one);

/** A copy may keep its time to one or two seconds only. Its bytes are compared as well. */
const COPIED_TIME_MS = 2_000;
/** A stored time is a floating number, and may be rounded. */
const KEPT_TIME_MS = 1;

/** Undefined for a place that an older release stored without a time. */
const isAsNew = ({ modifiedNs }: Sibling, { modifiedMs }: FilePlace, toleranceMs: number): boolean | undefined =>
  modifiedMs === undefined ? undefined : Number(modifiedNs / 1_000_000n) >= modifiedMs - toleranceMs;

/** The file was renamed or removed between the listing of its folder and its opening. */
type Moved = "moved";

/** Most listings of a folder whose files are rotated meanwhile. After that, the last listing is used. */
const SEARCHES = 5;

async function overMoves(search: () => Promise<SourceFile | Moved | undefined>): Promise<SourceFile | undefined> {
  for (let count = 0; count < SEARCHES; count += 1) {
    const found = await search();
    if (found !== "moved") return found;
  }
  return undefined;
}

/**
 * The first wanted file, which the caller closes. Skips files that cannot be read: the next opening of the path reports
 * the path's own trouble. `moved` is answered for candidates with an inode alone.
 */
export async function firstThat(
  candidates: readonly (Pick<Sibling, "path"> & Partial<Pick<Sibling, "inode">>)[],
  signal: AbortSignal,
  isWanted: (file: SourceFile) => Promise<boolean>,
): Promise<SourceFile | Moved | undefined> {
  for (const { path, inode } of candidates) {
    try {
      const file = await SourceFile.open(path, signal);
      const isMoved = inode !== undefined && file.inode !== inode;
      if (await file.isKept(isMoved ? Promise.resolve(false) : isWanted(file))) return file;
      if (isMoved) return "moved";
    } catch (error) {
      if (!(error instanceof FileTroubleError)) throw error;
      if (inode !== undefined && error.errno === "ENOENT") return "moved";
    }
  }
  return undefined;
}

async function isUnderItsInode(
  siblings: readonly Sibling[],
  read: ReadFile,
  signal: AbortSignal,
): Promise<boolean | Moved> {
  const own = siblings.filter((one) => isSameFile(one, read) !== false); // a copy may have got the inode of the file
  const found = await firstThat(own, signal, (file) => holds(file, read));
  if (found === "moved") return found;
  await found?.close();
  return found !== undefined;
}

async function isOneOf(
  file: SourceFile,
  reads: readonly ReadFile[],
  isRead: (file: SourceFile, read: ReadFile) => Promise<boolean>,
): Promise<boolean> {
  for (const read of reads) if (read.offset > 0 && (await isRead(file, read))) return true;
  return false;
}
