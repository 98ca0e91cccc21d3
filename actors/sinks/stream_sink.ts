/**
 * A derived stream: appends the outputs of a pipeline to another stream, exactly once. The producer's sequences are the
 * records' own (entry epoch, offset, index), and its epoch is the owner epoch of the input partition (E3). So the
 * chains of the target remove whatever a crash makes it send twice.
 *
 *   T1. `open` raises the producer's epoch in every partition of the target before anything is written, so that a
 *       former owner can append nowhere any more (E14).
 *   T2. A write is answered once every record is durable or rejected; then the position is stored under the owner's
 *       fence.
 *   T3. One write at a time: a write that was given up is settled before the next one begins.
 *   T4. Where the target has lost acknowledged records with its tail, the position goes back to before them, and they are
 *       written again. The other chains remove what is repeated.
 */
import type { Confirmation } from "../../protocols/client/producer/event_batcher.ts";
import { Producer } from "../../protocols/client/producer/producer.ts";
import { FencedError, type HeadraceError, UnavailableError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { checkpointedWriter, encodePosition } from "./delivery/checkpointed_writer.ts";
import { untilAborted } from "./delivery/delivery_operation.ts";
import { EVENT_FORM, finalRejection, judgeValue } from "./expressible.ts";
import type { SinkBatch, SinkCall, SinkContext, SinkDefinition, SinkRecord, SinkWriter, WriteOutcome } from "./sink.ts";
import { Acknowledged } from "./stream/acknowledged.ts";

export interface StreamSinkOptions {
  readonly stream: string;
}

const CLOSE_WITHIN_MS = 1_000;

export const streamSink: SinkDefinition<StreamSinkOptions> = {
  type: "stream",
  delivery: "transactional",
  optionsSchema: {
    type: "object",
    additionalProperties: false,
    required: ["stream"],
    properties: { stream: { type: "string", description: "Stream to append to; its own key routes the records." } },
  },
  async open(options, context, call) {
    const writer = new StreamWriter(options, context);
    try {
      // An `open` that is given up closes the producer, and so ends all its calls (E28).
      await untilAborted(writer.openChains(), call?.signal);
    } catch (error) {
      await writer.close();
      if (!(error instanceof FencedError)) throw error;
    }
    return checkpointedWriter(writer, context.checkpoint);
  },
};

/** One producer for each input partition, as positions of different streams cannot be compared. */
export const derivedProducerId = ({ name, replay, partition }: SinkContext): string =>
  replay === undefined
    ? `pipeline/${name}/${partitionName(partition)}`
    : `pipeline/${name}/replay/${replay}/${partitionName(partition)}`;

/** The target as the node describes it. */
interface Target {
  readonly partitions: number;
  readonly dedupeWindowMs: number;
}

class StreamWriter implements SinkWriter {
  readonly #stream: string;
  readonly #context: SinkContext;
  readonly #acknowledged = new Acknowledged();
  #producer: Producer;
  #target!: Promise<Target>;
  #fencedBy: FencedError | undefined;
  #hasLost = false;

  constructor({ stream }: StreamSinkOptions, context: SinkContext) {
    this.#stream = stream;
    this.#context = context;
    this.#producer = this.#newProducer();
  }

  #newProducer(): Producer {
    const stream = this.#stream;
    const context = this.#context;
    let welcomed: (target: Target) => void;
    this.#target = new Promise((resolve) => (welcomed = resolve));
    return new Producer({
      connect: async (address, events, signal) => {
        const onFrame: typeof events.onFrame = (frame, wireBytes) => {
          if (frame.type === "welcome") {
            const partitions = Math.max(1, frame.streams[stream]?.partitions ?? 0);
            welcomed({ partitions, dedupeWindowMs: frame.limits.dedupeWindowMs });
          }
          events.onFrame(frame, wireBytes);
        };
        return context.connect(address, { ...events, onFrame }, signal);
      },
      addresses: ["this node"],
      producerId: derivedProducerId(context),
      instance: String(context.fence),
      producerEpoch: context.fence,
      stream,
      client: `sink ${context.name}`,
      lingerMs: 0, // the delivery has gathered its batch before
      tracesApart: true,
      stopsAtLoss: true, // T4
      onLost: () => (this.#hasLost = true),
      onAck: ({ partition, lastSequence }) => {
        if (lastSequence !== undefined) this.#acknowledged.acknowledge(partition, lastSequence, context.nowMs());
      },
      onInDoubt: (_events, error) => this.#noteFence(error),
    });
  }

  /** T1. */
  async openChains(): Promise<void> {
    this.#acknowledged.restart(await this.#openAll(), this.#context.nowMs());
  }

  /** Answers the last sequence of each partition. */
  async #openAll(): Promise<(Sequence | undefined)[]> {
    const { partitions } = await this.#target;
    const opening = Array.from({ length: partitions }, (_, partition) => this.#producer.open(this.#stream, partition));
    try {
      return (await Promise.all(opening)).map(({ lastSequence }) => lastSequence);
    } catch (error) {
      this.#noteFence(error);
      throw error;
    }
  }

  async position(): Promise<undefined> {
    return undefined; // kept in the checkpoint
  }

  async write({ predecessor, records }: SinkBatch, call?: SinkCall): Promise<WriteOutcome> {
    if (this.#fencedBy !== undefined) return this.#fenced();
    // Without this check the encoder would write other text in place of half a surrogate pair.
    const rejected = records.flatMap(({ event }, at) => {
      const judgement = judgeValue(event, EVENT_FORM);
      return typeof judgement === "object" ? [finalRejection(at, judgement)] : [];
    });
    if (rejected.length > 0) return { kind: "rejected", records: rejected };
    try {
      if (this.#hasLost) return await this.#goBack(call);
      this.#acknowledged.begin(predecessor, this.#context.nowMs());
      return await this.#send(records, call);
    } catch (error) {
      this.#noteFence(error);
      if (this.#fencedBy === undefined) throw error;
      return this.#fenced();
    }
  }

  async #send(records: readonly SinkRecord[], call: SinkCall | undefined): Promise<WriteOutcome> {
    await untilAborted(this.#producer.flush(), call?.signal); // T3
    const confirmations = records.map(({ position, index, event, traceparent }) => {
      const sequence = [position.epoch, position.offset, index] as const;
      return this.#producer.sendAndConfirm(event, {
        sequence,
        ...(traceparent === undefined ? {} : { traceparent }),
      });
    });
    try {
      return outcomeOf(await untilAborted(Promise.all(confirmations), call?.signal)); // T2
    } catch (error) {
      if (!this.#hasLost) throw error;
      return await this.#goBack(call);
    }
  }

  /** T4. The producer has stopped: another one of the same epoch asks each partition for its end. */
  async #goBack(call: SinkCall | undefined): Promise<WriteOutcome> {
    await this.#producer.close({ timeoutMs: 0 });
    this.#producer = this.#newProducer();
    const opened = await untilAborted(this.#openAll(), call?.signal);
    const { dedupeWindowMs } = await this.#target;
    const way = this.#acknowledged.wayBack(opened, this.#context.nowMs(), dedupeWindowMs);
    const { stream, partition } = this.#context.partition;
    const about = { sink: this.#context.name, from: stream, partition, to: this.#stream, position: way?.position };
    // The checkpoint is asked for the position after every doubt.
    if (way !== undefined) await this.#context.checkpoint.write(encodePosition(way.position));
    this.#acknowledged.restart(opened, this.#context.nowMs());
    this.#hasLost = false;
    if (way?.isComplete !== true)
      this.#context.log("error", "the derived stream has lost records that cannot be written again", about);
    if (way === undefined)
      throw new UnavailableError("STORE_LOST", `Cannot write at once as ${this.#stream} has lost records`);
    this.#context.log("warn", "the derived stream has lost records, which are written again", about);
    return { kind: "misplaced", position: way.position };
  }

  async close(): Promise<void> {
    await this.#producer.close({ timeoutMs: CLOSE_WITHIN_MS });
  }

  /** The owner claims again, above its own epoch, or learns that it is not the owner any more. */
  #fenced(): WriteOutcome {
    return { kind: "fenced", fence: this.#context.fence };
  }

  #noteFence(error: unknown): void {
    if (error instanceof FencedError && isFence(error)) this.#fencedBy = error;
  }
}

const isFence = ({ code }: HeadraceError): boolean => code === "STALE_PRODUCER_EPOCH" || code === "PRODUCER_FENCED";

function outcomeOf(confirmations: readonly Confirmation[]): WriteOutcome {
  const rejected = confirmations.flatMap((confirmation, at) => {
    if (confirmation.kind === "stored") return [];
    const { code, path, reason } = confirmation;
    return [{ at, code, reason: path === "" ? reason : `${path}: ${reason}` }];
  });
  return rejected.length === 0 ? { kind: "written" } : { kind: "rejected", records: rejected };
}
