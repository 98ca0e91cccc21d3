/** The log and the leases over a master that sentinels watch, while it is replaced. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DurabilityTier, Log } from "../../../../actors/log/log.ts";
import type { RedisConnectionOptions } from "../../../../actors/log/redis/redis_connection.ts";
import { connectRedisLog } from "../../../../actors/log/redis/redis_log.ts";
import { SentinelTopology } from "../../../../actors/log/redis/redis_sentinel.ts";
import { redisLeaseLibrary } from "../../../../supervisors/cluster/leases/redis_lease_library.ts";
import { connectRedisLeaseStore } from "../../../../supervisors/cluster/leases/redis_lease_store.ts";
import { profile } from "../../../conformance/leases/lease_domains.ts";
import { partition } from "../../../conformance/log/log_batches.ts";
import { rejection } from "../../../conformance/log/log_suite.ts";
import { until } from "../../../support/redis/redis_cluster.ts";
import { MASTER_NAME, RedisSentinels } from "../../../support/redis/redis_sentinels.ts";
import { ask, requireRedis } from "../../../support/redis/redis_server.ts";
import { namesIn, RedisWriter } from "../../../support/redis/redis_writer.ts";

requireRedis();

interface Scene {
  readonly sentinels: RedisSentinels;
  readonly options: RedisConnectionOptions;
  readonly log: Log;
  readonly writer: RedisWriter;
}

function scenario(name: string, tier: DurabilityTier, run: (scene: Scene) => Promise<void>): void {
  test(name, async () => {
    const sentinels = await RedisSentinels.start();
    const options = { sentinel: { master: MASTER_NAME, urls: sentinels.urls } };
    const log = await connectRedisLog(options);
    const writer = new RedisWriter(log, partition(0), tier);
    try {
      await writer.more(20);
      await run({ sentinels, options, log, writer });
      await writer.end();
      const names = await namesIn(log, partition(0));
      assert.ok(
        names.length === writer.acked || names.length === writer.acked + 1,
        `${names.length} of ${writer.acked}`,
      );
      assert.equal(
        names,
        names.map((_, n) => `w:0/${n}/0`),
      );
    } finally {
      await writer.end();
      await log.close();
      await sentinels.stop();
    }
  });
}

scenario(
  "a planned failover: the master that was made a replica is left, and no batch that a replica had is lost",
  { replicas: 1 },
  async ({ sentinels, options, log, writer }) => {
    const leases = await connectRedisLeaseStore({ ...options, clusterId: log.clusterId });
    await leases.join(profile("a"), 60_000);
    const before = leases.identity;
    await sentinels.failOver();
    await writer.more(50);
    assert.is(writer.lost, 0);
    assert.match(await ask(sentinels.servers[1].port, "INFO replication\r\n"), /role:master/);
    await until("the leases follow", () =>
      leases.look().then(
        ({ members }) => members.length === 1 && leases.identity !== before,
        () => false,
      ),
    );
    await leases.close();
    await until("the log is well", async () => log.state().kind === "ready");
  },
);

scenario(
  "a master dies: the one that sentinels name next is used, and has every batch that replicas: 1 acknowledged",
  { replicas: 1 },
  async ({ sentinels, writer }) => {
    const [master, replica] = sentinels.servers;
    await master.kill();
    const thaw = sentinels.freezeSentinel(0);
    await until("its writer is told", async () => writer.refusals.length > 0);
    thaw();
    await sentinels.leads(replica);
    await master.restart(); // becomes a replica of the new master
    await writer.more(50);
    assert.is(writer.lost, 0);
  },
);

scenario(
  "a replica without the tail takes over: the loss is noticed, and the lost batches are sent again",
  "everysec",
  async ({ sentinels, writer }) => {
    const [master, replica] = sentinels.servers;
    await replica.kill();
    await writer.more(100);
    await master.kill();
    await replica.restart();
    await sentinels.leads(replica);
    await writer.more(50);
    assert.ok(writer.lost >= 90, `${writer.lost}`);
  },
);

test("the sentinel that knows the newest failover is believed, also after it has gone", async () => {
  const old = await startTeller(["ip", "10.0.0.1", "port", "6379", "config-epoch", "3"]);
  const fresh = await startTeller(["ip", "10.0.0.2", "port", "6380", "config-epoch", "4"]);
  try {
    const urls = [fresh, old].map(({ port }) => `redis://127.0.0.1:${port}`);
    const topology = new SentinelTopology({ master: "m", urls }, "x:", redisLeaseLibrary());
    const wanted = [{ from: 0, to: 16_383, address: "10.0.0.2:6380" }];
    assert.equal(await topology.masters(), wanted);
    fresh.close();
    assert.equal(await topology.masters(), wanted);
    assert.is(topology.urlOf("10.0.0.2:6380"), "redis://10.0.0.2:6380");
  } finally {
    old.close();
    fresh.close();
  }
});

/** A server that answers every question about a master with these fields, and any other command with OK. */
async function startTeller(fields: readonly string[]): Promise<{ readonly port: number; close(): void }> {
  const told = `*${fields.length}\r\n${fields.map((field) => `$${field.length}\r\n${field}\r\n`).join("")}`;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      const commands = String(chunk).split(/(?=\*\d+\r\n\$)/);
      socket.write(commands.map((command) => (command.includes("SENTINEL") ? told : "+OK\r\n")).join(""));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

test("a start fails with the names of sentinels that do not know the master or do not answer", async () => {
  const sentinels = await RedisSentinels.start();
  try {
    const unknown = await rejection(
      connectRedisLog({ sentinel: { master: "other", urls: sentinels.urls }, callTimeoutMs: 300 }),
    );
    assert.equal([unknown.name, unknown.code], ["UnavailableError", "STORE_UNAVAILABLE"]);
    assert.match(unknown.message, /must know other: .*No such master/);
    const nobody = await rejection(
      connectRedisLog({ sentinel: { master: MASTER_NAME, urls: ["redis://127.0.0.1:1"] }, callTimeoutMs: 300 }),
    );
    assert.match(nobody.message, /ECONNREFUSED/);
  } finally {
    await sentinels.stop();
  }
});

test.run();
