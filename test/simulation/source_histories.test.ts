/** Histories of sources that read by shard, each played against the product (decisions 0015 and 0016). */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ID_LIMITS } from "../../actors/sources/shard/remembered_ids.ts";
import { nodeId } from "../../protocols/position.ts";
import { playCluster } from "./cluster/cluster_scene.ts";
import { play, type Scene } from "./scene.ts";

const THREE = { nodes: ["a", "b", "c"], partitions: 3 } as const;

/** Puts plain messages into the place, each into the next shard. */
const put = (scene: Pick<Scene, "place">, count: number) => {
  for (let at = 0; at < count; at += 1) scene.place?.append((name) => ({ id: `${name}:plain`, n: 1, key: "k" }));
};

async function storedOnce(scene: Scene, kind: string, count: number): Promise<void> {
  await scene.until(() => scene.place?.unread() === undefined, "the place is read");
  await scene.untilDelivered();
  const expected = Array.from({ length: count }, (_, at) => `${kind}-${at}:plain`);
  assert.equal([...(await scene.stored())].sort(), expected.sort());
}

const dieAtNext = (scene: Scene, point: string) => scene.atNext(point, (node) => node.die("the script said so"));

for (const kind of ["topic", "queue"] as const) {
  for (const point of ["before append", "after append", "before source acknowledge", "after source acknowledge"]) {
    test(`a node that dies ${point} neither loses nor repeats a message of a ${kind}`, () =>
      play(
        async (scene) => {
          dieAtNext(scene, point);
          put(scene, 6);
          await scene.until(() => !scene.node.isAlive, "the node dies");
          scene.startNode();
          put(scene, 3);
          await storedOnce(scene, kind, 9);
        },
        { place: kind },
      ));
  }
}

test("a node that dies between storing ids and sending their messages leaves no message out", () =>
  play(
    async (scene) => {
      await scene.pass(1_000);
      dieAtNext(scene, "after write metadata");
      put(scene, 3);
      await scene.until(() => !scene.node.isAlive, "the node dies");
      scene.startNode();
      await storedOnce(scene, "queue", 3);
    },
    { place: "queue" },
  ));

test("ids that are stored after all earlier ones were forgotten are not taken for settled", () =>
  play(
    async (scene) => {
      put(scene, 3);
      await storedOnce(scene, "queue", 3);
      scene.node.die("the script said so");
      await scene.pass(ID_LIMITS.windowMs);
      scene.startNode();
      await scene.pass(1_000);
      dieAtNext(scene, "after write metadata");
      put(scene, 3);
      await scene.until(() => !scene.node.isAlive, "the node dies before it sends");
      scene.startNode();
      await storedOnce(scene, "queue", 6);
    },
    { place: "queue" },
  ));

test("a message that was stored and not acknowledged is known again, though the clock went back and ahead an hour", () =>
  play(
    async (scene) => {
      scene.world.skewMs = -3_600_000;
      dieAtNext(scene, "before source acknowledge");
      put(scene, 3);
      await scene.until(() => !scene.node.isAlive, "the node dies");
      scene.world.skewMs = 3_600_000;
      scene.startNode();
      await storedOnce(scene, "queue", 3);
    },
    { place: "queue" },
  ));

test("a life that froze after it had opened its chains does not forget the ids of the life that overtook it", () =>
  play(
    async (scene) => {
      const old = scene.node;
      scene.atNext("after open chain", (node) => {
        node.kernel.frozenUntilMs = scene.world.trueMs + 4_000;
      });
      await scene.until(() => old.kernel.frozenUntilMs > 0, "the first life freezes");
      const next = scene.startNode();
      await scene.pass(1_000);
      put(scene, 9);
      dieAtNext(scene, "before source acknowledge");
      await scene.until(() => !next.isAlive, "the second life dies with its messages stored and not acknowledged");
      await scene.pass(5_000); // the first life thaws and reads the ids
      old.die("the script said so");
      scene.startNode();
      await storedOnce(scene, "queue", 9);
    },
    { place: "queue" },
  ));

test("a crash of the actors that hold a source's readers stops no shard for good", () =>
  play(
    async (scene) => {
      put(scene, 3);
      await storedOnce(scene, "queue", 3);
      for (const actor of scene.node.kernel.actors) if (actor.path.endsWith("/group-0")) void actor.crash(true);
      await scene.pass(1_000);
      put(scene, 3);
      await storedOnce(scene, "queue", 6);
    },
    { place: "queue" },
  ));

for (const kind of ["topic", "queue"] as const) {
  test(`the shards of a ${kind} move with their partitions, while the earlier owner is frozen with messages in hand`, () =>
    playCluster({ ...THREE, place: kind }, async (scene) => {
      await scene.formed();
      put(scene, 30);
      const owner = scene.follower();
      await scene.pass(10);
      scene.freeze(owner.name, 6_000);
      put(scene, 30);
      await scene.until(() => scene.isPlaced() && scene.ownerOf(0) !== owner, "its partitions are given away");
      await scene.pass(7_000);
      await scene.formed();
      put(scene, 30);
      await scene.settled();
      assert.is(scene.store.ledger.flat().length, 90);
    }));
}

test("a drained node gives its shards away, and each is read by one node", () =>
  playCluster({ ...THREE, place: "queue" }, async (scene) => {
    await scene.formed();
    put(scene, 30);
    const owner = scene.follower();
    await owner.ask({ kind: "drain", node: nodeId(owner.name) });
    put(scene, 30);
    await scene.until(() => owner.owned().length === 0 && scene.isPlaced(), "the node owns nothing");
    await scene.settled();
    const { place } = scene;
    for (const shard of place?.shards ?? []) assert.not.ok(place?.readersOf(shard).includes(owner.node));
  }));

test.run();
