/** The histories of docs/exactly_once.md that one node can meet, each played against the product. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { fakePipeline } from "../support/fakes/fake_pipeline.ts";
import { Endpoint } from "./parts/simulated_endpoint.ts";
import type { WrapLog } from "./parts/simulated_log.ts";
import { replacing } from "./planted_bugs.ts";
import { play, type Scene, type Setting } from "./scene.ts";

const send = (sender: { send(isPlain: boolean, partition: number): void }, count: number) => {
  for (let at = 0; at < count; at += 1) sender.send(true, 0);
};
const names = (name: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `${name}-${from + at}:plain`);
const allTold = (scene: Scene) => () => scene.sent.every(({ id }) => scene.told.has(id));
const toldAs = (scene: Scene, what: string) => [...scene.told].filter(([, told]) => told === what).length;

test("E1: a producer restarts without its state, and none of its new events counts as a repetition", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    send(sender, 50);
    await scene.until(allTold(scene), "the first life is told");
    sender.crash();
    send(sender, 10);
    await scene.until(allTold(scene), "the second life is told");
    assert.equal(await scene.stored(), names("sensor", 1, 60));
    assert.is(toldAs(scene, "acked"), 60);
  }));

test("E1: a second instance fences the first, whose events are handed back in doubt", () =>
  play(async (scene) => {
    const first = scene.producer({ producerId: "sensor", instance: "one" });
    await scene.until(() => first.producerEpoch !== undefined, "the first is welcomed");
    const second = scene.producer({ producerId: "sensor", instance: "two" });
    const outcomes: string[] = [];
    const confirm = (producer: typeof first, id: string) =>
      producer.sendAndConfirm({ id, n: 1 }, { partition: 0 }).then(
        ({ kind }) => outcomes.push(`${id} ${kind}`),
        (error) => outcomes.push(`${id} ${error.code}`),
      );
    void confirm(second, "b");
    await scene.until(() => outcomes.length === 1, "the second is told");
    void confirm(first, "a");
    await scene.until(() => outcomes.length === 2, "the first is told");
    assert.equal(outcomes, ["b stored", "a STALE_PRODUCER_EPOCH"]);
    assert.equal(await scene.stored(), ["b"]);
  }));

test("E2: a batch whose ack was lost with the connection is sent again and is in the log once", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    scene.atNext("after append", (node) => {
      for (const link of scene.network.linksTo(node)) if (link.client === "sensor") link.cut(0);
    });
    send(sender, 5);
    await scene.until(allTold(scene), "the sender is told");
    assert.equal(await scene.stored(), names("sensor", 1, 5));
    assert.ok((scene.world.counts.get("outcome: duplicate") ?? 0) > 0, "it was a duplicate");
  }));

test("E3: the same positions under a higher term are no duplicates, nor is a second output of one input", () =>
  play(async (scene) => {
    const producer = scene.producer({ producerId: "derived" });
    const outcomes: string[] = [];
    const confirm = (id: string, sequence: Sequence) =>
      producer
        .sendAndConfirm({ id, n: 1 }, { partition: 0, sequence })
        .then(({ kind }) => outcomes.push(`${id} ${kind}`));
    const turns: [string, Sequence][] = [
      ["5/100", [5, 100, 0]],
      ["5/100 again", [5, 100, 1]],
      ["6/100", [6, 100, 0]],
    ];
    for (const [at, [id, sequence]] of turns.entries()) {
      void confirm(id, sequence);
      await scene.until(() => outcomes.length === at + 1, `${id} is told`);
    }
    assert.equal(
      await scene.stored(),
      turns.map(([id]) => id),
    );
  }));

test("E4: a batch is stored without its bad event, the node dies, and the resend is answered with the stored verdict", () =>
  play(async (scene) => {
    const producer = scene.producer({ producerId: "sensor" });
    const outcomes: string[] = [];
    scene.atNext("after append", (node) => node.die("the script said so"));
    for (const [id, n] of [
      ["14", 1],
      ["15", "bad"],
      ["16", 1],
    ]) {
      void producer.sendAndConfirm({ id, n }, { partition: 0 }).then(({ kind }) => outcomes.push(`${id} ${kind}`));
    }
    await scene.until(() => !scene.node.isAlive, "the node dies");
    scene.startNode();
    await scene.until(() => outcomes.length === 3, "all is told");
    assert.equal(outcomes.sort(), ["14 stored", "15 rejected", "16 stored"]);
    assert.equal(await scene.stored(), ["14", "16"]);
    assert.equal(
      scene.store.lettersOf("rejected").map(({ id, code }) => [id, code]),
      [["15", "SCHEMA_VIOLATION"]],
    );
  }));

test("E4: a partition restarted between the append and its ack loses no verdict to the next ack", () =>
  play(async (scene) => {
    const producer = scene.producer({ producerId: "sensor" });
    const outcomes: string[] = [];
    const confirm = (id: string, n: unknown) =>
      producer.sendAndConfirm({ id, n }, { partition: 0 }).then(({ kind }) => outcomes.push(`${id} ${kind}`));
    void confirm("1", 1);
    await scene.until(() => outcomes.length === 1, "the first is told");
    scene.atNext("after append", (node) => {
      for (const actor of node.kernel.actors) if (actor.path.endsWith("/0/0/0")) void actor.crash(true);
    });
    void confirm("2", "bad");
    await scene.pass(100);
    void confirm("3", 1);
    await scene.until(() => outcomes.length === 3, "all are told");
    assert.equal(outcomes.sort(), ["1 stored", "2 rejected", "3 stored"]);
  }));

test("a subscriber whose read failed reads again, even without a new record", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    send(sender, 3);
    await scene.until(allTold(scene), "the sender is told");
    scene.store.store.setAway(true);
    scene.node.die("the script said so");
    scene.startNode();
    scene.store.store.setAway(false);
    await scene.pass(100);
    scene.atNext("before read", () => scene.store.store.setAway(true));
    const seen = scene.reader();
    await scene.pass(100);
    scene.store.store.setAway(false);
    await scene.until(() => seen[0]?.length === 3, "the subscriber has read all");
  }));

test("E5: a batch that was sent once is not sent again after the window: it is handed back in doubt", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    scene.atNext("before append", (node) => node.die("the script said so"));
    send(sender, 1);
    await scene.until(() => !scene.node.isAlive, "the node dies");
    await scene.pass(25 * 3_600_000);
    scene.startNode();
    await scene.until(allTold(scene), "the sender is told");
    assert.is(toldAs(scene, "in_doubt"), 1);
  }));

test("E6: an event that was acked and lost with the tail is declared lost, recorded and told, and blocks no other", () =>
  play(
    async (scene) => {
      const sender = scene.sender("sensor");
      send(sender, 4);
      await scene.until(allTold(scene), "the sender is told");
      await scene.untilDelivered();
      await scene.store.restart("unflushed");
      send(sender, 1);
      await scene.until(allTold(scene), "the next event is told");
      assert.is(sender.lostTold.length, 1);
      const stored = await scene.stored();
      assert.is(stored.at(-1), "sensor-5:plain");
      assert.ok(scene.store.lettersOf("rejected").some(({ code }) => code === "LOST"));
      assert.is(stored.length + scene.store.lostIds.size, 5);
    },
    { tier: "everysec" },
  ));

test("E7: after a lost tail no epoch is made again, though the clock went back an hour", () =>
  play(
    async (scene) => {
      const sender = scene.sender("sensor");
      for (let round = 1; round <= 3; round += 1) {
        send(sender, 2);
        await scene.until(allTold(scene), "the sender is told");
        scene.world.skewMs -= 3_600_000;
        await scene.store.restart("unflushed");
      }
      send(sender, 1);
      await scene.until(allTold(scene), "the last is told");
      const claimed = [...scene.store.claimedEpochs[0]!];
      assert.is(claimed.length, 4);
      assert.equal(
        claimed,
        [...claimed].sort((left, right) => left - right),
      );
    },
    { tier: "everysec" },
  ));

test("E8: an append of an owner that died does not reach the store's next life", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    let restart: Promise<void> | undefined;
    scene.atNext("before append", () => {
      restart = scene.store.restart("nothing");
    });
    send(sender, 3);
    await scene.until(() => restart !== undefined, "the append is on its way");
    await restart;
    await scene.until(allTold(scene), "the sender is told");
    assert.equal(await scene.stored(), names("sensor", 1, 3));
    assert.ok(scene.store.claimedEpochs[0]!.size >= 2, "the owner claimed again");
  }));

test("E9: after a lost tail the sink that can go back does so, the other reports its orphans, and both go on", () =>
  play(
    async (scene) => {
      const sender = scene.sender("sensor");
      send(sender, 3);
      await scene.until(allTold(scene), "the sender is told");
      await scene.pass(1_100); // no flush comes by itself
      scene.store.store.flushNow();
      const kept = (await scene.stored()).length;
      send(sender, 3);
      await scene.until(allTold(scene), "the tail is told");
      await scene.untilDelivered();
      await scene.store.restart("unflushed");
      send(sender, 2);
      await scene.until(allTold(scene), "what follows is told");
      await scene.untilDelivered();
      const stored = await scene.stored();
      assert.is(stored.length, kept + 2);
      assert.equal(scene.delivered(0), stored);
      assert.equal(scene.delivered(1), [...names("sensor", 1, 6), ...names("sensor", 7, 8)]);
    },
    { tier: "everysec" },
  ));

test("E10: no event is acked or delivered before its flush, and a loss of power takes none that was flushed", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    send(sender, 2);
    await scene.until(allTold(scene), "the first are told");
    scene.store.store.setFlushHeld(true);
    send(sender, 2);
    await scene.pass(500);
    assert.is(scene.told.size, 2);
    assert.ok(scene.delivered(0).length <= 2);
    await scene.store.restart("unflushed");
    await scene.until(allTold(scene), "all are told");
    assert.equal(await scene.stored(), names("sensor", 1, 4));
  }));

/** Checks that the scene fails with the planted bug: a scene that passes with it proves nothing. */
async function isNoticed(script: (scene: Scene) => Promise<void>, setting: Setting): Promise<void> {
  const played = await play(script, setting).then(
    () => "nothing was noticed",
    () => "noticed",
  );
  assert.is(played, "noticed");
}

/** A pipeline that labels each event with the model's name, which may change, and with a count that must survive a restart. */
function labelling(label: string): Pipeline {
  return fakePipeline("label", () => {
    let count = 0;
    return {
      run: (event) => {
        count += 1;
        return [{ ...event, label, count }];
      },
      snapshot: () => count,
      restore: (snapshot) => {
        count = Number(snapshot);
      },
    };
  });
}

const labelled = (scene: Scene, sink: number) =>
  scene.sinks[sink]!.stored(0).records.map(({ event }) => `${event.id} ${event.label} ${event.count}`);
const labels = (from: number, to: number, label: string) =>
  names("sensor", from, to).map((name, at) => `${name} ${label} ${from + at}`);

test("E13: the label of one model stays the same in every sink, though the node dies and its successor has another model", () =>
  play(
    async (scene) => {
      const [orders, archive] = scene.sinks;
      const sender = scene.sender("sensor");
      archive!.isAway = true;
      scene.atNext("after append outputs", (node) => node.die("the script said so"));
      send(sender, 3);
      await scene.until(() => !scene.node.isAlive, "the node dies with its outputs stored and delivered nowhere");
      assert.is(orders!.stored(0).records.length, 0);
      scene.pipeline = labelling("Y");
      scene.startNode();
      await scene.until(allTold(scene), "the sender is told");
      await scene.until(() => labelled(scene, 0).length === 3, "the first sink holds all");
      archive!.isAway = false;
      await scene.until(() => labelled(scene, 1).length === 3, "the second sink holds all");
      const first = labelled(scene, 0);
      assert.is(first[0], labels(1, 1, "X")[0]);
      assert.equal(labelled(scene, 1), first);
      assert.equal(
        first.map((one) => one.replace("Y", "X")),
        labels(1, 3, "X"),
      );
    },
    { pipeline: labelling("X") },
  ));

async function twoSinksFarApart(scene: Scene): Promise<void> {
  const sender = scene.sender("sensor");
  scene.sinks[1]!.isAway = true;
  for (let round = 1; round <= 4; round += 1) {
    send(sender, 5);
    await scene.until(allTold(scene), "the sender is told");
    await scene.until(() => labelled(scene, 0).length >= round * 5, "the first sink holds all");
    scene.node.die("the script said so");
    scene.startNode();
  }
  assert.is(labelled(scene, 1).length, 0);
  scene.sinks[1]!.isAway = false;
  await scene.until(() => labelled(scene, 1).length >= 20, "the second sink holds all");
  for (const sink of [0, 1]) assert.equal(labelled(scene, sink), labels(1, 20, "X"));
}

test("E13: two sinks of one stateful pipeline, one far behind, hold the same outputs, each input counted once", () =>
  play(twoSinksFarApart, { pipeline: labelling("X") }));

test("E13: outputs that are written without the input which they cover are noticed", async () => {
  const wrapLog: WrapLog = replacing((log) => ({
    append: (ownership, { checkpoints = new Map(), ...request }) =>
      log.append(ownership, {
        ...request,
        checkpoints: new Map([...checkpoints].filter(([name]) => !name.endsWith("/progress"))),
      }),
  }));
  await isNoticed(twoSinksFarApart, { pipeline: labelling("X"), wrapLog });
});

async function sentAgainInAnotherBatch(scene: Scene): Promise<void> {
  const sender = scene.sender("sensor");
  const { requests } = scene.endpoint;
  scene.atNext("after sink write", (node) => node.die("the script said so"));
  send(sender, 1);
  await scene.until(() => !scene.node.isAlive, "the node dies between the write and its checkpoint");
  send(sender, 4);
  scene.startNode();
  await scene.until(allTold(scene), "the sender is told");
  const received = () => new Set([...requests.values()].flat()).size;
  await scene.until(() => received() === 5, "the endpoint has all");
  await scene.pass(1_000);
  const [key, first] = [...requests][0]!;
  assert.equal(first, ["sensor-1:plain", "sensor-1:plain"], `the first came twice as ${key}`);
  assert.equal(
    [...requests.values()].map(([id]) => id),
    names("sensor", 1, 5),
  );
}

test("E15: a record that is sent again in another batch, after a crash before its checkpoint, has the same key", () =>
  play(sentAgainInAnotherBatch, { endpoint: new Endpoint() }));

test("E15: a key that is taken from the batch is noticed", () =>
  isNoticed(sentAgainInAnotherBatch, { endpoint: new Endpoint({ takesKeyFromBatch: true }) }));

test("E14: an owner that froze with a write under way is refused by the sink when it thaws", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    const old = scene.node;
    scene.atNext("before sink write", (node) => {
      node.kernel.frozenUntilMs = scene.world.trueMs + 10_000;
    });
    send(sender, 4);
    await scene.until(() => old.kernel.frozenUntilMs > 0, "the owner freezes");
    const next = scene.startNode();
    for (const link of scene.network.linksTo(old)) link.cut();
    await scene.pass(12_000);
    await scene.until(allTold(scene), "the sender is told");
    await scene.untilDelivered();
    assert.ok(next.isAlive);
    for (const sink of [0, 1]) assert.equal(scene.delivered(sink), names("sensor", 1, 4));
  }));

test("E16: a crash between a dead letter and the write after it neither loses nor repeats the record", () =>
  play(async (scene) => {
    const producer = scene.producer({ producerId: "sensor" });
    let told = 0;
    for (const kind of ["plain", "poison", "plain", "failing", "plain"]) {
      void producer.sendAndConfirm({ id: `${kind} ${told}`, kind, n: 1 }, { partition: 0 }).then(() => {
        told += 1;
      });
    }
    scene.atNext("after append dead letters", (node) => node.die("the script said so"));
    await scene.until(() => !scene.node.isAlive, "the node dies");
    scene.startNode();
    await scene.until(() => told === 5, "all are told");
    await scene.untilDelivered();
    await scene.stored();
    for (const [at, sink] of ["orders", "archive"].entries()) {
      const letters = scene.store.lettersOf(`dead_letters/${sink}`).map(({ id }) => String(id).split(" ")[0]);
      assert.equal(letters.sort(), ["failing", "poison"]);
      assert.is(scene.delivered(at).length, 3);
    }
  }));

test("E24: clocks that jump an hour either way change only latency", () =>
  play(async (scene) => {
    const sender = scene.sender("sensor");
    const seen = scene.reader();
    for (const skewMs of [3_600_000, -3_600_000, 0, 7_200_000]) {
      scene.world.skewMs = skewMs;
      send(sender, 3);
      await scene.until(allTold(scene), "the sender is told");
      await scene.untilDelivered();
    }
    assert.is(toldAs(scene, "acked"), 12);
    assert.equal(scene.delivered(0), names("sensor", 1, 12));
    await scene.until(() => seen[0]?.length === 12, "the subscriber has read all");
  }));

test.run();
