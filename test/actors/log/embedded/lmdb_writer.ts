/**
 * A process that appends for ever to the folder of its first argument and prints each acknowledged batch, for tests that kill
 * it. `writeSync` makes sure that a line is printed before the next append.
 */
import { writeSync } from "node:fs";
import { openLmdbLog } from "../../../../actors/log/embedded/lmdb_log.ts";
import { CHAIN_LIMITS } from "../../../../actors/log/log.ts";
import { epoch } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";

const [folder = "", limit = "Infinity"] = process.argv.slice(2);
try {
  const log = await openLmdbLog({ folder });
  const settings = { tier: "fsync" as const, chains: CHAIN_LIMITS };
  const { ownership } = await log.claim(partition(0), { leaderEpoch: 1, tableVersion: 1 }, epoch(1), settings);
  for (let n = 0; n < Number(limit); n++) {
    const attached = [{ channel: "state/a", batch: dense("a", n * 10, 10) }] as const;
    await log.append(ownership, { channel: "records", batches: [dense("a", n * 10, 10)], attached });
    writeSync(1, `acked ${n}\n`);
  }
  await log.close();
} catch (error) {
  writeSync(1, `${(error as { code: string }).code} ${(error as Error).message}\n`);
}
