/**
 * The id of the store that was used before, remembered in a file, so that a store without that id is not taken for the same
 * one (E22). The embedded log keeps the file beside its data file, a node keeps one beside its own data.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { UnavailableError } from "../../protocols/errors.ts";
import { syncFolder, writeSynced } from "../kernel/durable_files.ts";

export const STORE_ID_FILE = "cluster_id";

/** The remembered id; undefined where no store was used yet. Throws `UnavailableError` where the file cannot be read. */
export function rememberedStore(folder: string): string | undefined {
  const path = join(folder, STORE_ID_FILE);
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined; // a caller that needs the folder reports its absence
    throw new UnavailableError(
      "STORE_UNAVAILABLE",
      `Cannot tell which store folder ${folder} remembers as ${path} must be readable: ${message}`,
      { cause: error },
    );
  }
}

/**
 * Remembers an id. After a crash the file holds the old id or the new one, whole. Nodes that share the folder may do so at
 * the same time: each writes a file of its own name first, as a rename takes that name away.
 */
export async function rememberStore(folder: string, clusterId: string): Promise<void> {
  const path = join(folder, STORE_ID_FILE);
  const written = `${path}.${randomUUID()}.new`;
  await writeSynced(written, clusterId);
  await rename(written, path);
  await syncFolder(folder);
}
