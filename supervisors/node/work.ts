/**
 * The work of a node: sessions take events in, partitions store them, deliveries and replays bring them to sinks. In a cluster
 * the coordinator says which partitions are this node's; a node alone owns all of them.
 */
import type { Connect } from "../../protocols/connection.ts";
import { type ClusterPart, prepareCluster } from "../cluster/start_cluster.ts";
import { Replays } from "../replay/replays.ts";
import { INSIDE } from "../security/access/grants.ts";
import { planDeliveries } from "./delivery_plans.ts";
import type { Foundation } from "./foundation.ts";
import { ackSeconds, deliverySeconds, observeDeliveries } from "./node_metrics.ts";
import { type Sessions, startSessions } from "./sessions.ts";
import { claimWhenStoreAnswers, logBlockages, restDeliveries, SOLE_GRANT, startStreams } from "./streams.ts";

export interface Work {
  readonly sessions: Sessions;
  readonly connect: Connect;
  /** Sessions for derived streams: the producer gets the epoch that its `hello` names. */
  readonly connectWithEpoch: Connect;
  readonly cluster: ClusterPart | undefined;
  readonly replays: Replays;
  /** Ends deliveries and replays; resolves when all have ended. */
  rest(): Promise<unknown>;
}

export async function startWork(foundation: Foundation): Promise<Work> {
  const { configuration, name, system, log, nodeLog, directory, metrics, readSecret, closers } = foundation;
  const sessions = startSessions(system, foundation);
  const connectWithEpoch = sessions.connectWithEpoch(INSIDE);
  const deliveries = await planDeliveries(configuration, {
    ...{ log: nodeLog, metrics, board: foundation.board, directory, deliverySeconds: deliverySeconds(metrics) },
    ...{ connect: connectWithEpoch, clusterId: log.clusterId, clients: foundation.sinkClients },
  });
  observeDeliveries(metrics, foundation.board);
  const { cluster: settings } = configuration;
  const cluster =
    settings &&
    (await prepareCluster({
      ...{ configuration, cluster: settings, name, system, directory, log: nodeLog, records: log, readSecret },
      order: (stream, order) => streams.tell({ stream, order }),
    }));
  // The cluster opens its own connection to the store: a later part that fails to start must not leave it open.
  if (cluster !== undefined) closers.push({ what: "cluster's store", close: () => cluster.close() });
  const streams = startStreams(system, {
    ...{ log, configuration, directory, deliveries, metrics, ackLatency: ackSeconds(metrics) },
    ...(cluster ?? { grant: SOLE_GRANT }),
  });
  if (cluster === undefined) await directory.complete;
  logBlockages(directory, nodeLog);
  claimWhenStoreAnswers(log, directory);
  const replays = await Replays.start({
    ...{ system, log, configuration, directory, metrics, nodeLog },
    ...{ pipelines: deliveries.pipelines, connect: connectWithEpoch, clients: foundation.sinkClients },
    nowMs: () => Date.now(),
  });
  const rest = () => Promise.all([restDeliveries(streams, directory), replays.rest()]);
  return { sessions, connect: sessions.connect(INSIDE), connectWithEpoch, cluster, replays, rest };
}
