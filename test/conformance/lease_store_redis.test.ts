import { test } from "uvu";
import { requireRedis, startRedis } from "../support/redis_server.ts";
import { redisLeases } from "./lease_store_redis.ts";
import { leaseStoreSuite } from "./lease_store_suite.ts";

requireRedis();
const server = await startRedis();

leaseStoreSuite(redisLeases(server));

test.after(() => server.stop());
test.run();
