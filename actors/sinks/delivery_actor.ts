/**
 * Performs what the delivery machine decides for one sink and one partition: opens and writes the sink, reads the feed,
 * runs the steps, appends dead letters, keeps time. Each effect answers with one message; one that runs out of time
 * answers `failed`, and what it answers later is dropped.
 */
import type { Connect } from "../../protocols/connection.ts";
import { FencedError, OverloadedError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import {
  comparePositions,
  epochAt,
  type PartitionReference,
  type Position,
  partitionName,
  position,
} from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { sliceEvent } from "../../protocols/slice_events.ts";
import type { Actor, ActorContext, ActorDefinition } from "../kernel/actor.ts";
import type { DeadLetter } from "../log/dead_letter.ts";
import type { Channel, RecordBatch } from "../log/log.ts";
import type { PartitionFeed } from "../partition/partition_feed.ts";
import { checkpointedWriter } from "./checkpointed_writer.ts";
import { deliveryStep, initialDelivery } from "./delivery_machine.ts";
import type {
  DeadLetterDraft,
  DeliveryEffect,
  DeliveryItem,
  DeliveryLimits,
  DeliveryMessage,
  DeliveryReport,
} from "./delivery_messages.ts";
import type { SinkContext, SinkDefinition, SinkWriter } from "./sink.ts";

/** How bytes become events and dead letters become bytes. */
export interface EventBytes {
  decode(events: Uint8Array): readonly unknown[];
  encode(events: readonly unknown[]): Uint8Array;
}

/** Records after `after`, up to `last` and including it. */
export interface DeliveryRange {
  readonly after: Position | undefined;
  readonly last: Position;
}

export interface DeliveryOptions<Options> {
  /** Name of the sink in the configuration. */
  readonly name: string;
  /** Name of a replay: a delivery beside the sink's own, with a position, a fence and a chain of its own. */
  readonly replay?: string;
  /** Bounds the delivery, which ends once the range is done (D9). */
  readonly range?: DeliveryRange;
  readonly sink: SinkDefinition<Options>;
  readonly sinkOptions: Options;
  /** Where relative paths of the sink's options begin. */
  readonly folder: string;
  readonly feed: PartitionFeed;
  /** What is delivered: `records`, an outbox, or dead letters that are sent again. */
  readonly input: Channel;
  readonly start: "earliest" | "latest";
  readonly limits: DeliveryLimits;
  readonly eventBytes: EventBytes;
  /** Decodes the batch, runs the steps on its records after `after`, and sizes them. Never rejects for one record. */
  prepare(batch: RecordBatch, after: Position | undefined): Promise<readonly DeliveryItem[]>;
  /** Deadline of each operation on the sink or the log. */
  readonly operationTimeoutMs: number;
  readonly readBytesMax: number;
  /** For sinks that append to streams of this node. */
  readonly connect: Connect;
  observe(report: DeliveryReport): void;
  readonly log: SinkContext["log"];
}

export const sinkProducerId = (name: string, { partition }: PartitionReference): string => `sink/${name}/${partition}`;
const setAsideCheckpoint = (name: string): string => `sink/${name}/set_aside`;

/** Tells the delivery's checkpoints and its chain from those of every other delivery. A sink's name holds no `/`. */
const deliveryId = ({ name, replay }: { readonly name: string; readonly replay?: string }): string =>
  replay === undefined ? name : `${name}/replay/${replay}`;

/** The checkpoint that holds a delivery's position. */
export const positionCheckpoint = (of: { readonly name: string; readonly replay?: string }): string =>
  `sink/${deliveryId(of)}`;

/** Messages that others may send; all else a delivery tells itself. */
const FROM_OUTSIDE: ReadonlySet<DeliveryMessage["kind"]> = new Set(["advanced", "pause", "resume", "stop"]);

export function deliveryActor<Options>(options: DeliveryOptions<Options>): ActorDefinition<DeliveryMessage> {
  return {
    name: `delivery-${deliveryId(options)}-${partitionName(options.feed.partition)}`.replaceAll("/", "-"),
    start: (context) => new DeliveryShell(options, context),
  };
}

class DeliveryShell<Options> implements Actor<DeliveryMessage> {
  readonly #options: DeliveryOptions<Options>;
  readonly #context: ActorContext<DeliveryMessage>;
  readonly #subscription: { stop(): void };
  #state;
  #writer: SinkWriter | undefined;
  /** Openings so far: one that ran out of time must not replace the one after it. */
  #openings = 0;
  /** What this life has told itself. A restart keeps the mailbox, and an answer to an earlier life means nothing here. */
  readonly #own = new WeakSet<DeliveryMessage>();
  /** The operation on the sink that is under way, for a stop to wait for. */
  #inHand: Promise<unknown> = Promise.resolve();

  constructor(options: DeliveryOptions<Options>, context: ActorContext<DeliveryMessage>) {
    this.#options = options;
    this.#context = context;
    this.#state = initialDelivery(options.limits, options.start);
    this.#subscription = options.feed.onAdvance(options.input, () => context.self.tell({ kind: "advanced" }));
    this.#tell({ kind: "begin" });
  }

  receive(message: DeliveryMessage): void {
    if (!FROM_OUTSIDE.has(message.kind) && !this.#own.has(message)) return;
    const [state, effects] = deliveryStep(this.#state, message, this.#context.nowMs());
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  async stop(): Promise<void> {
    this.#subscription.stop();
    await withDeadline(this.#inHand, this.#options.limits.stopTimeoutMs).catch(() => undefined);
    await this.#close();
  }

  #perform(effect: DeliveryEffect) {
    switch (effect.kind) {
      case "open":
        return this.#operate(() => this.#open());
      case "write":
        return this.#operate(async () => {
          const outcome = await this.#opened().write(effect.batch);
          return { kind: "wrote", outcome, random: this.#context.random() };
        });
      case "ask_position":
        return this.#operate(async () => ({ kind: "positioned", position: await this.#opened().position() }));
      case "rewind":
        return this.#operate(async () => {
          await this.#opened().rewind?.(effect.to, effect.from);
          // A sink may go back further than it was asked to: to the end of a batch that it can cut at.
          return { kind: "rewound", to: await this.#opened().position() };
        });
      case "open_chain":
        return this.#operate(() => this.#openChain());
      case "append_dead_letters":
        return this.#operate(() => this.#appendDeadLetters(effect));
      case "read":
        return this.#read(effect.readId, effect.after);
      case "timer":
        this.#context.after(
          effect.delayMs,
          this.#mark({ kind: "timer", timerId: effect.timerId, purpose: effect.purpose }),
        );
        return;
      case "close":
        this.#subscription.stop();
        void this.#close(effect.isFinal).then(() => this.#tell({ kind: "closed" }));
        return;
      case "report":
        this.#options.observe(effect.report);
    }
  }

  #tell(message: DeliveryMessage): void {
    this.#context.self.tell(this.#mark(message));
  }

  #mark(message: DeliveryMessage): DeliveryMessage {
    this.#own.add(message);
    return message;
  }

  #operate(operation: () => Promise<DeliveryMessage>): void {
    const running = operation();
    this.#inHand = running.catch(() => undefined);
    void withDeadline(running, this.#options.operationTimeoutMs).then(
      (message) => this.#tell(message),
      (error: unknown) => this.#tell(this.#failure(error)),
    );
  }

  #failure(error: unknown): DeliveryMessage {
    if (error instanceof FencedError) return { kind: "fenced", fence: undefined };
    const failed = { kind: "failed", reason: reasonOf(error), random: this.#context.random() } as const;
    return error instanceof OverloadedError ? { ...failed, retryAfterMs: error.retryAfterMs } : failed;
  }

  #opened(): SinkWriter {
    if (this.#writer === undefined) throw new FencedError("NOT_OWNER", "Cannot use the sink as it has been closed");
    return this.#writer;
  }

  async #open(): Promise<DeliveryMessage> {
    const { name, replay, sink, sinkOptions, feed, input, log, eventBytes } = this.#options;
    this.#openings += 1;
    const generation = this.#openings;
    await this.#close();
    const checkpoint = {
      read: async () => feed.readCheckpoint(positionCheckpoint(this.#options)),
      write: (value: Uint8Array) => feed.writeCheckpoint(positionCheckpoint(this.#options), value),
    };
    const nowMs = () => this.#context.nowMs();
    const context = {
      name,
      folder: this.#options.folder,
      partition: feed.partition,
      fence: feed.epoch,
      checkpoint,
      connect: this.#options.connect,
      nowMs,
      log,
      ...(replay === undefined ? {} : { replay }),
    };
    const opened = await sink.open(sinkOptions, context);
    if (generation !== this.#openings) {
      await opened.close();
      throw new Error("a later opening took over");
    }
    this.#writer = sink.delivery === "transactional" ? opened : checkpointedWriter(opened, checkpoint);
    const stored = feed.readCheckpoint(setAsideCheckpoint(deliveryId(this.#options)));
    const setAside = stored === undefined ? [] : (eventBytes.decode(stored) as readonly Sequence[]);
    const { epochs, endOffset } = feed.bounds(input);
    return {
      kind: "opened",
      position: await this.#writer.position(),
      latest: positionBefore(epochs, endOffset),
      setAside,
    };
  }

  #read(readId: number, after: Position | undefined): void {
    const reading = withDeadline(this.#readItems(readId, after), this.#options.operationTimeoutMs);
    void reading.then(
      (message) => this.#tell(message),
      (error: unknown) => {
        if (error instanceof FencedError) this.#tell({ kind: "fenced", fence: undefined });
        else
          this.#tell({
            kind: "read_failed",
            readId,
            reason: reasonOf(error),
            random: this.#context.random(),
          });
      },
    );
  }

  async #readItems(readId: number, after: Position | undefined): Promise<DeliveryMessage> {
    const { feed, input, readBytesMax, range } = this.#options;
    const from = after ?? range?.after;
    const result = await feed.read(input, from, readBytesMax);
    if (result.kind === "truncated" && after === undefined && range !== undefined) {
      this.#options.log("error", "the log lost the whole range", { ...feed.partition, divergence: result.divergence });
      return { kind: "read_records", readId, items: [], isEnd: true };
    }
    switch (result.kind) {
      case "records": {
        const items: DeliveryItem[] = [];
        for (const batch of result.batches) items.push(...(await this.#options.prepare(batch, from)));
        if (range === undefined) {
          const next = (items.at(-1)?.position.offset ?? from?.offset ?? -1) + 1;
          return { kind: "read_records", readId, items, isAtEnd: next >= feed.committedOffset(input) };
        }
        // After a loss of the log's tail, what lies at the lost offsets now is of a later epoch, and not of the range.
        const within = items.filter((item) => comparePositions(item.position, range.last) <= 0);
        return { kind: "read_records", readId, items: within, isEnd: within.length === 0 };
      }
      case "trimmed": {
        const { epochs } = feed.bounds(input);
        const oldest = epochs[0]?.epoch ?? feed.epoch;
        // Where the table no longer names the epoch before, the oldest one known stands in: only the offset counts there.
        const resume = positionBefore(epochs, result.firstOffset) ?? position(oldest, result.firstOffset - 1);
        return { kind: "read_trimmed", readId, firstOffset: result.firstOffset, resume };
      }
      case "truncated": {
        const canRewind = this.#opened().rewind !== undefined;
        return { kind: "read_truncated", readId, divergence: result.divergence, resume: result.resume, canRewind };
      }
    }
  }

  async #openChain(): Promise<DeliveryMessage> {
    const { feed, name } = this.#options;
    const producerId = sinkProducerId(deliveryId(this.#options), feed.partition);
    const outcome = await feed.openChain(`dead_letters/${name}`, producerId, feed.epoch);
    switch (outcome.kind) {
      case "opened":
        return { kind: "chain_opened", last: outcome.lastSequence };
      case "stale_producer_epoch":
        return { kind: "fenced", fence: outcome.current };
      case "too_many_producers":
        throw new OverloadedError(
          "TOO_MANY_PRODUCERS",
          `Cannot open the chain of ${name}: ${outcome.live} live`,
          1_000,
        );
    }
  }

  async #appendDeadLetters(effect: Extract<DeliveryEffect, { kind: "append_dead_letters" }>): Promise<DeliveryMessage> {
    const { feed, name, eventBytes } = this.#options;
    const letters = effect.letters.map((draft) => this.#deadLetter(draft));
    const batch = {
      producerId: sinkProducerId(deliveryId(this.#options), feed.partition),
      producerEpoch: feed.epoch,
      previousSequence: effect.previous,
      sequences: { first: effect.first, count: letters.length },
      schemaVersion: 0,
      events: eventBytes.encode(letters),
      appendedAtMs: this.#context.nowMs(),
    };
    const checkpoints = new Map([[setAsideCheckpoint(deliveryId(this.#options)), eventBytes.encode(effect.setAside)]]);
    const { outcomes } = await feed.append({ channel: `dead_letters/${name}`, batches: [batch], checkpoints });
    const kind = outcomes[0]?.kind ?? "nothing";
    if (kind === "written" || kind === "duplicate") return { kind: "dead_letters_stored" };
    if (kind === "stale_producer_epoch") return { kind: "fenced", fence: undefined };
    return { kind: "failed", reason: `the dead letters' chain answered ${kind}`, random: this.#context.random() };
  }

  #deadLetter(draft: DeadLetterDraft): DeadLetter {
    const { name, feed, eventBytes } = this.#options;
    const [epoch, offset, index] = draft.triple;
    return {
      code: draft.code,
      path: draft.path,
      reason: draft.reason,
      by: `sink/${name}`,
      producerId: sinkProducerId(deliveryId(this.#options), feed.partition),
      sequence: [epoch, offset, index],
      original: sliceEvent(eventBytes.encode([draft.event satisfies Event]), 0),
      source: { stream: feed.partition.stream, partition: feed.partition.partition, epoch, offset, index },
    };
  }

  async #close(isFinal = false): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    try {
      // All of it is committed already: what can not be handed out now is when the sink is opened again.
      if (isFinal) await writer?.finish?.();
    } catch (error) {
      this.#options.log("warn", `Cannot finish sink ${this.#options.name}: ${reasonOf(error)}`);
    }
    try {
      await writer?.close();
    } catch (error) {
      this.#options.log("warn", `Cannot close sink ${this.#options.name}: ${reasonOf(error)}`);
    }
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function positionBefore(epochs: Parameters<typeof epochAt>[0], atOffset: number): Position | undefined {
  const before = atOffset === 0 ? undefined : epochAt(epochs, atOffset - 1);
  return before === undefined ? undefined : position(before, atOffset - 1);
}

/** Rejects once `timeoutMs` have passed; what the operation still does is then nobody's. */
async function withDeadline<Value>(operation: Promise<Value>, timeoutMs: number): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([operation, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
