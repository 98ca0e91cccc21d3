/** Nodes with one log between them, each with its own actor system, whose ownership the test decides. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorDefinition, ActorSystem } from "../../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import { realWorld } from "../../../../actors/kernel/world.ts";
import type { SourceItem } from "../../../../actors/sources/source.ts";
import { sourceActor } from "../../../../actors/sources/source_actor.ts";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import { SourceNode, STREAM } from "../../../../supervisors/conformance/sources/source_node.ts";
import { shardsActor } from "../../../../supervisors/node/sources/shards_actor.ts";
import { SHARD_LIMITS } from "../../../../supervisors/node/sources/shards_machine.ts";
import { PositionPlace, positionSource, QueuePlace, queueSource } from "../../../conformance/sources/fake_places.ts";
import { eventually } from "../../../support/processes/running_node.ts";

const PARTITIONS = 3;
type Place = PositionPlace | QueuePlace;

/** Shards of one kind, the log that they are stored in, and the events that were put into them. */
class Cluster {
  readonly log = new SourceNode(PARTITIONS);
  readonly places = new Map<string, Place>();
  readonly systems: ActorSystem[] = [];
  readonly #kind: "position" | "queue";
  #put = 0;

  constructor(kind: "position" | "queue") {
    this.#kind = kind;
  }

  addShard(shard: string): void {
    this.places.set(shard, this.#kind === "position" ? new PositionPlace() : new QueuePlace());
  }

  put(count: number): void {
    for (const place of this.places.values()) {
      place.put(Array.from({ length: count }, (): SourceItem => ({ kind: "event", event: { n: this.#put++ } })));
    }
  }

  async node(): Promise<Node> {
    const minutes: (() => void)[] = [];
    const world = realWorld();
    const setTimer: typeof world.setTimer = (delayMs, callback) => {
      if (delayMs < SHARD_LIMITS.listEveryMs) return world.setTimer(delayMs, callback);
      minutes.push(callback);
      return { cancel: () => {} };
    };
    const system = await createActorSystem({ world: { ...world, setTimer } });
    this.systems.push(system);
    return new Node(this, this.#kind, system, minutes);
  }

  async untilStored(): Promise<void> {
    await eventually(async () => (new Set(await this.numbers()).size === this.#put ? true : undefined));
  }

  async numbers(): Promise<readonly number[]> {
    return (await this.log.stored()).map(({ event }) => Number(event.n));
  }

  async end(): Promise<void> {
    await Promise.all(this.systems.map((system) => system.shutdown()));
  }

  /** Everything is stored once. */
  async judge(): Promise<void> {
    await this.untilStored();
    await this.end();
    const numbers = [...(await this.numbers())].sort((left, right) => left - right);
    assert.equal(
      numbers,
      Array.from({ length: this.#put }, (_, n) => n),
    );
  }
}

class Node {
  readonly reading = new Set<string>();
  readonly #listeners: (() => void)[] = [];
  readonly #minutes: (() => void)[];
  #owned: ReadonlySet<number> = new Set();

  constructor(cluster: Cluster, kind: "position" | "queue", system: ActorSystem, minutes: (() => void)[]) {
    this.#minutes = minutes;
    const definition = kind === "position" ? positionSource : queueSource;
    system.spawn(
      shardsActor({
        name: "source",
        partitions: PARTITIONS,
        nameCharactersMax: 128,
        list: async () => [...cluster.places.keys()],
        owned: () => this.#owned,
        onOwned: (listener) => {
          this.#listeners.push(listener);
          return [];
        },
        reader: (shard, actorName) => {
          this.reading.add(shard);
          return sourceActor({
            ...{ name: `s/${shard}`, shard, actorName, stream: STREAM, describe: cluster.log.describe },
            ...{ definition: definition as never, options: cluster.places.get(shard) as never },
            ...{ connect: cluster.log.connectBy(), log: cluster.log.log },
            report: () => {},
            trouble: () => {},
            onRejected: () => {},
          }) as ActorDefinition<never>;
        },
        onEnded: (shard) => void this.reading.delete(shard),
        trouble: () => {},
      }),
    );
  }

  owns(...partitions: readonly number[]): void {
    this.#owned = new Set(partitions);
    for (const listener of this.#listeners) listener();
  }

  minute(): void {
    for (const callback of this.#minutes.splice(0)) callback();
  }
}

const SHARDS = Array.from({ length: 12 }, (_, at) => `shard ${at}`);

let cluster: Cluster;
test.after.each(() => cluster.end());

for (const kind of ["position", "queue"] as const) {
  // shards G1 and G2, source I1
  test(`${kind}: shards that move between nodes, while both take themselves for the owner, are stored once`, async () => {
    cluster = new Cluster(kind);
    for (const shard of SHARDS) cluster.addShard(shard);
    const [one, two] = [await cluster.node(), await cluster.node()];
    cluster.put(10);
    one.owns(0, 1, 2);
    await cluster.untilStored();
    cluster.put(10);
    two.owns(1, 2); // and the other has not heard of it
    cluster.put(10);
    await cluster.untilStored();
    one.owns(0);
    const left = SHARDS.filter((shard) => partitionOfKey(shard, PARTITIONS) === 0).sort();
    await eventually(() => ([...one.reading].sort().join() === left.join() ? true : undefined));
    cluster.put(10);
    await cluster.judge();
  });

  test(`${kind}: a node that was fenced by another reads on once the other has let go`, async () => {
    cluster = new Cluster(kind);
    for (const shard of SHARDS) cluster.addShard(shard);
    const [one, two] = [await cluster.node(), await cluster.node()];
    one.owns(0, 1, 2);
    cluster.put(5);
    await cluster.untilStored();
    const opensBefore = cluster.log.opens;
    two.owns(0, 1, 2);
    if (kind === "queue") {
      // Their chains are open in every partition: the next append of the other node is that of a fenced producer.
      await eventually(() => (cluster.log.opens >= opensBefore + SHARDS.length * PARTITIONS ? true : undefined));
    }
    cluster.put(5);
    await cluster.untilStored();
    two.owns();
    await eventually(() => (two.reading.size === 0 ? true : undefined));
    cluster.put(5);
    await cluster.judge();
  });

  test(`${kind}: a new shard is read within a minute, and one that vanished and came back goes on from its place`, async () => {
    cluster = new Cluster(kind);
    cluster.addShard("old");
    const node = await cluster.node();
    node.owns(0, 1, 2);
    cluster.put(7);
    await cluster.untilStored();
    const old = cluster.places.get("old");
    cluster.places.delete("old");
    cluster.addShard("new");
    node.minute();
    cluster.put(7);
    await cluster.untilStored();
    await eventually(() => (node.reading.has("old") ? undefined : true));
    assert.equal([old?.readers, cluster.places.get("new")?.readers], [0, 1]);
    cluster.places.set("old", old as Place);
    node.minute();
    cluster.put(7);
    await cluster.judge();
  });
}

test.run();
