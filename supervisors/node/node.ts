/**
 * One node: opens the log, starts the tree of actors, listens, and ends all of it in order. The only place that knows
 * the whole.
 */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { bodyMemory } from "../../actors/ingest/http/http_body.ts";
import { HttpIngest } from "../../actors/ingest/http/http_ingest.ts";
import { mountIngestRoutes } from "../../actors/ingest/http/http_routes.ts";
import { mountStreamRoutes } from "../../actors/ingest/http/stream_routes.ts";
import type { Timer } from "../../actors/kernel/actor.ts";
import { createActorSystem } from "../../actors/kernel/actor_system.ts";
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import type { Log } from "../../actors/log/log.ts";
import { createMetrics, type Metrics } from "../../actors/observers/metrics.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { PEER_PATH } from "../../actors/transport/peer/peer_frames.ts";
import { refuseUpgrade, refuseUpgradePath } from "../../actors/transport/refuse_upgrade.ts";
import type { Connect } from "../../protocols/connection.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { mountClusterRoutes } from "../cluster/cluster_routes.ts";
import { createLoneNode } from "../cluster/lone_node.ts";
import { prepareCluster } from "../cluster/start_cluster.ts";
import type { Configuration, SecurityConfiguration } from "../configuration/configuration_schema.ts";
import type { ReadSecret } from "../configuration/environment.ts";
import { type HttpServer, type Routes, startHttpServer, type Upgrade } from "../http/http_server.ts";
import { mountHealthRoutes, mountNodeRoutes, type NodeRoutesOptions } from "../http/node_routes.ts";
import { mountOpenApi } from "../http/openapi.ts";
import { createReplayRoutes } from "../replay/replay_routes.ts";
import { Replays } from "../replay/replays.ts";
import { type Access, createAccess, type Grants } from "../security/access/access.ts";
import { type Authorities, authoritiesOf, certificateOf } from "../security/access/client_certificates.ts";
import { exposuresOf } from "../security/access/exposures.ts";
import { INSIDE } from "../security/access/grants.ts";
import { filesOf, type Reloading, type ReloadOutcome, startReloading } from "../security/access/reloading.ts";
import { ConnectionGate } from "../security/admission/connection_gate.ts";
import { openFilesMax, placeLimits } from "../security/admission/open_files.ts";
import { type Audit, NO_AUDIT, startAudit } from "../security/audit/audit_log.ts";
import { type Closer, closeAll } from "./closing.ts";
import { reportingWorld } from "./crash_reports.ts";
import { DeliveryBoard } from "./delivery_board.ts";
import { planDeliveries } from "./delivery_plans.ts";
import { openLog } from "./open_log.ts";
import { listen, startSessions } from "./sessions.ts";
import { type RunningSources, startSources } from "./sources.ts";
import { NodeDirectory } from "./stream_directory.ts";
import { registerStreams } from "./stream_settings.ts";
import {
  claimWhenStoreAnswers,
  describeStreams,
  logBlockages,
  registerSchemas,
  restDeliveries,
  SOLE_GRANT,
  startStreams,
  whenAllOwned,
} from "./streams.ts";

export interface NodeOptions {
  readonly configuration: Configuration;
  readonly log: NodeLog;
  readonly readSecret: ReadSecret;
  /** The security section as it is now, for a reload. Default: as it was at the start. */
  readonly readSecurity?: () => Promise<SecurityConfiguration>;
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
  /** Reads tokens, keys and certificates again. Ones that can not be used leave the old ones in force. */
  reload(why: string): Promise<ReloadOutcome>;
  /** Refuses new work, drains, checkpoints, closes. Resolves with what was left undone, if anything was. */
  stop(timeoutMs: number): Promise<readonly string[]>;
}

/** Time for what was started to end, when a later part could not start. */
const START_FAILURE_WITHIN_MS = 5_000;

/** A node that leaves its cluster hands its partitions over within this time, or leaves them to be taken. */
const LEAVE_WITHIN_MS = 4_000;
/** Deliveries of a cluster's node end before it leaves, as a rule: later they would have to follow partitions that move. */
const REST_BEFORE_LEAVE_MS = 1_000;
/** A node that has not left by then takes no more requests: nobody may be there to pass them on to. */
const SERVE_WHILE_LEAVING_MS = 2_000;

/** For actors that wait for nobody: what takes longer waits for the store. */
const ACTORS_WITHIN_MS = 500;

/** What HTTP requests and WebSocket connections have under way is waited for; what is not answered by then is told so. */
const REQUESTS_WITHIN_MS = 1_500;

/** From a commit in memory to a store that hangs; dense around a disk's flush. */
const ACK_SECONDS_BOUNDS = [
  0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

const DELIVERY_SECONDS_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600,
];

export async function startNode(given: NodeOptions): Promise<RunningNode> {
  const { configuration } = given;
  const options = { ...given, log: withoutSecrets(given.log, configuration) };
  const closers: Closer[] = [];
  try {
    const access = await createAccess(configuration.security, configuration.node.host, options.readSecret, {
      advertise: configuration.cluster?.advertise,
    });
    const log = await openLog(configuration);
    for (const { path, reason } of await exposuresOf(configuration))
      options.log("warn", reason, { at: path.join(".") });
    closers.push({ what: "log", close: () => log.close() });
    return await startOn(log, access, options, closers);
  } catch (error) {
    await closeAll(closers, START_FAILURE_WITHIN_MS);
    throw configuration.hidden.hideInError(error);
  }
}

const withoutSecrets =
  (log: NodeLog, { hidden }: Configuration): NodeLog =>
  (level, message, fields) =>
    log(level, hidden.hide(message), hidden.hideIn(fields) as typeof fields);

async function startOn(log: Log, access: Access, options: NodeOptions, closers: Closer[]): Promise<RunningNode> {
  const { configuration } = options;
  const name = nameOf(configuration);
  await registerStreams(log, configuration);
  const schemas = await registerSchemas(log, configuration, options.log);
  const metrics = await createMetrics();
  closers.push({ what: "metrics", close: () => metrics.close() });
  const directory = new NodeDirectory(describeStreams(configuration, schemas));
  const board = new DeliveryBoard(
    () => Date.now(),
    ({ stream, partition }) => directory.partition(stream, partition)?.feed !== undefined,
  );
  const system = await createActorSystem({ name, world: reportingWorld(options.log, metrics) });
  const endActors = async () => {
    const ending = system.shutdown();
    // An append to a store that is away ends with the link to it.
    if (!(await settledWithin(ending, ACTORS_WITHIN_MS)) && configuration.log.type === "redis") await log.close();
    await ending;
  };
  closers.push({ what: "actors", close: endActors });
  const sessions = startSessions(system, { log, access, configuration, directory, schemas, name, metrics });
  const deliverySeconds = metrics.histogram(
    "headrace_delivery_seconds",
    "From append to commit in the sink, of the oldest record of each batch",
    DELIVERY_SECONDS_BOUNDS,
  );
  const { clusterId } = log;
  const connectSink = sessions.connectWithEpoch(INSIDE);
  const parts = { log: options.log, metrics, board, deliverySeconds, connect: connectSink, clusterId };
  const deliveries = await planDeliveries(configuration, parts);
  observe(metrics, board);
  const ackLatency = metrics.histogram(
    "headrace_ack_seconds",
    "From arrival at its partition to durable, of the oldest batch of each group commit",
    ACK_SECONDS_BOUNDS,
  );
  const cluster = await (configuration.cluster === undefined
    ? undefined
    : prepareCluster({
        ...{ configuration, cluster: configuration.cluster, name, system, directory, log: options.log, records: log },
        readSecret: options.readSecret,
        order: (stream, order) => streams.tell({ stream, order }),
      }));
  // It has a connection to the store of its own: what fails from here on must not leave that open.
  if (cluster !== undefined) closers.push({ what: "cluster's store", close: () => cluster.close() });
  const streams = startStreams(system, {
    ...{ log, configuration, directory, deliveries, metrics, ackLatency },
    ...(cluster ?? { grant: SOLE_GRANT }),
  });
  if (cluster === undefined) await directory.complete;
  logBlockages(directory, options.log);
  claimWhenStoreAnswers(log, directory);
  const audit = auditOf(configuration, name, sessions.connect(INSIDE), options.log);
  const gate = new ConnectionGate(placeLimits(configuration, openFilesMax()));
  observeConnections(metrics, gate);
  const listener = await listen(sessions, access, gate, audit);
  let http: HttpServer | undefined;
  // An HTTP server is closed once its upgraded connections are: neither can be waited for before the other. Links to other
  // nodes are among these, and what is written until then may have to go over one.
  closers.push({ what: "http", close: () => Promise.all([http?.close(), listener.close(), cluster?.close()]) });
  closers.push({ what: "audit", close: () => audit.close() });
  const connect = sessions.connect(INSIDE);
  const connectFor = (principal: string): Connect => sessions.connect({ ...INSIDE, placesOf: principal });
  const newId = () => crypto.randomUUID();
  const ingest = new HttpIngest({ node: name, connect, connectFor, directory, newId });
  const permissionsOf = (request: object): Grants => (request as { grants: Grants }).grants;
  const replays = await Replays.start({
    ...{ system, log, configuration, directory, metrics },
    ...{ nodeLog: options.log, pipelines: deliveries.pipelines, connect: parts.connect, nowMs: () => Date.now() },
  });
  // While the way into every partition still works: a sink may write to another stream of this node.
  const rest = () => Promise.all([restDeliveries(streams, directory), replays.rest()]);
  closers.push({ what: "deliveries", close: rest });
  // While partitions still take appends: a request that is under way is answered with what became of it.
  const drain = () => Promise.all([http?.drain(REQUESTS_WITHIN_MS), ingest.close(), listener.close()]);
  closers.push({ what: "requests", close: drain });
  const replayRoutes = await createReplayRoutes(replays, permissionsOf, configuration.hidden);
  const unreadiness = (): string | undefined => {
    const state = log.state();
    return state.kind === "ready" ? undefined : state.reason;
  };
  const memory = bodyMemory();
  let sources: RunningSources | undefined;
  let isStopping = false;
  const routes: NodeRoutesOptions = {
    log,
    directory,
    metrics,
    system,
    board,
    troubles: () => sources?.troubles() ?? [],
    isStopping: () => isStopping,
    grantsOf: permissionsOf,
    hidden: configuration.hidden,
  };
  const control = cluster?.node ?? createLoneNode({ name, directory, log, address: () => endpoint });
  let endpoint = "";
  const nodes = await nodeAuthorities(configuration);
  const server = await startHttpServer({
    host: configuration.node.host,
    port: configuration.node.port,
    access,
    gate,
    tls: configuration.security.tls,
    hidden: configuration.hidden,
    audit,
    nodeCaFile: configuration.cluster?.caFile,
    upgrades: new Map<string, Upgrade>([
      ["/v1/connect", (...upgrade) => listener.upgrade(...upgrade)],
      [
        PEER_PATH,
        (...upgrade) => {
          if (cluster === undefined) return refuseUpgradePath(upgrade[1]);
          if (nodes !== undefined && certificateOf(upgrade[0].socket, nodes) === undefined) {
            return refuseUpgrade(upgrade[1], strangerNode());
          }
          cluster.node.upgrade(...upgrade, () => gate.welcome(upgrade[0].socket));
        },
      ],
    ]),
    routes: [
      { isOpen: true, mount: (server) => mountHealthRoutes(server, routes) },
      { isOpen: true, mount: mountOpenApi },
      { isOpen: false, mount: (server) => mountNodeRoutes(server, routes) },
      {
        isOpen: false,
        mount: (server) => mountClusterRoutes(server, { control, permissionsOf, stopwatchMs: () => performance.now() }),
      },
      { isOpen: false, mount: replayRoutes },
      { isOpen: false, mount: (server) => mountStreamRoutes(server, { directory, permissionsOf }) },
      {
        isOpen: false,
        mount: (server) =>
          mountIngestRoutes(server, {
            ...{ ingest, memory, directory, permissionsOf, unreadiness },
            bodyFormatsOf: (stream) => configuration.streams[stream]?.bodyFormats ?? [],
          }),
      },
      ...(options.page === undefined ? [] : [options.page]),
    ],
  });
  http = server;
  endpoint = `${server.address.replace(/^http/, "ws")}/v1/connect`;
  const reloading = await reloadCredentials(options, access, audit, async () => {
    await server.reloadTls();
    await cluster?.reloadTls();
  });
  closers.push({ what: "reloading", close: async () => reloading.stop() });
  if (cluster !== undefined) {
    await cluster.join(server.port);
    const leave = async () => {
      const resting = rest();
      await settledWithin(resting, REST_BEFORE_LEAVE_MS);
      const leaving = cluster.node.leave(LEAVE_WITHIN_MS);
      if (!(await settledWithin(leaving, SERVE_WHILE_LEAVING_MS))) await drain();
      await Promise.all([leaving, resting]);
    };
    closers.push({ what: "cluster", close: leave });
  }
  const started = startSources(configuration, {
    ...{ system, connect, log, nodeLog: options.log, metrics },
    ...(cluster === undefined ? {} : { cluster: { node: name, directory } }),
  });
  sources = started;
  // Deliveries begin to end with the first part, as an endpoint that does not answer is given the longest.
  const stopSources = () => {
    rest().catch(() => undefined); // told where it is waited for
    return started.stop();
  };
  closers.push({ what: "sources", close: stopSources });
  return {
    name,
    address: server.address,
    port: server.port,
    directory,
    routes: server.routes,
    connectWithEpoch: parts.connect,
    reload: (why) => reloading.now(why),
    ready: whenAllOwned(directory),
    stop: (timeoutMs) => {
      isStopping = true;
      return closeAll(closers, timeoutMs);
    },
  };
}

/** Where certificates alone vouch for nodes, and clients show certificates too: the authorities of nodes. */
async function nodeAuthorities({ cluster, security }: Configuration): Promise<Authorities | undefined> {
  if (cluster?.caFile === undefined || security.tls?.clientCaFile === undefined) return undefined;
  if (cluster.secretFile !== undefined || cluster.secretEnv !== undefined) return undefined;
  return authoritiesOf(await readFile(cluster.caFile, "utf8"), cluster.caFile);
}

const strangerNode = (): RejectedError =>
  new RejectedError(
    "UNAUTHENTICATED",
    "Cannot link with a node as its certificate must be signed by the authority of cluster.caFile: another one signed it",
  );

/** TLS is read first: a certificate that can not be used leaves everything as it was. */
async function reloadCredentials(
  options: NodeOptions,
  access: Access,
  audit: Audit,
  readCertificates: () => Promise<void>,
): Promise<Reloading> {
  let security = options.configuration.security;
  return await startReloading({
    files: () => filesOf(security),
    read: async () => {
      const next = (await options.readSecurity?.()) ?? security;
      await readCertificates();
      const ended = await access.reload(next);
      security = next;
      return ended;
    },
    log: options.log,
    onReloaded: (outcome) =>
      audit.record({
        ...{ kind: "reload", action: outcome.why },
        outcome: outcome.kind === "reloaded" ? `reloaded, ${outcome.grantsEnded} grants ended` : "refused",
      }),
    setTimer,
  });
}

function auditOf({ security }: Configuration, node: string, connect: Connect, log: NodeLog): Audit {
  const stream = security.audit?.stream;
  return stream === undefined
    ? NO_AUDIT
    : startAudit({ node, stream, connect, log, nowMs: () => Date.now(), setTimer });
}

/** Keeps no process running. */
function setTimer(delayMs: number, callback: () => void): Timer {
  const timer = setTimeout(callback, delayMs).unref();
  return { cancel: () => clearTimeout(timer) };
}

/** Nodes of a cluster need names of their own, also on one machine. */
function nameOf({ node, cluster }: Configuration): string {
  return node.name ?? (cluster === undefined ? hostname() : `${hostname()}-${node.port}`);
}

const PHASES = ["silent", "idle", "asking", "greeting", "welcomed"] as const;

function observeConnections(metrics: Metrics, gate: ConnectionGate): void {
  metrics.gauge("headrace_connections", "Connections of the port, by phase", function* () {
    for (const phase of PHASES) yield [gate.countIn(phase), { phase }];
  });
  metrics.gauge("headrace_connections_shed", "Connections ended or refused for want of places, since the start", () => [
    [gate.shed, {}],
  ]);
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
