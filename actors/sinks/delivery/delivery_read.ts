/** Reads the next records of a delivery's input, runs the steps on them, and reports records that the log has lost. */
import { comparePositions, cursorBefore, type Position, position } from "../../../protocols/position.ts";
import type { DecodedBatch } from "../../log/decoded_batch.ts";
import type { Channel } from "../../log/log.ts";
import type { PartitionFeed } from "../../partition/partition_feed.ts";
import type { SinkContext } from "../sink.ts";
import type { DeliveryItem, DeliveryMessage } from "./delivery_messages.ts";

/** The records after `after`, up to and including `last`. */
export interface DeliveryRange {
  readonly after: Position | undefined;
  readonly last: Position;
}

export interface ReadParts {
  readonly feed: PartitionFeed;
  /** The channel that is delivered: `records`, an outbox, or dead letters that are sent again. */
  readonly input: Channel;
  readonly readBytesMax: number;
  /** Bounds the delivery, which ends once the range is done (D9). */
  readonly range?: DeliveryRange;
  /** Runs the steps on the records after `after`, and sizes them. Never rejects for one record. */
  prepare(batch: DecodedBatch, after: Position | undefined): readonly DeliveryItem[] | Promise<readonly DeliveryItem[]>;
  readonly log: SinkContext["log"];
}

export async function readItems(
  parts: ReadParts,
  readId: number,
  after: Position | undefined,
  canRewind: boolean,
): Promise<DeliveryMessage> {
  const { feed, input, readBytesMax, range } = parts;
  const from = after ?? range?.after;
  const result = await feed.read(input, from, readBytesMax);
  if (result.kind === "truncated" && after === undefined && range !== undefined) {
    parts.log("error", "the log lost the whole range", { ...feed.partition, divergence: result.divergence });
    return { type: "read_records", readId, items: [], isEnd: true };
  }
  switch (result.kind) {
    case "records": {
      const items: DeliveryItem[] = [];
      for (const batch of result.batches) {
        const prepared = parts.prepare(feed.decode(input, batch), from);
        for (const item of prepared instanceof Promise ? await prepared : prepared) items.push(item);
      }
      if (range === undefined) {
        const next = (items.at(-1)?.position.offset ?? from?.offset ?? -1) + 1;
        return { type: "read_records", readId, items, isAtEnd: next >= feed.committedOffset(input) };
      }
      // After a loss of the log's tail, records at the lost offsets are of a later epoch, and do not belong to the range.
      const within = items.filter((item) => comparePositions(item.position, range.last) <= 0);
      return { type: "read_records", readId, items: within, isEnd: within.length === 0 };
    }
    case "trimmed": {
      const { epochs } = feed.bounds(input);
      const resume = cursorBefore(epochs, result.firstOffset) ?? position(feed.epoch, result.firstOffset - 1);
      return { type: "read_trimmed", readId, firstOffset: result.firstOffset, resume };
    }
    case "truncated":
      return { type: "read_truncated", readId, divergence: result.divergence, resume: result.resume, canRewind };
  }
}
