/**
 * One life of a node: the product's own supervision tree, partitions, deliveries, sessions and source, on a simulated kernel,
 * log and sinks. The node may die before or after each of its actions on the world outside.
 */

import { CreditPool } from "../../../actors/ingest/session/credit_pool.ts";
import { connectInProcess } from "../../../actors/ingest/session/in_process_connection.ts";
import { RecordsBudget, type RecordsGrant } from "../../../actors/ingest/session/records_budget.ts";
import { sessionActor } from "../../../actors/ingest/session/session_actor.ts";
import type { Inspect, SessionEnvironment, SessionInput, SessionPeer } from "../../../actors/ingest/session.ts";
import type { ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";
import type { Log } from "../../../actors/log/log.ts";
import type { PartitionRequest, Retention } from "../../../actors/partition/partition.ts";
import type { PartitionFeed } from "../../../actors/partition/partition_feed.ts";
import type { OutboxReport } from "../../../actors/pipeline/outbox/outbox_messages.ts";
import { outboxActor, outboxChannel } from "../../../actors/pipeline/outbox_actor.ts";
import type { OutboxRecord } from "../../../actors/pipeline/outbox_record.ts";
import type { Pipeline } from "../../../actors/pipeline/pipeline.ts";
import { deliveryActor } from "../../../actors/sinks/delivery/delivery_actor.ts";
import { DELIVERY_LIMITS, type DeliveryReport } from "../../../actors/sinks/delivery/delivery_messages.ts";
import { deliveryProgress } from "../../../actors/sinks/delivery/delivery_progress.ts";
import { eachRecord, prepareItems } from "../../../actors/sinks/delivery/prepare_items.ts";
import type { SinkDefinition } from "../../../actors/sinks/sink.ts";
import { sourceActor } from "../../../actors/sources/source_actor.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { isEvent } from "../../../protocols/values/unreadable.ts";
import { WIRE_DEFAULTS } from "../../../protocols/wire/frames.ts";
import { streamSupervisor } from "../../../supervisors/node/partition_supervisor.ts";
import type { PartitionPlan, PlacementEvent, PlacementOrder } from "../../../supervisors/node/placement.ts";
import { NodeDirectory } from "../../../supervisors/node/stream_directory.ts";
import { startNodeSources, type WrapReader } from "./node_sources.ts";
import type { OutsideCalls } from "./outside_calls.ts";
import { SimulatedKernel, type WrapActor } from "./simulated_kernel.ts";
import { simulatedLog, type WrapLog } from "./simulated_log.ts";
import type { SimulatedPlace } from "./simulated_places.ts";
import type { ReplayableFile } from "./simulated_source.ts";
import { type SimulatedStore, STREAM } from "./simulated_store.ts";
import type { World } from "./world.ts";

/** A sink outside the node. */
export interface NodeSink {
  readonly name: string;
  definition(node: OutsideCalls, store: SimulatedStore): SinkDefinition<unknown>;
}

export interface NodeParts {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly sinks: readonly NodeSink[];
  /** A pipeline that computes once for all sinks (E13). Without one they read the records themselves. */
  readonly pipeline?: Pipeline | undefined;
  /** The file of the node's source; without one the node has no source. */
  readonly file?: ReplayableFile;
  /** Places that further sources of the node read by shard. */
  readonly places?: readonly SimulatedPlace[];
  readonly wrapReader?: WrapReader;
  readonly inspect: Inspect;
  readonly retention: Retention;
  /** The most credit of one connection, in bytes. */
  readonly creditBytes: number;
  /** Replaces the budget for records by one that is broken on purpose. */
  readonly wrapRecords?: (grant: RecordsGrant) => RecordsGrant;
  /** Deadline of a sink's answer. */
  readonly sinkTimeoutMs?: number;
  /** Whether the store is a process of its own: it outlives the node, and calls of a dead node may still arrive. */
  readonly isStoreRemote: boolean;
  readonly wrapLog: WrapLog;
  /** Wraps the log on the node's side, before a call takes time. */
  readonly wrapNodeLog: WrapLog;
  onDeath(node: SimulatedNode): void;
  /** Whether the node is of a cluster: its partitions are placed by orders, and it reports their outcomes. */
  readonly cluster?: { readonly name: string; readonly wrapActor: WrapActor };
  /** Called before and after each action on the world (`before append`): a script may kill the node there. */
  onPoint?(node: SimulatedNode, point: string): void;
}

/** A budget for records that is so small that subscribers often use it up. */
const RECORDS_ROOM = {
  connectionBytesMax: 3_000,
  nodeBytesMax: 5_000,
  readBytesMin: 300,
  largeBytesMax: 1_000,
  undisturbedMs: 5_000,
  readsMax: 2,
};

/** The steps of a pipeline that runs once for each sink. */
const runSteps = eachRecord((event) =>
  event.kind === "failing"
    ? { kind: "failed", code: "STEP_FAILED", path: "", reason: "bad" }
    : { kind: "outputs", events: event.kind === "filtered" ? [] : [event] },
);

const readOutbox = eachRecord((record) => {
  const stored = record as OutboxRecord;
  return "failed" in stored ? { kind: "failed", ...stored.failed } : { kind: "outputs", events: [stored.event] };
});

/** Probabilities that an operation fails before or after its effect, and that the node dies there. Rare operations have more. */
function riskOf(what: string): typeof HIGH {
  if (VERY_SELDOM.has(what)) return HIGH;
  return SELDOM.has(what) ? MIDDLING : LOW;
}

const HIGH = { fails: 0.06, dies: 0.05 };
const MIDDLING = { fails: 0.006, dies: 0.003 };
const LOW = { fails: 0.006, dies: 0.0004 };

const VERY_SELDOM = new Set([
  "lease leave",
  "lease resign",
  "lease set draining",
  "declare lost",
  "trim",
  "sink rewind",
  "expire chains",
  "seek",
]);
const SELDOM = new Set([
  "claim",
  "welcome",
  "append dead letters",
  "open chain of a sink",
  "open chain",
  "read metadata",
  "write metadata",
  "sink open",
  "sink position",
  "describe",
  "lease join",
  "lease stand",
  "lease declare dead",
  "lease read table",
  "lease renew",
  "lease look",
  "lease renew lease",
  "lease write table",
  "source read",
  "source acknowledge",
]);

/** Whether a call goes to the store, and not to a sink or to the place of a source. */
const isOfStore = (what: string): boolean => !what.startsWith("sink") && !what.startsWith("source");

export class SimulatedNode implements OutsideCalls {
  readonly world: World;
  readonly number: number;
  readonly kernel: SimulatedKernel;
  readonly directory: NodeDirectory;
  readonly log: Log;
  readonly #parts: NodeParts;
  readonly #environment: SessionEnvironment;
  /** When the last call of each lane arrives. The next one must not overtake it. */
  readonly #lanes = new Map<string, number>();
  readonly #credit: CreditPool;
  readonly #records = new RecordsBudget(RECORDS_ROOM);
  readonly #streams: ActorReference<PlacementOrder>;
  readonly #sinkTimeoutMs: number;
  #sessions = 0;
  /** Delay of calls that were under way when the node died: its successor is at work when they arrive. */
  #lateMs = 0;
  /** Until this time the store is out of this node's reach alone. */
  storeAwayUntilMs = 0;
  /** Called with the outcome of a partition that was placed here by `order`. */
  onPlacement: (event: PlacementEvent) => void = () => {};

  constructor(parts: NodeParts, number: number) {
    // Credit windows begin so small that they must grow, and have room to grow.
    this.#credit = new CreditPool({
      totalBytes: parts.creditBytes * 32,
      connectionsMax: 64,
      connectionBytesMax: parts.creditBytes,
      connectionBytesMin: 100,
    });
    const { world, store } = parts;
    this.#parts = parts;
    this.#sinkTimeoutMs = parts.sinkTimeoutMs ?? 30_000;
    this.world = world;
    this.number = number;
    this.kernel = new SimulatedKernel(world, parts.cluster?.wrapActor, parts.cluster?.name);
    this.log = parts.wrapNodeLog(simulatedLog(store, this, parts.wrapLog), this);
    const streams = { [STREAM]: { partitions: store.partitions.length, key: "/key", schemaVersions: [1] } };
    this.directory = new NodeDirectory(streams);
    this.#environment = {
      node: parts.cluster?.name ?? `node-${number}`,
      limits: {
        frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
        eventBytesMax: WIRE_DEFAULTS.eventBytesMax,
        batchEventsMax: WIRE_DEFAULTS.batchEventsMax,
        dedupeWindowMs: 86_400_000,
      },
      directory: this.directory,
      inspect: parts.inspect,
      authenticate: async () => ({
        subject: "all",
        placesOf: "all",
        mayProduce: () => true,
        mayConsume: () => true,
        mayObserve: () => true,
      }),
      welcomeProducer: (...arguments_) => this.log.welcomeProducer(...arguments_),
    };
    world.say(`node ${number} starts${parts.cluster === undefined ? "" : ` as ${parts.cluster.name}`}`);
    const placement =
      parts.cluster === undefined
        ? { grant: { leaderEpoch: 1, tableVersion: number } }
        : { onPlacement: (event: PlacementEvent) => this.onPlacement(event) };
    const tree = { stream: STREAM, plans: this.#plans(), directory: this.directory, ...placement };
    this.#streams = this.kernel.spawn(streamSupervisor(tree)).reference;
    this.#startSources();
  }

  order(order: PlacementOrder): void {
    this.#streams.tell(order);
  }

  get isAlive(): boolean {
    return this.kernel.isAlive;
  }

  #plans(): readonly PartitionPlan[] {
    const { store, sinks, pipeline, retention } = this.#parts;
    return store.partitions.map((partition) => ({
      owner: {
        partition,
        log: this.log,
        settings: { tier: store.tier, chains: { dedupeWindowMs: 86_400_000, producersMax: 100 } },
        retention,
        expectedConsumers: sinks.map(({ name }) => `sink/${name}`),
      },
      deliveries: (feed, owner) => [
        ...(pipeline === undefined ? [] : [this.#outbox(pipeline, feed)]),
        ...sinks.map((sink) => this.#delivery(sink, feed, owner)),
      ],
    }));
  }

  #outbox(pipeline: Pipeline, feed: PartitionFeed): ActorDefinition<never> {
    const observe = ({ kind }: OutboxReport) => this.world.count(`outbox: ${kind}`);
    const timeOf = (_event: Event, appendedAtMs: number) => appendedAtMs;
    return outboxActor({ pipeline, feed, timeOf, observe }) as ActorDefinition<never>;
  }

  /** Wires the deliveries as `supervisors/node/delivery_plans.ts` does. */
  #delivery(sink: NodeSink, feed: PartitionFeed, owner: ActorReference<PartitionRequest>): ActorDefinition<never> {
    const { world } = this;
    const { pipeline } = this.#parts;
    const input = pipeline === undefined ? "records" : outboxChannel(pipeline.name);
    const progress = deliveryProgress(`sink/${sink.name}`, feed, owner, input);
    const eventBytes = {
      decode: decodeTrustedEvents,
      encode: (events: readonly unknown[]) => encodeEvents(events, { asRecords: false }),
    };
    return deliveryActor({
      name: sink.name,
      sink: sink.definition(this, this.#parts.store),
      sinkOptions: {},
      folder: "",
      clusterId: "simulated",
      feed,
      input,
      connect: () =>
        Promise.reject(new UnavailableError("CONNECTION_LOST", "Cannot connect as the simulated sinks must not")),
      start: "earliest",
      limits: {
        ...DELIVERY_LIMITS,
        recordsMax: world.random.chance(0.15) ? 1 : 4 + world.random.below(16),
        readAheadBytesMax: 2_000,
        rejectTriesMax: 2,
        retryMaxMs: 2_000,
        lingerMs: world.random.chance(0.4) ? 8 : 0,
      },
      eventBytes,
      prepare: (batch, after) =>
        prepareItems(
          {
            partition: feed.partition,
            run: pipeline === undefined ? runSteps : readOutbox,
            sharedBy: pipeline ?? runSteps,
            timeOf: (_event, appendedAtMs) => appendedAtMs,
          },
          batch,
          after,
        ),
      operationTimeoutMs: this.#sinkTimeoutMs,
      readBytesMax: 600,
      observe: (report: DeliveryReport) => {
        world.count(`delivery: ${report.kind}`);
        if (report.kind === "truncated" && report.isAhead) world.count("delivery: ahead of a truncation");
        if (world.isTraced && report.kind !== "delivered") {
          world.say(`node ${this.number} ${sink.name}/${feed.partition.partition} ${JSON.stringify(report)}`);
        }
        progress(report);
      },
      log: () => {},
    }) as ActorDefinition<never>;
  }

  #source(file: ReplayableFile): ActorDefinition<never> {
    return sourceActor({
      name: "file",
      stream: STREAM,
      definition: file.definition,
      options: {},
      connect: connectInProcess(async (peer, onEnd) => this.openSession(peer, onEnd)),
      log: this.log,
      report: () => {},
      trouble: () => {},
      onRejected: ({ event, code }) => {
        file.onRejected(event);
        if (code === "INVARIANT_VIOLATED" && isEvent(event)) this.#parts.store.refused.add(String(event.id));
      },
    }) as ActorDefinition<never>;
  }

  /** In a cluster ownership decides where a source runs. The file of a node alone runs by itself, which tells its refusals. */
  #startSources(): void {
    const { file, places = [], wrapReader = (reader) => reader, cluster } = this.#parts;
    if (file !== undefined && cluster === undefined) this.kernel.spawn(this.#source(file));
    const placedFile = cluster === undefined ? undefined : file;
    if (placedFile === undefined && places.length === 0) return;
    const environment = cluster === undefined ? this.#environment : { ...this.#environment, passesOn: true };
    startNodeSources({
      ...{ node: this, kernel: this.kernel, log: this.log, directory: this.directory },
      connect: connectInProcess(async (peer, onEnd) => this.openSession(peer, onEnd, environment)),
      ...{ file: placedFile, places, wrapReader, clusterNode: cluster?.name },
    });
  }

  openSession(
    peer: SessionPeer,
    onEnd: () => void,
    environment: SessionEnvironment = this.#environment,
  ): ActorReference<SessionInput> {
    this.#sessions += 1;
    const credit = this.#credit.take();
    const opened = this.#records.open();
    const records = this.#parts.wrapRecords?.(opened) ?? opened;
    const cell = this.kernel.spawn(
      sessionActor({
        name: `session-${this.#sessions}`,
        environment,
        peer,
        credit,
        records,
        // The watcher has been told by then, and the session ends with the world.
        onDisconnected: () => {},
        decode: () => {
          throw new TypeError("Cannot decode in a simulated session as it must be given frames");
        },
      }),
    );
    cell.watch(() => {
      credit.release();
      records.release();
      onEnd();
    });
    return cell.reference;
  }

  operate<Value>(
    what: string,
    lane: string | undefined,
    makeError: () => Error,
    perform: () => Promise<{ readonly value: Value; readonly onAnswer: () => void }>,
  ): Promise<Value> {
    const { world } = this;
    return new Promise((resolve, reject) => {
      if (world.isTraced && (what.startsWith("sink") || what === "read"))
        world.say(`node ${this.number} calls ${what} ${lane ?? ""}`);
      const answer = (act: () => void) => world.after(this.#delayMs(what), () => this.kernel.whenAwake(act));
      const arrive = async (isLate = false): Promise<unknown> => {
        if (!this.isAlive && !isLate) {
          if (!this.#arrivesAfterDeath(what)) return;
          if (this.#lateMs > 0) return world.after(this.#lateMs, () => arrive(true));
        }
        if (this.isAlive && this.#diesAt("before", what)) return;
        if (world.trueMs < this.storeAwayUntilMs && isOfStore(what)) return answer(() => reject(makeError()));
        if (world.fault(`${what} failed`, riskOf(what).fails)) return answer(() => reject(makeError()));
        let act: () => void;
        try {
          const { value, onAnswer } = await perform();
          act = () => {
            onAnswer();
            resolve(value);
          };
        } catch (error) {
          act = () => reject(error);
        }
        if (this.isAlive && this.#diesAt("after", what)) return;
        if (world.fault(`answer to ${what} lost`, riskOf(what).fails)) return answer(() => reject(makeError()));
        answer(act);
      };
      world.at(this.#arrivalMs(what, lane), () => arrive());
    });
  }

  #arrivalMs(what: string, lane: string | undefined): number {
    const atMs = this.world.trueMs + this.#delayMs(what);
    if (lane === undefined) return atMs;
    const inOrderMs = Math.max(atMs, this.#lanes.get(lane) ?? 0);
    this.#lanes.set(lane, inOrderMs);
    return inOrderMs;
  }

  #delayMs(what: string): number {
    const { world } = this;
    const isSink = what.startsWith("sink");
    if (isSink) {
      const isLate = world.fault("a sink does not answer in time", what === "sink rewind" ? 0.05 : 0.002);
      if (isLate) return this.#sinkTimeoutMs + 1_000 + world.random.below(this.#sinkTimeoutMs / 3);
      if (world.fault("a sink is slow", 0.01)) return world.random.below(3_000);
    } else if (isOfStore(what) && world.fault("the store is slow", 0.003)) return world.random.below(2_000);
    return world.random.next() * (isSink ? 10 : 8);
  }

  #arrivesAfterDeath(what: string): boolean {
    const { world } = this;
    if (isOfStore(what) && !this.#parts.isStoreRemote) return false;
    if (!world.random.chance(0.5)) return false;
    world.count(`a dead node's ${what} arrived`);
    return true;
  }

  #diesAt(side: "before" | "after", what: string): boolean {
    this.#parts.onPoint?.(this, `${side} ${what}`);
    if (!this.isAlive) return true;
    if (!this.world.isChaos || !this.world.random.chance(riskOf(what).dies)) return false;
    this.world.count(`crash ${side} ${what}`);
    this.die(`a node crashed`);
    return true;
  }

  die(how: string): void {
    if (!this.isAlive) return;
    this.world.noteFault(how);
    this.world.say(`node ${this.number} dies`);
    if (this.world.random.chance(0.3)) this.#lateMs = this.world.random.below(2_000);
    this.kernel.kill();
    this.#parts.onDeath(this);
  }
}
