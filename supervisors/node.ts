/**
 * One node: opens the log, starts the tree of actors, listens, and ends all of it in order. The only place that knows
 * the whole.
 */
import { hostname } from "node:os";
import { CreditPool } from "../actors/ingest/credit_pool.ts";
import { BodyBudget } from "../actors/ingest/http_body.ts";
import { HttpIngest } from "../actors/ingest/http_ingest.ts";
import { mountIngestRoutes } from "../actors/ingest/http_routes.ts";
import { connectInProcess, type OpenInProcess } from "../actors/ingest/in_process_connection.ts";
import { createInspect } from "../actors/ingest/inspection.ts";
import { registerSchema, type SchemaVersion } from "../actors/ingest/schema_registry.ts";
import { createSchemaCompiler } from "../actors/ingest/schema_validator.ts";
import type { SessionEnvironment, SessionInput, SessionPeer } from "../actors/ingest/session.ts";
import { type SessionHostMessage, sessionHost } from "../actors/ingest/session_host.ts";
import { mountStreamRoutes } from "../actors/ingest/stream_routes.ts";
import type { ActorReference, ActorSystem } from "../actors/kernel/actor.ts";
import { createActorSystem } from "../actors/kernel/actor_system.ts";
import { type Log, SHORT_LIVED_PRODUCERS } from "../actors/log/log.ts";
import { createMetrics, type Metrics } from "../actors/observers/metrics.ts";
import type { NodeLog } from "../actors/observers/node_log.ts";
import { createWebSocketListener, type WebSocketListener } from "../actors/transport/websocket_listener.ts";
import type { Connect } from "../protocols/connection.ts";

import { ConfigurationError, RejectedError } from "../protocols/errors.ts";

import { EVENT_LIMITS } from "../protocols/event_codec.ts";
import { type ClientFrame, type StreamDescription, WIRE_DEFAULTS, type WireLimits } from "../protocols/frames.ts";
import { partitionId } from "../protocols/position.ts";
import { type Access, createAccess, type Grants, type ReadSecret } from "./access.ts";
import type { Configuration, StreamConfiguration } from "./configuration_schema.ts";
import { DeliveryBoard } from "./delivery_board.ts";
import { type DeliveryPlans, planDeliveries } from "./delivery_plans.ts";
import { type Routes, startHttpServer } from "./http_server.ts";
import { mountHealthRoutes, mountNodeRoutes, type NodeRoutesOptions } from "./node_routes.ts";
import { openLog } from "./open_log.ts";
import { mountOpenApi } from "./openapi.ts";
import { type PartitionPlan, SUPERVISION, streamSupervisor } from "./partition_supervisor.ts";
import { createReplayRoutes } from "./replay_routes.ts";
import { Replays } from "./replays.ts";
import { startSources } from "./sources.ts";
import { NodeDirectory } from "./stream_directory.ts";
import { registerStreams } from "./stream_settings.ts";

export interface NodeOptions {
  readonly configuration: Configuration;
  readonly log: NodeLog;
  readonly readSecret: ReadSecret;
  /** Serves `/`: the dashboard's files. */
  readonly page?: Routes;
}

export interface RunningNode {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly directory: NodeDirectory;
  /** Every HTTP route, as `GET /v1/streams/:stream`. */
  readonly routes: readonly string[];
  /** The way in for derived streams: a producer is given the epoch that its `hello` names. */
  readonly connectWithEpoch: Connect;
  /** Resolves when every partition has been claimed once. */
  readonly ready: Promise<void>;
  /** Refuses new work, drains, checkpoints, closes. Resolves with what was left undone, if anything was. */
  stop(timeoutMs: number): Promise<readonly string[]>;
}

/** Time for what was started to end, when a later part could not start. */
const START_FAILURE_WITHIN_MS = 5_000;

/** From a commit in memory to a store that hangs; dense around a disk's flush. */
const ACK_SECONDS_BOUNDS = [
  0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

const DELIVERY_SECONDS_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600,
];

/** One node alone is its own coordinator: there is one grant. */
const SOLE_GRANT = { leaderEpoch: 1, tableVersion: 1 } as const;

/** What the node's own sources and pipelines may do. */
const INSIDE: Grants = {
  subject: "this node",
  mayAdministrate: false,
  mayProduce: () => true,
  mayConsume: () => true,
};

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { configuration } = options;
  const closers: Closer[] = [];
  try {
    const access = await createAccess(configuration.security, configuration.node.host, options.readSecret);
    const log = await openLog(configuration);
    closers.push({ what: "log", close: () => log.close() });
    return await startOn(log, access, options, closers);
  } catch (error) {
    await closeAll(closers, START_FAILURE_WITHIN_MS);
    throw error;
  }
}

async function startOn(log: Log, access: Access, options: NodeOptions, closers: Closer[]): Promise<RunningNode> {
  const { configuration } = options;
  const name = configuration.node.name ?? hostname();
  await registerStreams(log, configuration);
  const schemas = await registerSchemas(log, configuration);
  const metrics = await createMetrics();
  closers.push({ what: "metrics", close: () => metrics.close() });
  const directory = new NodeDirectory(describeStreams(configuration, schemas));
  const board = new DeliveryBoard(() => Date.now());
  const system = await createActorSystem({ name });
  closers.push({ what: "actors", close: () => system.shutdown() });
  const sessions = startSessions(system, { log, access, configuration, directory, schemas, name });
  const deliverySeconds = metrics.histogram(
    "headrace_delivery_seconds",
    "From append to commit in the sink, of the oldest record of each batch",
    DELIVERY_SECONDS_BOUNDS,
  );
  const parts = { log: options.log, metrics, board, deliverySeconds, connect: sessions.connectWithEpoch(INSIDE) };
  const deliveries = await planDeliveries(configuration, parts);
  observe(metrics, board);
  const ackLatency = metrics.histogram(
    "headrace_ack_seconds",
    "From arrival at its partition to durable, of the oldest batch of each group commit",
    ACK_SECONDS_BOUNDS,
  );
  startStreams(system, { log, configuration, directory, deliveries, metrics, ackLatency });
  await directory.complete;
  logBlockages(directory, options.log);
  const listener = await listen(sessions, access, configuration);
  closers.push({ what: "connections", close: () => listener.close() });
  const connect = sessions.connect(INSIDE);
  const ingest = new HttpIngest({ node: name, connect, directory, newId: () => crypto.randomUUID() });
  closers.push({ what: "ingest", close: () => ingest.close() });
  const permissionsOf = (request: object): Grants => (request as { grants: Grants }).grants;
  const replays = await Replays.start({
    ...{ system, log, configuration, directory, metrics },
    ...{ nodeLog: options.log, pipelines: deliveries.pipelines, connect: parts.connect, nowMs: () => Date.now() },
  });
  const replayRoutes = await createReplayRoutes(replays, permissionsOf);
  const unreadiness = (): string | undefined => {
    const state = log.state();
    return state.kind === "ready" ? undefined : state.reason;
  };
  const budget = new BodyBudget();
  const routes: NodeRoutesOptions = { log, directory, metrics, system, board, name };
  const http = await startHttpServer({
    host: configuration.node.host,
    port: configuration.node.port,
    access,
    tls: configuration.security.tls,
    upgrade: (request, socket, head) => listener.upgrade(request, socket, head),
    routes: [
      { isOpen: true, mount: (server) => mountHealthRoutes(server, routes) },
      { isOpen: true, mount: mountOpenApi },
      { isOpen: false, mount: (server) => mountNodeRoutes(server, routes) },
      { isOpen: false, mount: replayRoutes },
      { isOpen: false, mount: (server) => mountStreamRoutes(server, { directory, permissionsOf }) },
      {
        isOpen: false,
        mount: (server) => mountIngestRoutes(server, { ingest, budget, directory, permissionsOf, unreadiness }),
      },
      ...(options.page === undefined ? [] : [options.page]),
    ],
  });
  // An HTTP server is closed once its upgraded connections are: neither can be waited for before the other.
  closers.push({ what: "http", close: () => Promise.all([http.close(), listener.close()]) });
  const sources = startSources(configuration, { system, connect, log, nodeLog: options.log, metrics });
  closers.push({ what: "sources", close: () => sources.stop() });
  return {
    name,
    address: http.address,
    port: http.port,
    directory,
    routes: http.routes,
    connectWithEpoch: parts.connect,
    ready: whenAllOwned(directory),
    stop: (timeoutMs) => closeAll(closers, timeoutMs),
  };
}

/** What is read only when the metrics are asked for. */
function observe(metrics: Metrics, board: DeliveryBoard): void {
  metrics.gauge("headrace_sink_lag_records", "Records committed and not yet delivered", function* () {
    for (const { sink, stream, partition, lagRecords } of board.standings())
      yield [lagRecords, { sink, stream, partition }];
  });
  metrics.gauge("headrace_sink_delay_seconds", "From append to commit in the sink, of the last batch", function* () {
    for (const { sink, stream, partition, lastDelayMs } of board.standings()) {
      if (lastDelayMs !== undefined) yield [lastDelayMs / 1_000, { sink, stream, partition }];
    }
  });
}

// Streams -------------------------------------------------------------------------------------------------------------

async function registerSchemas(
  log: Log,
  configuration: Configuration,
): Promise<ReadonlyMap<string, readonly SchemaVersion[]>> {
  const compile = await createSchemaCompiler();
  const schemas = new Map<string, readonly SchemaVersion[]>();
  for (const [name, stream] of Object.entries(configuration.streams)) {
    if (stream.schema === undefined) continue;
    schemas.set(name, await registerSchema(log, compile, name, stream.schema, stream.compatibility));
  }
  return schemas;
}

const describeStreams = (
  configuration: Configuration,
  schemas: ReadonlyMap<string, readonly SchemaVersion[]>,
): Record<string, StreamDescription> =>
  Object.fromEntries(
    Object.entries(configuration.streams).map(([name, stream]) => [
      name,
      {
        partitions: stream.partitions,
        schemaVersions: (schemas.get(name) ?? []).map(({ version }) => version),
        ...(stream.key === undefined ? {} : { key: stream.key }),
      },
    ]),
  );

interface StreamParts {
  readonly log: Log;
  readonly configuration: Configuration;
  readonly directory: NodeDirectory;
  readonly deliveries: DeliveryPlans;
  readonly metrics: Metrics;
  readonly ackLatency: ReturnType<Metrics["histogram"]>;
}

function startStreams(system: ActorSystem, parts: StreamParts): void {
  const streams = Object.entries(parts.configuration.streams);
  system.spawn<never>({
    name: "streams",
    supervision: SUPERVISION,
    start(context) {
      for (const [name, stream] of streams) {
        context.spawn(streamSupervisor(name, partitionPlans(name, stream, parts), parts.directory));
      }
      return { receive() {} };
    },
  });
}

function partitionPlans(name: string, stream: StreamConfiguration, parts: StreamParts): readonly PartitionPlan[] {
  const deliveries = parts.deliveries.of(name);
  const events = parts.metrics.counter("headrace_events_appended_total", "Events made durable", { stream: name });
  const batches = parts.metrics.counter("headrace_batches_appended_total", "Batches made durable", { stream: name });
  return Array.from({ length: stream.partitions }, (_, partition) => ({
    owner: {
      stopwatchMs: () => performance.now(),
      partition: { stream: name, partition: partitionId(partition) },
      log: parts.log,
      grant: SOLE_GRANT,
      settings: {
        tier: stream.durability,
        chains: { dedupeWindowMs: stream.dedupeWindowMs, producersMax: stream.producersMax },
      },
      retention: {
        bytesMax: stream.retention.sizeBytes,
        ageMaxMs: stream.retention.ageMs,
        onFull: stream.retention.onFull,
      },
      expectedConsumers: deliveries.consumers,
      onAppended: (batchCount: number, eventCount: number, waitedMs: number | undefined) => {
        batches.add(batchCount);
        events.add(eventCount);
        if (waitedMs !== undefined) parts.ackLatency.record(waitedMs / 1_000, { stream: name });
      },
    },
    deliveries: deliveries.start,
  }));
}

/** Rejects with the first `ConfigurationError` that keeps a partition from being claimed: a person must change something. */
function whenAllOwned(directory: NodeDirectory): Promise<void> {
  const waits = [...directory.all()].map(
    ({ entry }) =>
      new Promise<void>((resolve, reject) => {
        const check = () => {
          if (entry.feed === undefined && !(entry.blockedBy instanceof ConfigurationError)) return;
          listener.stop();
          if (entry.feed === undefined) reject(entry.blockedBy);
          else resolve();
        };
        const listener = entry.onFeedChange(check);
        check();
      }),
  );
  return Promise.all(waits).then(() => undefined);
}

/** Says once what keeps partitions from being claimed, and that they are owned again. */
function logBlockages(directory: NodeDirectory, log: NodeLog): void {
  for (const { stream, partition, entry } of directory.all()) {
    let said: string | undefined;
    entry.onFeedChange(() => {
      const reason = entry.feed === undefined ? entry.blockedBy?.message : undefined;
      if (reason === said) return;
      if (reason !== undefined) log("warn", `can not claim the partition: ${reason}`, { stream, partition });
      else if (entry.feed !== undefined) log("info", "owned again", { stream, partition, epoch: entry.feed.epoch });
      if (reason !== undefined || entry.feed !== undefined) said = reason;
    });
  }
}

// Sessions ------------------------------------------------------------------------------------------------------------

interface SessionParts {
  readonly log: Log;
  readonly access: Access;
  readonly configuration: Configuration;
  readonly directory: NodeDirectory;
  readonly schemas: ReadonlyMap<string, readonly SchemaVersion[]>;
  readonly name: string;
}

interface Sessions {
  readonly environment: SessionEnvironment;
  readonly open: (
    environment: SessionEnvironment,
    peer: SessionPeer,
    decode: (data: Uint8Array | string) => ClientFrame,
    onEnd: () => void,
  ) => Promise<ActorReference<SessionInput>>;
  /** For producers within the node: bound to nobody's permissions but its own. */
  readonly connect: (permissions: Grants) => Connect;
  /** For a producer whose epoch somebody else has made: its partition's owner epoch (E3). */
  readonly connectWithEpoch: (permissions: Grants) => Connect;
}

function startSessions(system: ActorSystem, parts: SessionParts): Sessions {
  const { log, access, configuration, directory } = parts;
  const limits: WireLimits = {
    frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
    eventBytesMax: WIRE_DEFAULTS.eventBytesMax,
    batchEventsMax: WIRE_DEFAULTS.batchEventsMax,
    dedupeWindowMs: Math.min(
      ...Object.values(configuration.streams).map((stream) => stream.dedupeWindowMs),
      86_400_000,
    ),
  };
  const environment: SessionEnvironment = {
    node: parts.name,
    limits,
    directory,
    inspect: createInspect(parts.schemas, EVENT_LIMITS),
    authenticate: (token) => access.authenticate(token),
    welcomeProducer: (producerId, instance, heldEpoch, nowMs) =>
      log.welcomeProducer(producerId, instance, heldEpoch, nowMs),
  };
  const host: ActorReference<SessionHostMessage> = system.spawn(sessionHost());
  const pool = new CreditPool({
    totalBytes: configuration.limits.appendMemoryBytes,
    connectionsMax: configuration.limits.connectionsMax,
    connectionBytesMax: WIRE_DEFAULTS.connectionCreditBytes,
  });
  const open: Sessions["open"] = (sessionEnvironment, peer, decode, onEnd) => {
    const credit = pool.take();
    const end = () => {
      credit.release();
      onEnd();
    };
    return system.ask<SessionHostMessage, ActorReference<SessionInput>>(
      host,
      (replyTo) => ({
        type: "open",
        options: { environment: sessionEnvironment, peer, credit, decode },
        onEnd: end,
        replyTo,
      }),
      { timeoutMs: 10_000 },
    );
  };
  const connectTo = (inside: SessionEnvironment): Connect => {
    const openInside: OpenInProcess = (peer, onEnd) => open(inside, peer, decodesNothing, onEnd);
    return connectInProcess(openInside);
  };
  const insideOf = (permissions: Grants) => ({ ...environment, authenticate: async () => permissions });
  return {
    environment,
    open,
    connect: (permissions) => connectTo(insideOf(permissions)),
    connectWithEpoch: (permissions) =>
      connectTo({
        ...insideOf(permissions),
        welcomeProducer: async (_producerId, _instance, heldEpoch = 0) => ({
          kind: "welcomed",
          producerEpoch: heldEpoch,
        }),
      }),
  };
}

/** Frames within the process are never bytes. */
const decodesNothing = (): never => {
  throw new TypeError("Cannot decode bytes as a session within the node must be given frames");
};

function listen(sessions: Sessions, access: Access, configuration: Configuration): Promise<WebSocketListener> {
  return createWebSocketListener({
    frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
    connectionsMax: configuration.limits.connectionsMax,
    connectionsPerAddressMax: configuration.limits.connectionsPerAddressMax,
    admit: (request) => access.admit(request),
    setTimer: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs).unref();
      return { cancel: () => clearTimeout(timer) };
    },
    openSession: (peer, decode, request, onEnd) => {
      const header = request.headers.authorization;
      const bearer = header?.startsWith("Bearer ") === true ? header.slice(7) : undefined;
      const environment: SessionEnvironment = {
        ...sessions.environment,
        authenticate: (token) => access.authenticate(token ?? bearer),
        welcomeProducer: async (producerId, ...rest) => {
          refuseOwnName(producerId);
          return sessions.environment.welcomeProducer(producerId, ...rest);
        },
      };
      return sessions.open(environment, peer, decode, onEnd);
    },
  });
}

/** Names of the producers within the node: under one of them a client could fence a source or a derived stream. */
const OWN_PRODUCERS = ["source/", "sink/", "pipeline/", "ingest/", SHORT_LIVED_PRODUCERS.prefix];

function refuseOwnName(producerId: string): void {
  const reserved = OWN_PRODUCERS.find((prefix) => producerId.startsWith(prefix));
  if (reserved === undefined) return;
  throw new RejectedError(
    "FORBIDDEN",
    `Cannot welcome the producer as names that begin with ${reserved} must be the node's own: current value is ${producerId}`,
  );
}

// Stopping ------------------------------------------------------------------------------------------------------------

/** One part that was started: ended in the reverse order of its start. */
interface Closer {
  readonly what: string;
  close(): Promise<unknown>;
}

/** Ends what was started, newest first: new work is refused before what is under way is drained. */
async function closeAll(closers: readonly Closer[], timeoutMs: number): Promise<readonly string[]> {
  const deadline = Date.now() + timeoutMs;
  const left: string[] = [];
  for (const { what, close } of closers.toReversed()) {
    const outcome = await withinTime(close(), Math.max(0, deadline - Date.now()));
    if (outcome !== undefined) left.push(`${what}: ${outcome}`);
  }
  return left;
}

/** Undefined when the work is done in time; else what became of it. */
function withinTime(work: Promise<unknown>, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("still under way"), timeoutMs);
    work.then(
      () => {
        clearTimeout(timer);
        resolve(undefined);
      },
      (error: unknown) => {
        clearTimeout(timer);
        resolve(error instanceof Error ? error.message : String(error));
      },
    );
  });
}
