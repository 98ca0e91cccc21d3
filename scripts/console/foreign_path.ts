/**
 * Opens files whose names come from elsewhere, such as a backup's manifest or a node. A name must be a plain file in
 * the given folder or below, and cannot lead out of it, neither by its spelling nor by a link.
 */
import { constants, type FileHandle, open, realpath } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { DataError, fileError } from "./exit_codes.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}(\/[A-Za-z0-9][A-Za-z0-9_.-]{0,254}){0,8}$/;

/** The path of a file in a folder. Throws `DataError` for a name that could lead out of it. */
export function pathInside(folder: string, name: unknown): string {
  if (typeof name === "string" && NAME.test(name)) return join(folder, name);
  throw new DataError(
    `Cannot use a file of ${folder} as its name must have letters, digits, _, . and - only, 255 at most between slashes: current value is ${JSON.stringify(name)?.slice(0, 300)}`,
  );
}

/**
 * Opens a file of a folder to read. Throws `DataError` for a link, a pipe or a folder, `FileError` where it cannot be
 * read.
 */
export async function openInside(folder: string, name: unknown): Promise<FileHandle> {
  const path = pathInside(folder, name);
  const [home, parent] = await Promise.all([folder, dirname(path)].map((one) => realpath(one))).catch((error) => {
    throw fileError("read", path, error);
  });
  if (parent !== home && !parent?.startsWith(`${home}${sep}`)) throw noPlainFile(path, "behind a link");
  // A link is not followed, and a pipe is not waited for.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ELOOP" ? noPlainFile(path, "a link") : fileError("read", path, error);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw noPlainFile(path, "a folder, a pipe or a device");
}

const noPlainFile = (path: string, what: string): DataError =>
  new DataError(`Cannot read ${path} as it must be a plain file: it is ${what}`);
