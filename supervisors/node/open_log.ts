/** Opens the configured log, and compares a shared store's id with the id that this node remembers (E22). */
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

/** Throws `ConfigurationError` where the log cannot be used as configured, `UnavailableError` where its store is away or lost. */
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

/** The connection settings of Redis, for everything that a node keeps there. */
export function redisAddressOf({ log }: Configuration): RedisAddress {
  const { type: _, prefix: __, ...address } = log;
  return address;
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
