/** Reads of the log on Redis. Decides how many entries a read asks for; log_reading.ts judges cursors. */
import type { Channel, ChannelBounds, Log, RecordBatch } from "../log.ts";
import { LargeBatches } from "../rules/large_batches.ts";
import { answerRead, holderOf, seekByTime } from "../rules/log_reading.ts";
import { ENTRY_BYTES_TARGET } from "../rules/record_batch.ts";
import type { RedisConnection } from "./redis_connection.ts";
import type { Keys, KnownKeys } from "./redis_keys.ts";
import { boundsOf, channelsOf, checkpointsOf, decodeStreamEntry, type StreamEntry } from "./redis_replies.ts";

/** Entries that one read asks for. */
const READ_ENTRIES_MAX = 1_024;

export class RedisReads {
  readonly #redis: RedisConnection;
  readonly #keys: KnownKeys;
  /** Mean bytes of the entries of each stream, by its key. A read asks for entries by this mean. */
  readonly #entryBytes = new Map<string, number>();
  readonly #large = new LargeBatches();

  constructor(redis: RedisConnection, keys: KnownKeys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  readonly read: Log["read"] = async (partition, request) => {
    const keys = this.#keys.of(partition);
    const { channel, after, inParts = false } = request;
    const stream = keys.stream(channel);
    if (inParts && this.#large.mayFind(stream, after)) {
      const bounds = await this.#bounds(keys, channel);
      const kept = this.#large.find(stream, after, bounds);
      if (kept !== undefined) return answerRead(bounds, request, [kept]);
    }
    const from = after === undefined ? "-" : `${after.epoch}-${after.offset + 1}`;
    const entryBytes = this.#entryBytes.get(stream) ?? (await this.#meanEntryBytes(keys, channel));
    const count = Math.min(READ_ENTRIES_MAX, Math.max(1, Math.ceil(request.bytesMax / entryBytes)));
    // Entries first, then the bounds that judge the cursor: a cursor that is valid by the newer bounds was so before.
    const [entries, bounds] = await Promise.all([this.#entries(stream, from, count), this.#bounds(keys, channel)]);
    const answer = answerRead(bounds, request, this.#decoded(stream, entries, entryBytes));
    if (inParts) this.#large.keep(stream, answer);
    return answer;
  };

  async #entries(stream: string, from: string, count: number): Promise<StreamEntry[]> {
    return (await this.#redis.read(["XRANGE", stream, from, "+", "COUNT", String(count)])) as StreamEntry[];
  }

  async #text({ meta }: Keys, channel: Channel): Promise<Buffer | null> {
    return (await this.#redis.read(["HGET", meta, `c:${channel}`])) as Buffer | null;
  }

  async #bounds(keys: Keys, channel: Channel): Promise<ChannelBounds> {
    return boundsOf(await this.#text(keys, channel));
  }

  /** Decodes entries, and moves the stream's mean entry size by each of them. */
  *#decoded(stream: string, entries: readonly StreamEntry[], mean: number): Iterable<RecordBatch> {
    let entryBytes = mean;
    for (const entry of entries) {
      entryBytes = entryBytes * 0.9 + (entry[1][1]?.length ?? 0) * 0.1;
      this.#entryBytes.set(stream, entryBytes);
      yield* decodeStreamEntry(entry);
    }
  }

  async #meanEntryBytes(keys: Keys, channel: Channel): Promise<number> {
    const numbers = String((await this.#text(keys, channel)) ?? "").split(" ");
    const [, , sizeBytes = 0, entryCount = 0] = numbers.map(Number);
    return entryCount === 0 ? ENTRY_BYTES_TARGET : sizeBytes / entryCount;
  }

  readonly seek: Log["seek"] = async (partition, channel, timeMs) => {
    const keys = this.#keys.of(partition);
    return seekByTime(await this.#bounds(keys, channel), timeMs, async (at) => {
      const [entry] = await this.#entries(keys.stream(channel), `${at.epoch}-${at.offset}`, 1);
      return entry === undefined ? undefined : holderOf(decodeStreamEntry(entry), at.offset);
    });
  };

  readonly describe: Log["describe"] = async (partition) => {
    const fields = (await this.#redis.read(["HGETALL", this.#keys.of(partition).meta])) as Buffer[];
    return fields.length === 0 ? undefined : channelsOf(fields);
  };

  readonly readCheckpoints: Log["readCheckpoints"] = async (partition) =>
    checkpointsOf((await this.#redis.read(["HGETALL", this.#keys.of(partition).checkpoints])) as Buffer[]);
}
