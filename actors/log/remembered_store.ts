/**
 * The id of the store that a folder's node uses, kept in a file of the folder: a store without it, or with another, is not
 * taken for the one that was used before (E22). The embedded log keeps it beside its data file, a node beside its own data.
 */
import { readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { UnavailableError } from "../../protocols/errors.ts";
import { syncFolder, writeSynced } from "../kernel/durable_files.ts";

export const STORE_ID_FILE = "cluster_id";

/** Undefined where no store was used yet. Throws `UnavailableError` where the file can not be read: a store may be remembered. */
export function rememberedStore(folder: string): string | undefined {
  const path = join(folder, STORE_ID_FILE);
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined; // a folder that is none is told by who makes it
    throw new UnavailableError(
      "STORE_UNAVAILABLE",
      `Cannot tell which store ${folder} remembers as ${path} must be readable: ${message}`,
      { cause: error },
    );
  }
}

/** Whole and durable, or not there. */
export async function rememberStore(folder: string, clusterId: string): Promise<void> {
  const path = join(folder, STORE_ID_FILE);
  await writeSynced(`${path}.new`, clusterId);
  await rename(`${path}.new`, path);
  await syncFolder(folder);
}
