/**
 * The embedded log: LMDB in a folder that one process owns; the default on one machine, with nothing to install. Its
 * tier `fsync` is answered after the flush; `memory` and `everysec` after the commit, which the page cache keeps through
 * the death of the process but not of the machine.
 */
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { ConfigurationError, UnavailableError } from "../../protocols/errors.ts";
import { lockDataFolder } from "./data_folder_lock.ts";
import { EmbeddedLog } from "./embedded_log.ts";
import { LmdbStore } from "./lmdb_store.ts";
import type { DurabilityTier, Log } from "./log.ts";
import { ReadTurns } from "./read_turns.ts";

export interface LmdbLogOptions {
  /** Where the data is kept; made where it is missing. */
  readonly folder: string;
  /** The machine's clock, ms since 1970. */
  readonly nowMs?: () => number;
}

/** Name of the store's own id among its metadata (E22). */
export const CLUSTER_ID_KEY = "cluster_id";

/**
 * Opens the log in `folder`. Rejects with `ConfigurationError` where another process has the folder or a newer release
 * wrote it, with `UnavailableError` where the disk refuses.
 */
export async function openLmdbLog({ folder, nowMs = Date.now }: LmdbLogOptions): Promise<Log> {
  await mkdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UnavailableError("DISK_READ_ONLY", `Cannot make ${folder}: ${error.message}`, { cause: error });
  });
  const lock = await lockDataFolder(folder);
  try {
    const store = await LmdbStore.open(folder);
    const log = new EmbeddedLog({ kind: "lmdb", store, nowMs, checkTier, readTurns: new ReadTurns() });
    const close = log.close.bind(log);
    log.close = async () => {
      await close();
      await lock.release();
    };
    await log.writeMetadata(CLUSTER_ID_KEY, Buffer.from(randomUUID()), 0);
    return log;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function checkTier(tier: DurabilityTier): void {
  if (typeof tier === "string") return;
  throw new ConfigurationError(
    "STORE_MISCONFIGURED",
    `Cannot keep the tier on the embedded log as it must be memory, everysec or fsync: current value is replicas: ${tier.replicas}`,
  );
}
