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
  /** Reads the current security section, for a reload. Default: the section given at the start. */
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
  /** Sessions for derived streams: the producer gets the epoch that its `hello` names. */
  readonly connectWithEpoch: Connect;
  /** Resolves once each partition has been claimed at least once. */
  readonly ready: Promise<void>;
  /** Reads tokens, keys and certificates again. Where a new one is unusable, the old ones stay in force. */
  reload(why: string): Promise<ReloadOutcome>;
  /** Refuses new work, drains, checkpoints, closes. Resolves with the names of the parts that did not end in time. */
  stop(timeoutMs: number): Promise<readonly string[]>;
}

/** Milliseconds for the started parts to end after a later part failed to start. */
const START_FAILURE_WITHIN_MS = 5_000;

/** Milliseconds for a leaving node to hand its partitions over; afterwards other nodes take the rest without it. */
const LEAVE_WITHIN_MS = 4_000;
/** Milliseconds for deliveries to end before the node leaves its cluster: later their partitions would move meanwhile. */
const REST_BEFORE_LEAVE_MS = 1_000;
/** Milliseconds after which a node that has not left refuses requests: no other node may be there to forward them to. */
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
  // Deliveries begin to end together with the first part, so that a silent endpoint gets the longest time to answer.
  const stop = () => {
    rest().catch(() => undefined); // reported where the result is awaited
    return started.stop();
  };
  closers.push({ what: "sources", close: stop });
  return started;
}
