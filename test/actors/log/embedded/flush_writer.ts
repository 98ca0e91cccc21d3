/**
 * A process that appends to the embedded log and prints each acknowledgement at once, for a test that watches its system
 * calls. `flush_writer.ts <folder> <waves> <how>`; each wave is three appends at once, one to each partition. Other ways
 * than `flushed` break the tier's promise, so that the test can show that it notices.
 */
import { writeSync } from "node:fs";
import { EmbeddedLog } from "../../../../actors/log/embedded/embedded_log.ts";
import { openLmdbLog } from "../../../../actors/log/embedded/lmdb_log.ts";
import { LmdbStore } from "../../../../actors/log/embedded/lmdb_store.ts";
import { CHAIN_LIMITS, type Log } from "../../../../actors/log/log.ts";
import { epoch } from "../../../../protocols/position.ts";
import { batch, eventsOf, partition, plain } from "../../../conformance/log/log_batches.ts";

const [folder = "", waves = "0", how = "flushed"] = process.argv.slice(2);
const PARTITIONS = 3;

/** Stores that answer too early once the partitions are claimed: a claim needs a real commit. */
const stores: LmdbStore[] = [];

async function open(): Promise<Log> {
  if (how === "flushed") return openLmdbLog({ folder });
  const store = await LmdbStore.open(folder, how === "without sync" ? { noSync: true } : {});
  stores.push(store);
  return new EmbeddedLog({ kind: "lmdb", clusterId: "log-1", store, nowMs: Date.now, checkTier: () => undefined });
}

/** Plants the fault that a commit is answered while it is under way. */
function answerAtOnce(store: LmdbStore): void {
  const commit = store.commit.bind(store);
  store.commit = (writes) => {
    commit(writes).committed.catch((error) => writeSync(2, String(error)));
    return { committed: Promise.resolve(), flushed: () => Promise.resolve() };
  };
}

const log = await open();
const owners = await Promise.all(
  Array.from({ length: PARTITIONS }, (_, n) =>
    log.claim(partition(n), { leaderEpoch: 1, tableVersion: 1 }, epoch(1), { tier: "fsync", chains: CHAIN_LIMITS }),
  ),
);
if (how === "too early") for (const store of stores) answerAtOnce(store);
for (let wave = 0; wave < Number(waves); wave += 1) {
  const appends = owners.map(async ({ ownership }, n) => {
    const mark = `mark-${n}-${wave};`;
    const events = eventsOf([mark]);
    const previous = wave === 0 ? undefined : plain(wave - 1);
    const one = batch("a", previous, { first: plain(wave), count: 1 }, { extra: { events } });
    const { outcomes } = await log.append(ownership, { channel: "records", batches: [one] });
    if (outcomes[0]?.kind !== "written") throw new Error(`not written: ${JSON.stringify(outcomes)}`);
    writeSync(1, `acked ${mark}\n`);
  });
  await Promise.all(appends);
}
await log.close();
