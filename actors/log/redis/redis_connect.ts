/**
 * Connects to the kind of Redis that an address leads to: one Redis, the master that sentinels name, or a Redis Cluster.
 *
 * Every server has a plain client. The clients of node-redis for clusters and sentinels choose connections by themselves, and
 * repeat commands that were cut off. Redis link C1 and E8 forbid that: docs/decisions/0007-redis-cluster.md.
 */
import { ConfigurationError, reasonOf } from "../../../protocols/errors.ts";
import { addressProblem, type RedisConnection, type RedisLibrary, type RedisLogOptions } from "./redis_connection.ts";
import { isTurnedAway, RedisLink } from "./redis_link.ts";
import { type KnownId, knownId } from "./redis_look.ts";
import { SentinelTopology } from "./redis_sentinel.ts";
import { RedisShards } from "./redis_shards.ts";
import { ClusterTopology, keysOfOne } from "./redis_topology.ts";

/**
 * Rejects with `ConfigurationError` where the address contradicts itself or its server, or Redis refuses the user or the
 * password; with `UnavailableError` where no server answers.
 */
export async function connectRedis(store: RedisLogOptions, library: RedisLibrary): Promise<RedisConnection> {
  const wrong = addressProblem(store);
  if (wrong !== undefined) throw new ConfigurationError("INVALID_CONFIGURATION", `Cannot connect as ${wrong}`);
  const id = knownId(store);
  try {
    const connection = await connect(store, library, id);
    id.mayMake = store.acceptLoss === true;
    return connection;
  } catch (error) {
    if (!isTurnedAway(error)) throw error;
    const must = `Cannot connect as Redis must know the user and the password: it says ${reasonOf(error)}`;
    throw new ConfigurationError("INVALID_CONFIGURATION", must, { cause: error });
  }
}

function connect(store: RedisLogOptions, library: RedisLibrary, id: KnownId): Promise<RedisConnection> {
  const { url, urls = [], sentinel, prefix = "headrace:" } = store;
  if (url !== undefined) return connectUrl(url, prefix, store, library, id);
  const topology =
    sentinel === undefined
      ? new ClusterTopology(urls, prefix, library)
      : new SentinelTopology(sentinel, prefix, library);
  return RedisShards.connect({ store, library, topology, id });
}

/** Asks the server first whether it is a node of a Redis Cluster, because a look writes (redis link C2). */
async function connectUrl(
  url: string,
  prefix: string,
  store: RedisLogOptions,
  library: RedisLibrary,
  id: KnownId,
): Promise<RedisConnection> {
  const keys = keysOfOne(prefix, library);
  const link = await RedisLink.create({ url, store, library, id, keys: () => keys });
  try {
    await link.connect();
    if (!/cluster_enabled:1/.test(String(await link.ask(["INFO", "cluster"])))) {
      await link.begin();
      return link;
    }
  } catch (error) {
    await link.close();
    throw error;
  }
  await link.close();
  return RedisShards.connect({ store, library, topology: new ClusterTopology([url], prefix, library), id });
}
