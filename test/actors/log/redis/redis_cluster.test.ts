/** The log over a Redis Cluster while its slots move and its masters die. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DurabilityTier, Log, StoreState } from "../../../../actors/log/log.ts";
import type { RedisConnectionOptions } from "../../../../actors/log/redis/redis_connection.ts";
import { connectRedisLog } from "../../../../actors/log/redis/redis_log.ts";
import { slotOf } from "../../../../actors/log/redis/redis_slots.ts";
import { type PartitionReference, partitionName } from "../../../../protocols/position.ts";
import { connectRedisLeaseStore } from "../../../../supervisors/cluster/leases/redis_lease_store.ts";
import { entry, profile } from "../../../conformance/leases/lease_domains.ts";
import { partition } from "../../../conformance/log/log_batches.ts";
import { rejection } from "../../../conformance/log/log_suite.ts";
import { command, RedisCluster, type RedisClusterOptions, until } from "../../../support/redis/redis_cluster.ts";
import { ask, type RedisServer, requireRedis } from "../../../support/redis/redis_server.ts";
import { namesIn, RedisWriter } from "../../../support/redis/redis_writer.ts";

requireRedis();

const slotOfPartition = (of: PartitionReference): number => slotOf(`{${partitionName(of)}}`);

/** One partition on each master, in the masters' order. */
async function spread(cluster: RedisCluster): Promise<readonly PartitionReference[]> {
  const found = new Map<number, PartitionReference>();
  for (let n = 0; found.size < cluster.masters.length; n += 1) {
    const { port } = await cluster.ownerOf(slotOfPartition(partition(n)));
    if (!found.has(port)) found.set(port, partition(n));
  }
  return cluster.masters.map(({ port }) => found.get(port) as PartitionReference);
}

interface Scene {
  readonly cluster: RedisCluster;
  readonly log: Log;
  /** The n-th writer writes to the n-th master. */
  readonly writers: readonly RedisWriter[];
  connect(options: Partial<RedisConnectionOptions>): Promise<Log>;
}

function scenario(
  name: string,
  options: RedisClusterOptions & { readonly tier?: DurabilityTier },
  run: (scene: Scene) => Promise<void>,
): void {
  test(name, async () => {
    const cluster = await RedisCluster.start(options);
    const logs: Log[] = [];
    const connect = async (more: Partial<RedisConnectionOptions>) => {
      const log = await connectRedisLog({ url: cluster.masters[0]?.url as string, ...more });
      logs.push(log);
      return log;
    };
    const writers: RedisWriter[] = [];
    try {
      const log = await connect({});
      for (const of of await spread(cluster)) writers.push(new RedisWriter(log, of, options.tier ?? "everysec"));
      await Promise.all(writers.map((writer) => writer.more(20)));
      await run({ cluster, log, writers, connect });
      for (const writer of writers) await writer.end();
      for (const writer of writers) await holdsAll(log, writer);
    } finally {
      await Promise.allSettled(writers.map((writer) => writer.end()));
      for (const log of logs) await log.close();
      await cluster.stop();
    }
  });
}

/** Checks that the log holds every batch once and in order. The last one may lack its acknowledgement. */
async function holdsAll(log: Log, { partition: of, acked }: RedisWriter): Promise<void> {
  const names = await namesIn(log, of);
  assert.ok(names.length === acked || names.length === acked + 1, `${names.length} of ${acked}`);
  assert.equal(
    names,
    names.map((_, n) => `w:0/${n}/0`),
  );
}

const leads = (replica: RedisServer): Promise<void> =>
  until("the replica leads", async () => /role:master/.test(await ask(replica.port, "INFO replication\r\n")));

function became(log: Log, isWanted: (state: StoreState) => boolean): Promise<StoreState> {
  return new Promise((resolve) => {
    if (isWanted(log.state())) return resolve(log.state());
    log.onStateChange((state) => {
      if (isWanted(state)) resolve(state);
    });
  });
}

// H1, H2
scenario(
  "a slot moves under appends, to a master and to a new one: each batch is there once, and others notice nothing",
  { spares: 1 },
  async ({ cluster, writers }) => {
    const [mover, ...others] = writers as [RedisWriter, ...RedisWriter[]];
    const slot = slotOfPartition(mover.partition);
    for (const to of [cluster.masters[1], cluster.spares[0]] as RedisServer[]) {
      // The writer appends during each step. While the slot's keys lie on both servers its appends wait.
      await cluster.moveSlot(slot, to, async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
      });
      await mover.more(50);
      assert.is((await cluster.ownerOf(slot)).port, to.port);
    }
    assert.equal([...new Set(mover.refusals)], ["STORE_CHANGED"]);
    assert.ok(mover.claims >= 3, `${mover.claims} claims`);
    assert.is(mover.lost, 0);
    for (const other of others) assert.equal(other.refusals, []);
  },
);

// H2, H3
scenario(
  "a master dies: its replica goes on with every batch that replicas: 1 acknowledged, and other masters notice nothing",
  { replicas: 3, tier: { replicas: 1 } },
  async ({ cluster, log, writers }) => {
    const [dying, ...others] = writers as [RedisWriter, ...RedisWriter[]];
    await cluster.masters[0]?.kill();
    const state = await became(log, ({ kind }) => kind === "unavailable");
    assert.match(state.kind === "unavailable" ? state.reason : "", new RegExp(`${cluster.masters[0]?.port}`));
    await Promise.all(others.map((other) => other.more(20)));
    await leads(cluster.replicas[0] as RedisServer);
    // The successor needs a replica to acknowledge: the former master becomes it.
    await cluster.masters[0]?.restart();
    await dying.more(50);
    await became(log, ({ kind }) => kind === "ready");
    assert.is(
      (await cluster.ownerOf(slotOfPartition(dying.partition), cluster.masters[1])).port,
      cluster.replicas[0]?.port,
    );
    assert.is(dying.lost, 0);
    for (const other of others)
      assert.equal(
        [...new Set(other.refusals)].filter((code) => code !== "NOT_DURABLE"),
        [],
      );
  },
);

scenario(
  "where all slots must be served, other writers wait while a master is replaced, and no call of theirs is refused",
  { replicas: 3, needsAllSlots: true },
  async ({ cluster, writers }) => {
    const [dying, ...others] = writers as [RedisWriter, ...RedisWriter[]];
    await cluster.masters[0]?.kill();
    await dying.more(20);
    await Promise.all(others.map((other) => other.more(20)));
    for (const other of others) assert.equal(other.refusals, []);
  },
);

scenario(
  "a replica takes over without the tail: the loss is noticed, and the lost batches are sent again",
  { replicas: 3 },
  async ({ cluster, writers }) => {
    const [dying, ...others] = writers as [RedisWriter, ...RedisWriter[]];
    await cluster.replicas[0]?.kill();
    await dying.more(100);
    await cluster.masters[0]?.kill();
    await cluster.replicas[0]?.restart();
    await dying.more(100);
    assert.ok(dying.lost >= 90, `${dying.lost} lost`);
    for (const other of others) assert.equal([other.refusals, other.lost], [[], 0]);
  },
);

scenario(
  "a planned failover of a master: its partitions claim again, and no batch is lost",
  { replicas: 3 },
  async ({ cluster, log, writers }) => {
    const [moved, ...others] = writers as [RedisWriter, ...RedisWriter[]];
    await command(cluster.replicas[0] as RedisServer, "CLUSTER", "FAILOVER");
    await leads(cluster.replicas[0] as RedisServer);
    await moved.more(50);
    assert.is(moved.lost, 0);
    assert.equal(log.state(), { kind: "ready" });
    for (const other of others) assert.equal(other.refusals, []);
  },
);

scenario(
  "a master that comes back empty is STORE_LOST for its slots alone, until the loss is accepted",
  { appendonly: "no", tier: "memory" },
  async ({ cluster, log, writers, connect }) => {
    const [emptied, other] = writers as [RedisWriter, RedisWriter, RedisWriter];
    await cluster.masters[0]?.restart();
    const state = await became(log, (now) => now.kind === "unavailable" && now.code === "STORE_LOST");
    assert.is(state.kind, "unavailable");
    await other.more(20);
    assert.equal(other.refusals, []);
    await until("its writer is told", async () => emptied.refusals.includes("STORE_LOST"));
    assert.is((await rejection(connect({ clusterId: log.clusterId }))).code, "STORE_LOST");
    assert.is((await rejection(connect({}))).code, "STORE_LOST", "a new node makes no new copy of the id");
    const accepting = await connect({ clusterId: log.clusterId, acceptLoss: true });
    assert.is(accepting.clusterId, log.clusterId);
    await emptied.more(20);
    assert.ok(emptied.lost > 0);
  },
);

test("the leases' slot moves, and its master fails over: registrations, term and table are kept", async () => {
  const cluster = await RedisCluster.start({ masters: 2, replicas: 2, spares: 0 });
  const url = cluster.masters[0]?.url as string;
  const log = await connectRedisLog({ url });
  const store = await connectRedisLeaseStore({ url, clusterId: log.clusterId, callTimeoutMs: 10_000 });
  try {
    const member = await store.join(profile("a"), 60_000);
    const elected = await store.stand(member, 60_000);
    const leaderEpoch = elected.kind === "elected" ? elected.leaderEpoch : 0;
    const entries = Array.from({ length: 2_500 }, (_, n) => entry(`orders/${n}`));
    let version = await store.writeTable(leaderEpoch, 0, entries);
    const slot = slotOf("{cluster}");
    const from = await cluster.ownerOf(slot);
    const to = cluster.masters.find(({ port }) => port !== from.port) as RedisServer;
    const before = store.identity;
    // Reads of several pages run during the move: some begin on one server and end on the other.
    const sizes = new Set<number>();
    let isMoving = true;
    const readOn = async () => {
      while (isMoving) sizes.add((await store.readTable()).entries.size);
    };
    const reading = Array.from({ length: 10 }, readOn);
    await cluster.moveSlot(slot, to, async () => undefined);
    isMoving = false;
    await Promise.all(reading);
    assert.equal([...sizes], [entries.length]);
    assert.ok(await store.renewLease(leaderEpoch, 60_000));
    assert.is((await store.readTable()).entries.size, entries.length);
    assert.is.not(store.identity, before);
    version = await store.writeTable(leaderEpoch, version, entries.slice(0, 1));
    const successor = cluster.replicas[cluster.masters.indexOf(to)] as RedisServer;
    await command(successor, "CLUSTER", "FAILOVER");
    await leads(successor);
    assert.ok(await store.renew(member, 60_000));
    assert.equal([(await store.look()).leader?.leaderEpoch, (await store.readTable()).version], [leaderEpoch, version]);
    assert.is((await store.look()).members.length, 1);
  } finally {
    await store.close();
    await log.close();
    await cluster.stop();
  }
});

test("the user and password of the address are used for every node of the cluster, also for one that is found later", async () => {
  const cluster = await RedisCluster.start({ masters: 2, replicas: 0, spares: 1 });
  for (const server of cluster.servers) {
    await command(server, "ACL", "SETUSER", "headrace", "on", ">se:cret/", "~*", "&*", "+@all");
    await command(server, "ACL", "SETUSER", "default", "-@scripting"); // everything that the log calls
  }
  const { host } = new URL(cluster.masters[0]?.url ?? "");
  try {
    const unknown = await rejection(connectRedisLog({ url: `redis://headrace:wrong@${host}`, callTimeoutMs: 2_000 }));
    assert.is(unknown.name, "ConfigurationError");
    assert.match(unknown.message, /WRONGPASS/);
    const log = await connectRedisLog({ url: `redis://headrace:se%3Acret%2F@${host}` });
    const writers = (await spread(cluster)).map((of) => new RedisWriter(log, of, "everysec"));
    await Promise.all(writers.map((writer) => writer.more(5)));
    const [writer] = writers as [RedisWriter];
    const spare = cluster.spares[0] as RedisServer;
    await cluster.moveSlot(slotOfPartition(writer.partition), spare, async () => undefined);
    await writer.more(5);
    for (const one of writers) await one.end();
    for (const one of writers) await holdsAll(log, one);
    await log.close();
  } finally {
    await cluster.stop();
  }
});

test("urls that lead to no server, and addresses of two kinds at once, are refused", async () => {
  const cluster = await RedisCluster.start({ masters: 1 });
  try {
    const both = await rejection(connectRedisLog({ url: cluster.urls[0] as string, urls: cluster.urls }));
    assert.equal([both.name, both.code], ["ConfigurationError", "INVALID_CONFIGURATION"]);
    assert.match(both.message, /given are url and urls/);
    const nobody = await rejection(connectRedisLog({ urls: ["redis://127.0.0.1:1"], callTimeoutMs: 300 }));
    assert.equal([nobody.name, nobody.code], ["UnavailableError", "STORE_UNAVAILABLE"]);
  } finally {
    await cluster.stop();
  }
});

test.run();
