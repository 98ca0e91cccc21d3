/** A call that goes to a server which was found only just before. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { knownId } from "../../../../actors/log/redis/redis_look.ts";
import { RedisShards } from "../../../../actors/log/redis/redis_shards.ts";
import { SLOT_COUNT } from "../../../../actors/log/redis/redis_slots.ts";
import { keysOfOne, type Topology } from "../../../../actors/log/redis/redis_topology.ts";
import { redisLeaseLibrary } from "../../../../supervisors/cluster/leases/redis_lease_library.ts";
import { requireRedis, startRedis } from "../../../support/redis/redis_server.ts";

requireRedis();

test("a call to a master that has just been found waits until it was looked at, and is not refused (H4)", async () => {
  const [first, second] = [await startRedis(), await startRedis()];
  const library = redisLeaseLibrary();
  const prefix = "t:";
  let master = first;
  const topology: Topology = {
    masters: async () => [{ from: 0, to: SLOT_COUNT - 1, address: `127.0.0.1:${master.port}` }],
    urlOf: (address) => `redis://${address}`,
    lookKeys: () => keysOfOne(prefix, library),
    copiedKey: undefined,
    firstSlot: 0,
  };
  const store = { prefix, acceptLoss: true };
  const shards = await RedisShards.connect({ store, library, topology, id: knownId(store) });
  try {
    master = second;
    await first.kill();
    const refusals = new Set<string>();
    for (let isFound = false; !isFound; await new Promise((resolve) => setImmediate(resolve))) {
      isFound = await shards.read(["EXISTS", "any"]).then(
        () => true,
        (error: Error) => {
          refusals.add(error.message);
          return false;
        },
      );
    }
    assert.equal(
      [...refusals].filter((message) => /Not connected yet/.test(message)),
      [],
    );
  } finally {
    await shards.close();
    await first.stop();
    await second.stop();
  }
});

test.run();
