/**
 * The consumer: reads records from any position, and resumes by itself when its connection breaks or a partition moves.
 * Credit bounds its memory: the nodes send no more than the window until the application asks for more.
 *
 *     const consumer = new Consumer({ connect, addresses: ["ws://localhost:7070/v1/connect"] });
 *     for await (const item of consumer.subscribe({ stream: "readings", from: "earliest" })) {
 *       if (item.kind === "records") for (const { position, event } of item.records) handle(position, event);
 *     }
 */
import { SYSTEM_CLOCK } from "../../clock.ts";
import { UnavailableError } from "../../errors.ts";
import type { SubscribeFrom } from "../../wire/frames.ts";
import { type ClientOptions, checkClientOptions, checkNumber } from "../client_options.ts";
import { ClientShell } from "../client_shell.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";
import { stepConsumer } from "./consumer_machine.ts";
import type { ConsumerEffect, ConsumerMessage } from "./consumer_messages.ts";
import { type ConsumerState, createConsumer } from "./consumer_state.ts";
import { type ConsumedItem, ItemQueue } from "./item_queue.ts";
import { readRecords } from "./read_records.ts";

export type { ConsumedItem } from "./item_queue.ts";

/** The options of a {@linkcode Consumer}. */
export type ConsumerOptions = ClientOptions;

/** The options of one subscription. */
export interface SubscribeOptions {
  readonly stream: string;
  /** Partitions to read; all of the stream where absent. A plain number begins at `from`. */
  readonly partitions?: readonly (number | { readonly partition: number; readonly from: SubscribeFrom })[];
  /** Where to begin. A position is that of the last record handled: reading begins behind it. Default: `latest`. */
  readonly from?: SubscribeFrom;
  /** `rejected` reads the dead letters of validation. Default: `records`. */
  readonly channel?: "records" | "rejected";
  /** The most bytes that are on their way or not yet consumed, from 1. Default: 4,194,304. */
  readonly windowBytes?: number;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

type ConsumerCommand = Exclude<ConsumerMessage, LinkMessage>;
type OwnEffect = Exclude<ConsumerEffect, LinkEffect>;

const WINDOW_BYTES = 4_194_304;

/** Reads the records of streams, over one connection to a node and one to each owner that the node names. */
export class Consumer {
  private readonly shell: ClientShell<ConsumerState, ConsumerCommand, OwnEffect>;
  private readonly queues = new Map<number, ItemQueue>();
  private nextId = 1;
  private stoppedBy: Error | undefined;

  /** Begins to connect. Throws `ConfigurationError` for options that can never work. */
  constructor(options: ConsumerOptions) {
    checkClientOptions("a consumer", options);
    const { connect, addresses, token, client = "headrace-js", clock = SYSTEM_CLOCK, forward, onState } = options;
    const state = createConsumer({ client, token, addresses, forward });
    this.shell = new ClientShell(state, stepConsumer, (effect) => this.perform(effect), connect, clock, onState);
    this.shell.tell({ type: "start" });
  }

  /**
   * Reads until the caller leaves the loop, until `signal` aborts (the loop then ends), or until a node refuses the
   * subscription (the loop then throws `RejectedError`). Items of one partition come in offset order. Throws
   * `ConfigurationError` for a window below 1 byte. Once the consumer has ended, throws the reason of its end.
   */
  subscribe(options: SubscribeOptions): AsyncIterableIterator<ConsumedItem> {
    if (this.stoppedBy !== undefined) throw this.stoppedBy;
    checkNumber("subscribe", "windowBytes", options.windowBytes ?? WINDOW_BYTES, 1, Number.MAX_SAFE_INTEGER);
    const id = this.nextId++;
    const from = options.from ?? "latest";
    const partitions = (options.partitions ?? []).map((entry) =>
      typeof entry === "number" ? { partition: entry, from } : entry,
    );
    const queue = new ItemQueue(
      (sizeBytes) => this.shell.tell({ type: "consumed", id, sizeBytes }),
      () => this.shell.tell({ type: "unsubscribe", id }),
    );
    this.queues.set(id, queue);
    const { stream, channel = "records", windowBytes = WINDOW_BYTES, signal } = options;
    this.shell.tell({ type: "subscribe", request: { id, stream, channel, partitions, from, windowBytes } });
    if (signal?.aborted) this.shell.tell({ type: "unsubscribe", id });
    else signal?.addEventListener("abort", () => this.shell.tell({ type: "unsubscribe", id }), { once: true });
    return queue;
  }

  /** Ends all subscriptions and connections. */
  close(): void {
    this.shell.tell({ type: "stop" });
  }

  private perform(effect: OwnEffect): void {
    switch (effect.type) {
      case "send":
        this.shell.send(effect.link, effect.frame);
        break;
      case "records": {
        const { stream, partition, endOffset } = effect.frame;
        const read = () => ({
          kind: "records" as const,
          stream,
          partition,
          records: readRecords(effect.frame, effect.fromOffset),
          endOffset,
        });
        this.queues.get(effect.id)?.push(read, effect.sizeBytes);
        break;
      }
      case "break":
        this.queues.get(effect.id)?.push(() => effect.item, 0);
        break;
      case "ended":
        this.queues.get(effect.id)?.end(effect.error);
        this.queues.delete(effect.id);
        break;
      case "stopped":
        this.stoppedBy =
          effect.error ?? new UnavailableError("STOPPING", "Cannot subscribe as the consumer was closed");
        this.shell.cancelTimers();
        break;
    }
  }
}
