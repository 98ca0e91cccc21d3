/** What goes wrong in a simulated cluster: which faults there are, when each comes, and how all of them end. */
import { nodeId } from "../../../protocols/position.ts";
import type { ClusterCommand } from "../../../supervisors/cluster/cluster.ts";
import type { Sender } from "../parts/simulated_clients.ts";
import type { SimulatedNetwork } from "../parts/simulated_network.ts";
import type { SimulatedStore } from "../parts/simulated_store.ts";
import { anyOf, type World } from "../parts/world.ts";
import { type ClusterProcess, SIMULATED_TIMES } from "./cluster_process.ts";
import type { SimulatedLeases } from "./simulated_lease_store.ts";
import type { PeerNetwork } from "./simulated_peers.ts";

/** Faults come several at once, and then the cluster is left some time to mend. */
const SWIFT_SHARE = 0.7;
const SWIFT_GAP_MS_MAX = 150;
const FAULT_GAP_MS_MAX = 2_500;
/** How often a fault that comes while the store is away happens all the same: most would meet nothing. */
const FAULT_WHILE_DOWN = 0.3;
/** How often the faults end with a node's death among links that are cut. */
const FINALE_SHARE = 0.3;
const LAST_CUTS = 12;
const LAST_CUTS_MS = 1_000;

type FaultKind = keyof typeof FAULT_WEIGHTS;

/** What only a cluster can suffer comes oftener than what the simulation of one node knows as well. */
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

/** What there is to break. */
export interface BreakableCluster {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly leases: SimulatedLeases;
  readonly peers: PeerNetwork;
  readonly network: SimulatedNetwork;
  readonly senders: readonly Sender[];
  readonly names: readonly string[];
  /**
   * The store of the leases loses its tail as the log does. Then no clock is set back: what numbers lives, terms and grants is
   * that clock (S1), and the numbers that were lost would be made again.
   */
  readonly losesLeases: boolean;
  /** What a run can not do without is brought about from then on. */
  readonly chaosUntilMs: number;
  living(): readonly ClusterProcess[];
  /** Who believes that it is the coordinator. */
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

  /** Until chaos ends, one after the other. */
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
        world.skewMs = this.#cluster.losesLeases ? world.skewMs + 3_600_000 : (random.below(3) - 1) * 3_600_000;
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

  /** The fault that a run can not do without, once its time is up. */
  #missing(): FaultKind | undefined {
    if (this.#world.trueMs < this.#cluster.chaosUntilMs || this.#world.random.chance(0.5)) return undefined;
    if (this.#world.countOf("a node ended by itself") === 0) return "kill";
    return this.#world.countOf("handoff under load") === 0 ? "command" : undefined;
  }

  #freeze(process: ClusterProcess | undefined): void {
    const world = this.#world;
    // What arrives while a node is frozen is heard in its order once that is over: it is not frozen anew before.
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

  /** Out of reach for one node alone: a coordinator is then replaced, and hears of it last. */
  #loseStore(process: ClusterProcess | undefined): void {
    const world = this.#world;
    const one = world.random.chance(0.7) ? this.#cluster.leader() : process;
    if (one === undefined) return;
    const forMs = 1_000 + world.random.below(6_000);
    one.node.storeAwayUntilMs = world.trueMs + forMs;
    world.say(`${one.name} can not reach the store for ${forMs} ms`);
    world.noteFault("a node could not reach the store");
    // Nor, at times, the one that is to take its place: it goes on giving orders to the others.
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
    // There is one member among dozens of others.
    const wanted = world.random.chance(0.3) ? actors.filter(({ path }) => path.startsWith("member")) : actors;
    const actor = anyOf(this.#world.random, wanted);
    if (actor === undefined) return;
    const name = actor.path.split("/").at(-1) ?? "";
    const kinds = ["delivery", "session", "member", "coordinator"];
    const kind =
      name === "file"
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

  /** Mends what is broken, and starts what is down. */
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

  /** A node goes, and links are cut while its partitions find owners: what hangs then is set free by nothing that follows. */
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

  /** What was drained is wanted again: asked for until it is so. */
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
