/**
 * The reasons why a file cannot be read, by their names in the operating system. Reported for each change, not for
 * each try.
 */
import type { Stats } from "node:fs";
import { UnavailableError } from "../../../protocols/errors.ts";
import { foreignReason } from "../records/foreign_format.ts";

/** A path cannot be read now. A later try may succeed, as a person may mend the path. */
export class FileTroubleError extends UnavailableError {
  readonly errno: string;

  constructor(errno: string, message: string, options?: ErrorOptions) {
    super("SOURCE_UNAVAILABLE", message, options);
    this.errno = errno;
  }
}

/** The work's value. Throws `FileTroubleError` if a call of the file system failed. */
export async function overFile<Value>(path: string, work: Promise<Value>): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new FileTroubleError(code, `Cannot read ${path} as the system must allow it: ${message}`, { cause: error });
  }
}

export async function ifThere<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof FileTroubleError && error.errno === "ENOENT") return undefined;
    throw error;
  }
}

/** Throws `FileTroubleError` unless it is a regular file: no other kind can be read again from a place. */
export function requireFile(path: string, about: Pick<Stats, "isFile" | "isDirectory" | "isFIFO" | "isSocket">): void {
  if (about.isFile()) return;
  const [errno, kind] = about.isDirectory()
    ? ["EISDIR", "a folder"]
    : about.isFIFO()
      ? ["ESPIPE", "a named pipe"]
      : about.isSocket()
        ? ["ENXIO", "a socket"]
        : ["ENODEV", "a device"];
  throw new FileTroubleError(
    errno,
    `Cannot read ${path} as it must be a file that can be read again: it is ${kind} (${errno})`,
  );
}

/** Throws `FileTroubleError` unless the format is `none`. A later try may find another file at the path. */
export function requireText(path: string, format: string, where = ""): void {
  if (format === "none") return;
  throw new FileTroubleError("EFTYPE", `Cannot read ${path} as ${foreignReason(format)}${where} (EFTYPE)`);
}
