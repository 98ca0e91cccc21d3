import { test } from "uvu";
import { slotOf } from "../../../actors/log/redis/redis_slots.ts";
import { RedisCluster } from "../../support/redis/redis_cluster.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import { redisLeases } from "./lease_store_redis.ts";
import { leaseStoreSuite } from "./lease_store_suite.ts";

requireRedis();
const server = await startRedis();
const cluster = await startRedis({ isCluster: true });
const three = await RedisCluster.start();

leaseStoreSuite(redisLeases(server));
// On Redis Cluster a function may use keys of one slot only (redis lease library R4).
leaseStoreSuite(redisLeases(cluster, "redis cluster"));
// The stores connect to a node that does not hold the slot of the leases.
const owner = await three.ownerOf(slotOf("{cluster}"));
const other = three.masters.find(({ port }) => port !== owner.port);
leaseStoreSuite(redisLeases({ url: other?.url ?? "", port: owner.port }, "redis cluster of three"));

test.after(async () => {
  await server.stop();
  await cluster.stop();
  await three.stop();
});
test.run();
