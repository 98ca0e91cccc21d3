/** The lines of a file sink's folder with one partition, while its node runs or after it: all files, committed or not. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export async function linesOf<Line>(folder: string): Promise<readonly Line[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const texts = await Promise.all(
    files
      .filter((entry) => /\.(ndjson|part)$/.test(entry.name))
      .sort((left, right) => (left.name.startsWith("segment") ? -1 : right.name.startsWith("segment") ? 1 : 0))
      // A file that was published after the listing is found under its new name at the next look.
      .map((entry) => readFile(join(entry.parentPath, entry.name), "utf8").catch(() => "")),
  );
  return texts
    .flatMap((text) => text.split("\n").filter((line) => line !== ""))
    .map((line) => JSON.parse(line) as Line);
}
