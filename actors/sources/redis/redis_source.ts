/**
 * Reads Redis streams of someone else's application, each a shard. An entry's id is its position: milliseconds and a
 * count, which ascend. So nothing is written to that Redis, and each entry is stored once.
 *
 *   X1. Where reading begins is stored before the first entry is given out: `from: end` means one end, over restarts.
 *   X2. Entries that the application trimmed or deleted before they were read are logged and counted. A read is one
 *       transaction with a look at the stream, so no trim comes between the two.
 *   X3. A stream that was made anew, and lies behind what was read, is told as trouble: its ids would be repetitions.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { PlacedItem, SourceBatch, SourceContext, SourceDefinition, SourceReader } from "../source.ts";
import { comparePlaces, entriesOf, itemOf, placeOf, type RedisEntry } from "./redis_entries.ts";
import { hostOf, RedisLink, type RedisReply } from "./redis_link.ts";
import { REDIS_OPTIONS, type RedisStreamOptions } from "./redis_options.ts";
import { BLOCK_MS, overConnections, READ_ENTRIES } from "./redis_reader.ts";

export const redisSource: SourceDefinition<RedisStreamOptions> = {
  type: "redis",
  optionsSchema: REDIS_OPTIONS,
  shards: async ({ streams }) => streams,
  test: testStreams,
  open: async (options, context, resume) => new StreamReader(options, context, resume as StreamPlace | undefined),
};

/** Rejects where Redis cannot be reached or may not be read, or a key holds no stream. */
export async function testStreams({ url, streams }: RedisStreamOptions): Promise<void> {
  const link = await RedisLink.open(url);
  try {
    for (const stream of streams) await link.ask(["XREAD", "COUNT", "1", "STREAMS", stream, "$"]);
  } finally {
    link.close();
  }
}

type StreamPlace = {
  /** Id of the last entry that was read; "0-0" for none. */
  readonly id: string;
  /** Entries of the stream up to that id, so far as they were read or reported as lost; undefined for an older Redis. */
  readonly entries?: number;
};

class StreamReader implements SourceReader {
  readonly #options: RedisStreamOptions;
  readonly #context: SourceContext;
  readonly #stream: string;
  #place: StreamPlace | undefined;

  constructor(options: RedisStreamOptions, context: SourceContext, resume: StreamPlace | undefined) {
    this.#options = options;
    this.#context = context;
    this.#stream = context.shard ?? "";
    this.#place = resume;
  }

  read(signal: AbortSignal): AsyncIterable<SourceBatch> {
    return overConnections(this.#options.url, this.#context, signal, (link, works) =>
      this.#readOn(link, works, signal),
    );
  }

  async close(): Promise<void> {}

  async *#readOn(link: RedisLink, works: () => void, signal: AbortSignal): AsyncIterable<SourceBatch> {
    while (!signal.aborted) {
      let place = this.#place;
      if (place === undefined) {
        place = await this.#begin(link);
        this.#place = place;
        yield { items: [], resume: place }; // X1
      }
      const { state, entries } = await this.#look(link, place);
      place = this.#withoutLost(place, state, entries);
      works();
      if (entries.length === 0) {
        this.#place = place;
        await link.ask(["XREAD", "BLOCK", String(BLOCK_MS), "COUNT", "1", "STREAMS", this.#stream, place.id], BLOCK_MS);
        continue;
      }
      place = after(place, entries);
      this.#place = place;
      yield { items: entries.map((entry) => this.#placed(entry)), resume: place };
    }
  }

  async #begin(link: RedisLink): Promise<StreamPlace> {
    const [info] = await link.together([["XINFO", "STREAM", this.#stream]]);
    const state = stateOf(info);
    const isFromEnd = this.#options.from === "end";
    const counted = isFromEnd ? state.added : removedOf(state);
    return { id: isFromEnd ? state.last : "0-0", ...(counted === undefined ? {} : { entries: counted }) };
  }

  async #look(link: RedisLink, { id }: StreamPlace) {
    const [info, found] = await link.together([
      ["XINFO", "STREAM", this.#stream],
      ["XREAD", "COUNT", String(READ_ENTRIES), "STREAMS", this.#stream, id],
    ]);
    if (found instanceof Error) throw found;
    const [read] = (found ?? []) as RedisReply[][];
    return { state: stateOf(info), entries: entriesOf(read?.[1]) };
  }

  /** X2, X3 */
  #withoutLost(place: StreamPlace, state: StreamState, entries: readonly RedisEntry[]): StreamPlace {
    if (state.added === undefined || place.entries === undefined) return place;
    if (comparePlaces(exactPlace(state.last), exactPlace(place.id)) < 0) {
      throw new UnavailableError(
        "NOT_READY",
        `Cannot read ${this.#stream} as its newest id must not lie behind what was read (${place.id}): current value is ${state.last}`,
      );
    }
    const removed = removedOf(state) ?? 0;
    // The stream was made anew with later ids: its counts have begun again.
    if (state.added < place.entries) return { ...place, entries: removed };
    const lost = removed - place.entries;
    if (lost <= 0) return place;
    this.#context.lost?.(lost);
    this.#context.log("error", "entries were removed from the stream before they were read", {
      ...{ redis: hostOf(this.#options.url), stream: this.#stream, entries: lost },
      ...{ after: place.id, next: entries[0]?.id ?? "none yet" },
    });
    return { ...place, entries: removed };
  }

  #placed({ id, fields = [] }: RedisEntry): PlacedItem {
    const { ms, count } = exactPlace(id);
    return { item: itemOf(fields, ms, this.#options), term: ms, position: count };
  }
}

const after = (place: StreamPlace, entries: readonly RedisEntry[]): StreamPlace => ({
  id: entries.at(-1)?.id ?? place.id,
  ...(place.entries === undefined ? {} : { entries: place.entries + entries.length }),
});

function exactPlace(id: string) {
  const place = placeOf(id);
  if (place !== undefined) return place;
  throw new UnavailableError("NOT_READY", `Cannot read an entry as its id must be below 2^53: current value is ${id}`);
}

interface StreamState {
  /** Id of the newest entry that the stream ever had. */
  readonly last: string;
  readonly length: number;
  /** Entries that were ever added; undefined before Redis 7. */
  readonly added: number | undefined;
}

/** A stream that does not exist yet is an empty one. */
function stateOf(info: RedisReply | undefined): StreamState {
  if (info instanceof Error) {
    if (!/no such key/.test(info.message)) throw info;
    return { last: "0-0", length: 0, added: undefined };
  }
  const found = new Map<string, RedisReply>();
  const list = (info ?? []) as RedisReply[];
  for (let at = 0; at + 1 < list.length; at += 2) found.set(String(list[at]), list[at + 1] ?? null);
  const added = found.get("entries-added");
  return {
    last: String(found.get("last-generated-id") ?? "0-0"),
    length: Number(found.get("length") ?? 0),
    added: added === undefined ? undefined : Number(added),
  };
}

const removedOf = ({ added, length }: StreamState): number | undefined =>
  added === undefined ? undefined : added - length;
