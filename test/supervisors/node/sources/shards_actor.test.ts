import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorDefinition } from "../../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import { SOURCES } from "../../../../actors/sources/registry.ts";
import type { SourceDefinition } from "../../../../actors/sources/source.ts";
import { ConfigurationError, FencedError } from "../../../../protocols/errors.ts";
import { KNOWN_KINDS } from "../../../../supervisors/configuration/known_kinds.ts";
import { shardsActor } from "../../../../supervisors/node/sources/shards_actor.ts";
import { eventually, runningNode } from "../../../support/processes/running_node.ts";

/** A source with many shards of one event each, which notes what its readers do. */
class ShardedPlace {
  shards: readonly string[] = [];
  failures = 0;
  readonly reading = new Set<string>();
  readonly resumed = new Map<string, unknown>();

  register(): void {
    (SOURCES as Map<string, unknown>).set(this.definition.type, this.definition);
    (KNOWN_KINDS.sources as Map<string, unknown>).set(this.definition.type, this.definition.optionsSchema);
  }

  readonly definition: SourceDefinition<object> = {
    type: "sharded",
    optionsSchema: { type: "object", additionalProperties: false },
    shards: async () => {
      if (this.failures-- > 0) throw new Error("the broker is away");
      return this.shards;
    },
    open: async (_options, { shard = "none" }, resume) => {
      assert.not.ok(this.reading.has(shard), `${shard} is read twice`);
      this.reading.add(shard);
      this.resumed.set(shard, resume);
      return {
        async *read(signal) {
          if (resume === undefined) {
            const event = { shard };
            yield { items: [{ item: { kind: "event", event }, term: 1, position: 0 }], resume: { done: shard } };
          }
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
        close: async () => void this.reading.delete(shard),
      };
    },
  };
}

const CONFIGURATION = `
log: { type: memory }
streams: { lines: { partitions: 2, durability: memory } }
sources: { many: { type: sharded, stream: lines } }
`;

const shardsStored = async (address: string): Promise<readonly string[]> => {
  const pages = [0, 1].map(async (partition) => {
    const answer = await fetch(`${address}/v1/streams/lines/partitions/${partition}/records?limit=1000`);
    const { records } = (await answer.json()) as { records: { event: { shard: string } }[] };
    return records.map(({ event }) => event.shard);
  });
  return (await Promise.all(pages)).flat().sort();
};

test("each of many shards is read by its own reader, and all end at once with the node", async () => {
  const place = new ShardedPlace();
  // More than one group of actors, and names that would be one name as parts of a path.
  place.shards = ["a/b", "a-b", "a%2Fb", ...Array.from({ length: 120 }, (_, at) => `shard ${at}`)].sort();
  place.register();
  const node = await runningNode(CONFIGURATION);
  try {
    const stored = await eventually(async () => {
      const found = await shardsStored(node.address);
      return found.length < place.shards.length ? undefined : found;
    });
    assert.equal(stored, place.shards);
    assert.is(place.reading.size, place.shards.length);
  } finally {
    const startedMs = performance.now();
    await node.end();
    assert.ok(performance.now() - startedMs < 8_000);
  }
  assert.is(place.reading.size, 0);
});

test("shards that cannot be listed are told by /readyz, and read once they can", async () => {
  const place = new ShardedPlace();
  place.shards = ["one"];
  place.failures = 1;
  place.register();
  const node = await runningNode(CONFIGURATION);
  try {
    const ready = async () => JSON.stringify(await (await fetch(`${node.address}/readyz`)).json());
    await eventually(async () => ((await ready()).includes('"code":"SHARDS_UNKNOWN"') ? true : undefined));
    await eventually(async () => ((await shardsStored(node.address)).length === 1 ? true : undefined));
    assert.not.match(await ready(), /SHARDS_UNKNOWN/);
    assert.ok(node.logged.some((line) => line.includes("the broker is away")));
  } finally {
    await node.end();
  }
});

test("a reader that was fenced, or whose configuration was refused, starts again for as long as it is placed here", async () => {
  const system = await createActorSystem();
  const ends = [
    new FencedError("PRODUCER_FENCED", "another node has started later"),
    new ConfigurationError("INVALID_CONFIGURATION", "the broker knows no such user, for now"),
  ];
  let starts = 0;
  const reader = (_shard: string, name: string): ActorDefinition<never> => ({
    name,
    start(context) {
      const error = ends[starts];
      starts += 1;
      if (error !== undefined) context.self.tell("end" as never);
      return {
        receive: () => {
          throw error;
        },
      };
    },
  });
  const quiet = { onOwned: () => [], onEnded: () => {}, trouble: () => {} };
  const about = { name: "source", partitions: 1, nameCharactersMax: 128, owned: () => new Set([0]) };
  system.spawn(shardsActor({ ...about, ...quiet, list: async () => ["one"], reader }));
  await eventually(() => (starts === ends.length + 1 ? true : undefined));
  await system.shutdown();
});

test.run();
