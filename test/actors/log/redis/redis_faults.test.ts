import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  CHAIN_LIMITS,
  type Claim,
  type DurabilityTier,
  type Log,
  type StoreState,
} from "../../../../actors/log/log.ts";
import { REDIS_LIBRARY } from "../../../../actors/log/redis/library/redis_library.ts";
import type { RedisLogOptions } from "../../../../actors/log/redis/redis_connection.ts";
import { connectRedisLog } from "../../../../actors/log/redis/redis_log.ts";
import { chainName, heldKey, ownerMark, SHORT_LIVED_CHAINS_MAX } from "../../../../actors/log/rules/chain_places.ts";
import { epoch, offset, position } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";
import { readAll, rejection } from "../../../conformance/log/log_suite.ts";
import { startMovableAddress } from "../../../support/clients/movable_address.ts";
import {
  ask,
  type RedisServer,
  type RedisServerOptions,
  requireRedis,
  startRedis,
} from "../../../support/redis/redis_server.ts";

requireRedis();

const GRANT = { leaderEpoch: 1, tableVersion: 1 };
const p0 = partition(0);

const claim = (log: Log, tier: DurabilityTier = "everysec", atLeast = 1): Promise<Claim> =>
  log.claim(p0, GRANT, epoch(atLeast), { tier, chains: CHAIN_LIMITS });
const append = (log: Log, { ownership }: Claim, ...batches: ReturnType<typeof dense>[]) =>
  log.append(ownership, { channel: "records", batches });

function became(log: Log, isWanted: (state: StoreState) => boolean): Promise<StoreState> {
  return new Promise((resolve) => {
    if (isWanted(log.state())) return resolve(log.state());
    log.onStateChange((state) => {
      if (isWanted(state)) resolve(state);
    });
  });
}
const isReady = (state: StoreState) => state.kind === "ready";
const isAway = (state: StoreState) => state.kind === "unavailable";

/** Repeats a call until the replica has caught up. */
async function untilDurable<Value>(call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as { code: string }).code !== "NOT_DURABLE") throw error;
    }
  }
}

const scenario = (
  name: string,
  options: RedisServerOptions,
  run: (server: RedisServer, connect: (more?: Partial<RedisLogOptions>) => Promise<Log>) => Promise<unknown>,
) =>
  test(name, async () => {
    const server = await startRedis(options);
    const logs: Log[] = [];
    const connect = async (more: Partial<RedisLogOptions> = {}) => {
      const log = await connectRedisLog({ url: server.url, ...more });
      logs.push(log);
      return log;
    };
    try {
      await run(server, connect);
    } finally {
      for (const log of logs) await log.close();
      await server.stop();
    }
  });

scenario(
  "every append acknowledged with appendfsync always is there after SIGKILL",
  { appendfsync: "always" },
  async (server, connect) => {
    const log = await connect();
    const owner = await claim(log, "fsync");
    for (let n = 0; n < 50; n++) await append(log, owner, dense("a", n, 1));
    await server.kill();
    await server.restart();
    await became(log, isReady);
    assert.is((await readAll(log, p0)).length, 50);
  },
);

scenario(
  "after SIGKILL amid appends, outputs, checkpoints and attached batches tell of the same calls (stored partition P6)",
  { appendfsync: "always" },
  async (server, connect) => {
    const log = await connect();
    const { ownership } = await claim(log, "fsync");
    let acked = 0;
    let isAlive = true;
    let tellHalf = () => {};
    const half = new Promise<void>((resolve) => {
      tellHalf = resolve;
    });
    const appends = (async () => {
      for (let n = 0; isAlive; n++) {
        const attached = [{ channel: "state/count", batch: dense("state", n, 1) }] as const;
        const checkpoints = new Map([["progress", Buffer.from(String(n))]]);
        await log.append(ownership, { channel: "outbox/count", batches: [dense("c", n, 1)], checkpoints, attached });
        acked += 1;
        if (acked === 50) tellHalf();
      }
    })().catch(() => undefined);
    await half;
    await server.kill();
    isAlive = false;
    await appends;
    await server.restart();
    await became(log, isReady);
    const outputs = await readAll(log, p0, "outbox/count");
    assert.ok(outputs.length === acked || outputs.length === acked + 1, `${outputs.length} for ${acked}`);
    assert.is((await readAll(log, p0, "state/count")).length, outputs.length);
    assert.is(String((await log.readCheckpoints(p0)).get("progress")), String(outputs.length - 1));
  },
);

// redis library R2
scenario(
  "the owner from before a restart is fenced, and claims again with a higher epoch",
  {},
  async (server, connect) => {
    const log = await connect();
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 1));
    await server.restart();
    await became(log, isAway);
    await became(log, isReady);
    const error = await rejection(append(log, owner, dense("a", 1, 1)));
    assert.is(error.code, "STORE_CHANGED");
    const again = await claim(log);
    assert.ok(again.ownership.epoch > owner.ownership.epoch);
  },
);

// redis library R2
scenario(
  "a new life of the store that cuts no connection fences the owner, and a claim succeeds at once",
  {},
  async (server, connect) => {
    const log = await connect();
    const owner = await claim(log);
    // A master does this by itself once it has had no replica for an hour.
    assert.match(await ask(server.port, "DEBUG CHANGE-REPL-ID\r\n"), /^\+OK/);
    const again = await claim(log);
    assert.is.not(again.ownership.store, owner.ownership.store);
    assert.match(await ask(server.port, "DEBUG CHANGE-REPL-ID\r\n"), /^\+OK/);
    assert.is((await rejection(append(log, again, dense("a", 0, 1)))).code, "STORE_CHANGED");
    const last = await claim(log);
    assert.is((await append(log, last, dense("a", 0, 1))).outcomes[0]?.kind, "written");
  },
);

// C1
scenario("an append made during an outage never runs on the restarted server", {}, async (server, connect) => {
  const log = await connect();
  const owner = await claim(log);
  await append(log, owner, dense("a", 0, 1));
  server.pause();
  const inFlight = [append(log, owner, dense("a", 1, 1)), append(log, owner, dense("a", 2, 1))];
  const outcomes = Promise.allSettled(inFlight);
  await server.kill();
  const during = await rejection(append(log, owner, dense("a", 3, 1)));
  assert.is(during.name, "UnavailableError");
  await server.restart();
  for (const outcome of await outcomes) assert.is(outcome.status, "rejected");
  await became(log, isReady);
  assert.ok((await readAll(log, p0)).length <= 1);
});

// C2, C3: the link looks at the server again after the reconnect.
scenario(
  "a store that comes back without the cluster's id is STORE_LOST until the loss is accepted",
  { appendonly: "no" },
  async (server, connect) => {
    const log = await connect();
    await claim(log, "memory");
    await server.restart();
    await became(log, isAway);
    const state = await became(log, (now) => now.kind === "unavailable" && now.code === "STORE_LOST");
    assert.is(state.kind === "unavailable" && state.code, "STORE_LOST");
    assert.is((await rejection(claim(log, "memory"))).code, "STORE_LOST");
    assert.is((await rejection(connect({ clusterId: log.clusterId }))).code, "STORE_LOST");
    const accepting = await connect({ clusterId: log.clusterId, acceptLoss: true });
    assert.is(accepting.clusterId, log.clusterId);
    await claim(accepting, "memory");
    await became(log, isReady);
  },
);

scenario(
  "a cursor into a tail that was cut off the file is answered with the divergence",
  { appendfsync: "always" },
  async (server, connect) => {
    const log = await connect();
    const owner = await claim(log, "fsync");
    for (let n = 0; n < 10; n++) await append(log, owner, dense("a", n, 1));
    await server.kill();
    const folder = join(server.folder, "appendonlydir");
    const file = (await readdir(folder)).find((name) => name.endsWith(".incr.aof")) as string;
    await truncate(join(folder, file), (await stat(join(folder, file))).size - 300);
    await server.restart();
    await became(log, isReady);
    const again = await claim(log, "fsync");
    const end = again.channels.get("records")?.endOffset ?? 0;
    assert.ok(end < 10 && end > 0, `${end}`);
    assert.equal(
      (await readAll(log, p0)).map(([, name]) => name),
      Array.from({ length: end }, (_, n) => `a:0/${n}/0`),
    );
    const read = await log.read(p0, {
      channel: "records",
      after: position(owner.ownership.epoch, 9),
      committedOffset: again.channels.get("records")?.endOffset ?? (0 as never),
      bytesMax: 1000,
    });
    assert.equal(read, { kind: "truncated", divergence: end, resume: position(owner.ownership.epoch, end - 1) });
    const resent = await append(log, again, dense("a", end - 1, 1), dense("a", end, 10 - end));
    assert.equal(
      resent.outcomes.map(({ kind }) => kind),
      ["duplicate", "written"],
    );
  },
);

// redis library R1
scenario(
  "a Redis without memory left refuses whole calls, and accepts them again after a trim",
  { maxmemory: "6mb" },
  async (_server, connect) => {
    const log = await connect();
    const owner = await claim(log);
    const big = (n: number) => dense("a", n, 2, { rejected: [1], extra: { events: Buffer.alloc(200_000, n) } });
    let acked = 0;
    let error: { name: string; code: string } | undefined;
    while (error === undefined && acked < 60) {
      try {
        await append(log, owner, big(acked * 2));
        acked += 1;
      } catch (caught) {
        error = caught as { name: string; code: string };
      }
    }
    assert.equal([error?.name, error?.code], ["UnavailableError", "DISK_FULL"]);
    const channels = await log.describe(p0);
    assert.equal([channels?.get("records")?.endOffset, channels?.get("rejected")?.endOffset], [acked, acked]);
    await log.trim(owner.ownership, "records", (acked - 1) as never);
    await became(log, isReady);
    const { outcomes } = await append(log, owner, big(acked * 2));
    assert.is(outcomes[0]?.kind, "written");
  },
);

// C2
scenario(
  "a Redis that evicts is refused",
  { maxmemory: "50mb", maxmemoryPolicy: "allkeys-lru" },
  async (_server, connect) => {
    const error = await rejection(connect());
    assert.equal([error.name, error.code], ["ConfigurationError", "STORE_MISCONFIGURED"]);
    assert.match(error.message, /noeviction: current value is allkeys-lru/);
  },
);

scenario("a tier above what Redis flushes is refused", { appendfsync: "everysec" }, async (_server, connect) => {
  const log = await connect();
  assert.is((await rejection(claim(log, "fsync"))).code, "STORE_MISCONFIGURED");
  await claim(log, "everysec");
});

scenario("tier everysec is refused on a Redis without a file", { appendonly: "no" }, async (_server, connect) => {
  const log = await connect();
  assert.is((await rejection(claim(log, "everysec"))).code, "STORE_MISCONFIGURED");
  await claim(log, "memory");
});

// C4
scenario("functions that were flushed are loaded again within the call", {}, async (server, connect) => {
  const log = await connect();
  const owner = await claim(log);
  await ask(server.port, "FUNCTION FLUSH\r\n");
  assert.is((await append(log, owner, dense("a", 0, 1))).outcomes[0]?.kind, "written");
});

scenario(
  "an append that reaches too few replicas is not acknowledged, nor is its repetition",
  {},
  async (server, connect) => {
    const replica = await startRedis({ replicaOf: server });
    try {
      const log = await connect({ replicasTimeoutMs: 100 });
      while (!(await ask(server.port, "WAIT 1 1000\r\n")).startsWith(":1"));
      // A replica that has just caught up may answer later than the limit, which is short for the rest of the test.
      const owner = await untilDurable(() => claim(log, { replicas: 1 }));
      const first = await untilDurable(() => append(log, owner, dense("a", 0, 1)));
      assert.match(first.outcomes[0]?.kind ?? "", /^(written|duplicate)$/);
      const proceed = replica.pause();
      assert.is((await rejection(append(log, owner, dense("a", 1, 1)))).code, "NOT_DURABLE");
      assert.is((await rejection(append(log, owner, dense("a", 1, 1)))).code, "NOT_DURABLE");
      proceed();
      const repeated = await untilDurable(() => append(log, owner, dense("a", 1, 1)));
      assert.is(repeated.outcomes[0]?.kind, "duplicate");
    } finally {
      await replica.stop();
    }
  },
);

scenario("a Redis that does not answer in time leaves the outcome unknown", {}, async (server, connect) => {
  const log = await connect({ callTimeoutMs: 200 });
  const owner = await claim(log);
  const proceed = server.pause();
  const error = await rejection(append(log, owner, dense("a", 0, 1)));
  assert.equal([error.name, error.code], ["UnavailableError", "TIMEOUT"]);
  proceed();
  const again = await claim(log);
  const { outcomes } = await append(log, again, dense("a", 0, 1));
  assert.ok(outcomes[0]?.kind === "duplicate" || outcomes[0]?.kind === "written");
  assert.is((await readAll(log, p0)).length, 1);
});

scenario(
  "producers of one request have their own limit in Redis too, counted anew where no count was kept",
  {},
  async (server, connect) => {
    const log = await connect();
    const owner = await claim(log);
    await append(log, owner, dense("http/1", 0, 1), dense("http/2", 0, 1));
    const meta = "headrace:{orders/0}:meta";
    assert.match(await ask(server.port, `HGET ${meta} short\r\n`), /^\$1\r\n2/);
    await ask(server.port, `HDEL ${meta} short\r\n`);
    const again = await claim(log);
    assert.match(await ask(server.port, `HGET ${meta} short\r\n`), /^\$1\r\n2/);
    await ask(server.port, `HSET ${meta} short ${SHORT_LIVED_CHAINS_MAX}\r\n`);
    const { outcomes } = await append(log, again, dense("http/3", 0, 1), dense("http/1", 1, 1));
    assert.equal(outcomes[0], { kind: "too_many_producers", live: SHORT_LIVED_CHAINS_MAX });
    assert.is(outcomes[1]?.kind, "written");
  },
);

scenario(
  "requests with a key of one principal leave places to those of others in Redis too",
  {},
  async (server, connect) => {
    const log = await connect();
    const { ownership } = await claim(log);
    const open = (producerId: string, owner: string) => log.openChain(ownership, "records", producerId, 1, 0, owner);
    const live = SHORT_LIVED_CHAINS_MAX - 10;
    const field = heldKey(chainName("records", "http/1"), ownerMark("alice"));
    await ask(server.port, `HSET headrace:{orders/0}:meta short ${live} ${field} 80\r\n`);
    const share = { held: 80, free: 10 };
    assert.equal(await open("http/1", "alice"), { kind: "too_many_producers", live, share });
    assert.is((await open("http/1", "bob")).kind, "opened");
    assert.is((await open("a", "alice")).kind, "opened", "the principal's ordinary producers are counted apart");
  },
);

// redis library R5
scenario(
  "a Redis with the library of an earlier release is given the one that counts places",
  {},
  async (server, connect) => {
    const log = await connect();
    const { ownership } = await claim(log);
    const ofBefore = REDIS_LIBRARY.replace(/^redis\.register_function\('\w+_owned'.*\n/gm, "");
    const load = ["FUNCTION", "LOAD", "REPLACE", ofBefore].map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
    await ask(server.port, `*${load.length}\r\n${load.join("")}`);
    const names = () => ask(server.port, "FUNCTION LIST LIBRARYNAME headrace_v1\r\n");
    assert.not.match(await names(), /open_owned/);
    assert.is((await log.openChain(ownership, "records", "a", 1, 0, "alice")).kind, "opened");
    assert.match(await names(), /open_owned/);
  },
);

// redis library R5
scenario(
  "a Redis with the library of an earlier release is given the one that attaches batches",
  {},
  async (server, connect) => {
    const log = await connect();
    const { ownership } = await claim(log);
    const ofBefore = REDIS_LIBRARY.replace(/^redis\.register_function\('\w+_attached'.*\n/gm, "");
    const load = ["FUNCTION", "LOAD", "REPLACE", ofBefore].map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
    await ask(server.port, `*${load.length}\r\n${load.join("")}`);
    const names = () => ask(server.port, "FUNCTION LIST LIBRARYNAME headrace_v1\r\n");
    await log.append(ownership, { channel: "records", batches: [dense("a", 0, 1)] });
    assert.not.match(await names(), /append_attached/, "an append without attached batches calls the former function");
    const attached = [{ channel: "state/a", batch: dense("state", 0, 2) }] as const;
    const { attachedEnds } = await log.append(ownership, { channel: "records", batches: [], attached });
    assert.equal(attachedEnds, [offset(2)]);
    assert.match(await names(), /append_attached/);
  },
);

test("C5: a server that was made a replica is left, though no connection was cut, and the new master is used", async () => {
  const [first, second] = [await startRedis(), await startRedis()];
  const address = await startMovableAddress(first.port);
  const log = await connectRedisLog({ url: `redis://127.0.0.1:${address.port}`, acceptLoss: true });
  try {
    const before = await claim(log);
    address.leadTo(second.port, { isCutting: false });
    assert.match(await ask(first.port, `REPLICAOF 127.0.0.1 ${second.port}\r\n`), /^\+OK/);
    assert.is((await rejection(append(log, before, dense("a", 0, 1)))).code, "DISK_READ_ONLY");
    await became(log, isReady);
    const after = await claim(log);
    assert.is.not(after.ownership.store, before.ownership.store);
    assert.is((await append(log, after, dense("a", 0, 1))).outcomes[0]?.kind, "written");
  } finally {
    await log.close();
    await address.close();
    await first.stop();
    await second.stop();
  }
});

test("without a Redis a log is UnavailableError, and does not hang", async () => {
  const error = await rejection(connectRedisLog({ url: "redis://127.0.0.1:1", callTimeoutMs: 2_000 }));
  assert.equal([error.name, error.code], ["UnavailableError", "STORE_UNAVAILABLE"]);
  assert.match(error.message, /ECONNREFUSED/);
});

test("a Redis that refuses the user or the password fails the start at once, with its own words", async () => {
  const server = await startRedis({});
  try {
    const { host } = new URL(server.url);
    const unknown = await rejection(connectRedisLog({ url: `redis://somebody:wrong@${host}` }));
    assert.is(unknown.name, "ConfigurationError");
    assert.match(unknown.message, /must know the user and the password: .*WRONGPASS/);
    assert.not.match(unknown.message, /wrong@/);
    await ask(server.port, "CONFIG SET requirepass secret\r\n");
    const nameless = await rejection(connectRedisLog({ url: server.url }));
    assert.is(nameless.name, "ConfigurationError");
    assert.match(nameless.message, /NOAUTH/);
    await (await connectRedisLog({ url: `redis://:secret@${host}` })).close();
  } finally {
    await server.stop();
  }
});

// C6
scenario(
  "a Redis that does not answer counts as away: calls after the first timeout are refused at once, until it answers",
  { appendonly: "yes", appendfsync: "everysec" },
  async (server, connect) => {
    const log = await connect({ callTimeoutMs: 300 });
    const first = await claim(log);
    await append(log, first, dense("p", 0, 1));
    const thaw = server.pause();
    assert.is((await rejection(append(log, first, dense("p", 1, 1)))).code, "TIMEOUT");
    assert.is(log.state().kind, "unavailable");
    // Not TIMEOUT: the second call does not wait for its deadline.
    assert.is((await rejection(append(log, first, dense("p", 1, 1)))).code, "STORE_UNAVAILABLE");
    thaw();
    await became(log, isReady);
    const second = await claim(log);
    const { outcomes } = await append(log, second, dense("p", 1, 1));
    assert.is(outcomes[0]?.kind, "duplicate"); // the call that was given up was written after all
    assert.equal(await readAll(log, p0), [
      [0, "p:0/0/0"],
      [1, "p:0/1/0"],
    ]);
  },
);

scenario(
  "a read asks for as many entries as fit its bytes, however small the first of them is",
  { appendonly: "no" },
  async (server, connect) => {
    const log = await connect();
    const owned = await claim(log, "memory");
    const large = new Uint8Array(500_000).fill(7);
    await append(log, owned, dense("p", 0, 1));
    for (let n = 1; n <= 60; n += 1) await append(log, owned, { ...dense("p", n, 1), events: large });
    const sentBytes = async () =>
      Number(/total_net_output_bytes:(\d+)/.exec(String(await ask(server.port, "INFO stats\r\n")))?.[1] ?? Number.NaN);
    const before = await sentBytes();
    const other = await connect(); // has no mean entry size of the stream yet
    for (let read = 0; read < 2; read += 1)
      await other.read(p0, { channel: "records", after: undefined, committedOffset: offset(61), bytesMax: 262_144 });
    assert.ok((await sentBytes()) - before < 5_000_000, `${(await sentBytes()) - before}`);
  },
);

test.run();
