/** Makes a node part of a cluster, from its configuration: opens the lease store, describes the node, reports its loads. */
import { readFile } from "node:fs/promises";
import type { ActorSystem } from "../../actors/kernel/actor.ts";
import type { Log } from "../../actors/log/log.ts";
import { rememberedStore } from "../../actors/log/remembered_store.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { isEveryAddress, isLoopbackHost } from "../../actors/transport/network_address.ts";
import type { PeerTls } from "../../actors/transport/peer/peer_socket.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import { nodeId, type PartitionReference, partitionName } from "../../protocols/position.ts";
import type { ClusterConfiguration, Configuration } from "../configuration/configuration_schema.ts";
import type { ReadSecret } from "../configuration/environment.ts";
import { redisAddressOf } from "../node/open_log.ts";
import type { PlacementEvent, PlacementOrder } from "../node/placement.ts";
import type { NodeDirectory } from "../node/stream_directory.ts";
import { CLUSTER_TIMES, type MemberProfile } from "./cluster.ts";
import { ClusterNode } from "./cluster_node.ts";
import { connectRedisLeaseStore } from "./leases/redis_lease_store.ts";
import { PartitionLoads } from "./member/partition_loads.ts";
import { release } from "./release.ts";

/** Minor version of the peer protocol that this release speaks. */
const PEER_MINOR = 0;

export interface ClusterStart {
  readonly configuration: Configuration;
  readonly cluster: ClusterConfiguration;
  readonly name: string;
  readonly system: ActorSystem;
  readonly directory: NodeDirectory;
  readonly log: NodeLog;
  readonly records: Log;
  readonly readSecret: ReadSecret;
  order(stream: string, order: PlacementOrder): void;
}

/** A node's part in a cluster, from before it listens until it has left. */
export interface ClusterPart {
  readonly node: ClusterNode;
  onPlacement(event: PlacementEvent): void;
  onAppended(partition: PartitionReference, events: number, sizeBytes: number): void;
  /** Call this once the node listens. @param port the port that it was given */
  join(port: number): Promise<void>;
  /** Reads the node's certificate for other nodes again. Links that are made from then on show it. */
  reloadTls(): Promise<void>;
  close(): Promise<void>;
}

/** Throws `ConfigurationError` if other nodes could not reach this one, or if its port would be open to everybody. */
export async function prepareCluster(start: ClusterStart): Promise<ClusterPart> {
  const { configuration, cluster, name, directory } = start;
  const { log, node: listening, security } = configuration;
  const secret = await secretOf(cluster, listening.host, start.readSecret);
  const tls = await tlsOf(configuration);
  refuseUnreachable(cluster, listening.host);
  const clusterId = rememberedStore(listening.data) ?? "";
  const store = await connectRedisLeaseStore({
    ...redisAddressOf(configuration),
    prefix: `${log.prefix}:`,
    clusterId,
  });
  const times = { ...CLUSTER_TIMES, silentAfterMs: cluster.silentAfterMs };
  let port = listening.port;
  const profile = (): MemberProfile => {
    const host = listening.host.includes(":") ? `[${listening.host}]` : listening.host;
    const address = `${security.tls === undefined ? "ws" : "wss"}://${cluster.advertise ?? `${host}:${port}`}`;
    return {
      node: nodeId(name),
      clientAddress: `${address}/v1/connect`,
      peerAddress: `${address}/v1/peer`,
      zone: cluster.zone,
      capacity: cluster.capacity,
      minor: PEER_MINOR,
      version: release,
    };
  };
  const node = new ClusterNode({
    ...{ system: start.system, directory, times, name, profile, store, clusterId, secret, tls, log: start.log },
    records: start.records,
    order: start.order,
  });
  const loads = new PartitionLoads(() => performance.now(), usedCpuMs);
  const reporting = setInterval(() => node.tellLoads(loads.take(namesHere(directory))), times.loadEveryMs);
  reporting.unref();
  return {
    node,
    onPlacement: (event) => node.onPlacement(event),
    onAppended: (partition, events, sizeBytes) => loads.count(partition, events, sizeBytes),
    join: (given) => {
      port = given;
      return node.join();
    },
    reloadTls: async () => void Object.assign(tls ?? {}, await tlsOf(configuration)),
    close: async () => {
      clearInterval(reporting);
      await node.close();
      await store.close();
    },
  };
}

function usedCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function* namesHere(directory: NodeDirectory): Iterable<string> {
  for (const { stream, partition, entry } of directory.all()) {
    if (entry.feed !== undefined) yield partitionName({ stream, partition });
  }
}

/** For mutual TLS: the node shows other nodes the certificate that it serves clients with. */
async function tlsOf({ cluster, security: { tls } }: Configuration): Promise<PeerTls | undefined> {
  if (cluster?.caFile === undefined || tls === undefined) return undefined;
  const [ca, certificate, key] = await Promise.all(
    [cluster.caFile, tls.certificateFile, tls.keyFile].map((file) => readFile(file)),
  );
  return { ...(ca && { ca }), ...(certificate && { certificate }), ...(key && { key }) };
}

async function secretOf(
  cluster: ClusterConfiguration,
  host: string,
  readSecret: ReadSecret,
): Promise<string | undefined> {
  const { secretFile, secretEnv } = cluster;
  if (secretFile !== undefined) return readSecret({ file: secretFile });
  if (secretEnv !== undefined) return readSecret({ variable: secretEnv });
  if (isLoopbackHost(host) || cluster.caFile !== undefined) return undefined;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot join a cluster from ${host} as an address beyond loopback needs cluster.secretFile, cluster.secretEnv or cluster.caFile: none is configured`,
  );
}

function refuseUnreachable({ advertise }: ClusterConfiguration, host: string): void {
  if (advertise !== undefined || !isEveryAddress(host)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot join a cluster as cluster.advertise must tell other nodes an address of this one: node.host is ${host}, and cluster.advertise is not configured`,
  );
}
