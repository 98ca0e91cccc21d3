/** The release of this program: the version in its package.json. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Searches upwards, as a checkout and the compiled package have their folders at different depths. */
function readRelease(folder: string): string {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, unknown>;
    if (name === "headrace" && typeof version === "string") return version;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const parent = dirname(folder);
  return parent === folder ? "unknown" : readRelease(parent);
}

export const release = readRelease(dirname(fileURLToPath(import.meta.url)));
