/** The parts of a node that all others need: access rules, the log, the streams by name, the actors, the metrics. */
import { hostname } from "node:os";
import type { SchemaVersion } from "../../actors/ingest/schema/schema_registry.ts";
import type { ActorSystem } from "../../actors/kernel/actor.ts";
import { createActorSystem } from "../../actors/kernel/actor_system.ts";
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import type { Log } from "../../actors/log/log.ts";
import { createMetrics, type Metrics } from "../../actors/observers/metrics.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import type { ReadSecret } from "../configuration/environment.ts";
import { type Access, createAccess } from "../security/access/access.ts";
import { exposuresOf } from "../security/access/exposures.ts";
import type { Closer } from "./closing.ts";
import { reportingWorld } from "./crash_reports.ts";
import { DeliveryBoard } from "./delivery_board.ts";
import { openLog } from "./open_log.ts";
import { SinkClients } from "./sink_clients.ts";
import { NodeDirectory } from "./stream_directory.ts";
import { registerStreams } from "./stream_settings.ts";
import { describeStreams, registerSchemas } from "./streams.ts";

export interface FoundationOptions {
  readonly configuration: Configuration;
  readonly log: NodeLog;
  readonly readSecret: ReadSecret;
}

export interface Foundation {
  readonly configuration: Configuration;
  /** Writes logs, without the configuration's secrets. */
  readonly nodeLog: NodeLog;
  readonly readSecret: ReadSecret;
  readonly name: string;
  readonly access: Access;
  readonly log: Log;
  /** The versions of each stream's schema; a stream without a schema has no entry. */
  readonly schemas: ReadonlyMap<string, readonly SchemaVersion[]>;
  readonly metrics: Metrics;
  readonly directory: NodeDirectory;
  readonly board: DeliveryBoard;
  readonly sinkClients: SinkClients;
  readonly system: ActorSystem;
  /** The started parts, in order of their start; the code that starts a further part adds that part. */
  readonly closers: Closer[];
}

/** Milliseconds for the actors to end by themselves; a slower actor is waiting for the store. */
const ACTORS_WITHIN_MS = 500;

export async function layFoundation(options: FoundationOptions, closers: Closer[]): Promise<Foundation> {
  const { configuration, readSecret } = options;
  const nodeLog = withoutSecrets(options.log, configuration);
  const access = await createAccess(configuration.security, configuration.node.host, readSecret, {
    advertise: configuration.cluster?.advertise,
  });
  const log = await openLog(configuration);
  closers.push({ what: "log", close: () => log.close() });
  for (const { path, reason } of await exposuresOf(configuration)) nodeLog("warn", reason, { at: path.join(".") });
  const name = nameOf(configuration);
  await registerStreams(log, configuration);
  const schemas = await registerSchemas(log, configuration, nodeLog);
  const metrics = await createMetrics();
  closers.push({ what: "metrics", close: () => metrics.close() });
  const directory = new NodeDirectory(describeStreams(configuration, schemas));
  const board = new DeliveryBoard(
    () => Date.now(),
    ({ stream, partition }) => directory.partition(stream, partition)?.feed !== undefined,
  );
  const sinkClients = new SinkClients(configuration, nodeLog);
  closers.push({ what: "clients of sinks", close: () => sinkClients.closed() });
  const system = await createActorSystem({ name, world: reportingWorld(nodeLog, metrics) });
  closers.push({ what: "actors", close: () => endActors(system, log, configuration) });
  const parts = { configuration, nodeLog, readSecret, name, access, log, schemas, metrics, directory, board };
  return { ...parts, sinkClients, system, closers };
}

/** The nodes of a cluster need distinct names, also on one machine. */
function nameOf({ node, cluster }: Configuration): string {
  return node.name ?? (cluster === undefined ? hostname() : `${hostname()}-${node.port}`);
}

const withoutSecrets =
  (log: NodeLog, { hidden }: Configuration): NodeLog =>
  (level, message, fields) =>
    log(level, hidden.hide(message), hidden.hideIn(fields) as typeof fields);

async function endActors(system: ActorSystem, log: Log, configuration: Configuration): Promise<void> {
  const ending = system.shutdown();
  // An append to a store that does not answer ends once the store's connection is closed.
  if (!(await settledWithin(ending, ACTORS_WITHIN_MS)) && configuration.log.type === "redis") await log.close();
  await ending;
}
