/** The lease store on Redis under faults of Redis. The conformance suite has everything that all lease stores share. */
import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StoreState } from "../../../../actors/log/log.ts";
import type { RedisConnectionOptions } from "../../../../actors/log/redis/redis_connection.ts";
import { connectRedisLog } from "../../../../actors/log/redis/redis_log.ts";
import { redisLeaseLibrary } from "../../../../supervisors/cluster/leases/redis_lease_library.ts";
import {
  connectRedisLeaseStore,
  type RedisLeaseStore,
} from "../../../../supervisors/cluster/leases/redis_lease_store.ts";
import { decision, entry, life, profile } from "../../../conformance/leases/lease_domains.ts";
import { rejection } from "../../../conformance/log/log_suite.ts";
import { startMovableAddress } from "../../../support/clients/movable_address.ts";
import {
  ask,
  type RedisServer,
  type RedisServerOptions,
  requireRedis,
  startRedis,
} from "../../../support/redis/redis_server.ts";

requireRedis();

const REGISTRATION_MS = 60_000;
const LEASE_MS = 60_000;
/** Longer than the product's 1,500 ms, for a busy machine. */
const CALL_TIMEOUT_MS = 20_000;
const PROBATION = { probationFirstMs: 1_000, probationMaxMs: 6_000, deathsForgottenMs: 60_000 };

type Connect = (more?: Partial<RedisConnectionOptions>) => Promise<RedisLeaseStore>;

const scenario = (
  name: string,
  options: RedisServerOptions,
  run: (server: RedisServer, connect: Connect) => Promise<unknown>,
) =>
  test(name, async () => {
    const server = await startRedis(options);
    const opened: RedisLeaseStore[] = [];
    try {
      await run(server, async (more = {}) => {
        const store = await connectRedisLeaseStore({ url: server.url, callTimeoutMs: CALL_TIMEOUT_MS, ...more });
        opened.push(store);
        return store;
      });
    } finally {
      for (const store of opened) await store.close();
      await server.stop();
    }
  });

function became(store: RedisLeaseStore, isWanted: (state: StoreState) => boolean): Promise<StoreState> {
  return new Promise((resolve) => {
    if (isWanted(store.state())) return resolve(store.state());
    store.onStateChange((state) => {
      if (isWanted(state)) resolve(state);
    });
  });
}
const isReady = (state: StoreState) => state.kind === "ready";
const isAway = (state: StoreState) => state.kind === "unavailable";

const elect = async (store: RedisLeaseStore): Promise<number> => {
  const outcome = await store.stand(life("a", 1), LEASE_MS);
  if (outcome.kind !== "elected") throw new Error("Cannot go on as the stand must elect: the lease is held");
  return outcome.leaderEpoch;
};
const isOnServersClock = (made: number, fromMs: number) => made >= fromMs - 1 && made <= Date.now() + 1;

// lease store S3
scenario("incarnations, terms and expiry follow the clock of Redis", {}, async (_server, connect) => {
  const store = await connect();
  const fromMs = Date.now();
  const { incarnation } = await store.join(profile("a"), 1);
  assert.ok(isOnServersClock(incarnation, fromMs), `${incarnation}`);
  const first = await store.stand(life("a", incarnation), 1);
  assert.ok(first.kind === "elected" && isOnServersClock(first.leaderEpoch, fromMs));
  while ((await store.stand(life("b", 1), LEASE_MS)).kind === "held");
  const { members } = await store.look();
  assert.ok((members[0]?.expiresInMs ?? 0) < 0);
  assert.equal((await store.look()).leader?.node, "b");
});

scenario(
  "a restart of Redis shows, and fences nobody: leader and members go on",
  { appendfsync: "always" },
  async (server, connect) => {
    const store = await connect();
    const before = store.identity;
    const member = await store.join(profile("a"), REGISTRATION_MS);
    const leaderEpoch = await elect(store);
    await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1));
    await server.kill();
    await became(store, isAway);
    assert.is((await rejection(store.look())).name, "UnavailableError");
    await server.restart();
    await became(store, isReady);
    assert.not.equal(store.identity, before);
    assert.is(await store.renew(member, REGISTRATION_MS), true);
    assert.is(await store.renewLease(leaderEpoch, LEASE_MS), true);
    assert.is(await store.writeTable(leaderEpoch, 1, [entry("p/1")]), 2);
    assert.equal([...(await store.readTable()).entries.keys()].sort(), ["p/0", "p/1"]);
  },
);

// lease store S1 and S4
scenario(
  "a tail cut off the file loses whole calls, and its incarnations and terms are not made again",
  { appendfsync: "always" },
  async (server, connect) => {
    const store = await connect();
    const kept = await store.join(profile("a"), REGISTRATION_MS);
    const leaderEpoch = await elect(store);
    await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1));
    const folder = join(server.folder, "appendonlydir");
    const file = join(folder, (await readdir(folder)).find((name) => name.endsWith(".incr.aof")) as string);
    const { size } = await stat(file);
    await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "lost" }), entry("p/1")], decision(2));
    const lost = await store.join(profile("b"), REGISTRATION_MS);
    const outcome = await store.stand(lost, LEASE_MS, leaderEpoch);
    const lostEpoch = outcome.kind === "elected" ? outcome.leaderEpoch : 0;
    await server.kill();
    await truncate(file, size + 150); // within the second write
    await server.restart();
    await became(store, isReady);

    const { version, entries } = await store.readTable();
    const decisions = (await store.readDecisions(9)).map(({ id }) => id);
    assert.equal([version, entries.get("p/0")?.reason, entries.size, decisions], [1, "a joined", 1, [1]]);
    assert.is(await store.renew(lost, REGISTRATION_MS), false);
    assert.is(await store.renew(kept, REGISTRATION_MS), true);
    assert.is(await store.renewLease(lostEpoch, LEASE_MS), false);
    const again = await store.join(profile("b"), REGISTRATION_MS);
    assert.ok(again.incarnation > lost.incarnation);
    const next = await store.stand(again, LEASE_MS, leaderEpoch);
    assert.ok(next.kind === "elected" && next.leaderEpoch > lostEpoch);
  },
);

// Redis Cluster refuses a function that names a missing key while slots move.
scenario("every key of the leases exists once a store is connected", {}, async (server, connect) => {
  await connect();
  const keys = redisLeaseLibrary().probeKeys.map((key) => `headrace:${key}`); // redis lease library R4
  assert.is(await ask(server.port, `EXISTS ${keys.join(" ")}\r\n`), `:${keys.length}\r\n`);
});

test("a failover to a replica without the tail shows, and lost incarnations and terms are not made again (lease store S1)", async () => {
  const first = await startRedis();
  const link = await startMovableAddress(first.port);
  const second = await startRedis({ replicaOf: link });
  const address = await startMovableAddress(first.port);
  const store = await connectRedisLeaseStore({ url: `redis://127.0.0.1:${address.port}` });
  try {
    const kept = await store.join(profile("a"), REGISTRATION_MS);
    const leaderEpoch = await elect(store);
    await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1));
    while (!(await ask(second.port, "HGET headrace:{cluster}:meta version\r\n")).startsWith("$1\r\n1"));
    link.cut();
    await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "lost" })], decision(2));
    const lost = await store.join(profile("b"), REGISTRATION_MS);
    const outcome = await store.stand(lost, LEASE_MS, leaderEpoch);
    const lostEpoch = outcome.kind === "elected" ? outcome.leaderEpoch : 0;
    const before = store.identity;

    await ask(second.port, "REPLICAOF NO ONE\r\n");
    address.leadTo(second.port);
    await became(store, isAway);
    await became(store, isReady);
    assert.not.equal(store.identity, before);
    assert.equal([await store.renew(kept, REGISTRATION_MS), await store.renew(lost, REGISTRATION_MS)], [true, false]);
    assert.equal(
      [await store.renewLease(leaderEpoch, LEASE_MS), await store.renewLease(lostEpoch, LEASE_MS)],
      [true, false],
    );
    for (const [term, version] of [
      [leaderEpoch, 2],
      [lostEpoch, 1],
    ] as const) {
      const refused = await rejection(store.writeTable(term, version, [entry("p/1")], decision(3)));
      assert.is(refused.code, "STALE_LEADER");
    }
    assert.is((await store.readTable()).entries.get("p/0")?.reason, "a joined");
    assert.is(await store.writeTable(leaderEpoch, 1, [entry("p/1")], decision(2)), 2);
    assert.ok((await store.join(profile("b"), REGISTRATION_MS)).incarnation > lost.incarnation);
    const next = await store.stand(kept, LEASE_MS, leaderEpoch);
    assert.ok(next.kind === "elected" && next.leaderEpoch > lostEpoch);
  } finally {
    await store.close();
    for (const one of [address, link]) await one.close();
    for (const one of [second, first]) await one.stop();
  }
});

scenario("flushed functions are loaded again within the call", {}, async (server, connect) => {
  const store = await connect();
  await ask(server.port, "FUNCTION FLUSH\r\n");
  await store.join(profile("a"), REGISTRATION_MS);
  await ask(server.port, "FUNCTION FLUSH\r\n");
  assert.is((await store.look()).members.length, 1);
  await ask(server.port, "FUNCTION FLUSH\r\n");
  const [table, leaderEpoch] = await Promise.all([store.readTable(), elect(store)]);
  assert.is(table.version, 0);
  await ask(server.port, "FUNCTION FLUSH\r\n");
  assert.is(await store.writeTable(leaderEpoch, 0, [entry("p/0")]), 1);
});

// lease store S5
scenario(
  "calls to a Redis that does not answer time out with an unknown outcome, and later calls are refused at once",
  {},
  async (server) => {
    const store = await connectRedisLeaseStore({ url: server.url });
    const member = await store.join(profile("a"), REGISTRATION_MS);
    const thaw = server.pause();
    const calls = [
      store.look(),
      store.renew(member, REGISTRATION_MS),
      store.stand(member, LEASE_MS),
      store.readTable(),
    ];
    const refusals = await Promise.all(calls.map(rejection));
    assert.equal(new Set(refusals.map(({ name, code }) => `${name} ${code}`)), new Set(["UnavailableError TIMEOUT"]));
    assert.match(refusals[0]?.message ?? "", /within 1500 ms/);
    for (let n = 0; n < 100; n += 1) {
      assert.is((await rejection(store.renew(member, REGISTRATION_MS))).code, "STORE_UNAVAILABLE");
    }
    thaw();
    await became(store, isReady);
    // The stand that timed out had its effect: the life that stands again finds itself elected.
    const outcome = await store.stand(member, LEASE_MS);
    assert.ok(outcome.kind === "elected" || outcome.leader.incarnation === member.incarnation);
    assert.is((await store.look()).leader?.node, "a");
    await store.close();
  },
);

// redis lease library R3
scenario(
  "a Redis without memory left still takes every call of a lease store",
  { maxmemory: "6mb" },
  async (server, connect) => {
    const store = await connect();
    const member = await store.join(profile("a"), REGISTRATION_MS);
    const leaderEpoch = await elect(store);
    let reply = "";
    for (let n = 0; n < 100 && !reply.startsWith("-OOM"); n += 1) {
      reply = await ask(server.port, `SETRANGE filler:${n} 200000 x\r\n`);
    }
    assert.match(reply, /^-OOM/);
    assert.is(await store.renew(member, REGISTRATION_MS), true);
    assert.is(await store.renewLease(leaderEpoch, LEASE_MS), true);
    assert.is(await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1)), 1);
    await store.setDraining(leaderEpoch, member.node, true);
    assert.is((await store.look()).members[0]?.isDraining, true);
    await store.declareDead(leaderEpoch, member, PROBATION);
    assert.ok((await store.join(profile("a"), REGISTRATION_MS)).probationMs > 0);
    await store.resign(leaderEpoch);
    await elect(store);
    assert.is((await store.readTable()).entries.size, 1);
  },
);

scenario(
  "a Redis that comes back empty is STORE_LOST, until the loss is accepted (E22)",
  { appendonly: "no" },
  async (server, connect) => {
    const log = await connectRedisLog({ url: server.url });
    const { clusterId } = log;
    await log.close();
    const store = await connect({ clusterId });
    const member = await store.join(profile("a"), REGISTRATION_MS);
    await server.restart();
    await became(store, (state) => state.kind === "unavailable" && state.code === "STORE_LOST");
    assert.is((await rejection(store.renew(member, REGISTRATION_MS))).code, "STORE_LOST");
    assert.is((await rejection(connect({ clusterId }))).code, "STORE_LOST");
    const accepting = await connect({ clusterId, acceptLoss: true });
    assert.is(await accepting.renew(member, REGISTRATION_MS), false);
    assert.ok((await accepting.join(profile("a"), REGISTRATION_MS)).incarnation > member.incarnation);
    await became(store, isReady);
  },
);

scenario("a newer format of the leases is refused, whatever the format of the log", {}, async (server, connect) => {
  await connect();
  assert.match(await ask(server.port, "GET headrace:{cluster}:format\r\n"), /\r\n1\r\n/);
  await ask(server.port, "SET headrace:{cluster}:format 2\r\n");
  const error = await rejection(connect());
  assert.equal([error.name, error.code], ["ConfigurationError", "FORMAT_TOO_NEW"]);
  assert.match(error.message, /current value is 2/);
  await (await connectRedisLog({ url: server.url })).close();
});

scenario(
  "a table of 100,000 partitions is written and read whole, and a later write changes only its own entries",
  { appendonly: "no" },
  async (_server, connect) => {
    const store = await connect();
    const leaderEpoch = await elect(store);
    const entries = Array.from({ length: 100_000 }, (_, n) => entry(`stream-${n % 100}/${Math.floor(n / 100)}`));
    await store.writeTable(leaderEpoch, 0, entries);
    await store.writeTable(leaderEpoch, 1, [entry("stream-7/7", { reason: "moved" })]);
    const table = await store.readTable();
    assert.equal([table.version, table.entries.size], [2, 100_000]);
    const moved = [...table.entries.values()].filter(({ reason }) => reason === "moved");
    assert.equal(
      moved.map(({ partition }) => partition),
      ["stream-7/7"],
    );
  },
);

test("a table that is written between any two pages is read as one page after some attempts", async () => {
  const server = await startRedis({ appendonly: "no" });
  const library = redisLeaseLibrary();
  const state = "redis.call('HMGET', keys[1], 'version', 'writer')";
  assert.ok(library.text.includes(state));
  const alwaysMoving = { ...library, text: library.text.replace(state, "{redis.call('TIME')[2], '0'}") };
  const store = await connectRedisLeaseStore({ url: server.url }, alwaysMoving);
  try {
    const entries = Array.from({ length: 3_000 }, (_, n) => entry(`p/${n}`));
    await store.writeTable(await elect(store), 0, entries);
    assert.is((await store.readTable()).entries.size, 3_000);
    const calls = /cmdstat_fcall_ro:calls=(\d+)/.exec(await ask(server.port, "INFO commandstats\r\n"))?.[1];
    assert.ok(Number(calls) < 10, `${calls} calls`);
  } finally {
    await store.close();
    await server.stop();
  }
});

test("connecting to a port without Redis rejects with UnavailableError and does not hang", async () => {
  const error = await rejection(connectRedisLeaseStore({ url: "redis://127.0.0.1:1", callTimeoutMs: 300 }));
  assert.is(error.name, "UnavailableError");
});

test.run();
