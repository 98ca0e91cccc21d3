/**
 * The suite's harness for the lease store on Redis: the product's functions, with a clock that reads a key which the suite sets. A
 * tail is lost by restoring copies of the keys.
 */
import type { RedisLibrary } from "../../../actors/log/redis/redis_connection.ts";
import { redisLeaseLibrary } from "../../../supervisors/cluster/leases/redis_lease_library.ts";
import { connectRedisLeaseStore, type RedisLeaseStore } from "../../../supervisors/cluster/leases/redis_lease_store.ts";
import { ask, type RedisServer } from "../../support/redis/redis_server.ts";
import { CLOCK_START_MS, type LeaseStoreHarness } from "./lease_domains.ts";

/** In the hash tag of the leases, so that the functions may read the key on Redis Cluster too. */
const CLOCK_KEY = "{cluster}:clock_of_the_suite";

/** Above any delay of a busy machine, as the suite does not test deadlines. */
const CALL_TIMEOUT_MS = 20_000;

export const settableLibrary: RedisLibrary = redisLeaseLibrary(`
local function clock_ms()
  return tonumber(redis.call('GET', '${CLOCK_KEY}'))
end
`);

export const setRedisClock = async (server: Pick<RedisServer, "port">, nowMs: number): Promise<void> => {
  await ask(server.port, `SET ${CLOCK_KEY} ${nowMs}\r\n`);
};

export function redisLeases(server: Pick<RedisServer, "url" | "port">, name = "redis"): LeaseStoreHarness {
  let made = 0;
  return {
    name,
    make: async () => {
      made += 1;
      const prefix = `t${made}:`;
      const keys = settableLibrary.probeKeys.map((key) => `${prefix}${key}`);
      const opened: RedisLeaseStore[] = [];
      await setRedisClock(server, CLOCK_START_MS);
      return {
        open: async () => {
          const store = await connectRedisLeaseStore(
            { url: server.url, prefix, callTimeoutMs: CALL_TIMEOUT_MS },
            settableLibrary,
          );
          opened.push(store);
          return store;
        },
        setClock: (nowMs) => setRedisClock(server, nowMs),
        keep: async () => {
          for (const key of keys) await ask(server.port, `COPY ${key} ${key}:kept REPLACE\r\n`);
          return async () => {
            for (const key of keys) await ask(server.port, `COPY ${key}:kept ${key} REPLACE\r\n`);
          };
        },
        close: async () => {
          for (const store of opened) await store.close();
        },
      };
    },
  };
}
