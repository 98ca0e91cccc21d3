/** Partitions placed on a node and taken away from it, with the product's actors on a log in memory. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import { CHAIN_LIMITS, type Grant, type Log } from "../../../actors/log/log.ts";
import type { PartitionAnswer, PartitionReply, PartitionRequest } from "../../../actors/partition/partition.ts";
import { epoch, partitionId } from "../../../protocols/position.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { streamSupervisor } from "../../../supervisors/node/partition_supervisor.ts";
import type { PartitionPlan, PlacementEvent } from "../../../supervisors/node/placement.ts";
import { NodeDirectory, type OwnerElsewhere } from "../../../supervisors/node/stream_directory.ts";
import { eventually } from "../../support/processes/running_node.ts";

const grant = (tableVersion: number): Grant => ({ leaderEpoch: 1, tableVersion });
const partition = { stream: "s", partition: partitionId(0) };
const SETTINGS = { tier: "memory", chains: CHAIN_LIMITS } as const;

/** A delivery that ends only once it is let go. */
function heldDelivery(lives: { started: number; stopped: number }, isLetGo: Promise<void>): ActorDefinition<never> {
  return {
    name: "delivery",
    start: () => {
      lives.started += 1;
      return {
        receive() {},
        stop: async () => {
          await isLetGo;
          lives.stopped += 1;
        },
      };
    },
  };
}

class Tree {
  readonly log: Log = createMemoryLog({ clock: () => 1_000 });
  readonly directory = new NodeDirectory({ s: { partitions: 1, schemaVersions: [] } });
  readonly events: PlacementEvent[] = [];
  readonly lives = { started: 0, stopped: 0 };
  readonly system;
  readonly supervisor;
  letGo: () => void = () => {};

  private constructor(system: Awaited<ReturnType<typeof createActorSystem>>) {
    this.system = system;
    const isLetGo = new Promise<void>((resolve) => (this.letGo = resolve));
    const plan: PartitionPlan = {
      owner: {
        partition,
        log: this.log,
        settings: SETTINGS,
        retention: { bytesMax: 1e9, ageMaxMs: 1e9, onFull: "refuse" },
        expectedConsumers: [],
      },
      deliveries: () => [heldDelivery(this.lives, isLetGo)],
    };
    this.supervisor = system.spawn(
      streamSupervisor({
        stream: "s",
        plans: [plan],
        directory: this.directory,
        onPlacement: (event) => this.events.push(event),
      }),
    );
  }

  static async start(): Promise<Tree> {
    return new Tree(await createActorSystem());
  }

  until(kind: PlacementEvent["kind"], count = 1): Promise<true> {
    return eventually(() => (this.events.filter((event) => event.kind === kind).length >= count ? true : undefined));
  }

  get owner(): ActorReference<PartitionRequest> | undefined {
    return this.directory.partition("s", 0)?.reference;
  }

  async append(n: number): Promise<PartitionAnswer | undefined> {
    const batch = {
      producerId: "p",
      producerEpoch: 1,
      previousSequence: n === 0 ? undefined : ([0, n - 1, 0] as const),
      sequences: { first: [0, n, 0], count: 1 } as const,
      schemaVersion: 0,
      events: encodeEvents([{ n }], { asRecords: false }),
      appendedAtMs: 0,
    };
    const owner = this.owner;
    if (owner === undefined) return undefined;
    const reply = await this.system.ask<PartitionRequest, PartitionReply>(
      owner,
      (replyTo) => ({ type: "append", items: [{ requestId: n, batch }], replyTo }),
      { timeoutMs: 10_000 },
    );
    return reply.answers[0];
  }
}

test("a partition is owned once it is granted, and not before; appends sent meanwhile wait", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "expect", partition: 0 });
  await tree.until("placed");
  const waiting = tree.append(0);
  assert.is(tree.directory.partition("s", 0)?.feed, undefined);
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  assert.is((await waiting)?.kind, "appended");
  assert.equal(
    tree.events.map(({ kind }) => kind),
    ["placed", "owned"],
  );
  tree.letGo();
  await tree.system.shutdown();
});

test("V2: appends go on while the deliveries of a leaving partition end; then it is released, and has no owner", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await eventually(() => tree.lives.started || undefined);
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 60_000 });
  assert.is((await tree.append(0))?.kind, "appended");
  assert.is(tree.lives.stopped, 0);
  tree.letGo();
  await tree.until("released");
  assert.is(tree.lives.stopped, 1);
  assert.is(tree.owner, undefined);
  assert.is(tree.directory.partition("s", 0)?.feed, undefined);
  // The same node can be given it again.
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(5) });
  await tree.until("owned", 2);
  assert.is((await tree.append(1))?.kind, "appended");
  await tree.system.shutdown();
});

test("V1: a partition whose owner crashed is placed again under the same grant, and takes appends", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await tree.until("owned");
  assert.is((await tree.append(0))?.kind, "appended");
  tree.letGo();
  tree.owner?.tell({ type: "append" } as never); // without items the owner throws
  await tree.until("owned", 2);
  assert.is((await tree.append(1))?.kind, "appended");
  await tree.system.shutdown();
});

/** As the cluster's member makes it known before it orders the handing over. */
const NEXT: OwnerElsewhere = {
  reference: { path: "elsewhere", tell() {} } as unknown as ActorReference<PartitionRequest>,
  address: "ws://next/v1/connect",
  view: undefined as never,
};

test("V2: a partition with a next owner is announced, and served with its deliveries for a while, before it goes", async () => {
  const tree = await Tree.start();
  const entry = tree.directory.partition("s", 0);
  tree.letGo();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await eventually(() => tree.lives.started || undefined);
  tree.directory.setElsewhere(partition, NEXT);
  assert.is(entry?.nextAddress, undefined, "nothing is to be handed over yet");
  let announcements = 0;
  entry?.onChange(() => {
    if (entry.nextAddress !== NEXT.address) return;
    announcements += 1;
    assert.is(tree.lives.stopped, 0);
    assert.is(entry.ownerAddress, undefined);
  });
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 60_000 });
  await eventually(() => announcements || undefined);
  assert.is((await tree.append(0))?.kind, "appended");
  assert.is(tree.lives.stopped, 0);
  await tree.until("released");
  assert.is(tree.lives.stopped, 1);
  assert.is(announcements, 1);
  assert.is(entry?.nextAddress, undefined);
  assert.is(entry?.ownerAddress, NEXT.address);
  await tree.system.shutdown();
});

test("V4: deliveries that rest end for good while appends go on, also under another ownership", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await eventually(() => tree.lives.started || undefined);
  const rested = new Promise<void>((onRest) => tree.supervisor.tell({ type: "rest", partition: 0, onRest }));
  assert.is((await tree.append(0))?.kind, "appended");
  assert.is(tree.lives.stopped, 0);
  tree.letGo();
  await rested;
  assert.is(tree.lives.stopped, 1);
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(5) });
  await tree.until("owned", 2);
  assert.is((await tree.append(1))?.kind, "appended");
  await new Promise<void>((onRest) => tree.supervisor.tell({ type: "rest", partition: 0, onRest }));
  await tree.system.shutdown();
  assert.equal(tree.lives, { started: 1, stopped: 1 });
});

test("a partition that is not placed on this node rests at once", async () => {
  const tree = await Tree.start();
  await new Promise<void>((onRest) => tree.supervisor.tell({ type: "rest", partition: 0, onRest }));
  assert.is(tree.owner, undefined);
  await tree.system.shutdown();
});

test("a partition that is granted again while it is announced stays, and is no longer announced", async () => {
  const tree = await Tree.start();
  tree.letGo();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await tree.until("owned");
  tree.directory.setElsewhere(partition, NEXT);
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 60_000 });
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(5) });
  await tree.until("owned", 2);
  assert.is(tree.directory.partition("s", 0)?.nextAddress, undefined);
  assert.is((await tree.append(0))?.kind, "appended");
  await tree.system.shutdown();
  assert.not.ok(tree.events.some(({ kind }) => kind === "released"));
});

test("V2: a delivery that does not end delays the appends of its partition for at most the time of the order", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await eventually(() => tree.lives.started || undefined);
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 20 });
  await tree.until("released");
  assert.is(tree.lives.stopped, 0);
  // Given it again at once, the node starts its deliveries when those before have ended.
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(5) });
  await tree.until("owned", 2);
  assert.is(tree.lives.started, 1);
  tree.letGo();
  await eventually(() => (tree.lives.started === 2 ? true : undefined));
  await tree.system.shutdown();
});

test("a partition that was granted to another node reports it, and ends", async () => {
  const tree = await Tree.start();
  tree.letGo();
  await tree.log.claim(partition, grant(9), epoch(1), SETTINGS);
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await tree.until("superseded");
  assert.is(tree.owner, undefined);
  const grants = tree.events.flatMap((event) => (event.kind === "superseded" ? [event.grant] : []));
  assert.equal(grants, [grant(3)], "and under which grant");
  await tree.system.shutdown();
});

test("V3: a partition whose former deliveries still end takes a new grant, and is dropped or handed over, at once", async () => {
  for (const type of ["drop", "hand_over"] as const) {
    const tree = await Tree.start();
    tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
    await eventually(() => tree.lives.started || undefined);
    tree.supervisor.tell({ type: "drop", partition: 0 });
    tree.supervisor.tell({ type: "take", partition: 0, grant: grant(5) });
    await tree.until("owned", 2);
    tree.supervisor.tell({ type, partition: 0, drainWithinMs: 20 });
    await eventually(() => (tree.owner === undefined ? true : undefined));
    tree.supervisor.tell({ type: "take", partition: 0, grant: grant(7) });
    await tree.until("owned", 3);
    assert.is(tree.lives.started, 1);
    tree.letGo();
    // Once, for the ownership that it is delivered under.
    await eventually(() => (tree.lives.started === 2 ? true : undefined));
    await tree.system.shutdown();
    assert.equal(tree.lives, { started: 2, stopped: 2 });
  }
});

test("an order that comes again changes nothing, and is answered again: an owner that is granted the same twice is one owner", async () => {
  const tree = await Tree.start();
  tree.letGo();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(3) });
  await tree.until("owned");
  tree.supervisor.tell({ type: "take", partition: 0, grant: { ...grant(3) } });
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 60_000 });
  await tree.until("released");
  tree.supervisor.tell({ type: "hand_over", partition: 0, drainWithinMs: 60_000 });
  await tree.until("released", 2);
  assert.equal(
    tree.events.map(({ kind }) => kind),
    ["placed", "owned", "owned", "released", "released"],
  );
  await tree.system.shutdown();
});

test("a grant that comes again is answered again, and nothing is claimed anew", async () => {
  const tree = await Tree.start();
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(1) });
  await tree.until("owned");
  tree.supervisor.tell({ type: "take", partition: 0, grant: grant(1) });
  await tree.until("owned", 2);
  const epochs = tree.events.flatMap((event) => (event.kind === "owned" ? [event.epoch] : []));
  assert.is(epochs[0], epochs[1]);
  assert.is(tree.lives.started, 1);
  tree.letGo();
  await tree.system.shutdown();
});

test.run();
