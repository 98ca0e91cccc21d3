/**
 * Samples of the leases on Redis, one for each format version. Today's store writes the newest format byte for byte, and reads
 * every format. A change of format adds a sample, and never changes one.
 */
import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import {
  connectRedisLeaseStore,
  type RedisLeaseStore,
} from "../../../../supervisors/cluster/leases/redis_lease_store.ts";
import { dumpRedis, fillRedis } from "../../../actors/log/sample_log.ts";
import { CLOCK_START_MS, decision, entry, life, profile } from "../../../conformance/leases/lease_domains.ts";
import { setRedisClock, settableLibrary } from "../../../conformance/leases/lease_store_redis.ts";
import { requireRedis, startRedis } from "../../../support/redis/redis_server.ts";

requireRedis();

const SAMPLE_1 = JSON.parse(
  await readFile(new URL("../samples/lease_format_1.json", import.meta.url), "utf8"),
) as string[][];
const PREFIX = "s:";
const PROBATION = { probationFirstMs: 1_000, probationMaxMs: 6_000, deathsForgottenMs: 60_000 };
const LEADER_EPOCH = CLOCK_START_MS + 1;
const ENTRIES = [
  entry("orders/0", { holder: life("node b", CLOCK_START_MS + 3), next: life("a", CLOCK_START_MS) }),
  entry("orders/1", { holder: undefined, grant: undefined, decision: 2, reason: "nobody is there" }),
];

async function onRedis(run: (port: number, connect: () => Promise<RedisLeaseStore>) => Promise<void>): Promise<void> {
  const redis = await startRedis();
  const opened: RedisLeaseStore[] = [];
  await setRedisClock(redis, CLOCK_START_MS);
  try {
    await run(redis.port, async () => {
      const store = await connectRedisLeaseStore({ url: redis.url, prefix: PREFIX }, settableLibrary);
      opened.push(store);
      return store;
    });
  } finally {
    for (const store of opened) await store.close();
    await redis.stop();
  }
}

async function writeSample(store: RedisLeaseStore): Promise<void> {
  const a = await store.join(profile("a"), 10_000);
  await store.stand(a, 2_000);
  await store.stand(a, 2_000, CLOCK_START_MS);
  const first = await store.join(profile("node b"), 10_000);
  await store.declareDead(LEADER_EPOCH, first, PROBATION);
  const second = await store.join(profile("node b"), 10_000);
  await store.declareDead(LEADER_EPOCH, second, PROBATION);
  await store.join(profile("node b"), 10_000);
  await store.setDraining(LEADER_EPOCH, a.node, true);
  await store.writeTable(LEADER_EPOCH, 0, ENTRIES.slice(0, 1), decision(1));
  await store.writeTable(LEADER_EPOCH, 1, ENTRIES.slice(1), decision(2));
}

/** Redis makes the ids of decisions, so they differ each time. */
const withoutIds = (sample: readonly (readonly string[])[]): string[][] =>
  sample.map((command) => {
    const isDecision = Buffer.from(command[0] ?? "", "hex").toString() === "XADD";
    return command.filter((_, at) => !(isDecision && at === 2));
  });

test("the lease store on Redis writes format 1 today, byte for byte", () =>
  onRedis(async (port, connect) => {
    await writeSample(await connect());
    assert.equal(withoutIds(await dumpRedis(port, PREFIX)), withoutIds(SAMPLE_1));
  }));

test("leases of format 1 are read", () =>
  onRedis(async (port, connect) => {
    await fillRedis(port, SAMPLE_1);
    const store = await connect();
    const member = { expiresInMs: 10_000, probationMs: 0, isDraining: false };
    assert.equal(await store.look(), {
      members: [
        { ...member, ...life("a", CLOCK_START_MS), profile: profile("a"), isDraining: true },
        { ...member, ...life("node b", CLOCK_START_MS + 3), profile: profile("node b"), probationMs: 2_000 },
      ],
      leader: { ...life("a", CLOCK_START_MS), leaderEpoch: LEADER_EPOCH },
      leaseExpiresInMs: 2_000,
      tableVersion: 2,
    });
    const table = {
      version: 2,
      leaderEpoch: LEADER_EPOCH,
      entries: new Map(ENTRIES.map((one) => [one.partition, one])),
    };
    assert.equal(await store.readTable(), table);
    assert.equal(await store.readDecisions(9), [decision(2), decision(1)]);

    assert.is(await store.renew(life("a", CLOCK_START_MS), 10_000), true);
    assert.is(await store.renewLease(LEADER_EPOCH, 2_000), true);
    assert.is(await store.writeTable(LEADER_EPOCH, 2, []), 3);
    await store.declareDead(LEADER_EPOCH, life("node b", CLOCK_START_MS + 3), PROBATION);
    const again = await store.join(profile("node b"), 10_000);
    assert.equal(again, { node: nodeId("node b"), incarnation: CLOCK_START_MS + 4, probationMs: 4_000 });
    assert.equal(await store.stand(again, 2_000, LEADER_EPOCH), { kind: "elected", leaderEpoch: LEADER_EPOCH + 1 });
  }));

test.run();
