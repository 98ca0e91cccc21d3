/**
 * A Redis that fails over to its replica under one node, in real processes behind one address. Events that the replica
 * had are kept. Events that it lacked are lost, and reported to producers, readers and sinks (E6, E8, E9). The checker
 * finds no other loss.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { connectRedisLog } from "../../../actors/log/redis/redis_log.ts";
import { recordsOf } from "../../../actors/log/stored_records.ts";
import { Consumer, connectWebSocket, type Producer } from "../../../protocols/mod.ts";
import { offset, partitionId } from "../../../protocols/position.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import {
  checkHistory,
  type LoggedEvent,
  type Observation,
  type Problem,
  type SentEvent,
  type SinkHistory,
  type Told,
} from "../../support/checker.ts";
import { type MovableAddress, startMovableAddress } from "../../support/clients/movable_address.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";
import { ask, type RedisServer, requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const PARTITIONS = [0, 1];

const yaml = (port: number, durability: string, folder: string) => `
log: { type: redis, url: "redis://127.0.0.1:${port}" }
streams: { orders: { partitions: ${PARTITIONS.length}, durability: ${durability} } }
sinks: { archive: { type: file, directory: ${folder}/archive } }
pipelines: { keep: { from: orders, to: [archive] } }
`;

interface Lost {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

interface Parts {
  readonly folder: string;
  readonly first: RedisServer;
  readonly second: RedisServer;
  /** The node's way to Redis. */
  readonly address: MovableAddress;
  /** The replica's way to its master. */
  readonly link: MovableAddress;
  readonly node: TestNode;
}

/** Two Redis servers, a node that knows one address for them, a producer and a consumer, with all their messages. */
class Scene {
  readonly sent: SentEvent[] = [];
  readonly told = new Map<string, Told>();
  readonly lost: Lost[] = [];
  readonly observations = new Map<number, Observation[]>(PARTITIONS.map((partition) => [partition, []]));
  readonly parts: Parts;
  readonly #producer: Producer;
  readonly #consumer: Consumer;
  readonly #settled: Promise<void>[] = [];
  readonly #reading = new AbortController();
  #order = 0;

  static async start(durability: string): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), "headrace-failover-"));
    const first = await startRedis();
    const link = await startMovableAddress(first.port);
    const second = await startRedis({ replicaOf: link });
    await eventually(async () => ((await ask(first.port, "WAIT 1 1000\r\n")).startsWith(":1") ? true : undefined));
    const address = await startMovableAddress(first.port);
    const node = await runningNode(yaml(address.port, durability, folder));
    return new Scene({ folder, first, second, address, link, node });
  }

  private constructor(parts: Parts) {
    this.parts = parts;
    const { node } = parts;
    this.#producer = node.producer({
      producerId: "p",
      stream: "orders",
      lingerMs: 1,
      batchEventsMax: 10,
      onLost: ({ partition, from, to }) => this.lost.push({ partition, from: from?.[1] ?? -1, to: to[1] }),
    });
    const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });
    this.#consumer = new Consumer({ connect, addresses: [node.endpoint] });
    void this.#read();
  }

  async #read(): Promise<void> {
    const { signal } = this.#reading;
    for await (const item of this.#consumer.subscribe({ stream: "orders", from: "earliest", signal })) {
      const seen = this.observations.get(item.partition);
      if (item.kind === "truncated") seen?.push({ kind: "truncated", offset: item.divergence });
      if (item.kind !== "records") continue;
      for (const { position, event } of item.records) seen?.push({ kind: "record", ...position, id: String(event.id) });
    }
  }

  /** Sends `count` events, to the partitions in turn or to one, and does not wait for them. */
  send(count: number, only?: number): void {
    for (const until = this.#order + count; this.#order < until; this.#order += 1) {
      const order = this.#order;
      const id = `p-${order}`;
      const partition = only ?? order % PARTITIONS.length;
      this.sent.push({ id, producer: "p", partition, order });
      const sequence = [0, order, 0] as const;
      this.#settled.push(
        this.#producer.sendAndConfirm({ id }, { partition, sequence }).then(
          ({ kind }) => void this.told.set(id, kind === "stored" ? "acked" : "rejected"),
          () => void this.told.set(id, "in_doubt"),
        ),
      );
    }
  }

  /** Waits until all sent events are settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#settled);
  }

  /** Waits until the replica has all data of the master. */
  async replicated(): Promise<void> {
    await eventually(async () => {
      const [first, second] = await Promise.all(
        [this.parts.first, this.parts.second].map((redis) => ask(redis.port, "INFO replication\r\n")),
      );
      const written = /master_repl_offset:(\d+)/.exec(first ?? "")?.[1];
      const taken = /slave_repl_offset:(\d+)/.exec(second ?? "")?.[1];
      return written !== undefined && written === taken ? true : undefined;
    });
  }

  /** Waits until the sink and the consumer stand at the end of the log. */
  async delivered(): Promise<void> {
    await eventually(async () => {
      const ends = await Promise.all(PARTITIONS.map((partition) => this.#endOffset(partition)));
      const { sinks } = await this.json<{ sinks: { partition: number; nextOffset: number; state: string }[] }>(
        "/v1/sinks",
      );
      const isDelivered = sinks.every(
        ({ partition, nextOffset, state }) => nextOffset === ends[partition] && state === "delivering",
      );
      const isRead = PARTITIONS.every((partition) => {
        const seen = this.observations.get(partition)?.findLast(({ kind }) => kind === "record");
        return seen?.offset === (ends[partition] ?? 0) - 1;
      });
      return isDelivered && isRead && sinks.length === PARTITIONS.length ? true : undefined;
    });
  }

  async readiness(status: number): Promise<void> {
    const path = `${this.parts.node.address}/readyz`;
    await eventually(async () => ((await fetch(path)).status === status ? true : undefined));
  }

  async json<Value>(path: string): Promise<Value> {
    return (await (await fetch(`${this.parts.node.address}${path}`)).json()) as Value;
  }

  async #endOffset(partition: number): Promise<number> {
    const path = `/v1/streams/orders/partitions/${partition}/records?limit=1`;
    return (await this.json<{ endOffset: number }>(path)).endOffset;
  }

  async epochs(): Promise<readonly number[]> {
    const { partitions } = await this.json<{ partitions: { epoch?: number }[] }>("/v1/cluster");
    return partitions.map(({ epoch = 0 }) => epoch);
  }

  /** The current records of the log. */
  async logged(): Promise<readonly LoggedEvent[]> {
    const found: LoggedEvent[] = [];
    for (const partition of PARTITIONS) {
      const path = `/v1/streams/orders/partitions/${partition}/records?limit=1000`;
      const { records } = await this.json<{
        records: { position: { epoch: number; offset: number }; event: { id: string } }[];
      }>(path);
      for (const { position, event } of records) found.push({ partition, ...position, id: event.id });
    }
    return found;
  }

  /** Partition and code of the rejected events in Redis itself. */
  async setAside(): Promise<readonly string[]> {
    const redis = await connectRedisLog({ url: `redis://127.0.0.1:${this.parts.address.port}` });
    const found: string[] = [];
    for (const partition of PARTITIONS) {
      const request = {
        channel: "rejected",
        after: undefined,
        committedOffset: offset(1_000),
        bytesMax: 1_000_000,
      } as const;
      const result = await redis.read({ stream: "orders", partition: partitionId(partition) }, request);
      if (result.kind !== "records") throw new Error(`the rejected events are ${result.kind}`);
      for (const { event } of recordsOf(result.batches, 0)) found.push(`${partition} ${event.code}`);
    }
    await redis.close();
    return found;
  }

  async #sinks(log: readonly LoggedEvent[]): Promise<readonly SinkHistory[]> {
    const redis = await connectRedisLog({ url: `redis://127.0.0.1:${this.parts.address.port}` });
    const histories: SinkHistory[] = [];
    for (const partition of PARTITIONS) {
      const reference = { stream: "orders", partition: partitionId(partition) };
      const checkpoint = (await redis.readCheckpoints(reference)).get("sink/archive");
      const lines = (await readFileSink(join(this.parts.folder, "archive"), reference, checkpoint))
        .join("")
        .split("\n");
      const places = log.filter((event) => event.partition === partition);
      // The file names no positions: line n must be the record at offset n.
      const records = lines.slice(0, -1).map((line, at) => ({
        epoch: places[at]?.epoch ?? 0,
        offset: at,
        id: String((JSON.parse(line) as { id: string }).id),
      }));
      histories.push({ sink: "archive", partition, records, deadLetters: [] });
    }
    await redis.close();
    return histories;
  }

  /** The checker's findings, once everything is at rest. */
  async problems(lostWithTail: ReadonlySet<string>): Promise<readonly Problem[]> {
    await this.settled();
    await this.delivered();
    const log = await this.logged();
    const readers = PARTITIONS.map((partition) => ({
      reader: "consumer",
      partition,
      observations: this.observations.get(partition) ?? [],
    }));
    return checkHistory({
      ...{ sent: this.sent, told: this.told, log, rejected: [], readers, lostWithTail },
      sinks: await this.#sinks(log),
      firstOffsets: new Map(),
      mayTrimUnread: false,
    });
  }

  async end(): Promise<void> {
    this.#reading.abort();
    this.#consumer.close();
    await this.#producer.close({ timeoutMs: 1_000 });
    await this.parts.node.end();
    await Promise.all([
      this.parts.address.close(),
      this.parts.link.close(),
      this.parts.first.stop(),
      this.parts.second.stop(),
    ]);
    await rm(this.parts.folder, { recursive: true, force: true });
  }
}

const promote = (redis: RedisServer): Promise<string> => ask(redis.port, "REPLICAOF NO ONE\r\n");

function failover(name: string, durability: string, run: (scene: Scene) => Promise<void>): void {
  test(name, async () => {
    const scene = await Scene.start(durability);
    try {
      await run(scene);
    } finally {
      await scene.end();
    }
  });
}

failover(
  "a master with a replica up to date dies: no event is lost and delivery goes on",
  "everysec",
  async (scene) => {
    scene.send(200);
    await scene.settled();
    const before = await scene.epochs();
    scene.parts.address.cut();
    scene.send(100); // on their way while there is nobody
    await scene.replicated();
    await scene.parts.first.kill();
    await promote(scene.parts.second);
    scene.parts.address.leadTo(scene.parts.second.port);
    scene.send(100);
    assert.equal(await scene.problems(new Set()), []);
    assert.is((await scene.logged()).length, 400);
    assert.equal(scene.lost, []);
    for (const [partition, epoch] of (await scene.epochs()).entries()) assert.ok(epoch > (before[partition] ?? 0));
  },
);

failover(
  "a planned failover under load: the node leaves the demoted master by itself, and no event is lost",
  "everysec",
  async (scene) => {
    scene.send(100);
    await scene.settled();
    scene.parts.address.leadTo(scene.parts.second.port, { isCutting: false });
    assert.match(
      await ask(scene.parts.first.port, `FAILOVER TO 127.0.0.1 ${scene.parts.second.port} TIMEOUT 5000\r\n`),
      /OK/,
    );
    for (let wave = 0; wave < 20; wave += 1) {
      scene.send(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(await scene.problems(new Set()), []);
    assert.is((await scene.logged()).length, 500);
    assert.match(await ask(scene.parts.first.port, "INFO replication\r\n"), /role:slave/);
  },
);

failover(
  "a replica without the tail: producer and readers learn of the loss, and the sink gives the lost records up",
  "everysec",
  async (scene) => {
    scene.send(100);
    await scene.settled();
    await scene.replicated();
    scene.parts.link.cut();
    const kept = new Set((await scene.logged()).map(({ id }) => id));
    scene.send(60);
    await scene.settled();
    await scene.delivered();
    const before = await scene.epochs();
    const lostWithTail = new Set((await scene.logged()).map(({ id }) => id).filter((id) => !kept.has(id)));
    assert.is(lostWithTail.size, 60);
    for (const id of lostWithTail) assert.is(scene.told.get(id), "acked");
    scene.parts.address.cut();
    await scene.readiness(503);
    scene.send(40, 0); // Held by the producer. The other partition is idle: no write that fails makes it claim again (E8).
    await scene.parts.first.kill();
    await promote(scene.parts.second);
    scene.parts.address.leadTo(scene.parts.second.port);
    await scene.readiness(200);
    scene.send(40);
    assert.equal(await scene.problems(lostWithTail), []);
    const stored = new Set((await scene.logged()).map(({ id }) => id));
    assert.is(stored.size, 180);
    for (const id of lostWithTail) assert.not(stored.has(id));
    for (const [partition, epoch] of (await scene.epochs()).entries()) assert.ok(epoch > (before[partition] ?? 0));
    // E6: the producer, which cannot send them again, declares them lost, and the log records that.
    assert.equal(
      [...scene.lost].sort((left, right) => left.partition - right.partition),
      [
        { partition: 0, from: 98, to: 158 },
        { partition: 1, from: 99, to: 159 },
      ],
    );
    assert.equal(await scene.setAside(), ["0 LOST", "1 LOST"]);
    // E9: a reader of each partition learns from which offset on its records no longer exist.
    for (const partition of PARTITIONS) {
      const told = scene.observations.get(partition)?.filter(({ kind }) => kind === "truncated");
      assert.equal(told, [{ kind: "truncated", offset: 50 }]);
    }
  },
);

failover(
  "replicas: 1 and too few replicas: no event is acked or seen; later all are, on whichever server is master",
  "{ replicas: 1 }",
  async (scene) => {
    scene.send(50);
    await scene.settled();
    await scene.delivered();
    scene.parts.link.cut();
    scene.send(50);
    await eventually(async () => {
      const { reasons = [] } = await scene.json<{ reasons?: string[] }>("/readyz");
      return reasons.some((reason) => reason.includes("1 replicas must have the write")) ? true : undefined;
    });
    assert.is(scene.told.size, 50, "nothing was acknowledged meanwhile");
    const seen = PARTITIONS.flatMap((partition) => scene.observations.get(partition) ?? []);
    assert.is(seen.length, 50, "and nothing was seen (E10)");
    scene.parts.link.leadTo(scene.parts.first.port);
    await scene.settled();
    assert.is(scene.told.size, 100);
    // The replica has all acknowledged events, so its promotion loses none. The old master becomes its replica.
    scene.send(50);
    await promote(scene.parts.second);
    await ask(scene.parts.first.port, `REPLICAOF 127.0.0.1 ${scene.parts.second.port}\r\n`);
    scene.parts.address.leadTo(scene.parts.second.port);
    scene.send(50);
    assert.equal(await scene.problems(new Set()), []);
    assert.is((await scene.logged()).length, 200);
    assert.equal(scene.lost, []);
  },
);

test.run();
