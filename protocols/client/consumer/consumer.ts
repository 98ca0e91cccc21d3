/**
 * The consumer: reads records from any position, and goes on where it was when its connection breaks or a partition
 * moves. Memory is bounded by credit: the nodes send no more than the window until the application asks for more.
 *
 *     const consumer = new Consumer({ connect, addresses: ["ws://localhost:7070/v1/connect"] });
 *     for await (const item of consumer.subscribe({ stream: "readings", from: "earliest" })) {
 *       if (item.kind === "records") for (const { position, event } of item.records) handle(position, event);
 *     }
 */

import { type Clock, SYSTEM_CLOCK } from "../../clock.ts";
import type { Connect } from "../../connection.ts";
import { UnavailableError } from "../../errors.ts";
import type { SubscribeFrom } from "../../wire/frames.ts";
import { checkClientOptions, checkNumber } from "../client_options.ts";
import { ClientShell } from "../client_shell.ts";
import type { ConnectionState } from "../connection_state.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";
import { stepConsumer } from "./consumer_machine.ts";
import type { ConsumerEffect, ConsumerMessage } from "./consumer_messages.ts";
import { type ConsumerState, initialConsumer } from "./consumer_state.ts";
import { type ConsumedItem, ItemQueue } from "./item_queue.ts";
import { readRecords } from "./read_records.ts";

export type { ConsumedItem } from "./item_queue.ts";

export interface ConsumerOptions {
  readonly connect: Connect;
  /** Tried in turn. Owners of partitions that a node names are connected to as well. */
  readonly addresses: readonly string[];
  /** Speaks to the addresses alone, behind a load balancer for instance: nodes pass on what others own. */
  readonly forward?: boolean;
  readonly token?: string;
  readonly client?: string;
  readonly clock?: Clock;
  /** Told of each change of the connection's state, once. */
  readonly onState?: (state: ConnectionState) => void;
}

export interface SubscribeOptions {
  readonly stream: string;
  /** All of the stream's where absent. A number reads from `from`. */
  readonly partitions?: readonly (number | { readonly partition: number; readonly from: SubscribeFrom })[];
  /** Where to begin; `latest` where absent. A position is that of the last record handled. */
  readonly from?: SubscribeFrom;
  /** `rejected` reads what validation set aside. */
  readonly channel?: "records" | "rejected";
  /** Bytes on their way or not yet consumed. */
  readonly windowBytes?: number;
  readonly signal?: AbortSignal;
}

type ConsumerCommand = Exclude<ConsumerMessage, LinkMessage>;
type OwnEffect = Exclude<ConsumerEffect, LinkEffect>;

const WINDOW_BYTES = 4_194_304;

export class Consumer {
  private readonly shell: ClientShell<ConsumerState, ConsumerCommand, OwnEffect>;
  private readonly queues = new Map<number, ItemQueue>();
  private nextId = 1;
  private stoppedBy: Error | undefined;

  /** Throws `ConfigurationError` for options that can never work. */
  constructor(options: ConsumerOptions) {
    checkClientOptions("a consumer", options);
    const { connect, addresses, token, client = "headrace-js", clock = SYSTEM_CLOCK, forward, onState } = options;
    const state = initialConsumer({ client, token, addresses, forward });
    this.shell = new ClientShell(state, stepConsumer, (effect) => this.perform(effect), connect, clock, onState);
    this.shell.tell({ kind: "start" });
  }

  /**
   * Reads until the caller leaves the loop, `signal` aborts (the loop then ends) or the node refuses (the loop then
   * throws `RejectedError`). Items of one partition come in offset order. Throws `ConfigurationError` for a window
   * without a byte, and the reason once the consumer has ended.
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
      (sizeBytes) => this.shell.tell({ kind: "consumed", id, sizeBytes }),
      () => this.shell.tell({ kind: "unsubscribe", id }),
    );
    this.queues.set(id, queue);
    const { stream, channel = "records", windowBytes = WINDOW_BYTES, signal } = options;
    this.shell.tell({ kind: "subscribe", request: { id, stream, channel, partitions, from, windowBytes } });
    if (signal?.aborted) this.shell.tell({ kind: "unsubscribe", id });
    else signal?.addEventListener("abort", () => this.shell.tell({ kind: "unsubscribe", id }), { once: true });
    return queue;
  }

  close(): void {
    this.shell.tell({ kind: "stop" });
  }

  private perform(effect: OwnEffect): void {
    switch (effect.kind) {
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
      case "trimmed":
      case "truncated": {
        const { id, ...item } = effect;
        this.queues.get(id)?.push(() => item, 0);
        break;
      }
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
