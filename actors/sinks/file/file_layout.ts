/**
 * How a file sink's folder looks, for the sink and for those who read it. One folder a partition, `<stream>/<partition>`;
 * a replay has them below `replay=<its name>`, which no stream's folder can be called:
 *
 *   segment-<first offset>.ndjson   published: closed, complete, never changed but by a rewind
 *   open-<fence>-<n>-<n>.part       an owner's open file; valid up to the length that the checkpoint commits
 *   .owner-<fence>-<n>/             an owner's only way to the segments (file_owner_folder.ts); nothing in it counts
 *   .log_id                         the id of the log that the folder belongs to (file_log_mark.ts)
 *   *.index                         a line for each commit: where one may rewind to; lost lines only mean further back
 */
import { access, constants, copyFile, mkdir, open, readdir, readFile, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ConfigurationError } from "../../../protocols/errors.ts";
import { type PartitionReference, type Position, position } from "../../../protocols/position.ts";
import { syncFolder } from "../../kernel/durable_files.ts";

export type FileFormat = "ndjson" | "csv";

/** What the sink commits in the partition's log, under the owner's fence. */
export interface FileCommit {
  readonly version: 1;
  readonly position: Position | undefined;
  /** The open file that holds the newest records, absent where all of them are published. */
  readonly open?: {
    readonly file: string;
    readonly length: number;
    /** First input offset of the file: its name once published. */
    readonly first: number;
    /** A rewind made it: segments from `first` on are void, whether or not they are deleted yet. */
    readonly isReplacement: boolean;
  };
}

export const segmentName = (first: number, format: FileFormat): string =>
  `segment-${String(first).padStart(16, "0")}.${format}`;

export const partitionFolder = (directory: string, { stream, partition }: PartitionReference): string =>
  join(directory, encodeURIComponent(stream), String(partition));

export const replayFolder = (directory: string, replay: string): string =>
  join(directory, `replay=${encodeURIComponent(replay)}`);

export async function listSegments(folder: string): Promise<{ readonly name: string; readonly first: number }[]> {
  const found = (await readdir(folder)).flatMap((name) => {
    const first = /^segment-(\d{16})\.(ndjson|csv)$/.exec(name)?.[1];
    return first === undefined ? [] : [{ name, first: Number(first) }];
  });
  return found.sort((left, right) => left.first - right.first);
}

/** Open files and copies of owners up to `fence`; those of a newer owner are not ours to touch. */
export async function listLeftovers(folder: string, fence: number): Promise<string[]> {
  return (await readdir(folder)).filter((name) => Number(/^open-(\d+)-/.exec(name)?.[1] ?? Infinity) <= fence);
}

export function encodeCommit(commit: FileCommit): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(commit));
}

export function decodeCommit(bytes: Uint8Array | undefined): FileCommit {
  if (bytes === undefined) return { version: 1, position: undefined };
  const stored = JSON.parse(new TextDecoder().decode(bytes)) as FileCommit;
  if (stored.version !== 1) {
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot read the commit of a file sink as its version must be 1: current value is ${stored.version}`,
    );
  }
  return stored;
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
  // The last piece is empty or torn.
  return (text ?? "")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [length = 0, epoch, offset] = JSON.parse(line) as number[];
      return { length, position: epoch === undefined || offset === undefined ? undefined : position(epoch, offset) };
    });
}

/** Copies the first `length` bytes into a file of that length, flushed; its name is durable once its folder is synced. */
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
  try {
    return (await stat(path)).size;
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException);
    return undefined;
  }
}

export function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** What a path or its permissions are to blame for; anything else (a full disk, an I/O error) may pass by itself. */
const REFUSALS: ReadonlySet<string> = new Set([
  ...["EACCES", "EEXIST", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS"],
]);

/** Makes the folder. Throws `ConfigurationError` where it can not be one that this process writes. */
export async function checkFolder(folder: string): Promise<void> {
  try {
    const made = await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
      // A folder that was there and is read-only now: more likely a disk in trouble than a mistake.
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
