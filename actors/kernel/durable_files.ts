/** Files that survive a loss of power once a call has resolved. */
import { open } from "node:fs/promises";

/** Writes a file and syncs its contents. The file's name is durable only after `syncFolder`. */
export async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the names in a folder durable, which a file's own fsync does not do. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
