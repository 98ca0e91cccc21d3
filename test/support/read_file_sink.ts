/** Reads a file sink's folder as a consumer should: published segments, then the committed part of the open file. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  decodeCommit,
  type FileFormat,
  listSegments,
  partitionFolder,
  segmentName,
} from "../../actors/sinks/file/file_layout.ts";
import type { PartitionReference } from "../../protocols/position.ts";

/**
 * The texts of one partition's files in order, each whole. CSV files begin with their header. Throws `Error` if a file
 * is shorter than its committed length.
 *
 * @param checkpoint the bytes of the sink's checkpoint (`sink/<name>`) in the partition's log
 */
export async function readFileSink(
  directory: string,
  partition: PartitionReference,
  checkpoint: Uint8Array | undefined,
  format: FileFormat = "ndjson",
): Promise<string[]> {
  const folder = partitionFolder(directory, partition);
  const { open: committed } = decodeCommit(checkpoint);
  const isVoid = (first: number) => committed?.isReplacement === true && first >= committed.first;
  const segments = (await listSegments(folder)).filter(({ first }) => !isVoid(first));
  const texts: string[] = [];
  for (const { name } of segments) texts.push(await readFile(join(folder, name), "utf8"));
  if (committed === undefined) return texts;
  const isPublished = segments.some(({ name }) => name === segmentName(committed.first, format));
  if (!isPublished) texts.push(await readStart(join(folder, committed.file), committed.length));
  return texts;
}

async function readStart(path: string, length: number): Promise<string> {
  const bytes = await readFile(path);
  if (bytes.length >= length) return bytes.toString("utf8", 0, length);
  throw new Error(`Cannot read ${path} as it must hold ${length} bytes: current value is ${bytes.length}`);
}
