/**
 * The producer: sends events so that each is in the log exactly once, or is handed back. `send_buffer.ts` batches and
 * encodes events; `producer_machine.ts` decides when and where they are sent.
 *
 *     const producer = new Producer({
 *       connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK }),
 *       addresses: ["ws://localhost:7070/v1/connect"],
 *       producerId: "sensor-1",
 *       stream: "readings",
 *     });
 *     await producer.send({ device: "sensor-1", value: 21.5 });
 *     const { stored, rejected, inDoubt } = await producer.close({ timeoutMs: 5_000 });
 */
import { type Clock, SYSTEM_CLOCK } from "../../clock.ts";
import { type HeadraceError, RejectedError, UnavailableError } from "../../errors.ts";
import type { Event } from "../../event.ts";
import type { EventInput } from "../../values/unreadable.ts";
import { callListener } from "../call_listener.ts";
import { checkClientOptions, checkProducerNames, checkProducerNumbers } from "../client_options.ts";
import { ClientShell } from "../client_shell.ts";
import type { LinkEffect, LinkMessage } from "../link.ts";
import type { Confirmation, Slot } from "./event_batcher.ts";
import { Openers } from "./openers.ts";
import { stepProducer } from "./producer_machine.ts";
import type { ProducerEffect, ProducerMessage } from "./producer_messages.ts";
import {
  type OpenedPartition,
  PRODUCER_DEFAULTS,
  type ProducerOptions,
  type ProducerOutcome,
  type SendOptions,
} from "./producer_options.ts";
import { createProducer, type ProducerState } from "./producer_state.ts";
import { type BufferOptions, SendBuffer } from "./send_buffer.ts";
import { checkSendOptions } from "./sendable.ts";
import { Settlements } from "./settlements.ts";

export type {
  InDoubtEvent,
  OpenedPartition,
  ProducerOptions,
  ProducerOutcome,
  RejectedEvent,
  SendOptions,
} from "./producer_options.ts";

type ProducerCommand = Exclude<ProducerMessage, LinkMessage>;
type OwnEffect = Exclude<ProducerEffect, LinkEffect>;

const NO_OPTIONS: SendOptions = {};

/** Sends events to streams, each exactly once. Every event is stored, rejected, or handed back in doubt. */
export class Producer {
  /** The id of this send buffer (E1): the option `instance`, or a random one. */
  readonly instance: string;
  private readonly options: BufferOptions;
  private readonly clock: Clock;
  private readonly state: ProducerState;
  private readonly shell: ClientShell<ProducerState, ProducerCommand, OwnEffect>;
  private readonly buffer: SendBuffer;
  private readonly settlements: Settlements;
  private readonly openers = new Openers();
  private readonly settledListeners = new Set<() => void>();
  private stoppedBy: Error | undefined;

  /** Begins to connect. Throws `ConfigurationError` for options that can never work. */
  constructor(options: ProducerOptions) {
    checkClientOptions("a producer", options);
    checkProducerNames({ producerId: options.producerId, instance: options.instance, stream: options.stream });
    checkProducerNumbers(options);
    this.options = { ...PRODUCER_DEFAULTS, ...options };
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.instance = options.instance ?? newInstance();
    const { producerId, token, producerEpoch, client = "headrace-js", addresses, connect } = options;
    const { forward, stopsAtLoss } = options;
    const { dedupeWindowMs } = this.options;
    const about = { client, producerId, instance: this.instance, token, producerEpoch };
    this.state = createProducer({ ...about, dedupeWindowMs, addresses, forward, stopsAtLoss });
    this.settlements = new Settlements(options, (id) => this.buffer.release(id));
    this.buffer = new SendBuffer(
      this.options,
      this.clock,
      (batch) => this.shell.tell({ type: "batch", batch }),
      (slot, partition, why, sizeBytes) => {
        this.settlements.rejected(slot, partition, slot.sequence, why, sizeBytes);
        this.afterSettling();
      },
    );
    const perform = (effect: OwnEffect) => this.perform(effect);
    this.shell = new ClientShell(this.state, stepProducer, perform, connect, this.clock, options.onState);
    this.shell.tell({ type: "start" });
  }

  /**
   * Resolves once the event is buffered; waits while the buffer is full. Rejects with `RejectedError` for an unknown
   * stream or an option beyond its bound, and with the reason once the producer has stopped. Never throws.
   */
  send(event: EventInput, options: SendOptions = NO_OPTIONS): Promise<void> {
    try {
      const slot = this.slotOf(event, options, undefined);
      const refusal = this.stoppedBy === undefined ? this.buffer.refusalOf(slot.stream) : undefined;
      if (refusal !== undefined) throw new RejectedError("UNKNOWN_STREAM", refusal.reason);
      return this.offer(slot, options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves once the event is durable or was rejected. Rejects where the event is in doubt or cannot be sent. */
  sendAndConfirm(event: EventInput, options: SendOptions = NO_OPTIONS): Promise<Confirmation> {
    return new Promise((resolve, reject) => {
      this.offer(this.slotOf(event, options, { resolve, reject }), options.signal).catch(reject);
    });
  }

  /** Sends each event of an iterable as `send` does, then flushes. Answers the number of events. Rejects as both do. */
  async sendAll(events: AsyncIterable<Event> | Iterable<Event>, options: SendOptions = NO_OPTIONS): Promise<number> {
    let count = 0;
    for await (const event of events) {
      options.signal?.throwIfAborted();
      await this.send(event, options);
      count++;
    }
    await this.flush(options.signal === undefined ? {} : { signal: options.signal });
    return count;
  }

  /** Asks the log for this producer's last stored sequence and resume point. Rejects on a refusal or a stop. */
  open(stream: string, partition: number): Promise<OpenedPartition> {
    if (this.stoppedBy !== undefined) return Promise.reject(this.stoppedBy);
    const opened = this.openers.wait({ stream, partition });
    this.shell.tell({ type: "open", stream, partition });
    return opened;
  }

  /**
   * Sends the batches that wait to fill, and resolves when every event sent before is settled. Rejects with
   * `RejectedError` where some were rejected and neither `onRejected` nor a confirmation told: once for each such set
   * of events. Rejects likewise where some are in doubt and `onInDoubt` is absent.
   */
  async flush(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.settleAll(options.signal);
    const untold = this.settlements.takeUntold();
    if (untold !== undefined) throw untold;
  }

  /**
   * Waits at most `timeoutMs` (default 10,000) until every event is settled, then stops. Answers the outcome of all
   * events of this producer: those without an ack are in doubt.
   */
  async close(options: { readonly timeoutMs?: number } = {}): Promise<ProducerOutcome> {
    if (this.stoppedBy === undefined) {
      const limit = new AbortController();
      const timer = this.clock.setTimer(options.timeoutMs ?? 10_000, () => limit.abort());
      // A timeout or an early end shows in the events in doubt.
      await this.settleAll(limit.signal).catch(() => undefined);
      timer.cancel();
      this.shell.tell({ type: "stop" });
    }
    return this.settlements.outcome;
  }

  private async settleAll(signal: AbortSignal | undefined): Promise<void> {
    await this.until(() => !this.buffer.isWaiting, signal);
    this.buffer.sendOpenBatches();
    const ids = this.buffer.heldIds;
    await this.until(() => ids.every((id) => !this.buffer.isHeld(id)), signal);
  }

  /** The number of events that are buffered, without an ack, or waiting to be buffered. */
  get pendingEvents(): number {
    return this.buffer.pendingEvents;
  }

  /** The epoch to store beside `instance`, where the send buffer is stored (E1). */
  get producerEpoch(): number | undefined {
    return this.state.producerEpoch;
  }

  private slotOf(event: EventInput, options: SendOptions, confirm: Slot["confirm"]): Slot {
    const stream = options.stream ?? this.options.stream;
    if (stream === undefined)
      throw new RejectedError(
        "UNKNOWN_STREAM",
        "Cannot send an event as it must name a stream: none is given and there is no default",
      );
    if (options !== NO_OPTIONS) checkSendOptions(options);
    const { partition, sequence, position, traceparent, stored } = options;
    return { event, stream, partition, sequence, position, traceparent, stored, confirm };
  }

  private offer(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    return this.stoppedBy === undefined ? this.buffer.offer(slot, signal) : Promise.reject(this.stoppedBy);
  }

  private perform(effect: OwnEffect): void {
    switch (effect.type) {
      case "send":
        this.shell.send(effect.link, effect.frame);
        break;
      case "send_append": {
        const { link, frame, estimatedBytes } = effect;
        const wireBytes = this.shell.send(link, frame);
        if (wireBytes !== undefined) this.shell.tell({ type: "sent", link, frame, wireBytes, estimatedBytes });
        break;
      }
      case "welcomed":
        this.welcome(effect);
        this.afterSettling();
        break;
      case "opened":
        this.openers.resolve(effect, { lastSequence: effect.lastSequence, position: effect.position });
        break;
      case "open_refused":
        this.openers.reject(effect, effect.error);
        break;
      case "acked":
        for (const batch of effect.batches) {
          this.settlements.acked(batch, effect.verdicts);
          this.afterSettling();
        }
        break;
      case "refused":
        this.settlements.refused(effect);
        this.afterSettling();
        break;
      case "in_doubt":
        this.settlements.doubted(effect.batches, effect.error);
        this.afterSettling();
        break;
      case "lost":
        callListener(() => this.options.onLost?.(effect));
        break;
      case "moved":
        callListener(() => this.options.onMoved?.(effect));
        break;
      case "stopped":
        this.finish(effect.error);
        break;
    }
  }

  private welcome({ producerEpoch, streams, limits }: Extract<OwnEffect, { type: "welcomed" }>): void {
    const { instance } = this;
    callListener(() => this.options.onWelcome?.({ producerEpoch, instance, streams, limits }));
    this.buffer.describe(streams, limits);
  }

  /** The machine has stopped: events that never reached it are handed back as well. */
  private finish(cause: HeadraceError | undefined): void {
    const error = cause ?? new UnavailableError("STOPPING", "Cannot send as the producer was closed");
    this.stoppedBy = error;
    this.shell.cancelTimers();
    this.settlements.unsent(this.buffer.abandon(error), error);
    this.openers.rejectAll(error);
    this.afterSettling();
  }

  private afterSettling(): void {
    this.buffer.admit();
    for (const listener of [...this.settledListeners]) listener();
  }

  /** Waits until `isDone` holds, looking after each settling; rejects on the producer's stop or `signal`. */
  private until(isDone: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        this.settledListeners.delete(look);
        signal?.removeEventListener("abort", abort);
        act();
      };
      const look = () => {
        if (isDone()) end(resolve);
        else if (this.stoppedBy !== undefined) end(() => reject(this.stoppedBy));
      };
      const abort = () => end(() => reject(signal?.reason));
      this.settledListeners.add(look);
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) abort();
      else look();
    });
  }
}

function newInstance(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
