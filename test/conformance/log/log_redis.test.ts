import { test } from "uvu";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import { logHistories } from "./log_histories.ts";
import { logPlaces } from "./log_places.ts";
import { redisHarness } from "./log_redis.ts";
import { logSuite } from "./log_suite.ts";
import { logUnencodable } from "./log_unencodable.ts";

requireRedis();
const server = await startRedis({ appendfsync: "always" });
const harness = redisHarness({ name: "redis", url: server.url, restart: () => server.restart() });

logSuite(harness);
logUnencodable(harness);
logPlaces(harness, 20);
logHistories(harness, 25);

test.after(() => server.stop());
test.run();
