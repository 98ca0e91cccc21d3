import { test } from "uvu";
import type { Log } from "../../actors/log/log.ts";
import { connectRedisLog } from "../../actors/log/redis_log.ts";
import { requireRedis, startRedis } from "../support/redis_server.ts";
import { logHistories } from "./log_histories.ts";
import { type LogHarness, logSuite } from "./log_suite.ts";

requireRedis();
const server = await startRedis({ appendfsync: "always" });
let opened = 0;
const prefixes = new Map<Log, string>();

async function openWith(prefix: string): Promise<Log> {
  const log = await connectRedisLog({ url: server.url, prefix });
  prefixes.set(log, prefix);
  return log;
}

const harness: LogHarness = {
  name: "redis",
  tier: "fsync",
  open: () => {
    opened += 1;
    return openWith(`t${opened}:`);
  },
  reopen: async (log) => {
    await log.close();
    await server.restart();
    return openWith(prefixes.get(log) as string);
  },
  close: (log) => log.close(),
};

logSuite(harness);
logHistories(harness, 25);

test.after(() => server.stop());
test.run();
