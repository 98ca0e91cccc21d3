/** The one port of a node: past the gate, requests go to the routes, upgrades to sessions or links of other nodes. */
import { readFile } from "node:fs/promises";
import { bodyMemory } from "../../actors/ingest/http/http_body.ts";
import { HttpIngest } from "../../actors/ingest/http/http_ingest.ts";
import { mountIngestRoutes } from "../../actors/ingest/http/http_routes.ts";
import { mountStreamRoutes } from "../../actors/ingest/http/stream_routes.ts";
import { PEER_PATH } from "../../actors/transport/peer/peer_frames.ts";
import { refuseUpgrade, refuseUpgradePath } from "../../actors/transport/refuse_upgrade.ts";
import type { WebSocketListener } from "../../actors/transport/websocket_listener.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { mountClusterRoutes } from "../cluster/cluster_routes.ts";
import { createLoneNode } from "../cluster/lone_node.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { type HttpServer, type Routes, startHttpServer, type Upgrade } from "../http/http_server.ts";
import { mountHealthRoutes, mountNodeRoutes, type NodeRoutesOptions } from "../http/node_routes.ts";
import { mountReplayRoutes } from "../replay/replay_routes.ts";
import type { Grants } from "../security/access/access.ts";
import { type Authorities, authoritiesOf, certificateOf } from "../security/access/client_certificates.ts";
import { INSIDE } from "../security/access/grants.ts";
import { ConnectionGate } from "../security/admission/connection_gate.ts";
import { openFilesMax, placeLimits } from "../security/admission/open_files.ts";
import { type Audit, NO_AUDIT, startAudit } from "../security/audit/audit_log.ts";
import type { Foundation } from "./foundation.ts";
import { observeConnections } from "./node_metrics.ts";
import { setTimer } from "./reload_credentials.ts";
import { listen } from "./sessions.ts";
import type { Work } from "./work.ts";

export interface PortOptions extends Pick<NodeRoutesOptions, "troubles" | "isStopping"> {
  /** Serves `/`: the dashboard's files. */
  readonly page: Routes | undefined;
}

export interface Port {
  readonly server: HttpServer;
  readonly audit: Audit;
  /** Refuses further requests and connections, and answers the requests under way. */
  drain(): Promise<unknown>;
}

/** Milliseconds that the node waits for requests and connections under way; afterwards they are told that it stops. */
const REQUESTS_WITHIN_MS = 1_500;

const permissionsOf = (request: object): Grants => (request as { grants: Grants }).grants;

export async function openPort(foundation: Foundation, work: Work, options: PortOptions): Promise<Port> {
  const { configuration, access, closers } = foundation;
  const audit = auditOf(foundation, work);
  const gate = new ConnectionGate(placeLimits(configuration, openFilesMax()));
  observeConnections(foundation.metrics, gate);
  const listener = await listen(work.sessions, access, gate, audit);
  let http: HttpServer | undefined;
  // An HTTP server closes only after its upgraded connections: the two must be awaited together. Links to other
  // nodes are among these connections, and earlier writes may have to use one.
  closers.push({ what: "http", close: () => Promise.all([http?.close(), listener.close(), work.cluster?.close()]) });
  closers.push({ what: "audit", close: () => audit.close() });
  const ingest = new HttpIngest({
    ...{ node: foundation.name, directory: foundation.directory, newId: () => crypto.randomUUID() },
    ...{ connect: work.connect },
    connectFor: (principal) => work.sessions.connect({ ...INSIDE, placesOf: principal }),
  });
  // While each partition still takes appends: a sink may write to another stream of this node.
  closers.push({ what: "deliveries", close: () => work.rest() });
  // While partitions still take appends: a request under way is answered with its result.
  const drain = () => Promise.all([http?.drain(REQUESTS_WITHIN_MS), ingest.close(), listener.close()]);
  closers.push({ what: "requests", close: drain });
  const server = await startHttpServer({
    host: configuration.node.host,
    port: configuration.node.port,
    tls: configuration.security.tls,
    hidden: configuration.hidden,
    nodeCaFile: configuration.cluster?.caFile,
    ...{ access, gate, audit },
    upgrades: await upgradesOf(configuration, work, listener, gate),
    routes: routesOf(foundation, work, ingest, options, () => http?.address),
  });
  http = server;
  return { server, audit, drain };
}

function auditOf({ configuration, name, nodeLog }: Foundation, { connect }: Work): Audit {
  const stream = configuration.security.audit?.stream;
  if (stream === undefined) return NO_AUDIT;
  return startAudit({ node: name, stream, connect, log: nodeLog, nowMs: () => Date.now(), setTimer });
}

/** The URL of a node's WebSocket endpoint, derived from the URL of its HTTP server. */
export const endpointOf = (address: string): string => `${address.replace(/^http/, "ws")}/v1/connect`;

function routesOf(
  foundation: Foundation,
  work: Work,
  ingest: HttpIngest,
  options: PortOptions,
  address: () => string | undefined,
): Routes[] {
  const { configuration, name, log, directory } = foundation;
  const { hidden } = configuration;
  const node: NodeRoutesOptions = { ...foundation, ...options, grantsOf: permissionsOf, hidden };
  const endpoint = () => endpointOf(address() ?? "");
  const control = work.cluster?.node ?? createLoneNode({ name, directory, log, address: endpoint });
  const ingestRoutes = {
    ...{ ingest, memory: bodyMemory(), directory, permissionsOf },
    unreadiness: () => {
      const state = log.state();
      return state.kind === "ready" ? undefined : state.reason;
    },
    bodyFormatsOf: (stream: string) => configuration.streams[stream]?.bodyFormats ?? [],
  };
  return [
    { isOpen: true, mount: (server) => mountHealthRoutes(server, node) },
    { isOpen: false, mount: (server) => mountNodeRoutes(server, node) },
    {
      isOpen: false,
      mount: (server) => mountClusterRoutes(server, { control, permissionsOf, stopwatchMs: () => performance.now() }),
    },
    { isOpen: false, mount: (server) => mountReplayRoutes(server, { replays: work.replays, permissionsOf, hidden }) },
    { isOpen: false, mount: (server) => mountStreamRoutes(server, { directory, permissionsOf }) },
    { isOpen: false, mount: (server) => mountIngestRoutes(server, ingestRoutes) },
    ...(options.page === undefined ? [] : [options.page]),
  ];
}

async function upgradesOf(
  configuration: Configuration,
  { cluster }: Work,
  listener: WebSocketListener,
  gate: ConnectionGate,
): Promise<ReadonlyMap<string, Upgrade>> {
  const nodes = await nodeAuthorities(configuration);
  const linkWith: Upgrade = (request, socket, head) => {
    if (cluster === undefined) return refuseUpgradePath(socket);
    if (nodes !== undefined && certificateOf(request.socket, nodes) === undefined) {
      return refuseUpgrade(socket, strangerNode());
    }
    cluster.node.upgrade(request, socket, head, () => gate.welcome(request.socket));
  };
  return new Map<string, Upgrade>([
    ["/v1/connect", (...upgrade) => listener.upgrade(...upgrade)],
    [PEER_PATH, linkWith],
  ]);
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
