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
import type { WayBack } from "../../protocols/client/producer/acknowledged.ts";
import type { Confirmation } from "../../protocols/client/producer/event_batcher.ts";
import { Producer } from "../../protocols/client/producer/producer.ts";
import { Resending } from "../../protocols/client/producer/resending.ts";
import { FencedError, type HeadraceError, UnavailableError } from "../../protocols/errors.ts";
import { type Position, partitionName } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { checkpointedWriter, encodePosition } from "./delivery/checkpointed_writer.ts";
import { nameOf } from "./delivery/delivery_names.ts";
import { untilAborted } from "./delivery/delivery_operation.ts";
import { EVENT_FORM, finalRejection, judgeValue } from "./expressible.ts";
import type { SinkBatch, SinkCall, SinkContext, SinkDefinition, SinkRecord, SinkWriter, WriteOutcome } from "./sink.ts";

export interface StreamSinkOptions {
  readonly stream: string;
}

const CLOSE_WITHIN_MS = 1_000;

export const streamSink: SinkDefinition<StreamSinkOptions> = {
  type: "stream",
  delivery: "transactional",
  keepsDeliveriesApart: true,
  usesStoredBytes: true,
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

/** One producer for each delivery and input partition, as positions of different streams cannot be compared. */
export const derivedProducerId = ({ partition, ...of }: SinkContext): string =>
  of.replay === undefined
    ? `pipeline/${nameOf(of)}/${partitionName(partition)}`
    : `pipeline/${nameOf(of)}/replay/${of.replay}/${partitionName(partition)}`;

class StreamWriter implements SinkWriter {
  readonly #stream: string;
  readonly #context: SinkContext;
  /** The place of a batch is its predecessor. */
  readonly #resending: Resending<Position | undefined>;
  #producer: Producer;
  #fencedBy: FencedError | undefined;

  constructor({ stream }: StreamSinkOptions, context: SinkContext) {
    this.#stream = stream;
    this.#context = context;
    this.#resending = new Resending(stream, context.nowMs);
    this.#producer = this.#newProducer();
  }

  #newProducer(): Producer {
    const context = this.#context;
    return new Producer({
      connect: context.connect,
      addresses: ["this node"],
      producerId: derivedProducerId(context),
      instance: String(context.fence),
      producerEpoch: context.fence,
      stream: this.#stream,
      client: `sink ${context.name}`,
      lingerMs: 0, // the delivery has gathered its batch before
      tracesApart: true,
      onInDoubt: (_events, error) => this.#noteFence(error),
      ...this.#resending.options, // T4
    });
  }

  /** T1. */
  async openChains(): Promise<void> {
    try {
      await this.#resending.open(this.#producer);
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
    // Without this check the encoder would write other text in place of half a surrogate pair. A stored event has none.
    const rejected = records.flatMap(({ event, stored }, at) => {
      const judgement = stored === undefined ? judgeValue(event, EVENT_FORM) : "plain";
      return typeof judgement === "object" ? [finalRejection(at, judgement)] : [];
    });
    if (rejected.length > 0) return { kind: "rejected", records: rejected };
    try {
      if (this.#resending.hasLost) return await this.#goBack(call);
      return await this.#send(predecessor, records, call);
    } catch (error) {
      this.#noteFence(error);
      if (this.#fencedBy === undefined) throw error;
      return this.#fenced();
    }
  }

  async #send(
    predecessor: Position | undefined,
    records: readonly SinkRecord[],
    call: SinkCall | undefined,
  ): Promise<WriteOutcome> {
    await untilAborted(this.#producer.flush(), call?.signal); // T3
    const [first] = records;
    if (first !== undefined) this.#resending.begin(predecessor, sequenceOf(first));
    const confirmations = records.map((record) => {
      const { event, traceparent, stored } = record;
      return this.#producer.sendAndConfirm(event, {
        sequence: sequenceOf(record),
        ...(traceparent === undefined ? {} : { traceparent }),
        ...(stored === undefined ? {} : { stored }),
      });
    });
    try {
      const outcome = outcomeOf(await untilAborted(Promise.all(confirmations), call?.signal)); // T2
      this.#resending.settle();
      return outcome;
    } catch (error) {
      if (!this.#resending.hasLost) throw error;
      return await this.#goBack(call);
    }
  }

  /** T4. The producer has stopped: another one of the same epoch asks each partition for its end. */
  async #goBack(call: SinkCall | undefined): Promise<WriteOutcome> {
    const { name, partition, checkpoint, log } = this.#context;
    await this.#producer.close({ timeoutMs: 0 });
    this.#producer = this.#newProducer();
    // Delivery asks the checkpoint for the position after every doubt.
    const store = ({ place }: WayBack<Position | undefined>) => checkpoint.write(encodePosition(place));
    // A call that is given up ends the opening of the chains, but waits for the store: a later one must read its position.
    const end = () => void this.#producer.close({ timeoutMs: 0 });
    call?.signal.addEventListener("abort", end);
    const way = await this.#resending
      .wayBack(this.#producer, store)
      .finally(() => call?.signal.removeEventListener("abort", end));
    const about = { sink: name, from: partitionName(partition), to: this.#stream, position: way?.place };
    if (way?.isComplete !== true)
      log("error", "the derived stream has lost records that cannot be written again", about);
    if (way === undefined)
      throw new UnavailableError("STORE_LOST", `Cannot write at once as ${this.#stream} has lost records`);
    log("warn", "the derived stream has lost records, which are written again", about);
    return { kind: "misplaced", position: way.place };
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

const sequenceOf = ({ position, index }: SinkRecord): Sequence => [position.epoch, position.offset, index];

const isFence = ({ code }: HeadraceError): boolean => code === "STALE_PRODUCER_EPOCH" || code === "PRODUCER_FENCED";

function outcomeOf(confirmations: readonly Confirmation[]): WriteOutcome {
  const rejected = confirmations.flatMap((confirmation, at) => {
    if (confirmation.kind === "stored") return [];
    const { code, path, reason } = confirmation;
    return [{ at, code, reason: path === "" ? reason : `${path}: ${reason}` }];
  });
  return rejected.length === 0 ? { kind: "written" } : { kind: "rejected", records: rejected };
}
