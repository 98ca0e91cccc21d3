import { test } from "uvu";
import * as assert from "uvu/assert";
import { requireRedis } from "../../support/redis/redis_server.ts";
import { runChaos } from "./chaos.ts";

requireRedis();

/** Time of the faults for each log; start and drain come in addition. */
const SECONDS = 12;
/** A seed whose first faults hit producers, node, store and endpoint. */
const SEED = 60;

for (const log of ["lmdb", "redis"] as const) {
  test(`killed and frozen at random, real processes lose and repeat nothing (${log})`, async () => {
    const said: string[] = [];
    const result = await runChaos({ log, seconds: SECONDS, seed: SEED, producers: 3, say: (line) => said.push(line) });
    assert.equal(result.problems.slice(0, 10), [], said.join(", "));
    assert.ok(result.acked > 500, `${result.acked} events were acked`);
    assert.ok(
      said.some((fault) => fault.startsWith("the endpoint")),
      said.join(", "),
    );
    assert.ok(result.requests > 20, `${result.requests} requests were made`);
    assert.ok(said.length >= 3, "some of it broke");
    assert.ok(result.windows > 10, `${result.windows} windows were emitted`);
    console.log(`${log}: ${JSON.stringify({ ...result, problems: 0 })}`);
  });
}

test.run();
