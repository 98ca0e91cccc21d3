/**
 * The front of a node that source actors produce to, over a real log in memory: its chains, epochs and metadata are those
 * of production. The stream is `lines`. Several lives, as of several nodes, may use one node at the same time.
 */
import { createInspect } from "../../../actors/ingest/session/inspection.ts";
import { createMemoryLog, type MemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import { type AppendOutcome, CHAIN_LIMITS, type Channel, type Ownership } from "../../../actors/log/log.ts";
import { recordsOf } from "../../../actors/log/stored_records.ts";
import type { Connect } from "../../../protocols/connection.ts";
import type { Event } from "../../../protocols/event.ts";
import { epoch, offset, partitionId } from "../../../protocols/position.ts";
import { lastSequence } from "../../../protocols/sequence.ts";
import { EVENT_LIMITS } from "../../../protocols/values/event_codec.ts";
import type { AppendFrame, ClientFrame, NodeFrame } from "../../../protocols/wire/frames.ts";
import { WIRE_DEFAULTS } from "../../../protocols/wire/frames.ts";

export const STREAM = "lines";

/** Passes the frames of one life on; a test holds them up, or loses them with the life. */
export interface Carrier {
  toNode(frame: ClientFrame, deliver: () => void): void;
  toClient(frame: NodeFrame, deliver: () => void): void;
}

const DIRECT: Carrier = { toNode: (_frame, deliver) => deliver(), toClient: (_frame, deliver) => deliver() };

export interface StoredEvent {
  readonly partition: number;
  readonly event: Event;
  readonly traceparent: string | undefined;
}

export class SourceNode {
  readonly log: MemoryLog = createMemoryLog();
  readonly partitions: number;
  readonly key: string | undefined;
  /** Chains that were opened. */
  opens = 0;
  readonly #owners: Promise<readonly Ownership[]>;
  readonly #inspect = createInspect(new Map(), EVENT_LIMITS);

  constructor(partitions = 3, key?: string) {
    this.partitions = partitions;
    this.key = key;
    this.#owners = Promise.all(
      Array.from({ length: partitions }, async (_, at) => {
        const grant = { leaderEpoch: 1, tableVersion: 1 };
        const settings = { tier: "memory", chains: CHAIN_LIMITS } as const;
        return (await this.log.claim({ stream: STREAM, partition: partitionId(at) }, grant, epoch(1), settings))
          .ownership;
      }),
    );
  }

  readonly describe = () => ({ partitions: this.partitions, ...(this.key === undefined ? {} : { key: this.key }) });

  connectBy(carrier: Carrier = DIRECT): Connect {
    return async (_address, events) => {
      let isOpen = true;
      const producer = { id: "" };
      let last: Promise<void> = Promise.resolve();
      const answer = (frame: NodeFrame) => carrier.toClient(frame, () => isOpen && events.onFrame(frame, FRAME_BYTES));
      return {
        bufferedBytes: 0,
        send: (frame) => {
          carrier.toNode(frame, () => {
            last = last
              .then(() => this.#take(frame, producer))
              .then((found) => (found === undefined ? undefined : answer(found)));
          });
          return FRAME_BYTES;
        },
        close: () => {
          isOpen = false;
        },
      };
    };
  }

  async #take(frame: ClientFrame, producer: { id: string }): Promise<NodeFrame | undefined> {
    switch (frame.type) {
      case "hello":
        producer.id = frame.producerId ?? "";
        return this.#welcome(producer.id, frame.instance ?? "", frame.producerEpoch);
      case "open":
        return this.#open(producer.id, frame.stream, frame.partition, frame.producerEpoch);
      case "append":
        return this.#append(producer.id, frame);
      default:
        return undefined;
    }
  }

  async #welcome(producerId: string, instance: string, held: number | undefined): Promise<NodeFrame> {
    const outcome = await this.log.welcomeProducer(producerId, instance, held, Date.now());
    if (outcome.kind !== "welcomed") return { type: "error", code: "PRODUCER_FENCED", message: outcome.kind };
    const { producerEpoch } = outcome;
    const streams = { [STREAM]: { ...this.describe(), schemaVersions: [] } };
    const { frameBytesMax, eventBytesMax, batchEventsMax } = WIRE_DEFAULTS;
    const limits = { frameBytesMax, eventBytesMax, batchEventsMax, dedupeWindowMs: CHAIN_LIMITS.dedupeWindowMs };
    return { type: "welcome", node: "one", minor: 0, producerEpoch, streams, limits, creditBytes: 1_000_000 };
  }

  async #ownerOf(partition: number): Promise<Ownership> {
    return (await this.#owners)[partition] as Ownership;
  }

  async #open(producerId: string, stream: string, partition: number, producerEpoch: number): Promise<NodeFrame> {
    const owner = await this.#ownerOf(partition);
    const outcome = await this.log.openChain(owner, "records", producerId, producerEpoch, Date.now());
    this.opens += 1;
    if (outcome.kind !== "opened") return refusal("STALE_PRODUCER_EPOCH", stream, partition);
    return { type: "opened", stream, partition, lastSequence: outcome.lastSequence ?? null };
  }

  async #append(producerId: string, frame: AppendFrame): Promise<NodeFrame> {
    const { stream, partition, producerEpoch, previousSequence, sequences, events, traceparent } = frame;
    const { rejects } = this.#inspect(stream, events, sequences, producerId, undefined);
    const batch = {
      ...{ producerId, producerEpoch, previousSequence: previousSequence ?? undefined, sequences },
      ...{ schemaVersion: 0, events, appendedAtMs: Date.now() },
      ...(rejects === undefined ? {} : { rejects }),
      ...(traceparent === undefined ? {} : { traceparent }),
    };
    const owner = await this.#ownerOf(partition);
    const { outcomes } = await this.log.append(owner, { channel: "records", batches: [batch] });
    return answerOf(outcomes[0] as AppendOutcome, frame);
  }

  /** Lets time pass for chains alone: those that are idle for so long are forgotten (E5). */
  async expireChains(afterMs: number): Promise<void> {
    for (const owner of await this.#owners) await this.log.expireChains(owner, Date.now() + afterMs);
  }

  /** The events that the log holds, by partition and then in their order. */
  async stored(channel: Channel = "records"): Promise<readonly StoredEvent[]> {
    const all: StoredEvent[] = [];
    for (const { partition } of await this.#owners) {
      const bounds = (await this.log.describe(partition))?.get(channel);
      const committedOffset = bounds?.endOffset ?? offset(0);
      const request = { channel, after: undefined, committedOffset, bytesMax: 1 << 30 };
      const read = await this.log.read(partition, request);
      if (read.kind !== "records") throw new Error(`Cannot read the log: ${read.kind}`);
      for (const { event, batch } of recordsOf(read.batches, 0)) {
        all.push({ partition: partition.partition, event, traceparent: batch.traceparent });
      }
    }
    return all;
  }
}

const FRAME_BYTES = 1_000;

const refusal = (code: string, stream: string, partition: number): NodeFrame => ({
  ...{ type: "error", code, message: code, stream, partition, creditBytes: FRAME_BYTES },
});

function answerOf(outcome: AppendOutcome, { stream, partition, sequences }: AppendFrame): NodeFrame {
  const place = { stream, partition };
  switch (outcome.kind) {
    case "written":
      return { type: "ack", ...place, lastSequence: lastSequence(sequences), creditBytes: FRAME_BYTES };
    case "duplicate": {
      const { stored, verdicts } = outcome;
      return { type: "ack", ...place, lastSequence: stored, verdicts: [...verdicts], creditBytes: FRAME_BYTES };
    }
    case "gap":
      return { type: "gap", ...place, storedSequence: outcome.stored ?? null, creditBytes: FRAME_BYTES };
    case "unknown_producer":
      return refusal("UNKNOWN_PRODUCER", stream, partition);
    case "stale_producer_epoch":
      return refusal("STALE_PRODUCER_EPOCH", stream, partition);
    case "too_many_producers":
      return refusal("TOO_MANY_PRODUCERS", stream, partition);
  }
}
