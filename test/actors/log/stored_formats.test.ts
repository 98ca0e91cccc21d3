/**
 * Samples of stores of every format version. A store written today equals the newest sample byte for byte, and each sample is
 * read with its full meaning (log L5). A new format gets a new sample; the old samples never change.
 */
import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EmbeddedLog } from "../../../actors/log/embedded/embedded_log.ts";
import { MemoryStore } from "../../../actors/log/embedded/memory_store.ts";
import type { Log } from "../../../actors/log/log.ts";
import { connectRedisLog } from "../../../actors/log/redis/redis_log.ts";
import { dense, plain } from "../../conformance/log/log_batches.ts";
import { readAll, rejection } from "../../conformance/log/log_suite.ts";
import { ask, requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import {
  claimSample,
  dumpRedis,
  dumpStore,
  fillRedis,
  fillStore,
  openSampleChain,
  SAMPLE_EPOCH,
  SAMPLE_PARTITION,
  writeOwnedSample,
  writeSampleLog,
} from "./sample_log.ts";

requireRedis();

interface Sample {
  readonly embedded: readonly [string, string][];
  readonly redis: readonly string[][];
}

const SAMPLE_1 = JSON.parse(
  await readFile(new URL("./samples/store_format_1.json", import.meta.url), "utf8"),
) as Sample;
const SAMPLE_OWNED = JSON.parse(
  await readFile(new URL("./samples/store_format_1_owned.json", import.meta.url), "utf8"),
) as Sample;
const PREFIX = "s:";

const embeddedOn = (store: MemoryStore): Log =>
  new EmbeddedLog({ kind: "memory", clusterId: "log-1", store, nowMs: () => 1_000, checkTier: () => undefined });

async function onRedis(run: (port: number, connect: () => Promise<Log>) => Promise<void>): Promise<void> {
  const redis = await startRedis();
  const opened: Log[] = [];
  try {
    await run(redis.port, async () => {
      const log = await connectRedisLog({ url: redis.url, prefix: PREFIX });
      opened.push(log);
      return log;
    });
  } finally {
    for (const log of opened) await log.close();
    await redis.stop();
  }
}

/** Checks the meaning of the sample's log, on any build. */
async function assertMeaning(log: Log): Promise<void> {
  const names = async (channel: Parameters<typeof readAll>[2]) =>
    (await readAll(log, SAMPLE_PARTITION, channel)).map(([, name]) => name);
  assert.equal(await names("records"), ["sensor:0/0/0", "sensor:0/2/0", "http/key:0/0/0", "sensor:0/3/0"]);
  assert.equal(await names("rejected"), ["dead:sensor:0/1/0"]);
  assert.equal(await names("outbox/p"), ["p:0/0/0", "p:0/1/0"]);
  assert.equal(await names("dead_letters/a"), ["sink/a/0:0/0/0"]);
  const stale = await rejection(claimSample(log, 1, 2));
  assert.is(stale.code, "STALE_GRANT");
  const claim = await claimSample(log, SAMPLE_EPOCH);
  assert.is(claim.ownership.epoch, SAMPLE_EPOCH + 11, "above both that were stored");
  assert.equal(claim.channels.get("records")?.epochs, [
    { epoch: SAMPLE_EPOCH, firstOffset: 0 },
    { epoch: SAMPLE_EPOCH + 10, firstOffset: 3 },
  ]);
  assert.is(Buffer.from(claim.checkpoints.get("sink/a") ?? []).toString(), "at 2");
  assert.equal(await openSampleChain(log, claim), { kind: "opened", lastSequence: plain(3), position: { line: 17 } });
  const repeated = [
    dense("sensor", 0, 3, { producerEpoch: 5 }),
    dense("http/key", 0, 1),
    dense("sensor", 4, 1, { producerEpoch: 5 }),
  ];
  const { outcomes } = await log.append(claim.ownership, { channel: "records", batches: repeated });
  assert.equal(
    outcomes.map(({ kind }) => kind),
    ["duplicate", "duplicate", "written"],
  );
  assert.equal(outcomes[0]?.kind === "duplicate" && outcomes[0].verdicts, [
    { sequence: plain(1), code: "SCHEMA_VIOLATION", path: "/1", reason: "because of sensor:0/1/0" },
  ]);
  assert.equal(await log.welcomeProducer("sensor", "instance-1", undefined, 1_000), {
    kind: "welcomed",
    producerEpoch: SAMPLE_EPOCH + 1,
  });
  assert.is((await log.readMetadata("schemas/orders"))?.version, 1);
  assert.is(
    await log.expireChains(claim.ownership, 61_500),
    2,
    "left are the chain used since, and one idle for just a minute",
  );
  assert.is(await log.expireChains(claim.ownership, 61_501), 1);
}

/** Of 100 places 4 are taken, 2 of them by `plant`. A request with a key takes none of these. */
async function assertOwners(log: Log): Promise<void> {
  const { ownership } = await claimSample(log, SAMPLE_EPOCH + 10);
  const open = (producerId: string) => log.openChain(ownership, "records", producerId, 9, 2_000, "plant");
  assert.equal(await open("sensor"), { kind: "opened", lastSequence: plain(0), position: { line: 17 } });
  for (let n = 3; n <= 88; n += 1) assert.is((await open(`of the plant ${n}`)).kind, "opened");
  const share = { held: 88, free: 10 };
  assert.equal(await open("beyond its share"), { kind: "too_many_producers", live: 90, share });
}

/** The fence as it is written now. Early releases of format 1 stored the whole state beside it, which no release reads. */
const FENCE_ALONE =
  "de0003a565706f6368cb42a05ef39b201400a56772616e74de0002ab6c656164657245706f636803ac7461626c6556657273696f6e07a873657474696e6773de0002a474696572a66d656d6f7279a6636861696e73de0002ae64656475706557696e646f774d73cdea60ac70726f6475636572734d617864";

test("the embedded log writes format 1, byte for byte", async () => {
  const store = new MemoryStore();
  const clock = SAMPLE_EPOCH - 1_000;
  await writeSampleLog(
    new EmbeddedLog({ kind: "memory", clusterId: "log-1", store, nowMs: () => clock, checkTier: () => undefined }),
  );
  assert.equal(
    dumpStore(store),
    SAMPLE_1.embedded.map(([key, value]) => [key, key.endsWith("\0f") ? FENCE_ALONE : value]),
  );
});

test("an embedded log of format 1 is read with its full meaning", async () => {
  const store = new MemoryStore();
  await fillStore(store, SAMPLE_1.embedded);
  await assertMeaning(embeddedOn(store));
});

test("the log on Redis writes format 1, byte for byte", () =>
  onRedis(async (port, connect) => {
    const log = await connect();
    // Redis makes epochs from its own clock, so the sample's epoch is stored beforehand.
    await ask(port, `HSET ${PREFIX}producer:sensor instance instance-1 epoch ${SAMPLE_EPOCH + 1}\r\n`);
    await writeSampleLog(log);
    assert.equal(await dumpRedis(port, PREFIX), SAMPLE_1.redis);
  }));

test("a Redis of format 1 is read with its full meaning", () =>
  onRedis(async (port, connect) => {
    await fillRedis(port, SAMPLE_1.redis);
    await assertMeaning(await connect());
  }));

test("chains of principals are written as in the sample, and read with their owners, by the embedded log", async () => {
  const store = new MemoryStore();
  const clock = SAMPLE_EPOCH - 1_000;
  await writeOwnedSample(
    new EmbeddedLog({ kind: "memory", clusterId: "log-1", store, nowMs: () => clock, checkTier: () => undefined }),
  );
  assert.equal(dumpStore(store), SAMPLE_OWNED.embedded);
  const filled = new MemoryStore();
  await fillStore(filled, SAMPLE_OWNED.embedded);
  await assertOwners(embeddedOn(filled));
});

test("chains of principals are written as in the sample, and read with their owners, on Redis", () =>
  onRedis(async (port, connect) => {
    await writeOwnedSample(await connect());
    assert.equal(await dumpRedis(port, PREFIX), SAMPLE_OWNED.redis);
    await assertOwners(await connect());
  }));

test("a Redis of a newer format is refused, and one without a format number is of the first", () =>
  onRedis(async (port, connect) => {
    await fillRedis(
      port,
      SAMPLE_1.redis.filter(([, key]) => Buffer.from(key ?? "", "hex").toString() !== `${PREFIX}format`),
    );
    await (await connect()).probe();
    assert.match(await ask(port, `GET ${PREFIX}format\r\n`), /\r\n1\r\n/);
    await ask(port, `SET ${PREFIX}format 2\r\n`);
    const error = await rejection(connect());
    assert.equal([error.name, error.code], ["ConfigurationError", "FORMAT_TOO_NEW"]);
    assert.match(error.message, /current value is 2/);
  }));

test.run();
