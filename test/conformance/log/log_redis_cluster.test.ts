import { test } from "uvu";
import { RedisCluster } from "../../support/redis/redis_cluster.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";
import { logHistories } from "./log_histories.ts";
import { logPlaces } from "./log_places.ts";
import { redisHarness } from "./log_redis.ts";
import { logSuite } from "./log_suite.ts";

requireRedis();
const cluster = await RedisCluster.start({ appendfsync: "always" });
const url = cluster.urls[0] as string;
const harness = redisHarness({ name: "redis cluster", url, restart: () => cluster.newLives() });

logSuite(harness);
logPlaces(harness, 5);
logHistories(harness, 10);

test.after(() => cluster.stop());
test.run();
