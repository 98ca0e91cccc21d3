/**
 * One run from one seed: nodes, a store, sinks, producers, a source and a subscriber, with faults while they work. Then the
 * faults end, everything drains, fresh events get through, and the checker reads the history.
 */

import { createSchemaCompiler } from "../../actors/ingest/schema/schema_validator.ts";
import { createInspect } from "../../actors/ingest/session/inspection.ts";
import type { Inspect } from "../../actors/ingest/session.ts";
import type { Position } from "../../protocols/position.ts";
import { EVENT_LIMITS } from "../../protocols/values/event_codec.ts";
import type { LoggedEvent, SentEvent, Told } from "../support/checker.ts";
import { type Evidence, judge, undelivered } from "./judgement.ts";
import type { WrapReader } from "./parts/node_sources.ts";
import type { Operation } from "./parts/recording.ts";
import { makeEvent, Reader, Sender } from "./parts/simulated_clients.ts";
import type { WrapLog } from "./parts/simulated_log.ts";
import { SimulatedNetwork, type WrapConnect } from "./parts/simulated_network.ts";
import { type NodeParts, SimulatedNode } from "./parts/simulated_node.ts";
import { type PlaceLedgers, SimulatedPlace } from "./parts/simulated_places.ts";
import { type SinkBugs, SinkModel } from "./parts/simulated_sink.ts";
import { ReplayableFile } from "./parts/simulated_source.ts";
import { SINKS, SimulatedStore } from "./parts/simulated_store.ts";
import { inPlaceOfGlobals, type RunOptions, World } from "./parts/world.ts";

/** The parts that a planted bug replaces; empty for the product as it is. */
export interface Plant {
  readonly wrapLog?: WrapLog;
  readonly wrapNodeLog?: WrapLog;
  readonly wrapConnect?: WrapConnect;
  readonly sinks?: SinkBugs;
  readonly wrapRecords?: NodeParts["wrapRecords"];
  readonly forgetsInDoubt?: boolean;
  readonly wrapReader?: WrapReader;
  /** What the store does besides, when it loses its tail. */
  onTailLoss?(store: SimulatedStore): void;
}

export interface Outcome {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly faults: number;
  readonly trace: readonly string[];
  /** Faults that were due: a schedule names some of them by number. */
  readonly dueFaults: number;
  /** Of a recorded run. */
  readonly history: RunHistory | undefined;
}

export interface RunHistory {
  readonly operations: readonly Operation[];
  /** The log at the end of the run. */
  readonly log: readonly LoggedEvent[];
}

const STEPS_MIN = 1_000;
const APPENDS_MIN = 200;
const FAULTS_MIN = 5;
const STEPS_MAX = 60_000;
const DRAIN_STEPS_MAX = 60_000;
const STEPS_BETWEEN_LOOKS = 25;

const BURST_EVENTS_MAX = 20;
const PAUSE_MS_MAX = 800;
const FAULT_GAP_MS_MAX = 1_400;
/** Probability of a fault that comes while no node can work: most of these would meet no work. */
const FAULT_WHILE_DOWN = 0.3;

const SCHEMA = {
  type: "object",
  required: ["id", "n"],
  properties: { id: { type: "string" }, n: { type: "integer" }, kind: { type: "string" } },
} as const;

let inspect: Inspect | undefined;

export async function inspector(): Promise<Inspect> {
  if (inspect === undefined) {
    const compile = await createSchemaCompiler();
    const check = compile(SCHEMA, "readings");
    inspect = createInspect(new Map([["readings", [{ version: 1, schema: SCHEMA, check }]]]), EVENT_LIMITS);
  }
  return inspect;
}

/** Runs one seed. Deterministic: the same seed, with the same schedule, has the same outcome. */
export async function simulate(seed: number, plant: Plant = {}, options: RunOptions = {}): Promise<Outcome> {
  const world = new World(seed, options);
  const inspecting = await inspector();
  const log = await inPlaceOfGlobals(world, async () => {
    const simulation = new Simulation(world, inspecting, plant);
    await simulation.run();
    return simulation.end();
  });
  return outcomeOf(world, log);
}

export function outcomeOf(world: World, log: readonly LoggedEvent[]): Outcome {
  const { seed, problems, counts, steps, faults, trace, dueFaults, history } = world;
  const told = history === undefined ? undefined : { operations: history.operations, log };
  return { seed, problems, counts, steps, faults, trace, dueFaults, history: told };
}

/** The place whose shards a source reads in half of the seeds. By the seed alone, so that the other seeds stay as they were. */
export function placesOf(ledgers: PlaceLedgers): readonly SimulatedPlace[] {
  const kind = ([["topic"], ["queue"]] as const)[ledgers.world.seed % 4]?.[0];
  return kind === undefined ? [] : [new SimulatedPlace(kind, ledgers)];
}

class Simulation {
  readonly #world: World;
  readonly #plant: Plant;
  readonly #store: SimulatedStore;
  readonly #sinks: readonly SinkModel[];
  readonly #network: SimulatedNetwork;
  readonly #file = new ReplayableFile();
  readonly #sent: SentEvent[] = [];
  readonly #told = new Map<string, Told>();
  readonly #senders: Sender[];
  readonly #reader: Reader;
  readonly #parts: NodeParts;
  readonly #isTrimming: boolean;
  readonly #nodes: SimulatedNode[] = [];
  readonly #places: readonly SimulatedPlace[];
  #fromFile = 0;

  constructor(world: World, inspecting: Inspect, plant: Plant) {
    this.#world = world;
    this.#plant = plant;
    const { random } = world;
    this.#store = new SimulatedStore(world, random.chance(0.6) ? "fsync" : "everysec", 2 + random.below(2));
    const shared: (Position | undefined)[] = [];
    this.#sinks = SINKS.map((name, at) => new SinkModel(name, at === 0, plant.sinks ?? {}, shared));
    // By the seed alone, so that the other seeds stay as they were.
    for (const sink of this.#sinks) sink.holds = !sink.canRewind && world.seed % 3 === 2;
    this.#network = new SimulatedNetwork(world);
    const isSmall = random.chance(0.3);
    const onFull = random.chance(0.5) ? "refuse" : "trim";
    this.#isTrimming = isSmall && onFull === "trim";
    world.say(`tier ${this.#store.tier}, retention ${isSmall ? onFull : "large"}`);
    this.#places = placesOf({ world, store: this.#store, sent: this.#sent, told: this.#told });
    this.#parts = {
      world,
      store: this.#store,
      sinks: this.#sinks,
      file: this.#file,
      places: this.#places,
      ...(plant.wrapReader === undefined ? {} : { wrapReader: plant.wrapReader }),
      inspect: inspecting,
      retention: { bytesMax: isSmall ? 700 : 1_000_000_000, ageMaxMs: 7 * 86_400_000, onFull },
      creditBytes: random.chance(0.3) ? 400 : 1_000_000,
      isStoreRemote: random.chance(0.5),
      ...(plant.wrapRecords === undefined ? {} : { wrapRecords: plant.wrapRecords }),
      wrapLog: plant.wrapLog ?? ((log) => log),
      wrapNodeLog: plant.wrapNodeLog ?? ((log) => log),
      onDeath: (node) => this.#onDeath(node),
    };
    this.#startNode();
    const connect = (client: string) =>
      (plant.wrapConnect ?? ((connecting) => connecting))(this.#network.connectAs(client));
    const ledgers = {
      sent: this.#sent,
      told: this.#told,
      store: this.#store,
      forgetsInDoubt: plant.forgetsInDoubt === true,
    };
    this.#senders = ["p0", "p1", "p2"].map((name, at) => new Sender(world, name, at === 1, connect(name), ledgers));
    this.#reader = new Reader(world, this.#network.connectAs("reader"), this.#store);
    this.#flushEverySecond();
  }

  async run(): Promise<void> {
    const { world } = this;
    this.#sendSoon();
    this.#faultSoon();
    const isEnough = () => world.steps >= STEPS_MIN && this.#appended >= APPENDS_MIN && world.hasFaults(FAULTS_MIN);
    await world.run(() => isEnough() || world.problems.length > 0 || world.steps > STEPS_MAX);
    if (!isEnough() && world.problems.length === 0)
      world.problem(`G7: ${this.#appended} appends in ${world.steps} steps`);
    if (world.problems.length > 0) return;
    this.#endFaults();
    await this.#drain("after the faults ended");
    for (const sender of this.#senders) {
      sender.recover();
      for (const { partition } of this.#store.partitions) sender.send(true, partition);
    }
    this.#appendToFile();
    for (const place of this.#places) for (const _shard of place.shards) this.#appendTo(place);
    await this.#drain("with fresh events");
    if (world.problems.length === 0) await this.#judge();
  }

  /** Answers with what the log held. */
  end(): readonly LoggedEvent[] {
    this.#file.end();
    for (const place of this.#places) place.end();
    return this.#store.ledger.flat();
  }

  get #appended(): number {
    return this.#world.counts.get("batches appended") ?? 0;
  }

  private get world(): World {
    return this.#world;
  }

  // The work ---------------------------------------------------------------------------------------------------------

  #sendSoon(): void {
    const { world } = this;
    if (!world.isChaos) return;
    const { random } = world;
    world.after(random.chance(0.1) ? random.below(PAUSE_MS_MAX) : random.below(40), () => {
      if (!world.isChaos) return;
      // Open events will be appended too: more batches than wanted would only lengthen the drain.
      const open = this.#senders.reduce((sum, sender) => sum + sender.open, 0);
      const count = Math.min(1 + random.below(BURST_EVENTS_MAX), APPENDS_MIN - this.#appended - open);
      for (let at = 0; at < count; at += 1) {
        if (random.chance(0.2)) this.#appendToSource();
        else this.#senders[random.below(this.#senders.length)]!.send();
      }
      this.#sendSoon();
    });
  }

  /** Events of sources go to the file, or in turn to the file and to the places. */
  #appendToSource(): void {
    const sources = [undefined, ...this.#places];
    const place = sources[this.#sent.length % sources.length];
    if (place === undefined) this.#appendToFile();
    else this.#appendTo(place);
  }

  #appendTo(place: SimulatedPlace): void {
    place.append((name) => ({ ...makeEvent(this.world, name), key: `k${this.world.random.below(5)}` }));
  }

  #appendToFile(): void {
    const event = makeEvent(this.world, `file-${this.#fromFile}`);
    this.#sent.push({ id: event.id, producer: "file", partition: undefined, order: this.#fromFile });
    this.#file.append({ ...event, key: `k${this.world.random.below(5)}` });
    this.#fromFile += 1;
  }

  // Faults -----------------------------------------------------------------------------------------------------------

  #faultSoon(): void {
    const { world } = this;
    world.after(world.random.below(FAULT_GAP_MS_MAX), async () => {
      if (!world.isChaos) return;
      const isDown = this.#network.front === undefined || this.#store.store.state().kind !== "ready";
      if ((!isDown || world.random.chance(FAULT_WHILE_DOWN)) && world.isDue()) await this.#breakSomething();
      this.#faultSoon();
    });
  }

  async #breakSomething(): Promise<void> {
    const { world } = this;
    const { random } = world;
    const node = this.#network.front;
    switch (random.below(14)) {
      case 0:
      case 1: {
        const links = [...this.#network.links];
        if (links.length > 0) this.#network.cut(links[random.below(links.length)]!);
        return;
      }
      case 2:
        return this.#senders[random.below(this.#senders.length)]!.crash();
      case 3:
        this.#senders[random.below(this.#senders.length)]!.recover();
        return this.#senders[0]!.takeOver();
      case 4:
        return node?.die("a node was killed");
      case 5:
        return this.#freeze(node);
      case 6:
        return this.#goAway();
      case 7:
        return this.#restartStore("nothing");
      case 8:
        return this.#restartStore("unflushed");
      case 9:
        return this.#crashActor(node);
      case 10:
        world.skewMs = (random.below(3) - 1) * 3_600_000;
        return world.noteFault("the clock jumped an hour");
      case 11:
        this.#store.store.failNext([random.chance(0.5) ? "before" : "after"]);
        return world.noteFault("a commit failed");
      case 13:
        this.#store.encodingsToFail = 1 + random.below(3);
        return world.noteFault("an encoder throws");
      case 12:
        this.#store.store.setFlushHeld(true);
        world.after(random.below(300), () => this.#store.store.setFlushHeld(false));
        return world.noteFault("the disk does not flush");
    }
  }

  #startNode(): void {
    const node = new SimulatedNode(this.#parts, this.#nodes.length + 1);
    this.#nodes.push(node);
    this.#network.front = node;
  }

  #onDeath(node: SimulatedNode): void {
    for (const link of this.#network.linksTo(node)) link.cut();
    if (this.#network.front !== node) return;
    this.#network.front = undefined;
    const { world } = this;
    // A store within the process dies with it. Queued calls are lost, and with the power also unflushed commits.
    if (!this.#parts.isStoreRemote) {
      void world.after(0, () => this.#nextLife(world.isChaos && world.random.chance(0.3) ? "unflushed" : "nothing"));
    }
    world.after(1 + world.random.below(1_000), () => {
      if (this.#network.front === undefined) this.#startNode();
    });
  }

  /** E8, E14: a node freezes, another takes its place, and the first thaws without knowing. */
  #freeze(node: SimulatedNode | undefined): void {
    const { world } = this;
    if (node === undefined || !node.isAlive) return;
    const forMs = world.random.below(4_000);
    node.kernel.frozenUntilMs = world.trueMs + forMs;
    if (!this.#parts.isStoreRemote || world.random.chance(0.4)) {
      world.noteFault("a node froze and thawed");
      return;
    }
    world.noteFault("a node froze and thawed beside its successor");
    this.#network.front = undefined;
    world.after(world.random.below(1_000), () => this.#network.front ?? this.#startNode());
    world.after(forMs + world.random.below(3_000), () => node.die("a superseded node ended"));
  }

  #goAway(): void {
    const { world } = this;
    const { store } = this.#store;
    world.noteFault("the store went away");
    store.setAway(true);
    world.after(world.random.chance(0.2) ? world.random.below(40_000) : world.random.below(1_000), () =>
      store.setAway(false),
    );
  }

  async #restartStore(loss: "nothing" | "unflushed"): Promise<void> {
    const node = this.#network.front;
    // A store within the process restarts only with the process.
    if (!this.#parts.isStoreRemote) node?.die("a node was killed");
    await this.#nextLife(loss);
  }

  async #nextLife(loss: "nothing" | "unflushed"): Promise<void> {
    this.world.noteFault(loss === "nothing" ? "the store restarted" : "the store lost what was not flushed");
    await this.#store.restart(loss);
    if (loss === "unflushed") this.#plant.onTailLoss?.(this.#store);
  }

  async #crashActor(node: SimulatedNode | undefined): Promise<void> {
    if (node === undefined || !node.isAlive) return;
    const actors = [...node.kernel.actors];
    const actor = actors[this.world.random.below(actors.length)];
    if (actor === undefined) return;
    const name = actor.path.split("/").at(-1) ?? "";
    const kind = name.startsWith("delivery")
      ? "delivery"
      : name.startsWith("session")
        ? "session"
        : name === "file" || name.startsWith("shard-")
          ? "source"
          : actor.children.size > 0
            ? "supervisor"
            : "partition";
    this.world.noteFault(`actor crash: ${kind}`);
    this.world.say(`crashing ${actor.path} of node ${node.number}`);
    void actor.crash(kind !== "session");
  }

  #flushEverySecond(): void {
    this.world.after(1_000, () => {
      if (this.#store.tier === "everysec") this.#store.store.flushNow();
      this.#flushEverySecond();
    });
  }

  #endFaults(): void {
    const { world } = this;
    world.isChaos = false;
    world.say("faults end");
    this.#store.store.setAway(false);
    this.#store.store.setFlushHeld(false);
    this.#store.encodingsToFail = 0;
    for (const node of this.#nodes) {
      node.kernel.frozenUntilMs = 0;
      if (node !== this.#network.front) node.die("a superseded node ended");
    }
    if (this.#network.front === undefined) this.#startNode();
    for (const sender of this.#senders) sender.recover();
  }

  // The end ----------------------------------------------------------------------------------------------------------

  /** G7: everything accepted is delivered once the faults have ended. */
  async #drain(when: string): Promise<void> {
    const { world } = this;
    const stepsMax = world.steps + DRAIN_STEPS_MAX;
    for (let left = await this.#undrained(); left !== undefined; left = await this.#undrained()) {
      const stepsNext = world.steps + STEPS_BETWEEN_LOOKS;
      const isGoing = await world.run(() => world.steps >= stepsNext || world.problems.length > 0);
      if (world.steps >= stepsMax || !isGoing) world.problem(`G7: not drained ${when}: ${left}`);
      if (world.problems.length > 0) return;
    }
  }

  /** The work that is left to do, or undefined. */
  async #undrained(): Promise<string | undefined> {
    const waiting = this.#senders.find(({ open }) => open > 0);
    if (waiting !== undefined) return `${waiting.name} has ${waiting.open} events without an answer`;
    if (this.#store.store.state().kind !== "ready") return "the store is away";
    const fromFile = this.#settledFromFile();
    if (fromFile < this.#fromFile) return `the source has ${fromFile} of ${this.#fromFile} events in the log`;
    const unread = this.#places.map((place) => place.unread()).find((one) => one !== undefined);
    if (unread !== undefined) return unread;
    // The ledger never holds more than the log, so most looks need not read the log.
    const known = undelivered(this.#evidence);
    if (known !== undefined) return known;
    await this.#store.absorb(false);
    return undelivered(this.#evidence);
  }

  #settledFromFile(): number {
    const { durable, lostIds, refused } = this.#store;
    const settled = (id: string) => durable.has(id) || lostIds.has(id) || refused.has(id);
    return this.#file.events.filter(({ id }) => settled(String(id))).length;
  }

  async #judge(): Promise<void> {
    for (const { id, producer } of this.#sent) if (producer === "file") this.#told.set(id, "open");
    await judge(this.#evidence);
  }

  get #evidence(): Evidence {
    return {
      ...{ world: this.#world, store: this.#store, sinks: this.#sinks, reader: this.#reader },
      ...{ senders: this.#senders, sent: this.#sent, told: this.#told, mayTrimUnread: this.#isTrimming },
    };
  }
}
