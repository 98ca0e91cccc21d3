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
 */
import type { Confirmation } from "../../protocols/client/producer/event_batcher.ts";
import { Producer } from "../../protocols/client/producer/producer.ts";
import { FencedError, type HeadraceError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import { checkpointedWriter } from "./delivery/checkpointed_writer.ts";
import { untilAborted } from "./delivery/delivery_operation.ts";
import { EVENT_FORM, finalRejection, judgeValue } from "./expressible.ts";
import type { SinkBatch, SinkCall, SinkContext, SinkDefinition, SinkWriter, WriteOutcome } from "./sink.ts";

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

class StreamWriter implements SinkWriter {
  readonly #stream: string;
  readonly #context: SinkContext;
  readonly #producer: Producer;
  readonly #partitions: Promise<number>;
  #fencedBy: FencedError | undefined;

  constructor({ stream }: StreamSinkOptions, context: SinkContext) {
    this.#stream = stream;
    this.#context = context;
    let welcomed: (partitions: number) => void;
    this.#partitions = new Promise((resolve) => (welcomed = resolve));
    this.#producer = new Producer({
      connect: async (address, events, signal) => {
        const onFrame: typeof events.onFrame = (frame, wireBytes) => {
          if (frame.type === "welcome") welcomed(frame.streams[stream]?.partitions ?? 0);
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
      onInDoubt: (_events, error) => this.#noteFence(error),
    });
  }

  /** T1. */
  async openChains(): Promise<void> {
    const partitions = await this.#partitions;
    const opened = Array.from({ length: Math.max(1, partitions) }, (_, partition) =>
      this.#producer.open(this.#stream, partition),
    );
    try {
      await Promise.all(opened);
    } catch (error) {
      this.#noteFence(error);
      throw error;
    }
  }

  async position(): Promise<undefined> {
    return undefined; // kept in the checkpoint
  }

  async write({ records }: SinkBatch, call?: SinkCall): Promise<WriteOutcome> {
    if (this.#fencedBy !== undefined) return { kind: "fenced", fence: this.#context.fence };
    // Without this check the encoder would write other text in place of half a surrogate pair.
    const rejected = records.flatMap(({ event }, at) => {
      const judgement = judgeValue(event, EVENT_FORM);
      return typeof judgement === "object" ? [finalRejection(at, judgement)] : [];
    });
    if (rejected.length > 0) return { kind: "rejected", records: rejected };
    try {
      await untilAborted(this.#producer.flush(), call?.signal); // T3
      const confirmations = records.map(({ position, index, event, traceparent }) => {
        const sequence = [position.epoch, position.offset, index] as const;
        return this.#producer.sendAndConfirm(event, {
          sequence,
          ...(traceparent === undefined ? {} : { traceparent }),
        });
      });
      return outcomeOf(await untilAborted(Promise.all(confirmations), call?.signal)); // T2
    } catch (error) {
      this.#noteFence(error);
      if (this.#fencedBy === undefined) throw error;
      // The owner claims again, above its own epoch, or learns that it is not the owner any more.
      return { kind: "fenced", fence: this.#context.fence };
    }
  }

  async close(): Promise<void> {
    await this.#producer.close({ timeoutMs: CLOSE_WITHIN_MS });
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
