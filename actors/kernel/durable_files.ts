/** Files that survive a loss of power once a call has resolved. */
import { open } from "node:fs/promises";

/** Writes a file and syncs its contents. The file's name is durable only after `syncFolder`. */
export const writeSynced = (path: string, text: string): Promise<void> => sync(path, "w", text);

/** Makes the names in a folder durable, which a file's own fsync does not do. */
export const syncFolder = (folder: string): Promise<void> => sync(folder, "r");

async function sync(path: string, flags: "r" | "w", text?: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    if (text !== undefined) await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
