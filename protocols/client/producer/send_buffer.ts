/**
 * Holds a producer's events from `send` until they are settled: makes senders wait while it is full, gathers events
 * into batches, encodes these and hands them on. `settlements.ts` tells the application their outcomes.
 */
import type { Clock } from "../../clock.ts";
import type { Sequences } from "../../sequence.ts";
import { isEvent, unreadableEvent } from "../../values/unreadable.ts";
import { encodeBatch } from "../../wire/encode_batch.ts";
import { type StreamDescription, WIRE_DEFAULTS, type WireLimits } from "../../wire/frames.ts";
import { unknownStream } from "../unknown_stream.ts";
import { EventBatcher, type OpenBatch, type Slot } from "./event_batcher.ts";
import type { ProducerBatch } from "./producer_messages.ts";
import type { PRODUCER_DEFAULTS, ProducerOptions } from "./producer_options.ts";

export type BufferOptions = ProducerOptions & { readonly [Name in keyof typeof PRODUCER_DEFAULTS]: number };

export interface HeldBatch extends OpenBatch {
  readonly sizeBytes: number;
}

export interface Unsendable {
  readonly code: string;
  readonly path: string;
  readonly reason: string;
}

type SendLimits = Pick<WireLimits, "frameBytesMax" | "batchEventsMax">;

/** @param sizeBytes about the event's encoded size */
export type Refuse = (slot: Slot, partition: number | undefined, why: Unsendable, sizeBytes: number) => void;

interface Waiter {
  readonly slot: Slot;
  resolve(): void;
  reject(error: unknown): void;
}

const BUFFERED = Promise.resolve();

export class SendBuffer {
  private readonly options: BufferOptions;
  private readonly clock: Clock;
  private readonly submit: (batch: ProducerBatch) => void;
  private readonly refuse: Refuse;
  private readonly batcher = new EventBatcher();
  private readonly held = new Map<number, HeldBatch>();
  private readonly waiters: Waiter[] = [];
  private unrouted: Slot[] = [];
  private nextBatchId = 0;
  private bufferedEvents = 0;
  private heldBytes = 0;
  private heldEvents = 0;
  /** Moving average of the encoded size, which estimates events that are not encoded yet. */
  private averageEventBytes = 200;
  private frameBytesMax: number = WIRE_DEFAULTS.frameBytesMax;
  /** A node refuses a larger batch as a whole. */
  private batchEventsMax: number;
  /** Remembered, as most events go to the stream of the event before. */
  private lastKnownStream: string | undefined;
  private linger: { cancel(): void } | undefined;

  constructor(options: BufferOptions, clock: Clock, submit: (batch: ProducerBatch) => void, refuse: Refuse) {
    this.options = options;
    this.batchEventsMax = Math.min(options.batchEventsMax, WIRE_DEFAULTS.batchEventsMax);
    this.clock = clock;
    this.submit = submit;
    this.refuse = refuse;
  }

  /** The reason why no event of a stream can be sent; undefined while no node has named its streams. */
  refusalOf(stream: string): Unsendable | undefined {
    if (stream === this.lastKnownStream || !this.batcher.isRouted) return undefined;
    if (this.batcher.isKnown(stream)) {
      this.lastKnownStream = stream;
      return undefined;
    }
    return { code: "UNKNOWN_STREAM", path: "", reason: unknownStream("send to", stream, this.batcher.streamNames) };
  }

  /** Resolves once the event is buffered; waits while there is no room. */
  offer(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.waiters.length === 0 && this.hasRoom()) {
      this.accept(slot);
      return BUFFERED;
    }
    return new Promise((resolve, reject) => this.wait(slot, signal, resolve, reject));
  }

  /** The node has told its streams: events without a partition find theirs. */
  describe(streams: Readonly<Record<string, StreamDescription>>, limits: SendLimits): void {
    this.frameBytesMax = limits.frameBytesMax;
    this.batchEventsMax = Math.min(this.options.batchEventsMax, limits.batchEventsMax);
    this.batcher.describe(streams);
    for (const slot of this.unrouted.splice(0)) this.route(slot);
  }

  sendOpenBatches(): void {
    this.linger?.cancel();
    this.linger = undefined;
    for (const batch of this.batcher.takeAll()) this.encode(batch);
  }

  /** Lets go of a settled batch. Call `admit` afterwards: waiting senders may have room. */
  release(id: number): HeldBatch | undefined {
    const batch = this.held.get(id);
    if (batch === undefined) return undefined;
    this.held.delete(id);
    this.heldBytes -= batch.sizeBytes;
    this.heldEvents -= batch.slots.length;
    this.bufferedEvents -= batch.slots.length;
    return batch;
  }

  /** Lets senders go on while there is room. */
  admit(): void {
    while (this.waiters.length > 0 && this.hasRoom()) {
      const waiter = this.waiters.shift();
      if (waiter === undefined) break;
      this.accept(waiter.slot);
      waiter.resolve();
    }
  }

  /** Answers the events that were never handed on. Waiting senders reject with `error`. */
  abandon(error: Error): Slot[] {
    this.linger?.cancel();
    const slots = [...this.unrouted.splice(0), ...this.batcher.takeAll().flatMap((batch) => batch.slots)];
    this.bufferedEvents -= slots.length;
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    return slots;
  }

  /** Whether an event waits for room, or for its partition to be known. */
  get isWaiting(): boolean {
    return this.waiters.length > 0 || this.unrouted.length > 0;
  }

  get heldIds(): readonly number[] {
    return [...this.held.keys()];
  }

  isHeld(id: number): boolean {
    return this.held.has(id);
  }

  get pendingEvents(): number {
    return this.bufferedEvents + this.waiters.length;
  }

  private wait(
    slot: Slot,
    signal: AbortSignal | undefined,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    const abort = () => {
      const at = this.waiters.indexOf(waiter);
      if (at >= 0) this.waiters.splice(at, 1);
      waiter.reject(signal?.reason);
    };
    // A signal may outlive a million waits: each removes its listener.
    const end = () => signal?.removeEventListener("abort", abort);
    const waiter: Waiter = {
      slot,
      resolve: () => {
        end();
        resolve();
      },
      reject: (error) => {
        end();
        reject(error);
      },
    };
    this.waiters.push(waiter);
    signal?.addEventListener("abort", abort);
  }

  private hasRoom(): boolean {
    const { bufferEventsMax, bufferBytesMax } = this.options;
    if (this.bufferedEvents >= bufferEventsMax) return false;
    return this.heldBytes + (this.bufferedEvents - this.heldEvents) * this.averageEventBytes < bufferBytesMax;
  }

  private accept(slot: Slot): void {
    this.bufferedEvents++;
    if (slot.partition === undefined && !this.batcher.isRouted) this.unrouted.push(slot);
    else this.route(slot);
  }

  private route(slot: Slot): void {
    const partition = this.batcher.route(slot);
    if (partition === undefined) {
      this.bufferedEvents--;
      const reason = unknownStream("send to", slot.stream, this.batcher.streamNames);
      this.refuse(slot, undefined, { code: "UNKNOWN_STREAM", path: "", reason }, this.averageEventBytes);
      return;
    }
    const other = this.options.tracesApart === true ? this.batcher.ofOtherTrace(slot, partition) : undefined;
    if (other !== undefined) {
      this.batcher.take(other);
      this.encode(other);
    }
    const batch = this.batcher.add(slot, partition);
    const { batchBytesMax, lingerMs } = this.options;
    if (batch.slots.length >= this.batchEventsMax || batch.slots.length * this.averageEventBytes >= batchBytesMax) {
      this.batcher.take(batch);
      this.encode(batch);
    } else this.linger ??= this.clock.setTimer(lingerMs, () => this.sendOpenBatches());
  }

  private encode(open: OpenBatch): void {
    for (const encoded of encodeBatch(open, this.frameBytesMax)) {
      const { batch } = encoded;
      if (encoded.kind === "encoded") this.hold(batch, encoded.events);
      else {
        const { code, reason, sizeBytes = this.averageEventBytes } = encoded;
        const unreadable = this.options.setsAsideUnsendable === true ? unreadableOf(batch, reason) : undefined;
        if (unreadable !== undefined) {
          this.encode(unreadable);
          continue;
        }
        this.bufferedEvents -= batch.slots.length;
        for (const slot of batch.slots) this.refuse(slot, batch.partition, { code, path: "", reason }, sizeBytes);
      }
    }
  }

  private hold(batch: OpenBatch, events: Uint8Array): void {
    const { stream, partition, slots } = batch;
    this.averageEventBytes = Math.ceil((this.averageEventBytes * 7 + events.length / slots.length) / 8);
    const id = this.nextBatchId++;
    this.held.set(id, { ...batch, sizeBytes: events.length });
    this.heldBytes += events.length;
    this.heldEvents += slots.length;
    const sequences = sequencesOf(slots);
    const position = slots.findLast((slot) => slot.position !== undefined)?.position;
    const traceparent = slots.find((slot) => slot.traceparent !== undefined)?.traceparent;
    const { schemaVersion } = this.options;
    this.submit({
      id,
      stream,
      partition,
      events,
      count: slots.length,
      ...(sequences === undefined ? {} : { sequences }),
      ...(position === undefined ? {} : { position }),
      ...(schemaVersion === undefined ? {} : { schemaVersion }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
  }
}

/** A batch of one event as unreadable input; undefined where the event is that already, or has no JSON. */
function unreadableOf(batch: OpenBatch, reason: string): OpenBatch | undefined {
  const [slot] = batch.slots;
  if (slot === undefined || !isEvent(slot.event)) return undefined;
  const event = unreadableEvent(slot.event, reason);
  return event === undefined ? undefined : { ...batch, slots: [{ ...slot, event }] };
}

/** The sequences that the caller gave; undefined where the producer counts by itself. */
function sequencesOf(slots: readonly Slot[]): Sequences | undefined {
  if (slots[0]?.sequence === undefined) return undefined;
  return { list: slots.map((slot) => slot.sequence).filter((sequence) => sequence !== undefined) };
}
