/**
 * A node over a Redis Cluster, in real processes, with a producer over WebSocket while a slot moves and a master dies.
 * No event is stored twice. No acknowledged event is missing, except those of a lost tail, which are reported.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { slotOf } from "../../../actors/log/redis/redis_slots.ts";
import type { Producer } from "../../../protocols/mod.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { RedisCluster, type RedisClusterOptions } from "../../support/redis/redis_cluster.ts";
import { type RedisServer, requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

/** So many partitions that every master has some, and so few that each gets many events. */
const PARTITIONS = 8;
const WAVE = 400;

interface Lost {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

class Scene {
  readonly cluster: RedisCluster;
  readonly node: TestNode;
  readonly acked = new Set<string>();
  readonly failed: string[] = [];
  readonly lost: Lost[] = [];
  readonly #producer: Producer;
  readonly #settled: Promise<void>[] = [];
  #sent = 0;

  static async start(options: RedisClusterOptions, durability: string): Promise<Scene> {
    const cluster = await RedisCluster.start(options);
    const urls = cluster.masters.map(({ url }) => `"${url}"`).join(", ");
    const streams = `{ orders: { partitions: ${PARTITIONS}, durability: ${durability} } }`;
    try {
      return new Scene(
        cluster,
        await runningNode(`log: { type: redis, urls: [${urls}] }\ncluster: {}\nstreams: ${streams}\n`),
      );
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private constructor(cluster: RedisCluster, node: TestNode) {
    this.cluster = cluster;
    this.node = node;
    this.#producer = node.producer({
      producerId: "p",
      stream: "orders",
      lingerMs: 1,
      batchEventsMax: 10,
      onLost: ({ partition, from, to }) => this.lost.push({ partition, from: from?.[1] ?? -1, to: to[1] }),
    });
  }

  /** Sends a wave of events, to all partitions or to one, without waiting. */
  send(count = WAVE, only?: number): void {
    for (const until = this.#sent + count; this.#sent < until; this.#sent += 1) {
      const id = `e${this.#sent}`;
      const partition = only ?? this.#sent % PARTITIONS;
      const confirmed = this.#producer.sendAndConfirm({ id }, { partition, sequence: [0, this.#sent, 0] });
      this.#settled.push(
        confirmed.then(
          ({ kind }) => void (kind === "stored" ? this.acked.add(id) : this.failed.push(`${id} ${kind}`)),
          (error) => void this.failed.push(`${id} ${error}`),
        ),
      );
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#settled);
  }

  /** Ids by partition, as the node shows its log. */
  async logged(): Promise<readonly string[]> {
    const pages = Array.from({ length: PARTITIONS }, async (_, partition) => {
      const path = `/v1/streams/orders/partitions/${partition}/records?limit=1000`;
      const { records } = (await (await fetch(`${this.node.address}${path}`)).json()) as {
        records: { event: { id: string } }[];
      };
      return records.map(({ event }) => event.id);
    });
    return (await Promise.all(pages)).flat();
  }

  /** Checks that all events were acknowledged, none was declared lost, and each is in the log once. */
  async checkEachOnce(): Promise<void> {
    assert.equal(this.failed, []);
    assert.equal(this.lost, []);
    const logged = await this.logged();
    assert.equal(new Set(logged), this.acked);
    assert.is(logged.length, this.acked.size);
  }

  /** All partitions of a master. */
  async on(server: RedisServer): Promise<readonly number[]> {
    const all = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    const owners = await Promise.all(all.map((partition) => this.cluster.ownerOf(slotOf(`{orders/${partition}}`))));
    return all.filter((partition) => owners[partition]?.port === server.port);
  }

  readyz(status: number): Promise<boolean> {
    return eventually(async () => ((await fetch(`${this.node.address}/readyz`)).status === status ? true : undefined));
  }

  async end(): Promise<void> {
    await this.#producer.close({ timeoutMs: 1_000 });
    await this.node.end();
    await this.cluster.stop();
  }
}

function scenario(
  name: string,
  options: RedisClusterOptions,
  durability: string,
  run: (scene: Scene) => Promise<void>,
): void {
  test(name, async () => {
    const scene = await Scene.start(options, durability);
    try {
      await run(scene);
    } finally {
      await scene.end();
    }
  });
}

scenario(
  "slots move under a producer: the producer gets no error, and each event is stored once",
  {},
  "everysec",
  async (scene) => {
    const { cluster } = scene;
    for (let partition = 0; partition < 3; partition += 1) {
      const slot = slotOf(`{orders/${partition}}`);
      const from = await cluster.ownerOf(slot);
      const to = cluster.masters.find(({ port }) => port !== from.port) as RedisServer;
      await cluster.moveSlot(slot, to, async () => scene.send(40));
    }
    scene.send();
    await scene.settled();
    await scene.checkEachOnce();
  },
);

scenario(
  "a master with a replica up to date dies: its partitions wait, the others go on, and each event is stored once",
  { replicas: 3 },
  "everysec",
  async (scene) => {
    const { cluster } = scene;
    const dying = cluster.masters[0] as RedisServer;
    const concerned = await scene.on(dying);
    assert.ok(concerned.length > 0 && concerned.length < PARTITIONS, `${concerned}`);
    const other = [0, 1, 2, 3, 4, 5, 6, 7].find((partition) => !concerned.includes(partition));
    scene.send();
    await scene.settled();
    await cluster.isInStep();
    await dying.kill();
    const before = scene.acked.size;
    scene.send(100, other);
    await scene.settled();
    assert.is(scene.acked.size, before + 100, "nobody waits for another's master");
    scene.send();
    await scene.readyz(503);
    await scene.settled();
    await scene.readyz(200);
    await scene.checkEachOnce();
  },
);

scenario(
  "a replica without the tail takes over: the producer learns which events of that master's partitions are lost",
  { replicas: 3 },
  "everysec",
  async (scene) => {
    const { cluster } = scene;
    const dying = cluster.masters[0] as RedisServer;
    const concerned = await scene.on(dying);
    scene.send();
    await scene.settled();
    await cluster.isInStep();
    const kept = new Set(await scene.logged());
    await cluster.replicas[0]?.kill();
    scene.send();
    await scene.settled();
    await dying.kill();
    await cluster.replicas[0]?.restart();
    scene.send();
    await scene.settled();
    assert.equal(scene.failed, []);
    assert.equal(scene.lost.map(({ partition }) => partition).sort(), [...concerned]);
    const logged = await scene.logged();
    assert.is(new Set(logged).size, logged.length);
    // The second wave's events of these partitions were acknowledged and are lost. No other event is.
    const missing = [...scene.acked].filter((id) => !logged.includes(id)).map((id) => Number(id.slice(1)));
    assert.ok(missing.length > 0);
    for (const order of missing) {
      assert.not(kept.has(`e${order}`));
      const told = scene.lost.find(({ partition }) => partition === order % PARTITIONS);
      assert.ok(told !== undefined && told.from < order && order <= told.to, `${order}: ${JSON.stringify(told)}`);
    }
  },
);

test.run();
