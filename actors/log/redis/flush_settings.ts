/** Decides whether a Redis keeps a durability tier, by its own settings of the append-only file. */
import type { DurabilityTier } from "../log.ts";
import { misconfigured, type RedisConnection } from "./redis_connection.ts";

/** How long the server's flush settings, once read, are used for further claims. */
const SETTINGS_KEPT_MS = 100;

export class FlushSettings {
  readonly #redis: RedisConnection;
  /** By the identity of the Redis. */
  readonly #asked = new Map<string, Promise<readonly [string, string]>>();

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** Rejects with `ConfigurationError` where the server that holds the key flushes less than the tier. */
  async check(key: string, tier: DurabilityTier): Promise<void> {
    if (typeof tier !== "string" || tier === "memory") return;
    const [isAppendOnly, flush] = await this.#read(key);
    if (isAppendOnly !== "yes") throw misconfigured(`its appendonly must be yes for tier ${tier}`, isAppendOnly);
    const allowed = tier === "fsync" ? ["always"] : ["always", "everysec"];
    if (!allowed.includes(flush)) {
      throw misconfigured(`its appendfsync must be ${allowed.join(" or ")} for tier ${tier}`, flush);
    }
  }

  /** Read once for all claims of the same moment: a node that takes over the partitions of a dead node claims many. */
  #read(key: string): Promise<readonly [string, string]> {
    const identity = this.#redis.identityOf(key);
    const known = this.#asked.get(identity);
    if (known !== undefined) return known;
    const asked = Promise.all([this.#redis.settingOf(key, "appendonly"), this.#redis.settingOf(key, "appendfsync")]);
    this.#asked.set(identity, asked);
    const forget = () => this.#asked.delete(identity);
    asked.then(() => setTimeout(forget, SETTINGS_KEPT_MS).unref(), forget);
    return asked;
  }
}
