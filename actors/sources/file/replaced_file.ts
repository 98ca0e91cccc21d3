/**
 * Tells rotation from replacement. Editors, `sed -i` and rsync write another file with mostly the same bytes, and keep
 * the former file under the name of a backup or under none. Rotation keeps it under a name of rotation.
 */
import { basename } from "node:path";
import { type FilePlace, holds, STRONG_MARK_BYTES } from "./file_place.ts";
import { findCopy, firstThat } from "./file_search.ts";
import { siblingsOf } from "./rotated_files.ts";
import { SourceFile } from "./source_file.ts";

/** The endings that backups add to a file's name: `app.log~`, `app.log.~1~`, `app.log.bak`. */
const BACKUP = /^(~|\.~\d+~|\.(bak|backup|orig|save))$/i;

/** A name that is neither a backup's nor rotation's counts only if many bytes were read. */
export async function isReplaced(path: string, file: SourceFile, readBytes: number): Promise<boolean> {
  if (readBytes === 0) return false; // every file begins with no bytes
  if ((await file.standing()).isUnlinked) return true;
  const own = (await siblingsOf(path)).find(({ inode }) => inode === file.inode);
  if (own === undefined || own.isRotated) return false;
  return readBytes >= STRONG_MARK_BYTES || isBackupName(basename(own.path), basename(path));
}

export const isBackupName = (name: string, base: string): boolean =>
  name.startsWith(base) && BACKUP.test(name.slice(base.length));

/** The file at the path, if it begins with all the bytes read; else, of a file without a name, a longer copy. */
export async function findReplacement(
  path: string,
  seen: FilePlace,
  isUnlinked: boolean,
  signal: AbortSignal,
): Promise<SourceFile | undefined> {
  const current = await firstThat(
    [{ path }],
    signal,
    async (file) => file.inode !== seen.inode && (await holds(file, seen)),
  );
  if (current instanceof SourceFile) return current;
  const copy = isUnlinked ? await findCopy(path, seen, signal) : undefined;
  const isMore = await copy?.isKept(copy.hasBytesAt(seen.offset));
  return isMore === true ? copy : undefined;
}

/** The least number of equal first bytes that is reported. Fewer may be a common CSV header. */
const ALIKE_BYTES = 64;

/** Whether the file begins like `head`, for enough bytes to exclude chance. */
export async function beginsAlike(file: SourceFile, head: Uint8Array): Promise<boolean> {
  const alikeBytes = Math.min(head.length, ALIKE_BYTES);
  return alikeBytes > 0 && Buffer.compare(await file.bytes(0, alikeBytes), head.subarray(0, alikeBytes)) === 0;
}
