import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import { openLmdbLog } from "../../../actors/log/embedded/lmdb_log.ts";
import type { Log } from "../../../actors/log/log.ts";
import type { LogHarness } from "./log_harness.ts";
import { logHistories } from "./log_histories.ts";
import { logPlaces } from "./log_places.ts";
import { logSuite } from "./log_suite.ts";
import { logUnencodable } from "./log_unencodable.ts";

const folders = new Map<Log, string>();

async function openIn(folder: string): Promise<Log> {
  const log = await openLmdbLog({ folder });
  folders.set(log, folder);
  return log;
}

const harness: LogHarness = {
  name: "lmdb",
  tier: "fsync",
  open: async () => openIn(await mkdtemp(join(tmpdir(), "headrace-lmdb-"))),
  reopen: async (log) => {
    await log.close();
    return openIn(folders.get(log) as string);
  },
  close: async (log) => {
    await log.close();
    await rm(folders.get(log) as string, { recursive: true, force: true });
  },
};

logSuite(harness);
logUnencodable(harness);
logPlaces(harness, 20);
logHistories(harness, 40);

test.run();
