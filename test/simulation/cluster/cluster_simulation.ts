/**
 * One run of a cluster from one seed: nodes that come, go, die, freeze and lose each other, one store, sinks, producers that
 * follow owners or stay where they are, and a subscriber. Then the faults end, every partition finds one owner, everything
 * drains, a fresh event gets through to each partition, and the checker reads the history.
 */
import type { Inspect } from "../../../actors/ingest/session.ts";
import { nodeId, type Position, partitionName } from "../../../protocols/position.ts";
import { CLUSTER_TIMES, type ClusterCommand, partitionOfName } from "../../../supervisors/cluster/cluster.ts";
import type { SentEvent, Told } from "../../support/checker.ts";
import { counting } from "../counting_pipeline.ts";
import { type Evidence, judge, undelivered } from "../judgement.ts";
import { makeEvent, Reader, Sender } from "../simulated_clients.ts";
import type { WrapLog } from "../simulated_log.ts";
import { SimulatedNetwork } from "../simulated_network.ts";
import { type SinkBugs, SinkModel } from "../simulated_sink.ts";
import { ReplayableFile } from "../simulated_source.ts";
import { SINKS, SimulatedStore } from "../simulated_store.ts";
import { inspector, type Outcome } from "../simulation.ts";
import { inPlaceOfGlobals, World } from "../world.ts";
import {
  addressOf,
  ClusterProcess,
  type ProcessParts,
  type WrapLinks,
  type WrapOrder,
  type WrapProcessActor,
} from "./cluster_process.ts";
import { SimulatedLeases, type WrapLeases } from "./simulated_lease_store.ts";
import { PeerNetwork } from "./simulated_peers.ts";

/** What a planted bug replaces; empty for the product as it is. */
export interface ClusterPlant {
  readonly wrapLog?: WrapLog;
  readonly wrapNodeLog?: WrapLog;
  readonly wrapActor?: WrapProcessActor;
  readonly wrapLeases?: WrapLeases;
  readonly wrapOrder?: WrapOrder;
  readonly wrapLinks?: WrapLinks;
  readonly sinks?: SinkBugs;
}

const STEPS_MIN = 1_000;
const APPENDS_MIN = 200;
const FAULTS_MIN = 5;
/** For a cluster of ordinary size, and for a large one. */
const STEPS_MAX = 120_000;
const STEPS_OF_MANY_MAX = 600_000;
/** What the slowest sink takes to answer, several times over. */
const DRAIN_MS_MAX = 150_000;
const STEPS_BETWEEN_LOOKS = 40;
/** Events are sent over so long, so that all faults fall on a working cluster. */
const CHAOS_MS_MIN = 2_000;
const CHAOS_MS_MAX = 4_000;
const BURST_BATCHES_MAX = 8;
/** Of each sender: most time is spent on batches, not on what is in them. */
const BATCH_EVENTS_MAX = [1, 1, 2, 1];
/** What becomes of events that a schema, a step or a sink refuses is for the simulation of one node: some are enough here. */
const SPECIAL_SHARE = 0.06;
const SEND_GAP_MS_MAX = 40;
/** Faults come several at once, and then the cluster is left some time to mend. */
const SWIFT_SHARE = 0.7;
const SWIFT_GAP_MS_MAX = 150;
const FAULT_GAP_MS_MAX = 2_500;
/** How often a fault that comes while the store is away happens all the same: most would meet nothing. */
const FAULT_WHILE_DOWN = 0.3;
/** So short that a delivery which waited for it has time to go on. */
const SINK_TIMEOUT_MS = 3_000;
/** What was sent so long ago and is still open waits for an owner: others make up for it. */
const PATIENCE_MS = 400;
/** How often the faults end with a node's death among links that are cut. */
const FINALE_SHARE = 0.3;
const LAST_CUTS = 12;
const LAST_CUTS_MS = 1_000;
/** From the first node's start to the first fault. */
const CALM_MS = 600;

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

/** Links on which data often waits for credit (E19). */
export const NARROW_LINKS = { targetBytesMax: 200, targetMessagesMax: 2, linkBytesMax: 500 } as const;

/** As in a real cluster, but for probations, which would only make runs longer. */
export const SIMULATED_TIMES = {
  ...CLUSTER_TIMES,
  probationFirstMs: 200,
  probationMaxMs: 1_500,
  handOverWithinMs: 4_000,
  drainWithinMs: 1_000,
};

export async function simulateCluster(seed: number, plant: ClusterPlant = {}, isTraced = false): Promise<Outcome> {
  const world = new World(seed);
  world.isTraced = isTraced;
  const inspecting = await inspector();
  await inPlaceOfGlobals(world, () => new ClusterSimulation(world, inspecting, plant).run());
  const { problems, counts, steps, faults, trace } = world;
  return { seed, problems, counts, steps, faults, trace };
}

class ClusterSimulation {
  readonly #world: World;
  readonly #store: SimulatedStore;
  readonly #leases: SimulatedLeases;
  readonly #sinks: readonly SinkModel[];
  readonly #network: SimulatedNetwork;
  readonly #peers: PeerNetwork;
  readonly #sent: SentEvent[] = [];
  readonly #told = new Map<string, Told>();
  readonly #senders: readonly Sender[];
  readonly #reader: Reader;
  readonly #parts: ProcessParts;
  readonly #names: string[];
  /** The process that runs under each name, if one does. */
  readonly #processes = new Map<string, ClusterProcess>();
  readonly #all: ClusterProcess[] = [];
  /** What a source reads, in some of the seeds. */
  readonly #file: ReplayableFile | undefined;
  readonly #isTrimming: boolean;
  readonly #chaosMs: number;
  #sentOfLate = 0;
  readonly #startedMs: number;
  /**
   * The store of the leases loses its tail as the log does. Then no clock is set back: what numbers lives, terms and grants is
   * that clock (S1), and the numbers that were lost would be made again.
   */
  readonly #losesLeases: boolean;

  constructor(world: World, inspect: Inspect, plant: ClusterPlant) {
    this.#world = world;
    this.#startedMs = world.trueMs;
    const { random } = world;
    this.#chaosMs = CHAOS_MS_MIN + random.below(CHAOS_MS_MAX - CHAOS_MS_MIN);
    const count = random.chance(0.008) ? 20 + random.below(10) : random.chance(0.05) ? 8 : 3 + random.below(3);
    const partitions = count > 8 ? count : 3 + random.below(4);
    this.#names = Array.from({ length: count }, (_, at) => `n${String(at + 1).padStart(2, "0")}`);
    this.#store = new SimulatedStore(world, random.chance(0.6) ? "fsync" : "everysec", partitions);
    this.#losesLeases = this.#store.tier === "everysec" && random.chance(0.7);
    this.#leases = new SimulatedLeases(world, SIMULATED_TIMES.handOverWithinMs);
    this.#leases.isOwner = (life, partition) => {
      const process = this.#processes.get(life.node);
      const isHere = process?.life?.incarnation === life.incarnation && process.isAlive;
      return isHere && process.owned().includes(partitionOfName(partition).partition);
    };
    const shared: (Position | undefined)[] = [];
    this.#sinks = SINKS.map((name, at) => new SinkModel(name, at === 0, plant.sinks ?? {}, shared));
    this.#network = new SimulatedNetwork(world);
    this.#peers = new PeerNetwork(world, SIMULATED_TIMES.silentAfterMs, random.chance(0.3) ? NARROW_LINKS : {});
    this.#file = random.chance(0.4) ? new ReplayableFile() : undefined;
    // Of a tier that loses nothing that was told: each output then has its input.
    const pipeline = this.#store.tier === "fsync" && random.chance(0.3) ? counting : undefined;
    this.#store.pipeline = pipeline?.name;
    for (const sink of this.#sinks) sink.readsOutbox = pipeline !== undefined;
    const isSmall = pipeline === undefined && random.chance(0.2);
    const onFull = random.chance(0.5) ? "refuse" : "trim";
    this.#isTrimming = isSmall && onFull === "trim";
    const retention = isSmall ? `a small retention (${onFull})` : "a large retention";
    world.say(`${count} nodes, ${partitions} partitions, tier ${this.#store.tier}, ${retention}`);
    this.#parts = {
      ...{ world, leases: this.#leases, peers: this.#peers, times: SIMULATED_TIMES },
      node: {
        ...{ world, store: this.#store, sinks: this.#sinks, inspect },
        ...(this.#file === undefined ? {} : { file: this.#file }),
        pipeline,
        retention: { bytesMax: isSmall ? 700 : 1_000_000_000, ageMaxMs: 7 * 86_400_000, onFull },
        creditBytes: random.chance(0.3) ? 400 : 1_000_000,
        isStoreRemote: true,
        sinkTimeoutMs: SINK_TIMEOUT_MS,
        wrapNodeLog: plant.wrapNodeLog ?? ((log) => log),
      },
      wrapLog: plant.wrapLog ?? ((log) => log),
      wrapActor: plant.wrapActor ?? ((definition) => definition),
      wrapLeases: plant.wrapLeases ?? ((store) => store),
      wrapOrder: plant.wrapOrder ?? ((order) => order),
      wrapLinks: plant.wrapLinks ?? ((links) => links),
      onDeath: (process) => this.#onDeath(process),
    };
    for (const name of this.#names) world.after(random.below(CALM_MS / 2), () => this.#start(name));
    const ledgers = { sent: this.#sent, told: this.#told, store: this.#store, forgetsInDoubt: false };
    this.#senders = ["p0", "p1", "p2", "p3"].map((name, at) => {
      const wayIn = { addresses: this.#addresses(), forward: at >= 2 };
      const options = { ...wayIn, batchEventsMax: BATCH_EVENTS_MAX[at]!, specialShare: SPECIAL_SHARE };
      return new Sender(world, name, at === 1, this.#network.connectAs(name), ledgers, options);
    });
    const readerWayIn = { addresses: this.#addresses(), forward: random.chance(0.2) };
    if (readerWayIn.forward) world.count("the subscriber stays where it is");
    this.#reader = new Reader(world, this.#network.connectAs("reader"), this.#store, readerWayIn);
    this.#flushEverySecond();
  }

  /** All nodes, in an order of the client's own. */
  #addresses(): [string, ...string[]] {
    const first = this.#world.random.below(this.#names.length);
    const names = [...this.#names.slice(first), ...this.#names.slice(0, first)];
    return names.map(addressOf) as [string, ...string[]];
  }

  async run(): Promise<void> {
    await this.#play();
    this.#file?.end();
  }

  async #play(): Promise<void> {
    const world = this.#world;
    this.#sendSoon();
    world.after(CALM_MS, () => this.#faultSoon());
    const stepsMax = this.#names.length > 8 ? STEPS_OF_MANY_MAX : STEPS_MAX;
    await world.run(() => this.#isEnough() || world.problems.length > 0 || world.steps > stepsMax);
    if (!this.#isEnough() && world.problems.length === 0) {
      const counts = `${this.#appended} appends, ${world.faults} faults, ${this.#count("handoff under load")} handoffs`;
      world.problem(`G7: ${counts} in ${world.steps} steps`);
    }
    if (world.problems.length > 0) return;
    this.#endFaults();
    await this.#drain("after the faults ended");
    for (const sender of this.#senders) {
      sender.recover();
      for (const { partition } of this.#store.partitions) sender.send(true, partition);
    }
    if (this.#file !== undefined) this.#appendToFile(this.#file);
    await this.#drain("with fresh events");
    if (world.problems.length === 0) await judge(this.#evidence);
  }

  #isEnough(): boolean {
    const world = this.#world;
    const isLongEnough = world.steps >= STEPS_MIN && world.trueMs - this.#startedMs >= this.#chaosMs;
    const hasHappened = this.#count("a node ended by itself") > 0 && this.#count("handoff under load") > 0;
    return isLongEnough && hasHappened && this.#appended >= APPENDS_MIN && world.faults >= FAULTS_MIN;
  }

  #count(what: string): number {
    return this.#world.counts.get(what) ?? 0;
  }

  get #appended(): number {
    return this.#count("batches appended");
  }

  get #evidence(): Evidence {
    return {
      ...{ world: this.#world, store: this.#store, sinks: this.#sinks, reader: this.#reader },
      ...{ senders: this.#senders, sent: this.#sent, told: this.#told, mayTrimUnread: this.#isTrimming },
    };
  }

  get #living(): readonly ClusterProcess[] {
    return [...this.#processes.values()];
  }

  /** Who believes that it is the coordinator. */
  get #leader(): ClusterProcess | undefined {
    return this.#living.find(({ cluster, name }) => cluster.overview().coordinator?.node === name);
  }

  // The work ---------------------------------------------------------------------------------------------------------

  #sendSoon(): void {
    const world = this.#world;
    const { random } = world;
    world.after(random.below(SEND_GAP_MS_MAX), () => {
      if (!world.isChaos) return;
      const open = this.#senders.reduce((sum, sender) => sum + sender.open / sender.batchEventsMax, 0);
      const share = Math.min(1, (world.trueMs - this.#startedMs) / this.#chaosMs);
      const wanted = Math.ceil(APPENDS_MIN * share - this.#appended - Math.min(open, this.#sentOfLate));
      if (wanted > 0) this.#sendBurst(Math.min(1 + random.below(BURST_BATCHES_MAX), wanted));
      this.#sendSoon();
    });
  }

  #appendToFile(file: ReplayableFile): void {
    const order = file.events.length;
    const event = makeEvent(this.#world, `file-${order}`);
    this.#sent.push({ id: event.id, producer: "file", partition: undefined, order });
    this.#told.set(event.id, "open");
    file.append({ ...event, key: `k${this.#world.random.below(5)}` });
  }

  /**
   * Events of one sender to one partition, unless what it sent there before waits for an answer: new events would set free
   * what hangs, and hide it. Others go on meanwhile, where work is done.
   */
  #sendBurst(batches: number): void {
    const world = this.#world;
    const sender = this.#any(this.#senders);
    const partition = this.#any(this.#store.partitions)?.partition;
    if (this.#file !== undefined && world.random.chance(0.2)) {
      for (let left = batches; left > 0; left -= 1) this.#appendToFile(this.#file);
    } else if (sender !== undefined && partition !== undefined && sender.openIn(partition) === 0) {
      for (let left = batches * sender.batchEventsMax; left > 0; left -= 1) sender.send(false, partition);
    } else return;
    this.#sentOfLate += batches;
    world.after(PATIENCE_MS, () => {
      this.#sentOfLate -= batches;
    });
  }

  #any<Value>(values: readonly Value[]): Value | undefined {
    return values[this.#world.random.below(values.length)];
  }

  // Nodes ------------------------------------------------------------------------------------------------------------

  #start(name: string): void {
    if (this.#processes.has(name)) return;
    const process = new ClusterProcess(this.#parts, name, this.#all.length + 1);
    this.#all.push(process);
    this.#processes.set(name, process);
    this.#network.nodes.set(addressOf(name), process.node);
  }

  #onDeath(process: ClusterProcess): void {
    const world = this.#world;
    const { name, node, isLeaving } = process;
    if (!isLeaving) world.count("a node ended by itself");
    for (const link of this.#network.linksTo(node)) link.cut();
    if (this.#processes.get(name) === process) this.#processes.delete(name);
    if (this.#network.nodes.get(addressOf(name)) === node) this.#network.nodes.delete(addressOf(name));
    const isMachine = !isLeaving && world.fault("a node's machine went with it", 0.25);
    this.#peers.died(nodeId(name), node.kernel, isMachine);
    const isSoon = isLeaving || world.random.chance(0.7);
    world.after(world.random.below(isSoon ? 1_500 : 6_000), () => this.#start(name));
  }

  // Faults -----------------------------------------------------------------------------------------------------------

  #faultSoon(): void {
    const world = this.#world;
    const { random } = world;
    world.after(random.below(random.chance(SWIFT_SHARE) ? SWIFT_GAP_MS_MAX : FAULT_GAP_MS_MAX), async () => {
      if (!world.isChaos) return;
      const isDown = this.#store.store.state().kind !== "ready";
      if (!isDown || random.chance(FAULT_WHILE_DOWN)) await this.#breakSomething();
      this.#faultSoon();
    });
  }

  async #breakSomething(): Promise<void> {
    const world = this.#world;
    const { random } = world;
    const process = this.#any(this.#living);
    switch (this.#missing() ?? FAULTS_BY_WEIGHT[random.below(FAULTS_BY_WEIGHT.length)]!) {
      case "cut a client": {
        const link = this.#any([...this.#network.links]);
        if (link !== undefined) this.#network.cut(link);
        return;
      }
      case "crash a sender":
        return this.#any(this.#senders)?.crash();
      case "take over":
        for (const sender of this.#senders) sender.recover();
        return random.chance(0.4) ? this.#senders[0]?.takeOver() : undefined;
      case "kill":
        return process?.node.die("a node was killed");
      case "freeze":
        return this.#freeze(random.chance(0.4) ? this.#leader : process);
      case "break a link":
        return this.#breakLink();
      case "store away":
        return this.#goAway();
      case "store restarts":
        return this.#nextLife(random.chance(0.5) ? "nothing" : "unflushed");
      case "crash an actor":
        return this.#crashActor(process);
      case "clock jumps":
        world.skewMs = this.#losesLeases ? world.skewMs + 3_600_000 : (random.below(3) - 1) * 3_600_000;
        this.#leases.noteSkew();
        return world.noteFault("the clock jumped an hour");
      case "commit fails":
        this.#store.store.failNext([random.chance(0.5) ? "before" : "after"]);
        return world.noteFault("a commit failed");
      case "flush held":
        this.#store.store.setFlushHeld(true);
        world.after(random.below(300), () => this.#store.store.setFlushHeld(false));
        return world.noteFault("the disk does not flush");
      case "command":
        return this.#command(process);
      case "leave":
        if (process === undefined || this.#living.length < 2) return;
        world.noteFault("a node was stopped in order");
        void process.leave();
        return;
      case "lose the store":
        return this.#loseStore(process);
    }
  }

  /** The fault that a run can not do without, once its time is up. */
  #missing(): FaultKind | undefined {
    if (this.#world.trueMs - this.#startedMs < this.#chaosMs || this.#world.random.chance(0.5)) return undefined;
    if (this.#count("a node ended by itself") === 0) return "kill";
    return this.#count("handoff under load") === 0 ? "command" : undefined;
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
    this.#peers.fallsQuiet(nodeId(process.name));
  }

  #breakLink(): void {
    const world = this.#world;
    const { random } = world;
    const connection = this.#any([...this.#peers.connections]);
    if (connection === undefined) return;
    const [one, other] = connection.ends.map(({ owner }) => owner.self.node) as [
      ReturnType<typeof nodeId>,
      ReturnType<typeof nodeId>,
    ];
    const forMs = random.below(random.chance(0.5) ? 1_000 : 5_000);
    switch (random.below(4)) {
      case 0:
        world.noteFault("a link was cut");
        this.#peers.cut(connection);
        return;
      case 1:
        world.noteFault("a link carried nothing in one direction");
        world.say(`nothing passes from ${one} to ${other} for ${forMs} ms`);
        if (random.chance(0.5)) this.#peers.block(one, other, forMs);
        else this.#peers.block(other, one, forMs);
        return;
      case 2:
        world.noteFault("a link was a black hole");
        this.#peers.block(one, other, forMs);
        this.#peers.block(other, one, forMs);
        return;
      case 3:
        world.noteFault("a node was cut off from the others");
        for (const { name } of this.#living) {
          if (name === one) continue;
          this.#peers.block(one, nodeId(name), forMs);
          this.#peers.block(nodeId(name), one, forMs);
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
    const one = world.random.chance(0.7) ? this.#leader : process;
    if (one === undefined) return;
    const forMs = 1_000 + world.random.below(6_000);
    one.node.storeAwayUntilMs = world.trueMs + forMs;
    world.say(`${one.name} can not reach the store for ${forMs} ms`);
    world.noteFault("a node could not reach the store");
    // Nor, at times, the one that is to take its place: it goes on giving orders to the others.
    const heir = this.#living.filter((other) => other !== one).sort((a, b) => (a.name < b.name ? -1 : 1))[0];
    if (heir === undefined || world.random.chance(0.4)) return;
    this.#peers.block(nodeId(one.name), nodeId(heir.name), forMs);
    this.#peers.block(nodeId(heir.name), nodeId(one.name), forMs);
  }

  #setAway(isAway: boolean): void {
    this.#store.store.setAway(isAway);
    this.#leases.domain.setAway(isAway);
  }

  async #nextLife(loss: "nothing" | "unflushed"): Promise<void> {
    this.#world.noteFault(loss === "nothing" ? "the store restarted" : "the store lost what was not flushed");
    if (loss === "unflushed" && this.#losesLeases) this.#leases.loseTail();
    await this.#store.restart(loss);
  }

  #flushEverySecond(): void {
    this.#world.after(1_000, () => {
      if (this.#store.tier === "everysec") this.#store.store.flushNow();
      this.#leases.flush();
      this.#flushEverySecond();
    });
  }

  #crashActor(process: ClusterProcess | undefined): void {
    if (process === undefined || !process.isAlive) return;
    const world = this.#world;
    const actors = [...process.node.kernel.actors];
    // There is one member among dozens of others.
    const wanted = world.random.chance(0.3) ? actors.filter(({ path }) => path.startsWith("member")) : actors;
    const actor = this.#any(wanted);
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
    const name = this.#any(this.#names);
    if (process === undefined || name === undefined) return;
    const kind = (["drain", "drain", "undrain", "rebalance"] as const)[random.below(4)]!;
    this.#world.noteFault(`somebody asked to ${kind}`);
    const command: ClusterCommand = kind === "rebalance" ? { kind } : { kind, node: nodeId(name) };
    void process.ask(command);
  }

  #endFaults(): void {
    const world = this.#world;
    if (world.random.chance(FINALE_SHARE)) this.#lastFaults();
    world.isChaos = false;
    world.say("faults end");
    this.#setAway(false);
    this.#store.store.setFlushHeld(false);
    this.#peers.unblockAll();
    for (const { node } of this.#living) node.storeAwayUntilMs = 0;
    for (const name of this.#names) this.#start(name);
    for (const sender of this.#senders) sender.recover();
    this.#undrainAll();
  }

  /** A node goes, and links are cut while its partitions find owners: what hangs then is set free by nothing that follows. */
  #lastFaults(): void {
    const world = this.#world;
    const { random } = world;
    this.#any(this.#living)?.node.die("a node was killed");
    for (let left = LAST_CUTS; left > 0; left -= 1) {
      world.after(random.below(LAST_CUTS_MS), () => {
        const connection = this.#any([...this.#peers.connections]);
        if (connection === undefined) return;
        world.noteFault("a link was cut");
        this.#peers.cut(connection);
      });
    }
  }

  /** What was drained is wanted again: asked for until it is so. */
  #undrainAll(): void {
    this.#world.after(500, async () => {
      const view = await this.#leases.domain.open().look();
      for (const { node, isDraining } of view.members) {
        const isLeaving = this.#processes.get(node)?.isLeaving === true;
        if (isDraining && !isLeaving) void this.#any(this.#living)?.ask({ kind: "undrain", node });
      }
      this.#undrainAll();
    });
  }

  // The end ----------------------------------------------------------------------------------------------------------

  /** G7: everything finds its owner, and everything accepted is delivered, once the faults have ended. */
  async #drain(when: string): Promise<void> {
    const world = this.#world;
    const untilMs = world.trueMs + DRAIN_MS_MAX;
    for (let left = await this.#undrained(); left !== undefined; left = await this.#undrained()) {
      const stepsNext = world.steps + STEPS_BETWEEN_LOOKS;
      const isGoing = await world.run(() => world.steps >= stepsNext || world.problems.length > 0);
      if (world.trueMs >= untilMs || !isGoing) world.problem(`G7: not drained ${when}: ${left}`);
      if (world.problems.length > 0) return;
    }
  }

  /** What is left to do, or undefined. */
  async #undrained(): Promise<string | undefined> {
    const waiting = this.#senders.find(({ open }) => open > 0);
    if (waiting !== undefined) return `${waiting.name} has ${waiting.open} events without an answer`;
    const unplaced = this.#misplaced();
    if (unplaced !== undefined) return unplaced;
    const { durable, lostIds } = this.#store;
    const unread = this.#file?.events.find(({ id }) => !durable.has(String(id)) && !lostIds.has(String(id)));
    if (unread !== undefined) return `the source has not brought ${unread.id} into the log`;
    // How far a pipeline is only the log tells.
    const known = this.#store.pipeline === undefined ? undelivered(this.#evidence) : undefined;
    if (known !== undefined) return known;
    await this.#store.absorb(false);
    return undelivered(this.#evidence);
  }

  /** Every partition has one owner, all know it, and none has more than its share. */
  #misplaced(): string | undefined {
    const living = this.#living.filter(({ isAlive }) => isAlive);
    const share = Math.ceil(this.#store.partitions.length / Math.max(1, living.length));
    const owners = this.#store.partitions.map((): string[] => []);
    for (const process of living) {
      const owned = process.owned();
      if (owned.length > share) return `${process.name} owns ${owned.length} partitions, its share is ${share}`;
      for (const partition of owned) owners[partition]?.push(process.name);
    }
    for (const reference of this.#store.partitions) {
      const names = owners[reference.partition] ?? [];
      if (names.length !== 1) return `${partitionName(reference)} is owned by [${names.join(", ")}]`;
      const address = addressOf(names[0]!);
      const lost = living.find((process) => process.ownerAddress(reference.partition) !== address);
      if (lost !== undefined) return `${lost.name} does not know that ${names[0]} owns ${partitionName(reference)}`;
    }
    return undefined;
  }
}
