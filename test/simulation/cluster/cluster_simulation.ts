/**
 * One run of a cluster from one seed: nodes that join, leave, die, freeze and lose their links, one store, sinks, producers that
 * follow owners or stay with one node, and a subscriber. Then the faults end. Every partition must find one owner, every event
 * must be delivered, a fresh event must reach each partition, and the checker reads the history.
 */

import type { Inspect } from "../../../actors/ingest/session.ts";
import type { Pipeline } from "../../../actors/pipeline/pipeline.ts";
import { partitionOfKey } from "../../../protocols/partitioner.ts";
import { nodeId, type Position, partitionName } from "../../../protocols/position.ts";
import { partitionOfName } from "../../../supervisors/cluster/cluster.ts";
import type { LoggedEvent, SentEvent, Told } from "../../support/checker.ts";
import { type Evidence, judge, undelivered } from "../judgement.ts";
import { counting, countingByKey } from "../parts/counting_pipeline.ts";
import type { WrapReader } from "../parts/node_sources.ts";
import { makeEvent, Reader, Sender } from "../parts/simulated_clients.ts";
import type { WrapLog } from "../parts/simulated_log.ts";
import { SimulatedNetwork } from "../parts/simulated_network.ts";
import type { SimulatedPlace } from "../parts/simulated_places.ts";
import { type SinkBugs, SinkModel } from "../parts/simulated_sink.ts";
import { ReplayableFile } from "../parts/simulated_source.ts";
import { SINKS, SimulatedStore } from "../parts/simulated_store.ts";
import { anyOf, inPlaceOfGlobals, type RunOptions, World } from "../parts/world.ts";
import { inspector, type Outcome, outcomeOf, placesOf } from "../simulation.ts";
import { ClusterFaults } from "./cluster_faults.ts";
import {
  addressOf,
  ClusterProcess,
  type ProcessParts,
  SIMULATED_TIMES,
  type WrapLinks,
  type WrapOrder,
  type WrapProcessActor,
} from "./cluster_process.ts";
import { SimulatedLeases, type WrapLeases } from "./simulated_lease_store.ts";
import { PeerNetwork } from "./simulated_peers.ts";

/** The parts that a planted bug replaces; empty for the product itself. */
export interface ClusterPlant {
  readonly wrapLog?: WrapLog;
  readonly wrapNodeLog?: WrapLog;
  readonly wrapActor?: WrapProcessActor;
  readonly wrapLeases?: WrapLeases;
  readonly wrapOrder?: WrapOrder;
  readonly wrapLinks?: WrapLinks;
  readonly wrapReader?: WrapReader;
  readonly sinks?: SinkBugs;
}

const STEPS_MIN = 1_000;
const APPENDS_MIN = 200;
const FAULTS_MIN = 5;
/** The limits of steps for a cluster of at most 8 nodes, and for a larger one. */
const STEPS_MAX = 120_000;
const STEPS_OF_MANY_MAX = 600_000;
/** Several times the slowest answer of a sink. */
const DRAIN_MS_MAX = 150_000;
const STEPS_BETWEEN_LOOKS = 40;
/** Senders send during this whole time, so that all faults meet a working cluster. */
const CHAOS_MS_MIN = 2_000;
const CHAOS_MS_MAX = 4_000;
const BURST_BATCHES_MAX = 8;
/** By sender: most time is spent on batches, not on their events. */
const BATCH_EVENTS_MAX = [1, 1, 2, 1];
/** The share of events that a schema, a step or a sink refuses. Some are enough: the simulation of one node tests them. */
const SPECIAL_SHARE = 0.06;
const SEND_GAP_MS_MAX = 40;
/** Short enough that a delivery can go on after it within the drain. */
const SINK_TIMEOUT_MS = 3_000;
/** A batch that is unanswered for this long waits for an owner: other batches make up for it. */
const PATIENCE_MS = 400;
/** From the first node's start to the first fault. */
const CALM_MS = 600;

/** Links on which data often waits for credit (E19). */
export const NARROW_LINKS = { targetBytesMax: 200, targetMessagesMax: 2, linkBytesMax: 500 } as const;

export async function simulateCluster(
  seed: number,
  plant: ClusterPlant = {},
  options: RunOptions = {},
): Promise<Outcome> {
  const world = new World(seed, options);
  const inspecting = await inspector();
  const log = await inPlaceOfGlobals(world, () => new ClusterSimulation(world, inspecting, plant).run());
  return outcomeOf(world, log);
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
  /** The file of a source, in some seeds. */
  readonly #file: ReplayableFile | undefined;
  readonly #places: readonly SimulatedPlace[];
  readonly #isTrimming: boolean;
  readonly #chaosMs: number;
  #sentOfLate = 0;
  readonly #startedMs: number;
  readonly #faults: ClusterFaults;

  constructor(world: World, inspect: Inspect, plant: ClusterPlant) {
    this.#world = world;
    this.#startedMs = world.trueMs;
    const { random } = world;
    this.#chaosMs = CHAOS_MS_MIN + random.below(CHAOS_MS_MAX - CHAOS_MS_MIN);
    const count = random.chance(0.008) ? 20 + random.below(10) : random.chance(0.05) ? 8 : 3 + random.below(3);
    const partitions = count > 8 ? count : 3 + random.below(4);
    this.#names = Array.from({ length: count }, (_, at) => `n${String(at + 1).padStart(2, "0")}`);
    this.#store = new SimulatedStore(world, random.chance(0.6) ? "fsync" : "everysec", partitions);
    const losesLeases = this.#store.tier === "everysec" && random.chance(0.7);
    this.#leases = new SimulatedLeases(world, SIMULATED_TIMES.handOverWithinMs);
    this.#leases.isOwner = (life, partition) => {
      const process = this.#processes.get(life.node);
      const isHere = process?.life?.incarnation === life.incarnation && process.isAlive;
      return isHere && process.owned().includes(partitionOfName(partition).partition);
    };
    const shared: (Position | undefined)[] = [];
    this.#sinks = SINKS.map((name, at) => new SinkModel(name, at === 0, plant.sinks ?? {}, shared));
    // By the seed alone, so that the other seeds stay as they were.
    for (const sink of this.#sinks) sink.holds = !sink.canRewind && world.seed % 3 === 2;
    this.#network = new SimulatedNetwork(world);
    this.#peers = new PeerNetwork(world, SIMULATED_TIMES.silentAfterMs, random.chance(0.3) ? NARROW_LINKS : {});
    this.#file = random.chance(0.4) ? new ReplayableFile() : undefined;
    this.#places = placesOf({ world, store: this.#store, sent: this.#sent, told: this.#told });
    // Only in a tier that loses no acknowledged event: each output then has its input.
    const pipeline = this.#store.tier === "fsync" && random.chance(0.3) ? this.#counting() : undefined;
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
        ...{ places: this.#places, wrapReader: plant.wrapReader ?? ((reader) => reader) },
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
    this.#faults = new ClusterFaults({
      ...{ world, store: this.#store, leases: this.#leases, peers: this.#peers, network: this.#network },
      ...{ senders: this.#senders, names: this.#names, losesLeases },
      chaosUntilMs: this.#startedMs + this.#chaosMs,
      living: () => this.#living,
      leader: () => this.#leader,
      start: (name) => this.#start(name),
    });
    this.#flushEverySecond();
  }

  /** Drawn from the seed alone, so that the other draws of older seeds stay as they were. */
  #counting(): Pipeline {
    const isByKey = this.#world.seed % 2 === 0;
    this.#world.count(isByKey ? "a pipeline with tables" : "a pipeline with a snapshot");
    return isByKey ? countingByKey : counting;
  }

  /** The addresses of all nodes, in an order of the client's own. */
  #addresses(): [string, ...string[]] {
    const first = this.#world.random.below(this.#names.length);
    const names = [...this.#names.slice(first), ...this.#names.slice(0, first)];
    return names.map(addressOf) as [string, ...string[]];
  }

  /** Answers with what the log held. */
  async run(): Promise<readonly LoggedEvent[]> {
    await this.#play();
    this.#file?.end();
    for (const place of this.#places) place.end();
    return this.#store.ledger.flat();
  }

  async #play(): Promise<void> {
    const world = this.#world;
    this.#sendSoon();
    world.after(CALM_MS, () => this.#faults.begin());
    const stepsMax = this.#names.length > 8 ? STEPS_OF_MANY_MAX : STEPS_MAX;
    await world.run(() => this.#isEnough() || world.problems.length > 0 || world.steps > stepsMax);
    if (!this.#isEnough() && world.problems.length === 0) {
      const counts = `${this.#appended} appends, ${world.faults} faults, ${this.#world.countOf("handoff under load")} handoffs`;
      world.problem(`G7: ${counts} in ${world.steps} steps`);
    }
    if (world.problems.length > 0) return;
    this.#faults.end();
    await this.#drain("after the faults ended");
    for (const sender of this.#senders) {
      sender.recover();
      for (const { partition } of this.#store.partitions) sender.send(true, partition);
    }
    if (this.#file !== undefined) this.#appendToFile(this.#file);
    for (const place of this.#places) for (const _shard of place.shards) this.#appendTo(place);
    await this.#drain("with fresh events");
    if (world.problems.length === 0) await judge(this.#evidence);
  }

  #isEnough(): boolean {
    const world = this.#world;
    const isLongEnough = world.steps >= STEPS_MIN && world.trueMs - this.#startedMs >= this.#chaosMs;
    const hasHappened =
      world.schedule !== undefined ||
      (world.countOf("a node ended by itself") > 0 && world.countOf("handoff under load") > 0);
    return isLongEnough && hasHappened && this.#appended >= APPENDS_MIN && world.hasFaults(FAULTS_MIN);
  }

  get #appended(): number {
    return this.#world.countOf("batches appended");
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

  /** The process that believes itself the coordinator. */
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

  #appendTo(place: SimulatedPlace): void {
    place.append((name) => ({ ...makeEvent(this.#world, name), key: `k${this.#world.random.below(5)}` }));
  }

  /**
   * Sends a burst of one sender to one partition, unless earlier events of that pair wait for an answer: new events would free an
   * operation that hangs, and hide the fault. Other senders and partitions go on meanwhile.
   */
  #sendBurst(batches: number): void {
    const world = this.#world;
    const sender = anyOf(this.#world.random, this.#senders);
    const partition = anyOf(this.#world.random, this.#store.partitions)?.partition;
    const place = this.#places[0];
    if (place !== undefined && world.random.chance(0.2)) {
      for (let left = batches; left > 0; left -= 1) this.#appendTo(place);
    } else if (this.#file !== undefined && world.random.chance(0.2)) {
      for (let left = batches; left > 0; left -= 1) this.#appendToFile(this.#file);
    } else if (sender !== undefined && partition !== undefined && sender.openIn(partition) === 0) {
      for (let left = batches * sender.batchEventsMax; left > 0; left -= 1) sender.send(false, partition);
    } else return;
    this.#sentOfLate += batches;
    world.after(PATIENCE_MS, () => {
      this.#sentOfLate -= batches;
    });
  }

  #flushEverySecond(): void {
    this.#world.after(1_000, () => {
      if (this.#store.tier === "everysec") this.#store.store.flushNow();
      this.#leases.flush();
      this.#flushEverySecond();
    });
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

  // The end ----------------------------------------------------------------------------------------------------------

  /** G7: once the faults have ended every partition finds its owner, and every accepted event is delivered. */
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

  /** The first reason why the run is not drained, or undefined. */
  async #undrained(): Promise<string | undefined> {
    const waiting = this.#senders.find(({ open }) => open > 0);
    if (waiting !== undefined) return `${waiting.name} has ${waiting.open} events without an answer`;
    const unplaced = this.#misplaced();
    if (unplaced !== undefined) return unplaced;
    const { durable, lostIds } = this.#store;
    const unread = this.#file?.events.find(({ id }) => !durable.has(String(id)) && !lostIds.has(String(id)));
    if (unread !== undefined) return `the source has not brought ${unread.id} into the log`;
    const astray = this.#places.map((place) => this.#unread(place)).find((one) => one !== undefined);
    if (astray !== undefined) return astray;
    // The progress of a pipeline shows only in the log.
    const known = this.#store.pipeline === undefined ? undelivered(this.#evidence) : undefined;
    if (known !== undefined) return known;
    await this.#store.absorb(false);
    return undelivered(this.#evidence);
  }

  /** Each message is acknowledged, and each shard is read where its partition is owned (decision 0016). */
  #unread(place: SimulatedPlace): string | undefined {
    const astray = place.shards.find((shard) => {
      const partition = partitionOfKey(shard, this.#store.partitions.length);
      const owner = this.#living.find((process) => process.owned().includes(partition));
      return place.readersOf(shard).some((node) => node !== owner?.node);
    });
    return place.unread() ?? (astray === undefined ? undefined : `shard ${astray} is read beside its partition`);
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
