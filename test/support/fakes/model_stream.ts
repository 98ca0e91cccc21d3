/** A model of a node as a consumer sees it: partitions of batches, which are sent while the consumer has credit. */

import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { encodeFrame, wireBytes } from "../../../protocols/wire/codec.ts";
import {
  type ClientFrame,
  type NodeFrame,
  type RecordsFrame,
  SUBPROTOCOL_MSGPACK,
  type SubscribeFrom,
  type WireBatch,
} from "../../../protocols/wire/frames.ts";

interface Reading {
  readonly subscription: number;
  readonly partition: number;
  next: number;
}

export class ModelStream {
  readonly partitions: WireBatch[][];
  readonly subscribed: ClientFrame[] = [];
  credit = new Map<number, number>();
  sentBytes = 0;
  private readings: Reading[] = [];
  private outbox: NodeFrame[] = [];
  epoch = 7;
  /** The minor version of the protocol. */
  minor = 0;

  /** Nodes over one log share its partitions. */
  constructor(partitions: number | WireBatch[][]) {
    this.partitions = typeof partitions === "number" ? Array.from({ length: partitions }, () => []) : partitions;
  }

  /** Ends the reads of a partition; answers whether there were any. */
  leave(partition: number): boolean {
    const before = this.readings.length;
    this.readings = this.readings.filter((reading) => reading.partition !== partition);
    return this.readings.length < before;
  }

  endOffset(partition: number): number {
    const last = this.partitions[partition]?.at(-1);
    return last === undefined ? 0 : last.firstOffset + last.count;
  }

  append(partition: number, events: readonly object[], rejected?: readonly number[]): void {
    const bitmap = new Uint8Array((events.length + 7) >> 3);
    for (const index of rejected ?? []) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
    this.partitions[partition]?.push({
      epoch: this.epoch,
      firstOffset: this.endOffset(partition),
      count: events.length - (rejected?.length ?? 0),
      appendedAtMs: 1,
      schemaVersion: 1,
      events: encodeEvents(events, { asRecords: true }),
      ...(rejected === undefined ? {} : { rejected: bitmap }),
    });
  }

  take(frame: ClientFrame): NodeFrame[] {
    if (frame.type === "hello") {
      this.readings = [];
      this.credit.clear();
      const limits = { frameBytesMax: 4_194_304, eventBytesMax: 1_048_576, batchEventsMax: 10_000, dedupeWindowMs: 1 };
      const streams = { readings: { partitions: this.partitions.length, schemaVersions: [1] } };
      return [{ type: "welcome", node: "model", minor: this.minor, streams, limits, creditBytes: 1 }];
    }
    if (frame.type === "subscribe") {
      this.subscribed.push(frame);
      this.credit.set(frame.subscription, frame.creditBytes);
      for (const { partition, from } of frame.partitions) this.begin(frame.subscription, partition, from);
    }
    if (frame.type === "unsubscribe")
      this.readings = this.readings.filter(({ subscription }) => subscription !== frame.subscription);
    if (frame.type === "credit" && frame.subscription !== undefined)
      this.credit.set(frame.subscription, (this.credit.get(frame.subscription) ?? 0) + frame.creditBytes);
    const isAsked = frame.type === "credit" && frame.creditBytes === 0 && this.minor >= 1;
    return isAsked ? [{ type: "credit", creditBytes: 0 }, ...this.pump()] : this.pump();
  }

  private begin(subscription: number, partition: number, from: SubscribeFrom): void {
    const end = this.endOffset(partition);
    const next =
      from === "earliest"
        ? 0
        : from === "latest"
          ? end
          : "timeMs" in from
            ? 0
            : "epoch" in from
              ? from.offset + 1
              : from.offset;
    this.readings.push({ subscription, partition, next });
    if (from === "latest")
      this.outbox.push({ type: "records", subscription, stream: "readings", partition, batches: [], endOffset: end });
  }

  pump(): NodeFrame[] {
    const frames = this.outbox.splice(0);
    for (const reading of this.readings) {
      for (const batch of this.partitions[reading.partition] ?? []) {
        if (batch.firstOffset + batch.count <= reading.next || (this.credit.get(reading.subscription) ?? 0) <= 0)
          continue;
        const frame: RecordsFrame = {
          type: "records",
          subscription: reading.subscription,
          stream: "readings",
          partition: reading.partition,
          batches: [batch],
          endOffset: this.endOffset(reading.partition),
        };
        const bytes = wireBytes(encodeFrame(frame, SUBPROTOCOL_MSGPACK));
        this.sentBytes += bytes;
        this.credit.set(reading.subscription, (this.credit.get(reading.subscription) ?? 0) - bytes);
        reading.next = batch.firstOffset + batch.count;
        frames.push(frame);
      }
    }
    return frames;
  }
}
