/** Plays the histories that would break exactly-once in a cluster against the product. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import type { Leader, Member } from "../../../supervisors/cluster/cluster.ts";
import type { CoordinatorMessage } from "../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { STREAM } from "../parts/simulated_store.ts";
import { SIMULATED_TIMES, startAround } from "./cluster_process.ts";
import { playCluster } from "./cluster_scene.ts";
import { type ClusterPlant, NARROW_LINKS } from "./cluster_simulation.ts";

const THREE = { nodes: ["a", "b", "c"], partitions: 3 } as const;

const send = (sender: { send(isPlain: boolean, partition: number): void }, partition: number, count: number) => {
  for (let at = 0; at < count; at += 1) sender.send(true, partition);
};

test("E7: the coordinator grants a partition while its owner, whose links blipped, claims it by itself: no epoch is made twice", () =>
  playCluster(THREE, async (scene) => {
    await scene.formed();
    const owner = scene.follower();
    const partition = owner.owned()[0]!;
    const sender = scene.sender("sensor", owner.name, true);
    send(sender, partition, 10);
    await scene.until(() => sender.open === 0, "the first events are acknowledged");
    scene.cutOff(owner.name, 3_000);
    // The owner claims again and again, as after an append whose answer was lost.
    const claimAgain = () => {
      for (const actor of owner.node.kernel.actors) {
        if (actor.path.endsWith(`/${partition}/${partition}`)) void actor.crash(true);
      }
    };
    for (let at = 0; at < 30; at += 1) scene.world.after(at * 100, claimAgain);
    send(sender, partition, 10);
    await scene.until(
      () => scene.ownerOf(partition) !== undefined && !owner.owned().includes(partition),
      "the partition has another owner",
    );
    assert.ok((scene.store.claimedEpochs[partition]?.size ?? 0) > 2, "both have claimed");
    await scene.settled();
  }));

test("E8: an owner that was frozen past its own replacement appends nothing after its successor has appended", () =>
  playCluster(THREE, async (scene) => {
    await scene.formed();
    const owner = scene.follower();
    const partition = owner.owned()[0]!;
    const staying = scene.sender("staying", owner.name, true);
    send(staying, partition, 10);
    await scene.pass(4);
    scene.freeze(owner.name, 6_000);
    send(staying, partition, 10);
    await scene.until(
      () => (scene.ownerOf(partition) ?? owner) !== owner || !owner.owned().includes(partition),
      "the partition is given away",
    );
    const moving = scene.sender("moving", scene.coordinator?.name ?? "", false);
    send(moving, partition, 10);
    await scene.pass(7_000);
    await scene.formed();
    await scene.settled();
    assert.ok(scene.count("placement: superseded") + scene.count("order: drop") > 0, "the frozen node has noticed");
  }));

test("E19: two owners that have used up each other's credit both go on", () =>
  playCluster({ nodes: ["a", "b"], partitions: 2, links: NARROW_LINKS }, async (scene) => {
    await scene.formed();
    const [first, second] = [scene.ownerOf(0)!, scene.ownerOf(1)!];
    assert.is.not(first.name, second.name);
    // Each sender sends to the partition that the other node owns.
    const senders = [scene.sender("x", second.name, true), scene.sender("y", first.name, true)];
    for (let at = 0; at < 100; at += 1)
      for (const [partition, sender] of senders.entries()) sender.send(true, partition);
    const tookMs = await scene.until(
      () => senders.every(({ open }) => open === 0),
      "both senders have all acknowledgements",
    );
    assert.ok(tookMs < 5_000, `it took ${tookMs} ms`);
    await scene.settled();
  }));

test("E20: a coordinator whose port refuses is replaced long before its lease expires", () =>
  playCluster(THREE, async (scene) => {
    await scene.formed();
    const { term } = scene;
    scene.coordinator?.node.die("the script said so");
    const tookMs = await scene.until(() => scene.term > term, "another coordinates");
    assert.ok(tookMs < SIMULATED_TIMES.leaseMs / 4, `it took ${tookMs} ms`);
    await scene.formed();
  }));

test("E20: a coordinator that loses most of its peers at once moves nothing and steps down", () =>
  playCluster({ nodes: ["a", "b", "c", "d", "e"], partitions: 5 }, async (scene) => {
    await scene.formed();
    const { coordinator, term } = scene;
    const taken = scene.count("order: take");
    scene.cutOff(coordinator?.name ?? "", 2_600);
    await scene.until(() => scene.count("a coordinator that may be cut off stepped down") > 0, "it steps down");
    await scene.until(() => scene.term > term && scene.coordinator !== coordinator, "another coordinates");
    const moved = scene.count("order: take") - taken;
    assert.ok(moved <= 1, `${moved} partitions were given away`);
    await scene.pass(5_000);
    await scene.formed();
  }));

test("E20: a node that dies again and again waits longer each time before it is given a partition", () =>
  playCluster(THREE, async (scene) => {
    await scene.formed();
    const { name } = scene.follower();
    const { term } = scene;
    const waited: number[] = [];
    for (let at = 0; at < 4; at += 1) {
      scene.process(name).node.die("the script said so");
      await scene.pass(100);
      scene.start(name);
      await scene.until(() => scene.process(name).peers !== undefined, "the node has joined");
      waited.push(await scene.until(() => scene.process(name).owned().length > 0, "it is given something"));
    }
    assert.ok(waited[3]! > waited[0]! + 500, `it waited ${waited.map(Math.round).join(", ")} ms`);
    assert.is(scene.term, term, "the coordinator lost one node, and no more");
  }));

/** A coordinator without E21: an expired registration counts as a death, even with a link and after an outage of the store. */
const WITHOUT_E21: ClusterPlant = {
  wrapActor: (definition) => {
    if (definition.name !== "coordinator") return definition;
    const start = startAround(definition, async (message, receive) => {
      const heard = message as unknown as CoordinatorMessage;
      if (heard.type === "view") {
        for (const { node, incarnation, expiresInMs } of heard.view.members as readonly Member[]) {
          const refused = { kind: "refused", node, incarnation } as const;
          if (expiresInMs < 0) await receive({ type: "link", event: refused } as unknown as typeof message);
        }
      }
      await receive(message);
    });
    return { ...definition, start };
  },
};

const outage = async (plant: ClusterPlant): Promise<number> => {
  let moved = 0;
  await playCluster({ ...THREE, plant }, async (scene) => {
    await scene.formed();
    const sender = scene.sender("sensor", "a", false);
    for (const { partition } of scene.store.partitions) send(sender, partition, 5);
    await scene.until(() => sender.open === 0, "the first events are acknowledged");
    const taken = scene.count("order: take");
    scene.setStoreAway(true);
    await scene.pass(SIMULATED_TIMES.registrationMs + 5_000);
    scene.setStoreAway(false);
    for (const { partition } of scene.store.partitions) send(sender, partition, 5);
    await scene.pass(SIMULATED_TIMES.registrationMs + 2_000);
    moved = scene.count("order: take") - taken;
    await scene.formed();
    await scene.settled();
  });
  return moved;
};

test("E21: all registrations expire while the store is away, and no partition moves when it is back", async () => {
  assert.is(await outage({}), 0);
});

test("E21: without the rule partitions move after an outage of the store", async () => {
  const moved = await outage(WITHOUT_E21).catch(() => Number.POSITIVE_INFINITY);
  assert.ok(moved > 0, "the scene notices");
});

/** Writes between the loss of the store and its acceptance. */
interface Written {
  readonly batches: number;
  readonly claims: number;
  readonly members: number;
  readonly terms: number;
}

/** The store loses everything, and the cluster works on for a while before the loss is accepted. */
const storeLost = async (isRefused: boolean): Promise<Written> => {
  let written: Written | undefined;
  await playCluster(THREE, async (scene) => {
    await scene.formed();
    const senders = [scene.sender("follows", "a", false), scene.sender("stays", "b", true)];
    const sendToAll = (count: number) => {
      for (const sender of senders) for (const { partition } of scene.store.partitions) send(sender, partition, count);
    };
    sendToAll(5);
    await scene.settled();
    const lives = scene.names.map((name) => scene.process(name).life?.incarnation ?? 0);
    const { term } = scene;
    await scene.loseStore();
    scene.store.isStrange = isRefused;
    const counts = (): Written => ({
      batches: scene.count("batches appended"),
      claims: scene.store.claimedEpochs.reduce((sum, { size }) => sum + size, 0),
      members: scene.leases.domain.state().registrations.size,
      terms: scene.count("a coordinator was elected"),
    });
    const before = counts();
    sendToAll(5);
    // A node that restarts meanwhile gets nothing from a store that it does not know.
    scene.process("c").node.die("the script said so");
    await scene.pass(100);
    scene.start("c");
    await scene.pass(2 * SIMULATED_TIMES.registrationMs);
    const after = counts();
    written = {
      batches: after.batches - before.batches,
      claims: after.claims - before.claims,
      members: after.members,
      terms: after.terms - before.terms,
    };
    scene.store.isStrange = false;
    await scene.formed();
    await scene.settled();
    // New terms and lives are above the lost ones.
    assert.ok(scene.term > term, "the new term is above the lost ones");
    for (const [at, name] of scene.names.entries())
      assert.ok((scene.process(name).life?.incarnation ?? 0) > lives[at]!, `${name} is registered anew`);
    assert.ok(scene.count("the subscriber was told truncated") > 0, "the subscriber is told of the loss");
    assert.ok(scene.count("a producer was told of a loss") > 0, "so are the producers");
    sendToAll(5);
    await scene.settled();
  });
  return written!;
};

test("E22: an empty store is written to only after its loss is accepted; then clients are told what was lost", async () => {
  assert.equal(await storeLost(true), { batches: 0, claims: 0, members: 0, terms: 0 });
});

test("E22: without the rule an empty store is filled before its loss is accepted", async () => {
  const { batches, claims, members, terms } = await storeLost(false);
  assert.ok(batches > 0 && claims > 0 && members > 0 && terms > 0, "the scene notices");
});

test("E24: a clock that is set back an hour delays neither a takeover nor a join", () =>
  playCluster(THREE, async (scene) => {
    scene.world.skewMs = 3_600_000;
    await scene.formed();
    scene.world.skewMs = 0;
    const { name } = scene.follower();
    scene.process(name).node.die("the script said so");
    const goneMs = await scene.until(() => scene.isPlaced(), "its partitions have another owner");
    scene.start(name);
    const backMs = await scene.until(() => scene.process(name).owned().length > 0, "it is given something");
    assert.ok(goneMs < 5_000 && backMs < 10_000, `it took ${goneMs} and ${backMs} ms`);
  }));

test("a rolling restart loses nothing, forces no move, and every event is acknowledged", () =>
  playCluster({ nodes: ["a", "b", "c"], partitions: 6 }, async (scene) => {
    await scene.formed();
    const senders = [scene.sender("follows", "a", false), scene.sender("stays", "b", true)];
    let isOver = false;
    const goOn = () => {
      if (isOver) return;
      for (const sender of senders) sender.send(true, scene.world.random.below(6));
      scene.world.after(20, goOn);
    };
    goOn();
    for (const name of scene.names) {
      const leaving = scene.process(name);
      void leaving.leave();
      await scene.until(() => !leaving.isAlive, `${name} has left`);
      scene.start(name);
      await scene.until(() => scene.process(name).owned().length > 0, `${name} is given its share`);
    }
    isOver = true;
    await scene.settled();
    assert.is(scene.count("a move was forced"), 0);
    assert.ok([...scene.told.values()].every((told) => told === "acked"));
  }));

test("an actor that crashes with an order to drop does not keep the partition from its owner on another node", () => {
  let isLost = false;
  const wrapOrder: ClusterPlant["wrapOrder"] = (perform, process) => (order) => {
    perform(order);
    if (order.type !== "drop" || isLost) return;
    isLost = true;
    for (const actor of process.node.kernel.actors) if (actor.path === STREAM) void actor.crash(true);
  };
  return playCluster({ ...THREE, plant: { wrapOrder } }, async (scene) => {
    await scene.formed();
    const owner = scene.follower();
    const partition = owner.owned()[0]!;
    const other = scene.names.map((name) => scene.process(name)).find((one) => one !== owner)!;
    const member = [...other.node.kernel.actors].find(({ path }) => path === "member")!;
    const leader: Leader = { ...scene.coordinator!.life!, leaderEpoch: scene.term };
    const order = (kind: "expect" | "forget") =>
      member.reference.tell({
        ...{ type: "orders", leader, to: other.life },
        orders: [{ kind, partition: scene.nameOf(partition) }],
      } as never);
    order("expect");
    await scene.until(() => other.ownerAddress(partition) === undefined, "the partition is expected there");
    order("forget");
    await scene.until(() => isLost, "the order to drop it is lost");
    await scene.until(() => scene.isPlaced(), "every node knows the owner again");
  });
});

test("requests for a node's partitions reach its new life after a restart", () =>
  playCluster(THREE, async (scene) => {
    await scene.formed();
    const { name } = scene.follower();
    const before = scene.process(name).life?.incarnation ?? 0;
    scene.process(name).node.die("the script said so");
    scene.start(name);
    await scene.until(() => scene.process(name).owned().length > 0, "it is given something");
    assert.ok((scene.process(name).life?.incarnation ?? 0) > before);
    await scene.formed();
    const sender = scene.sender("sensor", scene.names.find((one) => one !== name)!, true);
    for (const partition of scene.process(name).owned()) send(sender, partition, 5);
    await scene.settled();
    assert.ok(nodeId(name).length > 0);
  }));

test.run();
