/**
 * One node, from the ground up: the foundation, the work, the port, then membership in a cluster and the sources. Ends all of
 * it in the reverse order. The only place that knows the whole.
 */
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import type { Connect } from "../../protocols/connection.ts";
import type { SecurityConfiguration } from "../configuration/configuration_schema.ts";
import type { Routes } from "../http/http_server.ts";
import type { ReloadOutcome } from "../security/access/reloading.ts";
import { type Closer, closeAll } from "./closing.ts";
import { type Foundation, type FoundationOptions, layFoundation } from "./foundation.ts";
import { openPort, type Port } from "./port.ts";
import { reloadCredentials } from "./reload_credentials.ts";
import { type RunningSources, startSources } from "./sources.ts";
import type { NodeDirectory } from "./stream_directory.ts";
import { whenAllOwned } from "./streams.ts";
import { startWork, type Work } from "./work.ts";

export interface NodeOptions extends FoundationOptions {
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

/** Time for the parts that were started to end, when a later part could not start. */
const START_FAILURE_WITHIN_MS = 5_000;

/** A node that leaves its cluster hands its partitions over within this time, or leaves them to be taken. */
const LEAVE_WITHIN_MS = 4_000;
/** Deliveries of a cluster's node end before it leaves, as a rule: later they would have to follow partitions that move. */
const REST_BEFORE_LEAVE_MS = 1_000;
/** A node that has not left by then takes no more requests: nobody may be there to pass them on to. */
const SERVE_WHILE_LEAVING_MS = 2_000;

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const closers: Closer[] = [];
  try {
    return await startParts(options, closers);
  } catch (error) {
    await closeAll(closers, START_FAILURE_WITHIN_MS);
    throw options.configuration.hidden.hideInError(error);
  }
}

async function startParts(options: NodeOptions, closers: Closer[]): Promise<RunningNode> {
  let isStopping = false;
  let sources: RunningSources | undefined;
  const foundation = await layFoundation(options, closers);
  const work = await startWork(foundation);
  const port = await openPort(foundation, work, {
    page: options.page,
    troubles: () => sources?.troubles() ?? [],
    isStopping: () => isStopping,
  });
  const { server, audit } = port;
  const readCertificates = async () => {
    await server.reloadTls();
    await work.cluster?.reloadTls();
  };
  const { readSecurity } = options;
  const reloading = await reloadCredentials(foundation, { audit, readSecurity, readCertificates });
  closers.push({ what: "reloading", close: async () => reloading.stop() });
  await joinCluster(foundation, work, port);
  sources = sourcesOf(foundation, work);
  return {
    name: foundation.name,
    address: server.address,
    port: server.port,
    directory: foundation.directory,
    routes: server.routes,
    connectWithEpoch: work.connectWithEpoch,
    reload: (why) => reloading.now(why),
    ready: whenAllOwned(foundation.directory),
    stop: (timeoutMs) => {
      isStopping = true;
      return closeAll(closers, timeoutMs);
    },
  };
}

async function joinCluster({ closers }: Foundation, { cluster, rest }: Work, { server, drain }: Port): Promise<void> {
  if (cluster === undefined) return;
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

function sourcesOf(foundation: Foundation, { connect, cluster, rest }: Work): RunningSources {
  const { configuration, name, directory, closers } = foundation;
  const started = startSources(configuration, {
    ...foundation,
    connect,
    ...(cluster === undefined ? {} : { cluster: { node: name, directory } }),
  });
  // Deliveries begin to end with the first part, as an endpoint that does not answer is given the longest.
  const stop = () => {
    rest().catch(() => undefined); // told where it is waited for
    return started.stop();
  };
  closers.push({ what: "sources", close: stop });
  return started;
}
