import { join } from "node:path";
import { openLmdbLog } from "../actors/log/lmdb_log.ts";
import type { Log } from "../actors/log/log.ts";
import { createMemoryLog } from "../actors/log/memory_log.ts";
import { connectRedisLog } from "../actors/log/redis_log.ts";
import { ConfigurationError } from "../protocols/errors.ts";
import type { Configuration } from "./configuration_schema.ts";

/** Opens the log that the configuration names. Throws `ConfigurationError` where it can not be used as declared. */
export async function openLog(configuration: Configuration): Promise<Log> {
  const { type, url, prefix } = configuration.log;
  switch (type) {
    case "memory":
      return createMemoryLog();
    case "lmdb":
      return await openLmdbLog({ folder: join(configuration.node.data, "log") });
    case "redis":
      if (url !== undefined) return await connectRedisLog({ url, prefix });
      throw new ConfigurationError(
        "INVALID_CONFIGURATION",
        "Cannot open the log as type redis needs log.url: none is configured",
      );
  }
}
