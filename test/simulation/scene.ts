/**
 * A simulated node whose faults a script decides, at named points of the node's work. Uses the parts of `simulation.ts`, for
 * the histories of docs/exactly_once.md one by one.
 */

import type { Inspect } from "../../actors/ingest/session.ts";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import { Producer, type ProducerOptions } from "../../protocols/client/producer/producer.ts";
import type { Observation, SentEvent, Told } from "../support/checker.ts";
import { Reader, Sender } from "./parts/simulated_clients.ts";
import { Endpoint } from "./parts/simulated_endpoint.ts";
import type { WrapLog } from "./parts/simulated_log.ts";
import { SimulatedNetwork } from "./parts/simulated_network.ts";
import { type NodeParts, SimulatedNode } from "./parts/simulated_node.ts";
import { type PlaceKind, SimulatedPlace } from "./parts/simulated_places.ts";
import { SinkModel } from "./parts/simulated_sink.ts";
import { ReplayableFile } from "./parts/simulated_source.ts";
import { SINKS, SimulatedStore, STREAM } from "./parts/simulated_store.ts";
import { inPlaceOfGlobals, World } from "./parts/world.ts";
import { inspector } from "./simulation.ts";

const STEPS_MAX = 150_000;

export class Scene {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly network: SimulatedNetwork;
  readonly sinks: readonly SinkModel[];
  readonly sent: SentEvent[] = [];
  readonly told = new Map<string, Told>();
  readonly points: string[] = [];
  /** The script's action at each point, until the script removes it. */
  onPoint: (node: SimulatedNode, point: string) => void = () => {};
  /** The idempotent sink, which replaces the others where the setting has one. */
  readonly endpoint: Endpoint;
  /** The pipeline of the next node; without one each sink runs the steps itself. */
  pipeline: Pipeline | undefined;
  node: SimulatedNode;
  /** The place that a source of the setting reads. */
  readonly place: SimulatedPlace | undefined;
  readonly #parts: NodeParts;
  #nodes = 0;

  constructor(world: World, inspect: Inspect, setting: Setting) {
    const { tier = "fsync", pipeline, endpoint, place } = setting;
    world.isChaos = false;
    this.endpoint = endpoint ?? new Endpoint();
    this.pipeline = pipeline;
    this.world = world;
    this.store = new SimulatedStore(world, tier, 1);
    this.network = new SimulatedNetwork(world);
    const shared: never[] = [];
    this.sinks = SINKS.map((name, at) => new SinkModel(name, at === 0, {}, shared));
    for (const sink of this.sinks) sink.readsOutbox = pipeline !== undefined;
    const ledgers = { world, store: this.store, sent: this.sent, told: this.told };
    this.place = place === undefined ? undefined : new SimulatedPlace(place, ledgers);
    this.#parts = {
      world,
      inspect,
      store: this.store,
      sinks: endpoint === undefined ? this.sinks : [endpoint],
      file: new ReplayableFile(),
      places: this.place === undefined ? [] : [this.place],
      retention: { bytesMax: 1e9, ageMaxMs: 7 * 86_400_000, onFull: "refuse" },
      creditBytes: 1_000_000,
      isStoreRemote: true,
      wrapLog: setting.wrapLog ?? ((log) => log),
      wrapNodeLog: (log) => log,
      onDeath: (node) => {
        for (const link of this.network.linksTo(node)) link.cut();
        if (this.network.front === node) this.network.front = undefined;
      },
      onPoint: (node, point) => {
        this.points.push(point);
        this.onPoint(node, point);
      },
    };
    this.node = this.startNode();
  }

  startNode(): SimulatedNode {
    this.#nodes += 1;
    this.node = new SimulatedNode({ ...this.#parts, pipeline: this.pipeline }, this.#nodes);
    this.network.front = this.node;
    return this.node;
  }

  sender(name: string, isBuffered = false): Sender {
    const ledgers = { sent: this.sent, told: this.told, store: this.store, forgetsInDoubt: false };
    return new Sender(this.world, name, isBuffered, this.network.connectAs(name), ledgers);
  }

  reader(): readonly Observation[][] {
    return new Reader(this.world, this.network.connectAs("reader"), this.store).observations;
  }

  /** A producer of the test's own. */
  producer(options: Partial<ProducerOptions> & { readonly producerId: string }): Producer {
    const { world } = this;
    return new Producer({
      connect: this.network.connectAs(options.producerId),
      addresses: ["front"],
      stream: STREAM,
      instance: options.producerId,
      lingerMs: 1,
      clock: {
        nowMs: () => world.wallMs(),
        random: () => 0.5,
        setTimer: (delayMs, onTime) => world.after(delayMs, onTime),
      },
      ...options,
    });
  }

  /** Runs the world until `hasHappened`. Throws, with `what`, where that never comes about. */
  async until(hasHappened: () => boolean, what: string): Promise<void> {
    const stepsMax = this.world.steps + STEPS_MAX;
    await this.world.run(() => hasHappened() || this.world.steps >= stepsMax);
    if (!hasHappened()) throw new Error(`it never came about that ${what}`);
  }

  /** Lets virtual time pass. */
  async pass(forMs: number): Promise<void> {
    const endMs = this.world.trueMs + forMs;
    let isOver = false;
    this.world.at(endMs, () => {
      isOver = true;
    });
    await this.until(() => isOver, `${forMs} ms passed`);
  }

  /** Runs an action once, at the next point of this name. */
  atNext(point: string, act: (node: SimulatedNode) => void): void {
    this.onPoint = (node, reached) => {
      if (reached !== point) return;
      this.onPoint = () => {};
      act(node);
    };
  }

  async stored(): Promise<readonly string[]> {
    await this.store.absorb();
    return this.store.ledger[0]!.map(({ id }) => id);
  }

  delivered(sink: number): readonly string[] {
    return this.sinks[sink]!.stored(0).records.map(({ event }) => String(event.id));
  }

  async untilDelivered(): Promise<void> {
    await this.stored();
    const end = () => this.store.ledger[0]!.at(-1);
    await this.until(
      () =>
        this.sinks.every((sink) => {
          const at = sink.stored(0).position;
          return at?.offset === end()?.offset && at?.epoch === end()?.epoch;
        }),
      "both sinks hold everything",
    );
  }
}

/** The settings in which a scene differs from most. */
export interface Setting {
  readonly tier?: "fsync" | "everysec";
  readonly pipeline?: Pipeline;
  readonly endpoint?: Endpoint;
  readonly place?: PlaceKind;
  readonly wrapLog?: WrapLog;
}

/** Plays a script. Fails where the script does, and where the world found a problem. */
export async function play(script: (scene: Scene) => Promise<void>, setting: Setting = {}): Promise<void> {
  const world = new World(1);
  const inspect = await inspector();
  await inPlaceOfGlobals(world, async () => script(new Scene(world, inspect, setting)));
  if (world.problems.length > 0) throw new Error(world.problems.join("\n"));
}
