/** The log over one Redis or several, for the suite of all logs. */
import type { Log } from "../../../actors/log/log.ts";
import { connectRedisLog } from "../../../actors/log/redis/redis_log.ts";
import type { LogHarness } from "./log_harness.ts";

export interface RedisUnderTest {
  readonly name: string;
  readonly url: string;
  /** Restarts every server, on the same data. */
  restart(): Promise<void>;
}

export function redisHarness({ name, url, restart }: RedisUnderTest): LogHarness {
  let opened = 0;
  const prefixes = new Map<Log, string>();
  const openWith = async (prefix: string): Promise<Log> => {
    const log = await connectRedisLog({ url, prefix });
    prefixes.set(log, prefix);
    return log;
  };
  return {
    name,
    tier: "fsync",
    open: () => {
      opened += 1;
      return openWith(`t${opened}:`);
    },
    reopen: async (log) => {
      await log.close();
      await restart();
      return openWith(prefixes.get(log) as string);
    },
    close: (log) => log.close(),
  };
}
