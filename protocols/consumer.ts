/**
 * The consumer: reads records from any position, and goes on where it was when its connection breaks. Memory is bounded by
 * credit: the node sends no more than the window until the application asks for more.
 *
 *     const consumer = new Consumer({ connect, addresses: ["ws://localhost:7070/v1/connect"] });
 *     for await (const item of consumer.subscribe({ stream: "readings", from: "earliest" })) {
 *       if (item.kind === "records") for (const { position, event } of item.records) handle(position, event);
 *     }
 */
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { Connect, Connection } from "./connection.ts";
import {
  type ConsumerEffect,
  type ConsumerMessage,
  type ConsumerState,
  initialConsumer,
  stepConsumer,
} from "./consumer_machine.ts";
import { UnavailableError } from "./errors.ts";
import type { SubscribeFrom } from "./frames.ts";
import { type ConsumedRecord, readRecords } from "./read_records.ts";

export interface ConsumerOptions {
  readonly connect: Connect;
  /** Tried in turn. */
  readonly addresses: readonly string[];
  readonly token?: string;
  readonly client?: string;
  readonly clock?: Clock;
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

export type ConsumedItem =
  | {
      readonly kind: "records";
      readonly stream: string;
      readonly partition: number;
      readonly records: readonly ConsumedRecord[];
      readonly endOffset: number;
    }
  /** Retention removed records that were not read: reading goes on at `firstOffset`. */
  | { readonly kind: "trimmed"; readonly stream: string; readonly partition: number; readonly firstOffset: number }
  /** Records from `divergence` on, though perhaps read, no longer exist: reading goes on there (E9). */
  | { readonly kind: "truncated"; readonly stream: string; readonly partition: number; readonly divergence: number };

const WINDOW_BYTES = 4_194_304;

export class Consumer {
  private readonly options: ConsumerOptions;
  private readonly clock: Clock;
  private readonly state: ConsumerState;
  private readonly queues = new Map<number, ItemQueue>();
  private readonly timers = new Map<string, { cancel(): void }>();
  private readonly inbox: ConsumerMessage[] = [];
  private isStepping = false;
  private connection: Connection | undefined;
  private attempt: AbortController | undefined;
  private generation = 0;
  private nextAddress = 0;
  private nextId = 1;
  private stoppedBy: Error | undefined;

  constructor(options: ConsumerOptions) {
    this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.state = initialConsumer({ client: options.client ?? "headrace-js", token: options.token });
    this.dispatch({ kind: "start" });
  }

  /**
   * Reads until the caller leaves the loop, `signal` aborts (the loop then ends) or the node refuses (the loop then throws
   * `RejectedError`). Items of one partition come in offset order.
   */
  subscribe(options: SubscribeOptions): AsyncIterableIterator<ConsumedItem> {
    if (this.stoppedBy !== undefined) throw this.stoppedBy;
    const id = this.nextId++;
    const from = options.from ?? "latest";
    const partitions = (options.partitions ?? []).map((entry) =>
      typeof entry === "number" ? { partition: entry, from } : entry,
    );
    const queue = new ItemQueue(
      (sizeBytes) => this.dispatch({ kind: "consumed", id, sizeBytes }),
      () => this.dispatch({ kind: "unsubscribe", id }),
    );
    this.queues.set(id, queue);
    const { stream, channel = "records", windowBytes = WINDOW_BYTES, signal } = options;
    this.dispatch({ kind: "subscribe", request: { id, stream, channel, partitions, from, windowBytes } });
    if (signal?.aborted) this.dispatch({ kind: "unsubscribe", id });
    else signal?.addEventListener("abort", () => this.dispatch({ kind: "unsubscribe", id }), { once: true });
    return queue;
  }

  close(): void {
    this.dispatch({ kind: "stop" });
  }

  private dispatch(message: ConsumerMessage): void {
    this.inbox.push(message);
    if (this.isStepping) return;
    this.isStepping = true;
    try {
      for (let next = this.inbox.shift(); next !== undefined; next = this.inbox.shift()) {
        const [, effects] = stepConsumer(this.state, next, this.clock.nowMs());
        for (const effect of effects) this.perform(effect);
      }
    } finally {
      this.isStepping = false;
    }
  }

  private perform(effect: ConsumerEffect): void {
    switch (effect.kind) {
      case "connect":
        void this.connect();
        break;
      case "disconnect":
        this.generation++;
        this.attempt?.abort();
        this.connection?.close();
        this.connection = undefined;
        break;
      case "send":
        this.connection?.send(effect.frame);
        break;
      case "set_timer":
        this.setTimer(effect.timer, effect.delayMs);
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
        for (const timer of this.timers.values()) timer.cancel();
        break;
    }
  }

  private setTimer(timer: string, delayMs: number): void {
    this.timers.get(timer)?.cancel();
    const jittered = delayMs * (1 + this.clock.random() / 2);
    this.timers.set(
      timer,
      this.clock.setTimer(jittered, () => {
        this.timers.delete(timer);
        this.dispatch({ kind: "timer", timer });
      }),
    );
  }

  private async connect(): Promise<void> {
    const generation = ++this.generation;
    const attempt = new AbortController();
    this.attempt = attempt;
    const address = this.options.addresses[this.nextAddress++ % this.options.addresses.length] ?? "";
    const isCurrent = () => generation === this.generation;
    try {
      const connection = await this.options.connect(
        address,
        {
          onFrame: (frame, wireBytes) => isCurrent() && this.dispatch({ kind: "frame", frame, wireBytes }),
          onClose: (error) => isCurrent() && this.dispatch({ kind: "disconnected", error }),
        },
        attempt.signal,
      );
      if (!isCurrent()) return connection.close();
      this.connection = connection;
      this.dispatch({ kind: "connected" });
    } catch (error) {
      if (isCurrent())
        this.dispatch({ kind: "disconnected", error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
}

/** Items on their way to a `for await` loop. One counts as consumed when the loop comes back for the next. */
class ItemQueue implements AsyncIterableIterator<ConsumedItem> {
  private readonly items: { readonly read: () => ConsumedItem; readonly sizeBytes: number }[] = [];
  private readonly waiting: { resolve(result: IteratorResult<ConsumedItem>): void; reject(error: unknown): void }[] =
    [];
  private inHandBytes = 0;
  private ended: { readonly error: Error | undefined } | undefined;
  private readonly onConsumed: (sizeBytes: number) => void;
  private readonly onLeft: () => void;

  constructor(onConsumed: (sizeBytes: number) => void, onLeft: () => void) {
    this.onConsumed = onConsumed;
    this.onLeft = onLeft;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(read: () => ConsumedItem, sizeBytes: number): void {
    this.items.push({ read, sizeBytes });
    const waiter = this.waiting.shift();
    if (waiter !== undefined) this.hand(waiter);
  }

  end(error: Error | undefined): void {
    this.ended ??= { error };
    for (const waiter of this.waiting.splice(0)) this.finish(waiter);
  }

  next(): Promise<IteratorResult<ConsumedItem>> {
    if (this.inHandBytes > 0) this.onConsumed(this.inHandBytes);
    this.inHandBytes = 0;
    return new Promise((resolve, reject) => {
      if (this.items.length > 0) this.hand({ resolve, reject });
      else if (this.ended !== undefined) this.finish({ resolve, reject });
      else this.waiting.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<ConsumedItem>> {
    this.items.length = 0;
    this.onLeft();
    return Promise.resolve({ done: true, value: undefined });
  }

  private hand(waiter: (typeof this.waiting)[number]): void {
    const item = this.items.shift();
    if (item === undefined) return;
    this.inHandBytes = item.sizeBytes;
    try {
      waiter.resolve({ done: false, value: item.read() });
    } catch (error) {
      waiter.reject(error);
    }
  }

  private finish(waiter: (typeof this.waiting)[number]): void {
    if (this.ended?.error === undefined) waiter.resolve({ done: true, value: undefined });
    else waiter.reject(this.ended.error);
  }
}
