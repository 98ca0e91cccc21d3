/**
 * The layout of a file sink's folder, for the sink and its readers. Each partition has a folder `<stream>/<partition>`.
 * A delivery with `as` has these folders below `as=<as>`, and a replay below `replay=<its name>`: names that no stream's
 * folder can have.
 *
 *   segment-<first offset>.ndjson   published: closed, complete, never changed but by a rewind
 *   open-<fence>-<n>-<n>.part       an owner's open file; valid up to the length that the checkpoint commits
 *   .owner-<fence>-<n>/             an owner's only way to the segments (file_owner_folder.ts); readers ignore it
 *   .log_id                         the id of the log that the folder belongs to (file_log_mark.ts)
 *   *.index                         one line for each commit: a place to rewind to (file_index.ts)
 */
import { access, constants, copyFile, mkdir, open, readdir, readFile, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ConfigurationError } from "../../../protocols/errors.ts";
import { type PartitionReference, type Position, position } from "../../../protocols/position.ts";
import { syncFolder } from "../../kernel/durable_files.ts";
import type { SinkContext } from "../sink.ts";
import { decodeStored, encodeStored } from "../stored_json.ts";

export type FileFormat = "ndjson" | "csv";

/** The commit of the sink: a checkpoint in the partition's log, written under the owner's fence. */
export interface FileCommit {
  readonly version: 1;
  readonly position: Position | undefined;
  /** The open file that holds the newest records. Absent where all records are published. */
  readonly open?: {
    readonly file: string;
    readonly length: number;
    /** First input offset of the file, which names the file once it is published. */
    readonly first: number;
    /** Whether a rewind made the file. Then the segments from `first` on are void, even before they are deleted. */
    readonly isReplacement: boolean;
  };
}

export const segmentName = (first: number, format: FileFormat): string =>
  `segment-${String(first).padStart(16, "0")}.${format}`;

export const partitionFolder = (directory: string, { stream, partition }: PartitionReference): string =>
  join(directory, encodeURIComponent(stream), String(partition));

/** Throws `ConfigurationError` for a directory that could be the folder of another sink's delivery. */
export function checkDirectory(directory: string): void {
  const part = directory.split(/[\\/]/).find((name) => /^(as|replay)=/i.test(name));
  if (part === undefined) return;
  const must = "no part of its directory may begin with as= or replay=, as deliveries have folders of such names";
  throw new ConfigurationError("INVALID_CONFIGURATION", `Cannot write files as ${must}: current value is ${part}`);
}

/** The folder of a delivery, in which its partitions' folders lie. */
export function deliveryFolder(directory: string, { as, replay }: Pick<SinkContext, "as" | "replay">): string {
  const own = as === undefined ? directory : join(directory, `as=${encodeURIComponent(as)}`);
  return replay === undefined ? own : join(own, `replay=${encodeURIComponent(replay)}`);
}

export async function listSegments(folder: string): Promise<{ readonly name: string; readonly first: number }[]> {
  const found = (await readdir(folder)).flatMap((name) => {
    const first = /^segment-(\d{16})\.(ndjson|csv)$/.exec(name)?.[1];
    return first === undefined ? [] : [{ name, first: Number(first) }];
  });
  return found.sort((left, right) => left.first - right.first);
}

/** Open files and copies of owners up to `fence`. Those of newer owners must not be touched. */
export async function listLeftovers(folder: string, fence: number): Promise<string[]> {
  return (await readdir(folder)).filter((name) => Number(/^open-(\d+)-/.exec(name)?.[1] ?? Infinity) <= fence);
}

export const encodeCommit: (commit: FileCommit) => Uint8Array = encodeStored;

export function decodeCommit(bytes: Uint8Array | undefined): FileCommit {
  if (bytes === undefined) return { version: 1, position: undefined };
  return decodeStored<FileCommit>(bytes, "the commit of a file sink as its version must be");
}

/** A place to rewind to: the position that the sink held when its file was `length` bytes long. */
export interface Boundary {
  readonly position: Position | undefined;
  readonly length: number;
}

export const boundaryLine = ({ position: at, length }: Boundary): string =>
  `${JSON.stringify(at === undefined ? [length] : [length, at.epoch, at.offset])}\n`;

export async function readBoundaries(path: string): Promise<Boundary[]> {
  const text = await readFile(path, "utf8").catch(ignoreMissing);
  // The last piece has no line break: it is empty, or a crash cut it.
  return (text ?? "")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [length = 0, epoch, offset] = JSON.parse(line) as number[];
      return { length, position: epoch === undefined || offset === undefined ? undefined : position(epoch, offset) };
    });
}

/** Copies the first `length` bytes into a new file. Its name is durable once the folder is synced. */
export async function copyStart(from: string, to: string, length: number): Promise<void> {
  await copyFile(from, to);
  await truncate(to, length);
  const handle = await open(to, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  const about = await stat(path).catch(ignoreMissing);
  return about?.size;
}

export function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** Errors of the path or its permissions. Any other error (a full disk, an I/O error) may pass by itself. */
const REFUSALS = new Set(["EACCES", "EEXIST", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]);

/** Makes the folder. Throws `ConfigurationError` if the path cannot be a folder that this process may write. */
export async function checkFolder(folder: string): Promise<void> {
  try {
    const made = await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
      // The folder exists, and is read-only now: a failing disk is more likely than a mistake.
      if (made !== undefined || error.code !== "EROFS") throw error;
    });
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (!REFUSALS.has(code)) return;
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot write files as the path must be a folder that this process can write: ${message}`,
      { cause: error },
    );
  }
}

export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await syncFolder(folder);
}
