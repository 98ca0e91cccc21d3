/**
 * Marks a partition's folder of a file sink with the id of the log that it belongs to, in a file beside the segments.
 * Segments that another log had published are no lost tail (F5), and are never taken back.
 *
 *   O1. The mark is durable before the first record is written. It is made once, whole, and never replaced.
 *   O2. A folder that another log has marked is not touched at all.
 *   O3. A folder with files and no mark was written by an earlier release. It belongs to the log whose commit says that
 *       the sink has written. For any other log the folder is foreign.
 *   O4. A folder with segments is refused where the commit says that the sink has written nothing. Then the log was
 *       emptied and kept its id (`recover --accept-loss`), or the sink was renamed: the place to go on from is unknown.
 */
import { link, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigurationError } from "../../../protocols/errors.ts";
import { syncFolder, writeSynced } from "../../kernel/durable_files.ts";
import { type FileCommit, ignoreMissing, listSegments, sizeOf } from "./file_layout.ts";

/** Name of the mark in the partition's folder. */
export const LOG_MARK = ".log_id";

/** O2. Throws `ConfigurationError` where the folder has the mark of another log. */
export async function refuseOtherLog(folder: string, clusterId: string): Promise<void> {
  const marked = await readMark(folder);
  if (marked !== undefined && marked !== clusterId) throw foreign(folder, clusterId, `it belongs to log ${marked}`);
}

/** Marks the folder by way of the unused path `passing`. Throws `ConfigurationError` by O2, O3 and O4. */
export async function markFolder(
  folder: string,
  clusterId: string,
  commit: FileCommit,
  passing: string,
): Promise<void> {
  const isAtBeginning = commit.position === undefined && commit.open === undefined;
  const isMarked = (await readMark(folder)) !== undefined;
  if (isAtBeginning && (isMarked ? (await listSegments(folder)).length > 0 : await hasFiles(folder))) {
    const found = isMarked
      ? "that log has no commit of this sink, and the folder holds segments"
      : "it holds files without the mark of a log";
    throw foreign(folder, clusterId, found);
  }
  if (!isMarked) await writeMark(folder, clusterId, passing);
  await refuseOtherLog(folder, clusterId);
}

/** O1 */
async function writeMark(folder: string, clusterId: string, passing: string): Promise<void> {
  await writeSynced(passing, clusterId);
  await link(passing, join(folder, LOG_MARK)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error; // Another opening was first: the caller reads its mark.
  });
  await syncFolder(folder);
}

async function readMark(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, LOG_MARK), "utf8").catch(ignoreMissing);
  return text?.trim();
}

async function hasFiles(folder: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    const isOfSink = /^(segment|open)-/.test(name) && !name.endsWith(".index");
    if (isOfSink && ((await sizeOf(join(folder, name))) ?? 0) > 0) return true;
  }
  return false;
}

const foreign = (folder: string, clusterId: string, found: string): ConfigurationError =>
  new ConfigurationError(
    "DATA_IN_USE",
    `Cannot write to ${folder} as it must belong to log ${clusterId}: ${found}. Nothing in it is touched. Start the node with the log that wrote it, name another directory, or move the folder away with its ${LOG_MARK}`,
  );
