/**
 * The embedded log: LMDB in a folder that one process owns. The default on one machine, with nothing to install. Tier
 * `fsync` is answered after the flush. Tiers `memory` and `everysec` are answered after the commit, which the page cache
 * keeps when the process dies, but not when the machine does.
 */
import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import type { DurabilityTier, Log, Metadata } from "../log.ts";
import { rememberedStore, rememberStore, STORE_ID_FILE } from "../remembered_store.ts";
import { ReadTurns } from "../rules/read_turns.ts";
import { lockDataFolder } from "./data_folder_lock.ts";
import { EmbeddedLog } from "./embedded_log.ts";
import { lostLog } from "./lmdb_file.ts";
import { LmdbStore } from "./lmdb_store.ts";
import { metadataKey, pack, unpack } from "./stored_state.ts";

export interface LmdbLogOptions {
  /** The data folder, made where it is missing. */
  readonly folder: string;
  /** The store's clock, in ms since 1970. Default: `Date.now`. */
  readonly nowMs?: () => number;
  /** Accepts the loss of the log that the folder remembers: the folder is opened as it is. Default: false. */
  readonly acceptLoss?: boolean;
}

/**
 * Opens the log in `folder`. Rejects with `ConfigurationError` where another process has the folder or a newer release wrote
 * it, and with `UnavailableError` where the disk refuses or the folder's remembered log is missing (`STORE_LOST`).
 */
export async function openLmdbLog({ folder, nowMs = Date.now, acceptLoss = false }: LmdbLogOptions): Promise<Log> {
  await mkdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UnavailableError("DISK_READ_ONLY", `Cannot make ${folder}: ${error.message}`, { cause: error });
  });
  const lock = await lockDataFolder(folder);
  try {
    if (acceptLoss) await rm(join(folder, STORE_ID_FILE), { force: true });
    const store = await LmdbStore.open(folder);
    const clusterId = await identify(store, folder).catch(async (error: unknown) => {
      await store.close();
      throw error;
    });
    const log = new EmbeddedLog({ kind: "lmdb", clusterId, store, nowMs, checkTier, readTurns: new ReadTurns() });
    const { close } = log;
    log.close = async () => {
      await close();
      await lock.release();
    };
    return log;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The log's id, made for a new log and remembered beside it. Rejects with `STORE_LOST` where the folder remembers another. */
async function identify(store: LmdbStore, folder: string): Promise<string> {
  const remembered = rememberedStore(folder);
  const key = metadataKey("cluster_id");
  const bytes = store.get(key);
  const stored = bytes === undefined ? undefined : Buffer.from(unpack<Metadata>(bytes).value).toString();
  if (remembered !== undefined) {
    if (stored === remembered) return stored;
    throw lostLog(folder, remembered, `it holds log ${stored ?? "none"}`);
  }
  const clusterId = stored ?? randomUUID();
  if (stored === undefined) {
    const commit = store.commit(new Map([[key, pack({ value: Buffer.from(clusterId), version: 1 })]]));
    await commit.committed;
    await commit.flushed();
  }
  await rememberStore(folder, clusterId).catch((error: unknown) => {
    // A log of an earlier release has no file yet. On a full disk it is opened without one; the next start tries again.
    if (stored === undefined) throw store.failure(error);
  });
  return clusterId;
}

function checkTier(tier: DurabilityTier): void {
  if (typeof tier === "string") return;
  throw new ConfigurationError(
    "STORE_MISCONFIGURED",
    `Cannot keep the tier on the embedded log as it must be memory, everysec or fsync: current value is replicas: ${tier.replicas}`,
  );
}
