import { test } from "uvu";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import { applicationOf, redisHarness } from "./house_places.ts";
import { sourceSuite } from "./source_suite.ts";

requireRedis();
const server = await startRedis({ appendfsync: "always" });
const app = await applicationOf(server);

for (const type of ["redis", "redis_group"] as const) sourceSuite(redisHarness(type, server, app));

test.after(async () => {
  app.destroy();
  await server.stop();
});

test.run();
