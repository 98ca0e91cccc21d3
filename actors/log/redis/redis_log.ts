/**
 * The cluster's log: Redis Streams, with one call of a Redis Function (redis_library.ts) for each write. Turns the log's
 * contract into calls and their replies into answers. Leaves judgement to the functions, reads to redis_reads.ts, what
 * belongs to no partition to redis_registry.ts, and connections to redis_connect.ts.
 */
import { type FencedCode, FencedError, UnavailableError } from "../../../protocols/errors.ts";
import { epoch, offset, type PartitionReference, partitionName } from "../../../protocols/position.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { textSequence } from "../embedded/stored_state.ts";
import type { Claim, DurabilityTier, Log, Ownership } from "../log.ts";
import { chainName, ownerMark } from "../rules/chain_places.ts";
import { declareLostBy } from "../rules/lost_batch.ts";
import { encoded } from "../rules/unencodable.ts";
import { FlushSettings } from "./flush_settings.ts";
import { REDIS_LIBRARY, REDIS_LIBRARY_NAME } from "./library/redis_library.ts";
import { decodeOutcomes, encodeAppend, encodeCheckpoints, tooManyProducers } from "./redis_append.ts";
import { connectRedis } from "./redis_connect.ts";
import type { RedisArguments, RedisConnection, RedisLibrary, RedisLogOptions, RedisReply } from "./redis_connection.ts";
import { type Keys, KnownKeys } from "./redis_keys.ts";
import { RedisReads } from "./redis_reads.ts";
import { RedisRegistry } from "./redis_registry.ts";
import { boundsOf, channelsOf, checkpointsOf } from "./redis_replies.ts";

/** Entries that one call of the trim function looks at. */
const TRIM_ENTRIES_MAX = 64;
/** Attempts of one claim, each of which may meet a new life of the store. */
const CLAIM_ATTEMPTS_MAX = 3;

const LIBRARY: RedisLibrary = {
  name: REDIS_LIBRARY_NAME,
  text: REDIS_LIBRARY,
  formatVersion: 1,
  formatKey: "format",
  probeKeys: ["probe"],
  isSpread: true,
  waitsForReplicas: true,
};

/** Rejects with `ConfigurationError` where Redis is too old or may evict keys, with `UnavailableError` where it is away. */
export async function connectRedisLog(options: RedisLogOptions): Promise<Log> {
  const redis = await connectRedis(options, LIBRARY);
  const keys = new KnownKeys(redis.prefix);
  return {
    kind: "redis",
    get clusterId() {
      return redis.clusterId;
    },
    state: () => redis.state(),
    onStateChange: (listener) => redis.onStateChange(listener),
    probe: () => redis.probe(),
    close: () => redis.close(),
    ...new RedisWrites(redis, keys),
    ...new RedisReads(redis, keys),
    ...new RedisRegistry(redis),
  };
}

class RedisWrites {
  readonly #redis: RedisConnection;
  readonly #keys: KnownKeys;
  readonly #flushSettings: FlushSettings;
  /** The newest claim of each partition by this process. Calls under an older one are refused by the fence. */
  readonly #claims = new Map<Keys, { readonly ownership: Ownership; readonly tier: DurabilityTier }>();

  constructor(redis: RedisConnection, keys: KnownKeys) {
    this.#redis = redis;
    this.#keys = keys;
    this.#flushSettings = new FlushSettings(redis);
  }

  /** Repeats a claim that was refused because the life of the store, as this node knew it, had ended. */
  readonly claim: Log["claim"] = async (...request) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#claim(...request);
      } catch (error) {
        if (!(error instanceof FencedError) || error.code !== "STORE_CHANGED") throw error;
        if (attempt === CLAIM_ATTEMPTS_MAX) throw new UnavailableError("STORE_UNAVAILABLE", error.message);
        await this.#redis.probe(this.#keys.of(request[0]).meta);
      }
    }
  };

  async #claim(...[partition, grant, atLeast, settings]: Parameters<Log["claim"]>): Promise<Claim> {
    const keys = this.#keys.of(partition);
    const { meta, chains, verdicts, checkpoints } = keys;
    const { tier } = settings;
    if (this.#redis.stateOf(meta).kind !== "ready") await this.#redis.probe(meta);
    await this.#flushSettings.check(meta, tier);
    const names = [meta, chains, verdicts, checkpoints, keys.stream("records"), keys.stream("rejected")];
    const { dedupeWindowMs, producersMax } = settings.chains;
    const numbers = [grant.leaderEpoch, grant.tableVersion, atLeast, dedupeWindowMs, producersMax];
    let store = "";
    const args = (identity: string) => {
      store = identity;
      return [...numbers.map(String), identity];
    };
    const reply = await this.#call("claim", names, args, tier, partition);
    const ownership: Ownership = { partition, epoch: epoch(Number(reply[1])), store };
    const known = this.#claims.get(keys)?.ownership;
    // Concurrent claims may be answered in any order, and the highest epoch is the newest.
    if (known?.store !== store || known.epoch < ownership.epoch) this.#claims.set(keys, { ownership, tier });
    return {
      ownership,
      channels: channelsOf(reply[2] as Buffer[]),
      checkpoints: checkpointsOf(reply[3] as Buffer[]),
    };
  }

  /** Calls a function. A refusal by the fence becomes `FencedError`. */
  async #call(
    name: string,
    keys: readonly string[],
    args: RedisArguments,
    tier: DurabilityTier,
    partition: PartitionReference,
  ): Promise<RedisReply[]> {
    const replicas = typeof tier === "string" ? undefined : tier.replicas;
    const reply = (await this.#redis.write(name, keys, args, replicas)) as RedisReply[];
    const status = String(reply[0]);
    if (status !== "STORE_CHANGED" && status !== "STALE_EPOCH" && status !== "STALE_GRANT") return reply;
    if (status === "STORE_CHANGED") void this.#redis.probe(keys[0]).catch(() => undefined);
    throw new FencedError(
      status satisfies FencedCode,
      `Cannot ${name.replace(/_owned|_attached/, "")} ${partitionName(partition)} as the claim must be the newest, made on this life of the store: current value there is ${reply[1]}`,
    );
  }

  #owned(
    name: string,
    { epoch, store, partition }: Ownership,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    tier: DurabilityTier = "memory",
  ): Promise<RedisReply[]> {
    return this.#call(name, keys, [String(epoch), store, ...args], tier, partition);
  }

  readonly openChain: Log["openChain"] = async (ownership, channel, producerId, producerEpoch, nowMs, owner) => {
    const { meta, chains } = this.#keys.of(ownership.partition);
    const args = [chainName(channel, producerId), String(producerEpoch), String(Math.floor(nowMs))];
    if (owner !== undefined) args.push(ownerMark(owner));
    const reply = await this.#owned("open_owned", ownership, [meta, chains], args, this.#tier(ownership));
    const status = String(reply[0]);
    if (status === "full") return tooManyProducers(reply.slice(1));
    if (status === "stale") return { kind: "stale_producer_epoch", current: Number(reply[1]) };
    const position = reply[2] as Buffer;
    const resume = position.length === 0 ? {} : { position: decodeSlice(position) };
    return { kind: "opened", lastSequence: textSequence(String(reply[1])), ...resume };
  };

  #tier({ partition, epoch, store }: Ownership): DurabilityTier {
    const claim = this.#claims.get(this.#keys.of(partition));
    return claim?.ownership.epoch === epoch && claim.ownership.store === store ? claim.tier : "memory";
  }

  readonly append: Log["append"] = async (ownership, request) => {
    const keys = this.#keys.of(ownership.partition);
    const { meta, chains, verdicts, checkpoints } = keys;
    const tier = this.#tier(ownership);
    const { attached = [] } = request;
    const names = [meta, chains, verdicts, checkpoints, keys.stream(request.channel), keys.stream("rejected")];
    for (const { channel } of attached) names.push(keys.stream(channel));
    const args = encoded(ownership.partition, () => encodeAppend(request, typeof tier !== "string"));
    const name = attached.length === 0 ? "append_owned" : "append_attached";
    const reply = await this.#owned(name, ownership, names, args, tier);
    const result = { outcomes: decodeOutcomes(reply[2] as Buffer), endOffset: offset(Number(reply[1])) };
    if (attached.length === 0) return result;
    return { ...result, attachedEnds: (reply[3] as RedisReply[]).map((end) => offset(Number(end))) };
  };

  readonly declareLost = declareLostBy(this.append);

  readonly trim: Log["trim"] = async (ownership, channel, beforeOffset) => {
    const keys = this.#keys.of(ownership.partition);
    const names = [keys.meta, keys.stream(channel), keys.verdicts];
    const args = [channel, String(beforeOffset), String(TRIM_ENTRIES_MAX)];
    for (;;) {
      const reply = await this.#owned("trim", ownership, names, args);
      if (Number(reply[1]) < TRIM_ENTRIES_MAX) return boundsOf(reply[2] as Buffer);
    }
  };

  readonly expireChains: Log["expireChains"] = async (ownership, nowMs) => {
    const { meta, chains, verdicts } = this.#keys.of(ownership.partition);
    let cursor = "0";
    for (;;) {
      const args = [String(Math.floor(nowMs)), cursor];
      const reply = await this.#owned("expire_chains", ownership, [meta, chains, verdicts], args);
      cursor = String(reply[1]);
      if (cursor === "0") return Number(reply[2]);
    }
  };

  readonly checkpoint: Log["checkpoint"] = async (ownership, values) => {
    const { meta, checkpoints } = this.#keys.of(ownership.partition);
    await this.#owned("checkpoint", ownership, [meta, checkpoints], encodeCheckpoints(values), this.#tier(ownership));
  };
}
