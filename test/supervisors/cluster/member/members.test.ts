/** Members and their coordinator on the product's kernel, over a lease store in memory: ownership through joins and deaths. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import type { Grant } from "../../../../actors/log/log.ts";
import { nodeId } from "../../../../protocols/position.ts";
import {
  CLUSTER_TIMES,
  type ClusterTimes,
  compareGrants,
  type MemberProfile,
} from "../../../../supervisors/cluster/cluster.ts";
import { memberActor, type Placement } from "../../../../supervisors/cluster/member/member_actor.ts";
import type { MemberMessage, MemberState } from "../../../../supervisors/cluster/member/member_state.ts";
import { MemoryLeaseDomain, MemoryLeaseStore } from "../../../support/fakes/memory_lease_store.ts";
import { MemoryNetwork } from "../../../support/fakes/memory_peers.ts";
import { eventually } from "../../../support/processes/running_node.ts";

const PARTITIONS = Array.from({ length: 12 }, (_, at) => `s/${at}`);
const TIMES: ClusterTimes = {
  ...CLUSTER_TIMES,
  ...{ registrationMs: 1_000, renewEveryMs: 50, leaseMs: 200, renewLeaseEveryMs: 50, lookEveryMs: 30 },
};

/** Rejects with the state of the nodes if a run comes to a halt. */
const HALTED_AFTER_MS = 30_000;

const profile = (name: string): MemberProfile => ({
  node: nodeId(name),
  clientAddress: `ws://${name}/v1/connect`,
  peerAddress: `ws://${name}/v1/peer`,
  zone: "z",
  capacity: 1,
  minor: 0,
  version: "0",
});

class World {
  readonly domain = new MemoryLeaseDomain(() => Date.now());
  readonly network = new MemoryNetwork();
  readonly nodes = new Map<string, Node>();
  /** Every claim, in order: partition, grant, node. */
  readonly claims: { readonly partition: string; readonly grant: Grant; readonly node: string }[] = [];
  epochs = 0;

  async start(name: string): Promise<Node> {
    const node = await Node.start(this, name);
    this.nodes.set(name, node);
    return node;
  }

  kill(name: string): void {
    const node = this.nodes.get(name);
    this.nodes.delete(name);
    this.network.kill(nodeId(name));
    void node?.system.shutdown();
  }

  async balanced(): Promise<void> {
    const timer = setTimeout(() => console.log(standing(this)), HALTED_AFTER_MS);
    await eventually(() => this.isBalanced());
    clearTimeout(timer);
  }

  /** Whether every partition is held once, and each node holds an even share, give or take one. */
  isBalanced(): true | undefined {
    const held = [...this.nodes.values()].map(({ owned }) => owned.size);
    const total = held.reduce((sum, count) => sum + count, 0);
    const all = new Set([...this.nodes.values()].flatMap(({ owned }) => [...owned]));
    const isEven = Math.max(...held) - Math.min(...held) <= 1;
    return total === PARTITIONS.length && all.size === total && isEven ? true : undefined;
  }
}

class Node {
  readonly name: string;
  readonly owned = new Set<string>();
  readonly grants = new Map<string, Grant>();
  state: MemberState | undefined;
  hasLeft = false;
  isOver = false;
  readonly notes: string[] = [];
  system: Awaited<ReturnType<typeof createActorSystem>>;
  member: { tell(message: MemberMessage): void } = { tell() {} };

  private constructor(name: string, system: Node["system"]) {
    this.name = name;
    this.system = system;
  }

  static async start(world: World, name: string): Promise<Node> {
    const store = new MemoryLeaseStore(world.domain);
    const { node, incarnation } = await store.join(profile(name), TIMES.registrationMs);
    const peers = world.network.join({ node, incarnation });
    const made = new Node(name, await createActorSystem());
    const placement: Placement = {
      order: (partition, order) => {
        // Stands in for the partition's supervisor, without a log: a claim and a release take a turn, and a repeated order
        // claims once.
        setImmediate(() => {
          if (order.type === "take") {
            const before = made.grants.get(partition);
            if (before !== undefined && compareGrants(before, order.grant) === 0) return;
            made.grants.set(partition, order.grant);
            world.claims.push({ partition, grant: order.grant, node: name });
            made.owned.add(partition);
            world.epochs += 1;
            made.member.tell({ type: "owned", partition, epoch: world.epochs });
          } else if (order.type === "hand_over" || order.type === "drop") {
            made.owned.delete(partition);
            if (order.type === "hand_over") made.member.tell({ type: "let_go", partition });
          }
        });
      },
      pointTo: () => {},
    };
    made.member = made.system.spawn(
      memberActor({
        self: { node, incarnation },
        times: TIMES,
        partitions: PARTITIONS,
        ...{ store, peers, placement },
        note: (_level, text) => made.notes.push(text),
        onStep: (state) => (made.state = state),
        onLeft: () => (made.hasLeft = true),
        onOver: () => (made.isOver = true),
      }),
    );
    return made;
  }
}

async function cluster(...names: readonly string[]): Promise<World> {
  const world = new World();
  for (const name of names) await world.start(name);
  await world.balanced();
  return world;
}

/** Describes the state of the nodes, for a run that comes to a halt. */
const standing = (world: World): string =>
  [...world.nodes.values()]
    .map(
      ({ name, owned, state, isOver, notes }) =>
        `${name}: ${owned.size} owned, leads ${state?.isLeading}, term ${state?.leader?.leaderEpoch} of ${state?.leader?.node}, version ${state?.tableVersion}, members ${[...(state?.members.values() ?? [])].map((one) => `${one.node}#${one.incarnation} ${one.probationMs} ${one.isDraining}`)}, over ${isOver}\n  ${notes.join("\n  ")}`,
    )
    .join("\n");

async function end(world: World): Promise<void> {
  for (const { system } of world.nodes.values()) await system.shutdown();
}

test("linked nodes elect one coordinator, and share the partitions evenly", async () => {
  const world = await cluster("a", "b", "c");
  const leaders = [...world.nodes.values()].filter(({ state }) => state?.isLeading === true);
  assert.is(leaders.length, 1);
  await end(world);
});

test("a node that joins gets its share, and no other partition moves", async () => {
  const world = await cluster("a", "b", "c");
  const before = world.claims.length;
  await world.start("d");
  await world.balanced();
  const moved = world.claims.slice(before);
  assert.is(moved.length, 3);
  assert.ok(moved.every(({ node }) => node === "d"));
  await end(world);
});

test("the partitions of a dead node go to the others, whose own partitions stay", async () => {
  const world = await cluster("a", "b", "c");
  const victim = [...world.nodes.values()].find(({ state }) => state?.isLeading === false);
  const lost = new Set(victim?.owned);
  const before = world.claims.length;
  world.kill(victim?.name ?? "");
  await world.balanced();
  assert.equal(new Set(world.claims.slice(before).map(({ partition }) => partition)), lost);
  await end(world);
});

test("when the coordinator's node dies another node leads at once in a higher term, and its partitions find owners", async () => {
  const world = await cluster("a", "b", "c");
  const leader = [...world.nodes.values()].find(({ state }) => state?.isLeading);
  const term = leader?.state?.leader?.leaderEpoch ?? 0;
  world.kill(leader?.name ?? "");
  await world.balanced();
  const next = [...world.nodes.values()].find(({ state }) => state?.isLeading);
  assert.ok((next?.state?.leader?.leaderEpoch ?? 0) > term);
  await end(world);
});

test("a drained node gives all its partitions away and stays; a leaving node ends once it holds none", async () => {
  const world = await cluster("a", "b", "c");
  const b = world.nodes.get("b");
  world.nodes.get("a")?.member.tell({ type: "command", command: { kind: "drain", node: nodeId("b") } });
  await eventually(() => (b?.owned.size === 0 ? true : undefined));
  world.nodes.get("a")?.member.tell({ type: "command", command: { kind: "undrain", node: nodeId("b") } });
  await world.balanced();
  b?.member.tell({ type: "leave" });
  await eventually(() => (b?.hasLeft ? true : undefined));
  assert.is(b?.owned.size, 0);
  world.kill("b");
  await world.balanced();
  await end(world);
});

test("no partition is ever granted twice, and later grants are higher", async () => {
  const world = await cluster("a", "b");
  await world.start("c");
  await world.balanced();
  world.kill("a");
  await world.balanced();
  await world.start("a");
  await world.balanced();
  const last = new Map<string, Grant>();
  for (const { partition, grant } of world.claims) {
    const before = last.get(partition);
    const isHigher =
      before === undefined ||
      grant.leaderEpoch > before.leaderEpoch ||
      (grant.leaderEpoch === before.leaderEpoch && grant.tableVersion > before.tableVersion);
    assert.ok(isHigher, `${partition}: ${JSON.stringify([before, grant])}`);
    last.set(partition, grant);
  }
  await end(world);
});

test.run();
