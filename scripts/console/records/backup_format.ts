/**
 * The form of a backup on disk: one file of NDJSON for each partition and channel, and a manifest. The manifest is
 * written last, and names each file with its offsets and checksum. A folder without a manifest is a backup that was cut
 * short.
 */
import { createHash } from "node:crypto";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { reasonOf } from "../../../protocols/errors.ts";
import { DataError, fileError } from "../exit_codes.ts";
import { openInside, pathInside } from "../foreign_path.ts";

const FORMAT_VERSION = 1;
const MANIFEST = "manifest.json";

export interface BackupFile {
  /** Path within the backup's folder. */
  readonly path: string;
  readonly stream: string;
  readonly partition: number;
  readonly channel: string;
  /** Offset of the first record in the file; `endOffset` is the offset behind the last. */
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly records: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface BackupStream {
  readonly partitions: number;
  readonly key?: string;
  readonly schemaVersions: readonly number[];
}

export interface Manifest {
  readonly formatVersion: number;
  /** Names the backup, so that its records are restored once. */
  readonly id: string;
  readonly createdAt: string;
  readonly node: string;
  readonly streams: Readonly<Record<string, BackupStream>>;
  readonly files: readonly BackupFile[];
}

/** One line of a backup's file. Values that JSON cannot express are tagged as on the wire. */
export interface BackupLine {
  readonly epoch: number;
  readonly offset: number;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly event: unknown;
}

export async function writeManifest(folder: string, manifest: Omit<Manifest, "formatVersion">): Promise<void> {
  const path = join(folder, MANIFEST);
  const file = await open(`${path}.part`, "wx", 0o600);
  await file.writeFile(`${JSON.stringify({ formatVersion: FORMAT_VERSION, ...manifest }, undefined, 2)}\n`);
  await file.sync();
  await file.close();
  await rename(`${path}.part`, path);
}

export async function readManifest(folder: string): Promise<Manifest> {
  const file = await openInside(folder, MANIFEST);
  const text = await file.readFile("utf8").finally(() => file.close());
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw new DataError(`Cannot restore from ${folder} as its manifest must be JSON: ${reasonOf(error)}`);
  }
  const { formatVersion } = (manifest ?? {}) as Partial<Manifest>;
  if (formatVersion !== FORMAT_VERSION) {
    throw new DataError(
      `Cannot restore from ${folder} as its format version must be ${FORMAT_VERSION}: current value is ${formatVersion}`,
    );
  }
  return checkManifest(manifest as Manifest, folder);
}

/** Checks a manifest, which comes from elsewhere. Throws `DataError`. */
function checkManifest(manifest: Manifest, folder: string): Manifest {
  const { id, createdAt, streams, files } = manifest;
  const isWhole = [id, createdAt].every((one) => typeof one === "string") && Array.isArray(files);
  if (!isWhole || typeof streams !== "object" || streams === null)
    throw new DataError(`Cannot restore from ${folder} as its manifest must name id, createdAt, streams and files`);
  for (const file of files) {
    pathInside(folder, file?.path);
    if (typeof file.stream === "string" && Object.hasOwn(streams, file.stream) && Number.isSafeInteger(file.partition))
      continue;
    throw new DataError(
      `Cannot restore from ${folder} as ${file.path} must be of a stream and a partition of the manifest: current values are ${file.stream} and ${file.partition}`,
    );
  }
  return manifest;
}

/** Throws `DataError` if a file's checksum is not the manifest's. */
export async function verifyFile(folder: string, file: BackupFile): Promise<void> {
  const path = pathInside(folder, file.path);
  const hash = createHash("sha256");
  const handle = await openInside(folder, file.path);
  try {
    for await (const chunk of handle.createReadStream()) hash.update(chunk as Uint8Array);
  } catch (error) {
    throw fileError("read", path, error);
  }
  const found = hash.digest("hex");
  if (found === file.sha256) return;
  throw new DataError(`Cannot restore as ${path} must have the checksum ${file.sha256}: current value is ${found}`);
}
