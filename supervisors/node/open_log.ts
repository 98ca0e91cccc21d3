/** Opens the log that the configuration names, and holds a shared store against what this node knows of it (E22). */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { openLmdbLog } from "../../actors/log/embedded/lmdb_log.ts";
import { createMemoryLog } from "../../actors/log/embedded/memory_log.ts";
import type { Log } from "../../actors/log/log.ts";
import type { RedisAddress } from "../../actors/log/redis/redis_connection.ts";
import { connectRedisLog } from "../../actors/log/redis/redis_log.ts";
import { rememberedStore, rememberStore, STORE_ID_FILE } from "../../actors/log/remembered_store.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { makeDataFolder } from "../security/access/exposures.ts";

/** Throws `ConfigurationError` where the log can not be used as declared, `UnavailableError` where it is away or lost. */
export async function openLog(
  configuration: Configuration,
  options: { readonly acceptLoss?: boolean } = {},
): Promise<Log> {
  const { type } = configuration.log;
  switch (type) {
    case "memory":
      return createMemoryLog({ clock: () => Date.now(), clusterId: randomUUID() });
    case "lmdb":
      await makeDataFolder(configuration.node.data);
      return await openLmdbLog({ folder: embeddedFolder(configuration), acceptLoss: options.acceptLoss ?? false });
    case "redis":
      return await openRedisLog(configuration, options.acceptLoss ?? false);
  }
}

const embeddedFolder = ({ node }: Configuration): string => join(node.data, "log");

/** The file that remembers the store's id; undefined for a log in memory, whose store ends with the process. */
export function clusterIdFile(configuration: Configuration): string | undefined {
  switch (configuration.log.type) {
    case "memory":
      return undefined;
    case "lmdb":
      return join(embeddedFolder(configuration), STORE_ID_FILE);
    case "redis":
      return join(configuration.node.data, STORE_ID_FILE);
  }
}

/** Where Redis is, for all that a node keeps there. */
export function redisAddressOf({ log: { url, urls, sentinel } }: Configuration): RedisAddress {
  return {
    ...(url === undefined ? {} : { url }),
    ...(urls === undefined ? {} : { urls }),
    ...(sentinel === undefined ? {} : { sentinel }),
  };
}

async function openRedisLog(configuration: Configuration, acceptLoss: boolean): Promise<Log> {
  const { log, node } = configuration;
  const clusterId = rememberedStore(node.data);
  const redis = await connectRedisLog({
    ...redisAddressOf(configuration),
    prefix: `${log.prefix}:`,
    acceptLoss,
    ...(clusterId === undefined ? {} : { clusterId }),
  });
  if (redis.clusterId !== clusterId) {
    await makeDataFolder(node.data);
    await rememberStore(node.data, redis.clusterId);
  }
  return redis;
}
