/**
 * Reads a bounded range of one partition, in order: from a place to the end at the beginning of the reading, or to an
 * earlier place. Records and rejected events come over the public WebSocket, and a sink's dead letters over HTTP.
 */

import type { Event } from "../../../protocols/mod.ts";
import { partitionName } from "../../../protocols/position.ts";
import { fromJsonValue } from "../../../protocols/values/json_values.ts";
import type { Place } from "../arguments.ts";
import { DataError } from "../exit_codes.ts";
import type { NodeClient } from "../node_client.ts";
import { remark } from "../output.ts";

export interface RangeRecord {
  readonly epoch: number;
  readonly offset: number;
  readonly event: Event;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId: string | undefined;
  readonly traceparent: string | undefined;
}

export interface Range {
  readonly stream: string;
  readonly partition: number;
  readonly channel: string;
  readonly from: Place;
  /** The end, which is not included. `latest` is the end when reading begins. */
  readonly to: Place;
}

const PAGE_RECORDS = 1_000;

/** The current end of a partition's channel, and the first offset that retention has left. */
export async function boundsOf(client: NodeClient, { stream, partition, channel }: Omit<Range, "from" | "to">) {
  const { firstOffset, endOffset } = await client.page(stream, partition, { channel, from: "latest", limit: 1 });
  return { firstOffset, endOffset };
}

/** How many records the channels of these ranges hold now. */
export async function totalOf(client: NodeClient, ranges: readonly Range[]): Promise<number> {
  let total = 0;
  for (const range of ranges) {
    const { firstOffset, endOffset } = await boundsOf(client, range);
    total += endOffset - firstOffset;
  }
  return total;
}

export async function* readRange(
  client: NodeClient,
  range: Range,
  hooks: { readonly signal: AbortSignal; readonly onTrouble: (error: Error) => void },
): AsyncIterable<RangeRecord> {
  const { firstOffset, endOffset } = await boundsOf(client, range);
  const { to } = range;
  const end = typeof to === "object" && "offset" in to ? Math.min(to.offset, endOffset) : endOffset;
  const untilMs = typeof to === "object" && "timeMs" in to ? to.timeMs : Number.POSITIVE_INFINITY;
  const begin = Math.max(firstOffset, await beginOf(client, range, endOffset));
  if (begin >= end) return;
  const records = range.channel.startsWith("dead_letters/")
    ? readPages(client, range, begin, end)
    : readLive(client, range, begin, hooks);
  for await (const record of records) {
    if (record.offset >= end || record.appendedAtMs >= untilMs) return;
    yield record;
    if (record.offset >= end - 1) return;
  }
}

async function beginOf(client: NodeClient, range: Range, endOffset: number): Promise<number> {
  const { stream, partition, channel, from } = range;
  if (from === "earliest") return 0;
  if (from === "latest") return endOffset;
  if ("offset" in from) return from.offset;
  const fromTimeMs = Math.max(0, Math.floor(from.timeMs));
  const { records } = await client.page(stream, partition, { channel, fromTimeMs, limit: 1 });
  return records[0]?.position.offset ?? endOffset;
}

async function* readLive(
  client: NodeClient,
  { stream, partition, channel }: Range,
  begin: number,
  { signal, onTrouble }: { readonly signal: AbortSignal; readonly onTrouble: (error: Error) => void },
): AsyncIterable<RangeRecord> {
  const consumer = client.consumer(onTrouble);
  try {
    const items = consumer.subscribe({
      stream,
      partitions: [partition],
      from: { offset: begin },
      channel: channel === "rejected" ? "rejected" : "records",
      signal,
    });
    for await (const item of items) {
      const where = partitionName({ stream, partition });
      if (item.kind === "truncated") {
        throw new DataError(`Cannot go on with ${where} as the log lost its records from offset ${item.divergence} on`);
      }
      if (item.kind === "trimmed") remark(`${where}: retention removed records before offset ${item.firstOffset}`);
      else for (const { position, ...record } of item.records) yield { ...record, ...position };
    }
  } finally {
    consumer.close();
  }
}

async function* readPages(
  client: NodeClient,
  { stream, partition, channel }: Range,
  begin: number,
  end: number,
): AsyncIterable<RangeRecord> {
  for (let from = begin; from < end; ) {
    const { records } = await client.page(stream, partition, { channel, from, limit: PAGE_RECORDS });
    if (records.length === 0)
      throw new DataError(`Cannot read ${partitionName({ stream, partition })} on from ${from}: nothing is there`);
    for (const { position, event, appendedAtMs, schemaVersion, producerId, traceparent } of records) {
      const restored = fromJsonValue(event) as Event;
      yield { ...position, event: restored, appendedAtMs, schemaVersion, producerId, traceparent };
      from = position.offset + 1;
    }
  }
}
