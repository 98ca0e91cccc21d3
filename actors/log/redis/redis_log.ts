/**
 * The cluster's log: Redis Streams, with one call of a Redis Function (redis_library.ts) for each write. Turns the log's
 * contract into calls and their replies into answers. Leaves judgement to the functions, and connections to
 * redis_connect.ts.
 */
import { type FencedCode, FencedError, UnavailableError } from "../../../protocols/errors.ts";
import {
  type Epoch,
  epoch,
  type Offset,
  offset,
  type PartitionReference,
  type Position,
  partitionName,
} from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { textSequence } from "../embedded/stored_state.ts";
import type * as Contract from "../log.ts";
import { chainName, ownerMark } from "../rules/chain_places.ts";
import { LargeBatches } from "../rules/large_batches.ts";
import { answerRead, seekByTime } from "../rules/log_reading.ts";
import { lostBatch, outcomeOfLoss } from "../rules/lost_batch.ts";
import { ENTRY_BYTES_TARGET } from "../rules/record_batch.ts";
import { unencodable } from "../rules/unencodable.ts";
import { EPOCH_AHEAD_MS_MAX, producerKeptMs } from "../rules/welcome.ts";
import { decodeOutcomes, encodeAppend, encodeCheckpoints, tooManyProducers } from "./redis_append.ts";
import { connectRedis } from "./redis_connect.ts";
import {
  misconfigured,
  type RedisArguments,
  type RedisConnection,
  type RedisLibrary,
  type RedisLogOptions,
  type RedisReply,
} from "./redis_connection.ts";
import { type Keys, keysOf } from "./redis_keys.ts";
import { REDIS_LIBRARY, REDIS_LIBRARY_NAME } from "./redis_library.ts";
import {
  boundsOf,
  channelsOf,
  checkpointsOf,
  decodeStreamEntry,
  fieldsOf,
  metadataOf,
  type StreamEntry,
} from "./redis_replies.ts";

export type { RedisLogOptions } from "./redis_connection.ts";

/** Entries that one call of the trim function looks at. */
const TRIM_ENTRIES_MAX = 64;
/** Entries that one read asks for. */
const READ_ENTRIES_MAX = 1_024;
/** How long the server's flush settings, once read, are used for further claims. */
const SETTINGS_KEPT_MS = 100;
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

/** A node remembers the log's `clusterId`, and passes it in `RedisLogOptions` at its next start. */
export type RedisLog = Contract.Log;

/** Connects a log. Rejects with `ConfigurationError` where Redis is too old or may evict keys, `UnavailableError` where it is away. */
export async function connectRedisLog(options: RedisLogOptions): Promise<RedisLog> {
  return new StreamsLog(await connectRedis(options, LIBRARY));
}

interface KnownPartition {
  readonly keys: Keys;
  /** The newest claim of this process. Calls under an older one are refused by the fence. */
  claim: { readonly ownership: Contract.Ownership; readonly tier: Contract.DurabilityTier } | undefined;
}

class StreamsLog implements RedisLog {
  readonly kind = "redis";
  readonly #redis: RedisConnection;
  /** By stream, then by partition. */
  readonly #partitions = new Map<string, Map<number, KnownPartition>>();
  /** The flush settings of each Redis, by its identity, as just read. */
  readonly #settings = new Map<string, Promise<readonly [string, string]>>();
  /** Mean bytes of the entries of each stream, by its key. A read asks for entries by this mean. */
  readonly #entryBytes = new Map<string, number>();
  readonly #large = new LargeBatches();

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  get clusterId(): string {
    return this.#redis.clusterId;
  }

  state(): Contract.StoreState {
    return this.#redis.state();
  }

  onStateChange(listener: (state: Contract.StoreState) => void): void {
    this.#redis.onStateChange(listener);
  }

  #known(partition: PartitionReference): KnownPartition {
    const ofStream = this.#partitions.get(partition.stream);
    const known = ofStream?.get(partition.partition);
    if (known !== undefined) return known;
    const made: KnownPartition = { keys: keysOf(this.#redis.prefix, partition), claim: undefined };
    this.#partitions.set(
      partition.stream,
      (ofStream ?? new Map<number, KnownPartition>()).set(partition.partition, made),
    );
    return made;
  }

  #keys(partition: PartitionReference): Keys {
    return this.#known(partition).keys;
  }

  /** Repeats a claim that was refused because the life of the store, as this node knew it, had ended. */
  async claim(
    partition: PartitionReference,
    grant: Contract.Grant,
    atLeast: Epoch,
    settings: Contract.PartitionSettings,
  ): Promise<Contract.Claim> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#claim(partition, grant, atLeast, settings);
      } catch (error) {
        if (!(error instanceof FencedError) || error.code !== "STORE_CHANGED") throw error;
        if (attempt === CLAIM_ATTEMPTS_MAX) throw new UnavailableError("STORE_UNAVAILABLE", error.message);
        await this.#redis.probe(this.#keys(partition).meta);
      }
    }
  }

  async #claim(
    partition: PartitionReference,
    grant: Contract.Grant,
    atLeast: Epoch,
    settings: Contract.PartitionSettings,
  ): Promise<Contract.Claim> {
    const keys = this.#keys(partition);
    const { meta, chains, verdicts, checkpoints } = keys;
    await this.#checkTier(meta, settings.tier);
    const names = [meta, chains, verdicts, checkpoints, keys.stream("records"), keys.stream("rejected")];
    const { dedupeWindowMs, producersMax } = settings.chains;
    const numbers = [grant.leaderEpoch, grant.tableVersion, atLeast, dedupeWindowMs, producersMax];
    let store = "";
    const reply = await this.#call(
      "claim",
      names,
      (identity) => {
        store = identity;
        return [...numbers.map(String), identity];
      },
      settings.tier,
      partition,
    );
    const claimed = epoch(Number(reply[1]));
    const ownership: Contract.Ownership = { partition, epoch: claimed, store };
    const known = this.#known(partition);
    // Concurrent claims may be answered in any order, and the highest epoch is the newest.
    if (known.claim?.ownership.store !== store || known.claim.ownership.epoch < claimed)
      known.claim = { ownership, tier: settings.tier };
    return {
      ownership,
      channels: channelsOf(reply[2] as Buffer[]),
      checkpoints: checkpointsOf(reply[3] as Buffer[]),
    };
  }

  async #checkTier(key: string, tier: Contract.DurabilityTier): Promise<void> {
    if (this.#redis.stateOf(key).kind !== "ready") await this.#redis.probe(key);
    if (typeof tier !== "string" || tier === "memory") return;
    const [isAppendOnly, flush] = await this.#flushSettings(key);
    if (isAppendOnly !== "yes") throw misconfigured(`its appendonly must be yes for tier ${tier}`, isAppendOnly);
    const allowed = tier === "fsync" ? ["always"] : ["always", "everysec"];
    if (!allowed.includes(flush)) {
      throw misconfigured(`its appendfsync must be ${allowed.join(" or ")} for tier ${tier}`, flush);
    }
  }

  /** Read once for all claims of the same moment: a node that takes over the partitions of a dead node claims many. */
  #flushSettings(key: string): Promise<readonly [string, string]> {
    const identity = this.#redis.identityOf(key);
    const known = this.#settings.get(identity);
    if (known !== undefined) return known;
    const asked = Promise.all([this.#redis.settingOf(key, "appendonly"), this.#redis.settingOf(key, "appendfsync")]);
    this.#settings.set(identity, asked);
    const forget = () => {
      if (this.#settings.get(identity) === asked) this.#settings.delete(identity);
    };
    asked.then(() => setTimeout(forget, SETTINGS_KEPT_MS).unref(), forget);
    return asked;
  }

  /** Calls a function. A refusal by the fence becomes `FencedError`. */
  async #call(
    name: string,
    keys: readonly string[],
    args: RedisArguments,
    tier: Contract.DurabilityTier,
    partition: PartitionReference,
  ): Promise<RedisReply[]> {
    const reply = (await (typeof tier === "string"
      ? this.#redis.write(name, keys, args)
      : this.#redis.writeToReplicas(name, keys, args, tier.replicas))) as RedisReply[];
    const status = String(reply[0]);
    if (status !== "STORE_CHANGED" && status !== "STALE_EPOCH" && status !== "STALE_GRANT") return reply;
    if (status === "STORE_CHANGED") void this.#redis.probe(keys[0]).catch(() => undefined);
    throw new FencedError(
      status as FencedCode,
      `Cannot ${name.replace("_owned", "")} ${partitionName(partition)} as the claim must be the newest, made on this life of the store: current value there is ${reply[1]}`,
    );
  }

  #owned(
    name: string,
    ownership: Contract.Ownership,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    tier: Contract.DurabilityTier = "memory",
  ): Promise<RedisReply[]> {
    return this.#call(name, keys, [String(ownership.epoch), ownership.store, ...args], tier, ownership.partition);
  }

  async openChain(
    ownership: Contract.Ownership,
    channel: Contract.Channel,
    producerId: string,
    producerEpoch: number,
    nowMs: number,
    owner?: string,
  ): Promise<Contract.OpenChainOutcome> {
    const { meta, chains } = this.#keys(ownership.partition);
    const args = [chainName(channel, producerId), String(producerEpoch), String(Math.floor(nowMs))];
    if (owner !== undefined) args.push(ownerMark(owner));
    const reply = await this.#owned("open_owned", ownership, [meta, chains], args, this.#tier(ownership));
    const status = String(reply[0]);
    if (status === "full") return tooManyProducers(reply.slice(1));
    if (status === "stale") return { kind: "stale_producer_epoch", current: Number(reply[1]) };
    const position = reply[2] as Buffer;
    return {
      kind: "opened",
      lastSequence: textSequence(String(reply[1])),
      ...(position.length === 0 ? {} : { position: decodeSlice(position) }),
    };
  }

  #tier(ownership: Contract.Ownership): Contract.DurabilityTier {
    const claim = this.#known(ownership.partition).claim;
    const isNewest = claim?.ownership.epoch === ownership.epoch && claim.ownership.store === ownership.store;
    return isNewest ? claim.tier : "memory";
  }

  async append(ownership: Contract.Ownership, request: Contract.AppendRequest): Promise<Contract.AppendResult> {
    const keys = this.#keys(ownership.partition);
    const { meta, chains, verdicts, checkpoints } = keys;
    const tier = this.#tier(ownership);
    const names = [meta, chains, verdicts, checkpoints, keys.stream(request.channel), keys.stream("rejected")];
    const args = encodedAppend(ownership.partition, request, typeof tier !== "string");
    const reply = await this.#owned("append_owned", ownership, names, args, tier);
    return { outcomes: decodeOutcomes(reply[2] as Buffer), endOffset: offset(Number(reply[1])) };
  }

  async declareLost(
    ownership: Contract.Ownership,
    producerId: string,
    producerEpoch: number,
    from: Sequence | undefined,
    to: Sequence,
    nowMs: number,
    owner?: string,
  ): Promise<Contract.AppendOutcome> {
    const batch = lostBatch(producerId, producerEpoch, from, to, nowMs, owner);
    return outcomeOfLoss(await this.append(ownership, { channel: "records", batches: [batch] }));
  }

  async read(partition: PartitionReference, request: Contract.ReadRequest): Promise<Contract.ReadResult> {
    const keys = this.#keys(partition);
    const { channel, after, inParts = false } = request;
    const stream = keys.stream(channel);
    if (inParts && this.#large.mayFind(stream, after)) {
      const bounds = boundsOf((await this.#redis.read(["HGET", keys.meta, `c:${channel}`])) as Buffer | null);
      const kept = this.#large.find(stream, after, bounds);
      if (kept !== undefined) return answerRead(bounds, request, [[kept]]);
    }
    const from = after === undefined ? "-" : `${after.epoch}-${after.offset + 1}`;
    const entryBytes = this.#entryBytes.get(stream) ?? (await this.#meanEntryBytes(keys, channel));
    const count = Math.min(READ_ENTRIES_MAX, Math.max(1, Math.ceil(request.bytesMax / entryBytes)));
    // Entries first, then the bounds that judge the cursor: a cursor that is valid by the newer bounds was so before.
    const [entries, text] = await Promise.all([
      this.#redis.read(["XRANGE", stream, from, "+", "COUNT", String(count)]),
      this.#redis.read(["HGET", keys.meta, `c:${channel}`]),
    ]);
    const decoded = this.#decoded(stream, entries as StreamEntry[], entryBytes);
    const answer = answerRead(boundsOf(text as Buffer | null), request, decoded);
    if (inParts) this.#large.keep(stream, answer);
    return answer;
  }

  /** Decodes entries, and moves the stream's mean entry size by each of them. */
  *#decoded(stream: string, entries: readonly StreamEntry[], mean: number): Iterable<Contract.RecordBatch[]> {
    let entryBytes = mean;
    for (const entry of entries) {
      entryBytes = entryBytes * 0.9 + (entry[1][1]?.length ?? 0) * 0.1;
      this.#entryBytes.set(stream, entryBytes);
      yield decodeStreamEntry(entry);
    }
  }

  async #meanEntryBytes(keys: Keys, channel: Contract.Channel): Promise<number> {
    const text = await this.#redis.read(["HGET", keys.meta, `c:${channel}`]);
    const [, , sizeBytes = 0, entryCount = 0] = String(text ?? "")
      .split(" ")
      .map(Number);
    return entryCount === 0 ? ENTRY_BYTES_TARGET : sizeBytes / entryCount;
  }

  async seek(partition: PartitionReference, channel: Contract.Channel, timeMs: number): Promise<Position | undefined> {
    const keys = this.#keys(partition);
    const bounds = boundsOf((await this.#redis.read(["HGET", keys.meta, `c:${channel}`])) as Buffer | null);
    return seekByTime(bounds, timeMs, async (at) => {
      const from = `${at.epoch}-${at.offset}`;
      const found = await this.#redis.read(["XRANGE", keys.stream(channel), from, "+", "COUNT", "1"]);
      const [entry] = found as StreamEntry[];
      return entry === undefined ? [] : decodeStreamEntry(entry);
    });
  }

  async describe(
    partition: PartitionReference,
  ): Promise<ReadonlyMap<Contract.Channel, Contract.ChannelBounds> | undefined> {
    const fields = (await this.#redis.read(["HGETALL", this.#keys(partition).meta])) as Buffer[];
    return fields.length === 0 ? undefined : channelsOf(fields);
  }

  async trim(
    ownership: Contract.Ownership,
    channel: Contract.Channel,
    beforeOffset: Offset,
  ): Promise<Contract.ChannelBounds> {
    const keys = this.#keys(ownership.partition);
    const names = [keys.meta, keys.stream(channel), keys.verdicts];
    for (;;) {
      const args = [channel, String(beforeOffset), String(TRIM_ENTRIES_MAX)];
      const reply = await this.#owned("trim", ownership, names, args);
      if (Number(reply[1]) < TRIM_ENTRIES_MAX) return boundsOf(reply[2] as Buffer);
    }
  }

  async expireChains(ownership: Contract.Ownership, nowMs: number): Promise<number> {
    const { meta, chains, verdicts } = this.#keys(ownership.partition);
    let cursor = "0";
    for (;;) {
      const args = [String(Math.floor(nowMs)), cursor];
      const reply = await this.#owned("expire_chains", ownership, [meta, chains, verdicts], args);
      cursor = String(reply[1]);
      if (cursor === "0") return Number(reply[2]);
    }
  }

  async checkpoint(ownership: Contract.Ownership, values: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    const { meta, checkpoints } = this.#keys(ownership.partition);
    const args = encodeCheckpoints(values);
    await this.#owned("checkpoint", ownership, [meta, checkpoints], args, this.#tier(ownership));
  }

  async readCheckpoints(partition: PartitionReference): Promise<ReadonlyMap<string, Uint8Array>> {
    return checkpointsOf((await this.#redis.read(["HGETALL", this.#keys(partition).checkpoints])) as Buffer[]);
  }

  async welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    _nowMs: number,
    owner?: Contract.ProducerOwner,
  ): Promise<Contract.WelcomeOutcome> {
    const key = `${this.#redis.prefix}producer:${producerId}`;
    const keptMs = String(producerKeptMs(producerId));
    if (owner !== undefined) {
      // Names are counted without a bound too, so that a bound configured later counts the existing names.
      const { subject, producersMax: max = Number.MAX_SAFE_INTEGER } = owner;
      const places = `${this.#redis.prefix}producers-of:${subject}`;
      const taken = await this.#redis.write("take_place", [places], [producerId, keptMs, String(max)]);
      if (String((taken as Buffer[])[0]) === "crowded") return { kind: "crowded", max };
    }
    const held = heldEpoch === undefined ? "" : String(heldEpoch);
    const args = [instance, held, keptMs, owner?.subject ?? "", String(EPOCH_AHEAD_MS_MAX)];
    const reply = (await this.#redis.write("welcome_owned", [key], args)) as Buffer[];
    const value = Number(reply[1]);
    switch (String(reply[0])) {
      case "ok":
        return { kind: "welcomed", producerEpoch: value };
      case "fenced":
        return { kind: "fenced", current: value };
      case "unknown":
        return { kind: "unknown_epoch", max: value };
      default:
        return { kind: "owned" };
    }
  }

  async readMetadata(key: string): Promise<Contract.Metadata | undefined> {
    const text = (await this.#redis.read(["HGET", `${this.#redis.prefix}metadata`, key])) as Buffer | null;
    return text === null ? undefined : metadataOf(text);
  }

  async listMetadata(prefix: string): Promise<ReadonlyMap<string, Contract.Metadata>> {
    const fields = (await this.#redis.read(["HGETALL", `${this.#redis.prefix}metadata`])) as Buffer[];
    const found = new Map<string, Contract.Metadata>();
    for (const [name, value] of fieldsOf(fields)) if (name.startsWith(prefix)) found.set(name, metadataOf(value));
    return found;
  }

  async writeMetadata(key: string, value: Uint8Array, expectedVersion: number): Promise<number | undefined> {
    const args = [key, String(expectedVersion), Buffer.from(value)];
    const reply = (await this.#redis.write("write_metadata", [`${this.#redis.prefix}metadata`], args)) as Buffer[];
    return String(reply[0]) === "ok" ? Number(reply[1]) : undefined;
  }

  probe(): Promise<void> {
    return this.#redis.probe();
  }

  close(): Promise<void> {
    return this.#redis.close();
  }
}

/** Throws `InvariantError` for batches without a stored form: nothing was sent to Redis (E25). */
function encodedAppend(partition: PartitionReference, request: Contract.AppendRequest, isTouching: boolean) {
  try {
    return encodeAppend(request, isTouching);
  } catch (error) {
    throw unencodable(partition, error);
  }
}
