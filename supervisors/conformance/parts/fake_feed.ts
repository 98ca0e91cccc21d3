/** A partition's feed in memory: batches of events, checkpoints and channels with chains. */
import { DecodedBatch } from "../../../actors/log/decoded_batch.ts";
import type { AppendRequest, AppendResult, Channel, ChannelBounds, RecordBatch } from "../../../actors/log/log.ts";
import type { PartitionFeed } from "../../../actors/partition/partition_feed.ts";
import { FencedError } from "../../../protocols/errors.ts";
import {
  type EpochStart,
  epoch,
  judgeCursor,
  offset,
  type Position,
  partitionId,
} from "../../../protocols/position.ts";
import { compareSequences, judgeChain, lastSequence, type Sequence } from "../../../protocols/sequence.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";

/** The events of batches, as every log holds them. */
export const packedEvents = {
  encode: (events: readonly unknown[]): Uint8Array => encodeEvents(events, { asRecords: false }),
  decode: (bytes: Uint8Array): readonly unknown[] => decodeTrustedEvents(bytes),
};

/** The stored partition, which outlives its owners. */
export class FakePartition {
  fence = 0;
  readonly batches = new Map<Channel, RecordBatch[]>();
  readonly epochs = new Map<Channel, EpochStart[]>();
  readonly chains = new Map<string, Sequence>();
  readonly checkpoints = new Map<string, Uint8Array>();
  readonly listeners = new Set<() => void>();
  firstOffset = 0;
  /** All records with an earlier time of append are stored. */
  settledMs = Number.POSITIVE_INFINITY;

  end(channel: Channel): number {
    const last = this.batches.get(channel)?.at(-1);
    return last === undefined ? 0 : last.firstOffset + last.count;
  }

  /** Stores a batch of events; those at `rejected` take no offset. */
  store(channel: Channel, owner: number, events: readonly unknown[], rejected: readonly number[] = []): void {
    const bitmap = new Uint8Array((events.length + 7) >> 3);
    for (const index of rejected) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
    const firstOffset = offset(this.end(channel));
    const starts = this.epochs.get(channel) ?? [];
    if (starts.at(-1)?.epoch !== owner) starts.push({ epoch: epoch(owner), firstOffset });
    this.epochs.set(channel, starts);
    const batch: RecordBatch = {
      epoch: epoch(owner),
      firstOffset,
      count: events.length - rejected.length,
      appendedAtMs: 1_000 + firstOffset,
      schemaVersion: 1,
      producerId: "p",
      sequences: { first: [0, 1, 0], count: events.length },
      events: packedEvents.encode(events),
      ...(rejected.length > 0 ? { rejected: bitmap } : {}),
    };
    this.batches.set(channel, [...(this.batches.get(channel) ?? []), batch]);
    for (const listener of this.listeners) listener();
  }

  events(channel: Channel): Record<string, unknown>[] {
    return (this.batches.get(channel) ?? []).flatMap(
      ({ events }) => packedEvents.decode(events) as Record<string, unknown>[],
    );
  }

  /** A feed for a new owner, which fences the ones before. */
  feed(owner: number): PartitionFeed {
    this.fence = owner;
    const check = () => {
      if (this.fence !== owner) throw new FencedError("STALE_EPOCH", `Cannot write: the fence is ${this.fence}`);
    };
    const bounds = (channel: Channel): ChannelBounds => ({
      epochs: this.epochs.get(channel) ?? [],
      firstOffset: offset(channel === "records" ? this.firstOffset : 0),
      endOffset: offset(this.end(channel)),
      sizeBytes: 0,
    });
    return {
      partition: { stream: "readings", partition: partitionId(0) },
      epoch: epoch(owner),
      ready: async () => {},
      committedOffset: (channel) => offset(this.end(channel)),
      bounds,
      settledMs: () => this.settledMs,
      read: async (channel, after) => this.#read(channel, after, bounds(channel)),
      decode: (_channel, batch) => new DecodedBatch(batch),
      peek: (batch) => new DecodedBatch(batch),
      text: (_channel, batch, make) => make(new DecodedBatch(batch)),
      seek: async () => undefined,
      onAdvance: (_channel, listener) => {
        this.listeners.add(listener);
        return { stop: () => void this.listeners.delete(listener) };
      },
      append: async (request) => {
        check();
        return this.#append(request, owner);
      },
      openChain: async (channel, producerId) => {
        check();
        return { kind: "opened", lastSequence: this.chains.get(`${channel} ${producerId}`) };
      },
      trim: async () => check(),
      readCheckpoint: (name) => this.checkpoints.get(name),
      writeCheckpoint: async (name, value) => {
        check();
        if (value === undefined) this.checkpoints.delete(name);
        else this.checkpoints.set(name, value);
      },
    };
  }

  #read(channel: Channel, after: Position | undefined, { epochs, firstOffset, endOffset }: ChannelBounds) {
    const judgement = judgeCursor(after, epochs, firstOffset, endOffset);
    if (judgement.kind === "trimmed") return judgement;
    if (judgement.kind === "truncated") return { ...judgement, resume: undefined };
    const next = after === undefined ? 0 : after.offset + 1;
    const batches = (this.batches.get(channel) ?? []).filter((batch) => batch.firstOffset + batch.count > next);
    return { kind: "records" as const, batches: batches.slice(0, 2) };
  }

  #append({ channel, batches, checkpoints }: AppendRequest, owner: number): AppendResult {
    const outcomes = batches.map((batch) => {
      const name = `${channel} ${batch.producerId}`;
      const stored = this.chains.get(name);
      const last = lastSequence(batch.sequences);
      const judgement = judgeChain(stored, batch.previousSequence, last);
      if (judgement === "duplicate") return { kind: "duplicate" as const, stored: stored ?? last, verdicts: [] };
      if (judgement === "gap") return { kind: "gap" as const, stored };
      const firstOffset = offset(this.end(channel));
      this.store(channel, owner, packedEvents.decode(batch.events));
      if (compareSequences(last, stored) > 0) this.chains.set(name, last);
      return { kind: "written" as const, firstOffset, count: this.end(channel) - firstOffset };
    });
    if (outcomes.every(({ kind }) => kind !== "gap")) {
      for (const [name, value] of checkpoints ?? []) if (value !== undefined) this.checkpoints.set(name, value);
    }
    return { outcomes, endOffset: offset(this.end(channel)) };
  }
}
