/**
 * Reads Redis streams by a consumer group, each stream a shard. Redis keeps which entries are acknowledged, and hands out
 * the others again, so an entry is known by its stream and id.
 *
 *   Y1. A life first reads the entries that an earlier life was given and did not acknowledge, then new ones.
 *   Y2. Entries that another consumer of the group left unacknowledged for `claimAfterMs` are taken over.
 *   Y3. An entry that was deleted while it was pending is acknowledged, logged and counted: nobody can read it.
 *
 * It is a kind of its own, and no option of `redis`: a kind has one identity, and the ids of a group's entries ascend
 * only for a group with one consumer that never takes over.
 */
import { reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { NamedItem, SourceBatch, SourceContext, SourceDefinition, SourceReader } from "../source.ts";
import { entriesOf, itemOf, placeOf, type RedisEntry } from "./redis_entries.ts";
import { hostOf, RedisLink, type RedisReply } from "./redis_link.ts";
import { CLAIM_AFTER_MS, REDIS_GROUP_OPTIONS, type RedisGroupOptions } from "./redis_options.ts";
import { BLOCK_MS, overConnections, READ_ENTRIES } from "./redis_reader.ts";
import { testStreams } from "./redis_source.ts";

export const redisGroupSource: SourceDefinition<RedisGroupOptions, NamedItem> = {
  type: "redis_group",
  optionsSchema: REDIS_GROUP_OPTIONS,
  identity: "message_id",
  shards: async ({ streams }) => streams,
  test: testStreams,
  open: async (options, context) => new GroupReader(options, context),
};

class GroupReader implements SourceReader<NamedItem> {
  readonly #options: RedisGroupOptions;
  readonly #context: SourceContext;
  readonly #stream: string;
  /** The same for all lives on all nodes, so that a life finds the entries that were given to the one before (Y1). */
  readonly #consumer: string;
  #hasReadOld = false;
  /** The last pending entry that was read again. */
  #old = "0-0";
  #claimedAtMs = Number.NEGATIVE_INFINITY;
  /** For acknowledgements: the reader's own link may be blocked. */
  #acknowledging: Promise<RedisLink> | undefined;
  #isClosed = false;

  constructor(options: RedisGroupOptions, context: SourceContext) {
    this.#options = options;
    this.#context = context;
    this.#stream = context.shard ?? "";
    this.#consumer = `headrace/${context.name}`;
  }

  read(signal: AbortSignal): AsyncIterable<SourceBatch<NamedItem>> {
    return overConnections(this.#options.url, this.#context, signal, (link, works) =>
      this.#readOn(link, works, signal),
    );
  }

  async acknowledge({ items }: SourceBatch<NamedItem>): Promise<void> {
    if (items.length === 0) return;
    const link = await this.#ownLink();
    await this.#confirm(
      link,
      items.map(({ messageId }) => messageId.slice(messageId.lastIndexOf(" ") + 1)),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const link = await this.#acknowledging?.catch(() => undefined);
    link?.close();
  }

  async #ownLink(): Promise<RedisLink> {
    if (this.#isClosed)
      throw new UnavailableError(
        "STOPPING",
        `Cannot acknowledge entries of ${this.#stream} as the reader must be open: it is closed`,
      );
    this.#acknowledging ??= RedisLink.open(this.#options.url);
    return this.#acknowledging;
  }

  async #confirm(link: RedisLink, ids: readonly string[]): Promise<void> {
    await link.ask(["XACK", this.#stream, this.#options.group, ...ids]);
  }

  async *#readOn(link: RedisLink, works: () => void, signal: AbortSignal): AsyncIterable<SourceBatch<NamedItem>> {
    if (!(await this.#makeGroup(link, signal, works))) return;
    while (!signal.aborted) {
      const entries = (await this.#pendingOfBefore(link)) ?? (await this.#claimed(link)) ?? (await this.#fresh(link));
      works();
      const items = await this.#itemsOf(entries, link);
      if (items.length > 0) yield { items, resume: undefined };
    }
  }

  /** Waits until the stream exists: to make it is its application's part. */
  async #makeGroup(link: RedisLink, signal: AbortSignal, works: () => void): Promise<boolean> {
    const from = this.#options.from === "end" ? "$" : "0";
    while (!signal.aborted) {
      try {
        await link.ask(["XGROUP", "CREATE", this.#stream, this.#options.group, from]);
        return true;
      } catch (error) {
        const reason = reasonOf(error);
        if (reason.startsWith("BUSYGROUP")) return true;
        if (!reason.includes("requires the key to exist")) throw error;
        works();
        await link.ask(["XREAD", "BLOCK", String(BLOCK_MS), "COUNT", "1", "STREAMS", this.#stream, "0"], BLOCK_MS);
      }
    }
    return false;
  }

  /** Y1. Undefined once all were read. */
  async #pendingOfBefore(link: RedisLink): Promise<readonly RedisEntry[] | undefined> {
    if (this.#hasReadOld) return undefined;
    const entries = await this.#ask(link, [], this.#old);
    this.#old = entries.at(-1)?.id ?? this.#old;
    this.#hasReadOld = entries.length === 0;
    return this.#hasReadOld ? undefined : entries;
  }

  /** Y2. Undefined while there is nothing to look for. */
  async #claimed(link: RedisLink): Promise<readonly RedisEntry[] | undefined> {
    const { group, claimAfterMs = CLAIM_AFTER_MS } = this.#options;
    const nowMs = performance.now();
    if (nowMs - this.#claimedAtMs < claimAfterMs / 2) return undefined;
    const claim = ["XAUTOCLAIM", this.#stream, group, this.#consumer, String(claimAfterMs), "0-0"];
    const [, found, deleted] = (await link.ask([...claim, "COUNT", String(READ_ENTRIES)])) as RedisReply[];
    this.#tellDeleted(((deleted ?? []) as Buffer[]).map(String));
    const entries = entriesOf(found);
    if (entries.length > 0) return entries;
    this.#claimedAtMs = nowMs;
    return undefined;
  }

  #fresh(link: RedisLink): Promise<readonly RedisEntry[]> {
    const { claimAfterMs = CLAIM_AFTER_MS } = this.#options;
    return this.#ask(link, ["BLOCK", String(Math.min(BLOCK_MS, claimAfterMs))], ">");
  }

  async #ask(link: RedisLink, block: readonly string[], after: string): Promise<readonly RedisEntry[]> {
    const { group } = this.#options;
    const command = ["XREADGROUP", "GROUP", group, this.#consumer, "COUNT", String(READ_ENTRIES), ...block];
    const found = await link.ask([...command, "STREAMS", this.#stream, after], BLOCK_MS);
    const [read] = (found ?? []) as RedisReply[][];
    return entriesOf(read?.[1]);
  }

  async #itemsOf(entries: readonly RedisEntry[], link: RedisLink): Promise<readonly NamedItem[]> {
    const deleted = entries.filter(({ fields }) => fields === undefined).map(({ id }) => id);
    if (deleted.length > 0) await this.#confirm(link, deleted);
    this.#tellDeleted(deleted);
    return entries.flatMap(({ id, fields }): NamedItem[] => {
      if (fields === undefined) return [];
      return [{ item: itemOf(fields, placeOf(id)?.ms, this.#options), messageId: `${this.#stream} ${id}` }];
    });
  }

  /** Y3 */
  #tellDeleted(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#context.lost?.(ids.length);
    this.#context.log("error", "entries were removed from the stream before they were read", {
      ...{ redis: hostOf(this.#options.url), stream: this.#stream, entries: ids.length, first: ids[0] },
    });
  }
}
