import { test } from "uvu";
import { requireRedis, startRedis } from "../support/redis_server.ts";
import { redisLeases } from "./lease_store_redis.ts";
import { leaseStoreSuite } from "./lease_store_suite.ts";

requireRedis();
const server = await startRedis();
const cluster = await startRedis({ isCluster: true });

leaseStoreSuite(redisLeases(server));
// There a function may name keys of one slot alone.
leaseStoreSuite(redisLeases(cluster, "redis cluster"));

test.after(async () => {
  await server.stop();
  await cluster.stop();
});
test.run();
