import { test } from "uvu";
import { sourceCases } from "../../../supervisors/conformance/conformance.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import { applicationOf, redisHarness } from "./house_places.ts";

requireRedis();
const server = await startRedis({ appendfsync: "always" });
const app = await applicationOf(server);

for (const type of ["redis", "redis_group"] as const) {
  for (const { name, run } of sourceCases(redisHarness(type, server, app))) test(name, run);
}

test.after(async () => {
  app.destroy();
  await server.stop();
});

test.run();
