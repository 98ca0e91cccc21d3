/** The faults of a simulated cluster: their kinds, their times, and their end. */
import { nodeId } from "../../../protocols/position.ts";
import type { ClusterCommand } from "../../../supervisors/cluster/cluster.ts";
import type { Sender } from "../parts/simulated_clients.ts";
import type { SimulatedNetwork } from "../parts/simulated_network.ts";
import type { SimulatedStore } from "../parts/simulated_store.ts";
import { anyOf, type World } from "../parts/world.ts";
import { type ClusterProcess, SIMULATED_TIMES } from "./cluster_process.ts";
import type { SimulatedLeases } from "./simulated_lease_store.ts";
import type { PeerNetwork } from "./simulated_peers.ts";

/** Faults come in quick succession (below 150 ms) or after a pause (below 2,500 ms), in which the cluster mends. */
const SWIFT_SHARE = 0.7;
const SWIFT_GAP_MS_MAX = 150;
const FAULT_GAP_MS_MAX = 2_500;
/** The share of faults that still happen while the store is away: most would meet an idle cluster. */
const FAULT_WHILE_DOWN = 0.3;
/** The share of seeds whose faults end with a node's death while links are cut. */
const FINALE_SHARE = 0.3;
const LAST_CUTS = 12;
const LAST_CUTS_MS = 1_000;

/** E24: an hour either way. */
const AHEAD_MS_MAX = 2 * 3_600_000;

type FaultKind = keyof typeof FAULT_WEIGHTS;

/** Faults that only a cluster can suffer have a higher weight than those that the simulation of one node has as well. */
const FAULT_WEIGHTS = {
  "cut a client": 1,
  "crash a sender": 1,
  "take over": 1,
  kill: 1,
  freeze: 3,
  "break a link": 3,
  "store away": 1,
  "store restarts": 1,
  "crash an actor": 2,
  "clock jumps": 1,
  "commit fails": 1,
  "flush held": 1,
  command: 1,
  leave: 1,
  "lose the store": 3,
};
const FAULTS_BY_WEIGHT = (Object.entries(FAULT_WEIGHTS) as [FaultKind, number][]).flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind),
);

/** The parts of a cluster that can be broken. */
export interface BreakableCluster {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly leases: SimulatedLeases;
  readonly peers: PeerNetwork;
  readonly network: SimulatedNetwork;
  readonly senders: readonly Sender[];
  readonly names: readonly string[];
  /**
   * The lease store loses its tail together with the log. Then no clock is set back: that clock numbers lives, terms and grants
   * (lease store S1), and a clock that is set back would make the lost numbers again.
   */
  readonly losesLeases: boolean;
  /** From this time on the run brings about a crash and a handoff, if there was none. */
  readonly chaosUntilMs: number;
  living(): readonly ClusterProcess[];
  /** The process that believes itself the coordinator. */
  leader(): ClusterProcess | undefined;
  start(name: string): void;
}

export class ClusterFaults {
  readonly #cluster: BreakableCluster;
  readonly #world: World;

  constructor(cluster: BreakableCluster) {
    this.#cluster = cluster;
    this.#world = cluster.world;
  }

  /** Causes one fault after the other until chaos ends. */
  begin(): void {
    const world = this.#world;
    const { random } = world;
    world.after(random.below(random.chance(SWIFT_SHARE) ? SWIFT_GAP_MS_MAX : FAULT_GAP_MS_MAX), async () => {
      if (!world.isChaos) return;
      const isDown = this.#cluster.store.store.state().kind !== "ready";
      if ((!isDown || random.chance(FAULT_WHILE_DOWN)) && world.isDue()) await this.#breakSomething();
      this.begin();
    });
  }

  async #breakSomething(): Promise<void> {
    const world = this.#world;
    const { random } = world;
    const process = anyOf(this.#world.random, this.#cluster.living());
    switch (this.#missing() ?? FAULTS_BY_WEIGHT[random.below(FAULTS_BY_WEIGHT.length)]!) {
      case "cut a client": {
        const link = anyOf(this.#world.random, [...this.#cluster.network.links]);
        if (link !== undefined) this.#cluster.network.cut(link);
        return;
      }
      case "crash a sender":
        return anyOf(this.#world.random, this.#cluster.senders)?.crash();
      case "take over":
        for (const sender of this.#cluster.senders) sender.recover();
        return random.chance(0.4) ? this.#cluster.senders[0]?.takeOver() : undefined;
      case "kill":
        return process?.node.die("a node was killed");
      case "freeze":
        return this.#freeze(random.chance(0.4) ? this.#cluster.leader() : process);
      case "break a link":
        return this.#breakLink();
      case "store away":
        return this.#goAway();
      case "store restarts":
        return this.#nextLife(random.chance(0.5) ? "nothing" : "unflushed");
      case "crash an actor":
        return this.#crashActor(process);
      case "clock jumps":
        world.skewMs = this.#cluster.losesLeases
          ? Math.min(world.skewMs + 3_600_000, AHEAD_MS_MAX)
          : (random.below(3) - 1) * 3_600_000;
        this.#cluster.leases.noteSkew();
        return world.noteFault("the clock jumped an hour");
      case "commit fails":
        this.#cluster.store.store.failNext([random.chance(0.5) ? "before" : "after"]);
        return world.noteFault("a commit failed");
      case "flush held":
        this.#cluster.store.store.setFlushHeld(true);
        world.after(random.below(300), () => this.#cluster.store.store.setFlushHeld(false));
        return world.noteFault("the disk does not flush");
      case "command":
        return this.#command(process);
      case "leave":
        if (process === undefined || this.#cluster.living().length < 2) return;
        world.noteFault("a node was stopped in order");
        void process.leave();
        return;
      case "lose the store":
        return this.#loseStore(process);
    }
  }

  /** A fault that the run still needs, once its time is up. */
  #missing(): FaultKind | undefined {
    if (this.#world.trueMs < this.#cluster.chaosUntilMs || this.#world.random.chance(0.5)) return undefined;
    if (this.#world.countOf("a node ended by itself") === 0) return "kill";
    return this.#world.countOf("handoff under load") === 0 ? "command" : undefined;
  }

  #freeze(process: ClusterProcess | undefined): void {
    const world = this.#world;
    // Messages that arrive at a frozen node are handled in their order after the thaw, so it is not frozen again before.
    if (process === undefined || process.node.kernel.frozenUntilMs >= world.trueMs) return;
    const { kernel } = process.node;
    const forMs = world.random.below(world.random.chance(0.5) ? 1_500 : 6_000);
    kernel.frozenUntilMs = world.trueMs + forMs;
    world.noteFault(
      forMs > SIMULATED_TIMES.leaseMs ? "a node froze for longer than the lease" : "a node froze and thawed",
    );
    world.say(`${process.name} is frozen for ${forMs} ms`);
    this.#cluster.peers.fallsQuiet(nodeId(process.name));
  }

  #breakLink(): void {
    const world = this.#world;
    const { random } = world;
    const connection = anyOf(this.#world.random, [...this.#cluster.peers.connections]);
    if (connection === undefined) return;
    const [one, other] = connection.ends.map(({ owner }) => owner.self.node) as [
      ReturnType<typeof nodeId>,
      ReturnType<typeof nodeId>,
    ];
    const forMs = random.below(random.chance(0.5) ? 1_000 : 5_000);
    switch (random.below(4)) {
      case 0:
        world.noteFault("a link was cut");
        this.#cluster.peers.cut(connection);
        return;
      case 1:
        world.noteFault("a link carried nothing in one direction");
        world.say(`nothing passes from ${one} to ${other} for ${forMs} ms`);
        if (random.chance(0.5)) this.#cluster.peers.block(one, other, forMs);
        else this.#cluster.peers.block(other, one, forMs);
        return;
      case 2:
        world.noteFault("a link was a black hole");
        this.#cluster.peers.block(one, other, forMs);
        this.#cluster.peers.block(other, one, forMs);
        return;
      case 3:
        world.noteFault("a node was cut off from the others");
        for (const { name } of this.#cluster.living()) {
          if (name === one) continue;
          this.#cluster.peers.block(one, nodeId(name), forMs);
          this.#cluster.peers.block(nodeId(name), one, forMs);
        }
    }
  }

  #goAway(): void {
    const world = this.#world;
    world.noteFault("the store went away");
    this.#setAway(true);
    const forMs = world.random.chance(0.15) ? world.random.below(8_000) : world.random.below(1_500);
    world.after(forMs, () => this.#setAway(false));
  }

  /** One node alone cannot reach the store: a coordinator is then replaced, and hears of it last. */
  #loseStore(process: ClusterProcess | undefined): void {
    const world = this.#world;
    const one = world.random.chance(0.7) ? this.#cluster.leader() : process;
    if (one === undefined) return;
    const forMs = 1_000 + world.random.below(6_000);
    one.node.storeAwayUntilMs = world.trueMs + forMs;
    world.say(`${one.name} cannot reach the store for ${forMs} ms`);
    world.noteFault("a node could not reach the store");
    // At times its link to the likely successor is blocked as well: it goes on giving orders to the others.
    const heir = this.#cluster
      .living()
      .filter((other) => other !== one)
      .sort((a, b) => (a.name < b.name ? -1 : 1))[0];
    if (heir === undefined || world.random.chance(0.4)) return;
    this.#cluster.peers.block(nodeId(one.name), nodeId(heir.name), forMs);
    this.#cluster.peers.block(nodeId(heir.name), nodeId(one.name), forMs);
  }

  #setAway(isAway: boolean): void {
    this.#cluster.store.store.setAway(isAway);
    this.#cluster.leases.domain.setAway(isAway);
  }

  async #nextLife(loss: "nothing" | "unflushed"): Promise<void> {
    this.#world.noteFault(loss === "nothing" ? "the store restarted" : "the store lost what was not flushed");
    if (loss === "unflushed" && this.#cluster.losesLeases) this.#cluster.leases.loseTail();
    await this.#cluster.store.restart(loss);
  }

  #crashActor(process: ClusterProcess | undefined): void {
    if (process === undefined || !process.isAlive) return;
    const world = this.#world;
    const actors = [...process.node.kernel.actors];
    // A member is one actor among dozens.
    const wanted = world.random.chance(0.3) ? actors.filter(({ path }) => path.startsWith("member")) : actors;
    const actor = anyOf(this.#world.random, wanted);
    if (actor === undefined) return;
    const name = actor.path.split("/").at(-1) ?? "";
    const kinds = ["delivery", "session", "member", "coordinator"];
    const kind =
      name === "file" || name.startsWith("shard-")
        ? "source"
        : (kinds.find((one) => name.startsWith(one)) ?? (actor.children.size > 0 ? "supervisor" : "partition"));
    world.noteFault(`actor crash: ${kind}`);
    world.say(`crashing ${actor.path} of ${process.name}`);
    void actor.crash(kind !== "session" && kind !== "coordinator");
  }

  #command(process: ClusterProcess | undefined): void {
    const { random } = this.#world;
    const name = anyOf(this.#world.random, this.#cluster.names);
    if (process === undefined || name === undefined) return;
    const kind = (["drain", "drain", "undrain", "rebalance"] as const)[random.below(4)]!;
    this.#world.noteFault(`somebody asked to ${kind}`);
    const command: ClusterCommand = kind === "rebalance" ? { kind } : { kind, node: nodeId(name) };
    void process.ask(command);
  }

  /** Ends all faults and starts all nodes that are down. */
  end(): void {
    const world = this.#world;
    if (world.random.chance(FINALE_SHARE) && world.isDue()) this.#lastFaults();
    world.isChaos = false;
    world.say("faults end");
    this.#setAway(false);
    this.#cluster.store.store.setFlushHeld(false);
    this.#cluster.peers.unblockAll();
    for (const { node } of this.#cluster.living()) node.storeAwayUntilMs = 0;
    for (const name of this.#cluster.names) this.#cluster.start(name);
    for (const sender of this.#cluster.senders) sender.recover();
    this.#undrainAll();
  }

  /** Kills a node and cuts links while its partitions find owners. No later fault can free an operation that hangs then. */
  #lastFaults(): void {
    const world = this.#world;
    const { random } = world;
    anyOf(this.#world.random, this.#cluster.living())?.node.die("a node was killed");
    for (let left = LAST_CUTS; left > 0; left -= 1) {
      world.after(random.below(LAST_CUTS_MS), () => {
        const connection = anyOf(this.#world.random, [...this.#cluster.peers.connections]);
        if (connection === undefined) return;
        world.noteFault("a link was cut");
        this.#cluster.peers.cut(connection);
      });
    }
  }

  /** Asks again and again to undrain every drained node. */
  #undrainAll(): void {
    this.#world.after(500, async () => {
      const view = await this.#cluster.leases.domain.open().look();
      for (const { node, isDraining } of view.members) {
        const isLeaving = this.#cluster.living().find(({ name }) => name === node)?.isLeaving === true;
        if (isDraining && !isLeaving)
          void anyOf(this.#world.random, this.#cluster.living())?.ask({ kind: "undrain", node });
      }
      this.#undrainAll();
    });
  }
}
