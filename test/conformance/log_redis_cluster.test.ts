import { test } from "uvu";
import type { Log } from "../../actors/log/log.ts";
import { connectRedisLog } from "../../actors/log/redis_log.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import { requireRedis } from "../support/redis_server.ts";
import { logHistories } from "./log_histories.ts";
import { type LogHarness, logSuite } from "./log_suite.ts";

requireRedis();
const cluster = await RedisCluster.start({ appendfsync: "always" });
let opened = 0;
const prefixes = new Map<Log, string>();

async function openWith(prefix: string): Promise<Log> {
  const log = await connectRedisLog({ url: cluster.urls[0] as string, prefix });
  prefixes.set(log, prefix);
  return log;
}

const harness: LogHarness = {
  name: "redis cluster",
  tier: "fsync",
  open: () => {
    opened += 1;
    return openWith(`t${opened}:`);
  },
  reopen: async (log) => {
    await log.close();
    await cluster.newLives();
    return openWith(prefixes.get(log) as string);
  },
  close: (log) => log.close(),
};

logSuite(harness);
logHistories(harness, 10);

test.after(() => cluster.stop());
test.run();
