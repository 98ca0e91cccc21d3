import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { Log } from "../../../actors/log/log.ts";
import { type ReplayParts, Replays } from "../../../supervisors/replay/replays.ts";
import { eventually } from "../../support/processes/running_node.ts";

/** A replay as version 1 stores it. */
const SAMPLE = `{"version":1,"name":"monday","stream":"orders","channel":"records","from":{"offset":10},"sink":"out","sinks":["out"],
"ranges":[{"partition":0,"after":{"epoch":3,"offset":9},"last":{"epoch":4,"offset":29}},{"partition":1,"after":null,"last":null}],
"state":"done","createdAtMs":1764000000000,"counts":{"deliveredRecords":19,"deadLetters":1,"skippedLetters":0}}`;

async function started(stored: string): Promise<Replays> {
  const log = createMemoryLog({ clock: () => 0 });
  await log.writeMetadata("replay/monday", new TextEncoder().encode(stored), 0);
  // A replay that is done starts nothing, and needs nothing else.
  return await Replays.start({ log, configuration: {} } as unknown as ReplayParts);
}

test("a replay stored in format 1 is read, and one that is done starts nothing", async () => {
  const replays = await started(SAMPLE);
  const { state, records, doneRecords, deliveredRecords, deadLetters } = (await replays.get("monday")) ?? {};
  assert.equal([state, records, doneRecords, deliveredRecords, deadLetters], ["done", 20, 20, 19, 1]);
  for (const none of [await replays.get("tuesday"), await replays.cancel("tuesday")]) assert.is(none, undefined);
  assert.is((await replays.list()).length, 1);
});

test("a replay of a newer format is refused", async () => {
  const error = await started(SAMPLE.replace('"version":1', '"version":2')).then(
    () => assert.unreachable(),
    (thrown: Error & { code?: string }) => thrown,
  );
  assert.is(error?.code, "FORMAT_TOO_NEW");
});

test("a replay that a newer release begins while a node runs does not disturb the node's other replays", async () => {
  const log = createMemoryLog({ clock: () => 0 });
  const logged: string[] = [];
  const parts = {
    ...{ log, configuration: { cluster: {} }, system: { spawn: () => undefined } },
    nodeLog: (level: string, message: string) => logged.push(`${level} ${message}`),
  };
  const replays = await Replays.start(parts as unknown as ReplayParts);
  const newer = SAMPLE.replace('"version":1', '"version":2').replace("monday", "tuesday");
  await log.writeMetadata("replay/tuesday", new TextEncoder().encode(newer), 0);
  await log.writeMetadata("replay/monday", new TextEncoder().encode(SAMPLE), 0);
  assert.is((await replays.get("monday"))?.state, "done");
  assert.match(logged.join("\n"), /^warn Cannot read the replay tuesday .*value is 2$/);
});

test("R4: of two nodes that end a replay at once one stores the end, and the other reads it though no node announced it", async () => {
  const memory = createMemoryLog({ clock: () => 0 });
  const empty = SAMPLE.replace('"last":{"epoch":4,"offset":29}', '"last":null').replace(
    '"state":"done"',
    '"state":"running"',
  );
  await memory.writeMetadata("replay/monday", new TextEncoder().encode(empty), 0);
  // The node that stores the end dies before it announces it.
  const writeMetadata: Log["writeMetadata"] = (key, value, version) =>
    key === "replay_changes" ? Promise.resolve(undefined) : memory.writeMetadata(key, value, version);
  const log = new Proxy(memory, {
    get: (of, key) => (key === "writeMetadata" ? writeMetadata : (of[key as keyof Log] as () => unknown).bind(of)),
  });
  const system = await createActorSystem({ name: "nodes" });
  const configuration = {
    cluster: {},
    streams: { orders: { partitions: 2 } },
    sinks: { out: { type: "stdout", options: {} } },
    pipelines: {},
  };
  const directory = { partition: () => undefined };
  const spawned: ActorReference<never>[] = [];
  const rest = { log, configuration, directory, nodeLog: () => {}, pipelines: new Map(), nowMs: () => 0 };
  // Two nodes of one process: their actors have the same names, and neither looks around by itself.
  const systemOf = (node: string) => ({
    spawn: (definition: ActorDefinition<never>) => {
      if (definition.name === "replays") return;
      const actor = system.spawn({ ...definition, name: `${definition.name}-${node}` });
      spawned.push(actor);
      return actor;
    },
    stop: (actor: ActorReference<never>) => system.stop(actor),
  });
  const nodes = await Promise.all(
    ["a", "b"].map((node) => Replays.start({ ...rest, system: systemOf(node) } as unknown as ReplayParts)),
  );
  for (const node of nodes) {
    await eventually(async () => ((await node.get("monday"))?.state === "done" ? true : undefined));
  }
  assert.is(spawned.length, 2);
  await system.shutdown();
});

test.run();
