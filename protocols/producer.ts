/**
 * The producer: sends events so that each is in the log exactly once, or is handed back. Batches and encodes here; what is
 * sent when is decided in `producer_machine.ts`.
 *
 *     const producer = new Producer({
 *       connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK }),
 *       addresses: ["ws://localhost:7070/v1/connect"],
 *       producerId: "sensor-1",
 *       stream: "readings",
 *     });
 *     await producer.send({ device: "sensor-1", value: 21.5 });
 *     const { inDoubt } = await producer.close({ timeoutMs: 5_000 });
 */
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { Connect, Connection } from "./connection.ts";
import { type HeadraceError, RejectedError, UnavailableError } from "./errors.ts";
import type { Event } from "./event.ts";
import { type Confirmation, EventBatcher, type OpenBatch, type Slot } from "./event_batcher.ts";
import { encodeEvents } from "./event_codec.ts";
import { WIRE_DEFAULTS, type WireVerdict } from "./frames.ts";
import { initialProducer, type ProducerState, stepProducer } from "./producer_machine.ts";
import type { ProducerEffect, ProducerMessage, SettledBatch } from "./producer_messages.ts";
import { type Sequence, type Sequences, sequenceAt, sequenceCount } from "./sequence.ts";

export interface ProducerOptions {
  readonly connect: Connect;
  /** Tried in turn. */
  readonly addresses: readonly string[];
  /** Name of this producer: the same for all its lives. */
  readonly producerId: string;
  /** Made once per send buffer; give it, with the epoch, where the buffer outlives the process (E1). */
  readonly instance?: string;
  readonly producerEpoch?: number;
  readonly token?: string;
  readonly client?: string;
  /** Stream of events that name none. */
  readonly stream?: string;
  readonly schemaVersion?: number;
  /** A batch is sent when it has so many events, about so many bytes, or is so old. */
  readonly batchEventsMax?: number;
  readonly batchBytesMax?: number;
  readonly lingerMs?: number;
  /** Events, and about so many bytes, held until acknowledged; beyond them `send` waits. */
  readonly bufferEventsMax?: number;
  readonly bufferBytesMax?: number;
  readonly clock?: Clock;
  /** Events that the node set aside as dead letters, or that can not be sent at all. */
  readonly onRejected?: (rejected: RejectedEvent) => void;
  readonly onAck?: (ack: {
    readonly stream: string;
    readonly partition: number;
    readonly count: number;
    readonly lastSequence: Sequence | undefined;
  }) => void;
  /** Events of which nobody can tell whether they are in the log. */
  readonly onInDoubt?: (events: readonly InDoubtEvent[], error: HeadraceError) => void;
  /** Sequences once acknowledged that the log lost with its tail, and that can not be sent again (E6). */
  readonly onLost?: (lost: {
    readonly stream: string;
    readonly partition: number;
    readonly from: Sequence | undefined;
    readonly to: Sequence;
  }) => void;
  readonly onWelcome?: (welcome: { readonly producerEpoch: number | undefined; readonly instance: string }) => void;
  readonly onMoved?: (moved: {
    readonly stream: string;
    readonly partition: number;
    readonly address: string | undefined;
  }) => void;
}

export interface RejectedEvent {
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly event: Event | Uint8Array;
  readonly code: string;
  readonly path: string;
  readonly reason: string;
}

export interface InDoubtEvent {
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly event: Event | Uint8Array;
  /** False where it never left: it is not in the log for certain. */
  readonly wasSent: boolean;
}

export interface SendOptions {
  readonly stream?: string;
  /** Where it is not to be found by the stream's key. */
  readonly partition?: number;
  /** The event's own sequence, ascending in its partition: for replayable sources and derived streams (E3). */
  readonly sequence?: Sequence;
  /** The producer's resume point after this event, kept with the chain. */
  readonly position?: Event;
  /** W3C trace context. A batch carries one: that of its first event that has any. */
  readonly traceparent?: string;
  readonly signal?: AbortSignal;
}

interface HeldBatch extends OpenBatch {
  readonly sizeBytes: number;
}

interface Waiter {
  readonly slot: Slot;
  resolve(): void;
  reject(error: unknown): void;
}

const DEFAULTS = {
  batchEventsMax: 500,
  batchBytesMax: 262_144,
  lingerMs: 5,
  bufferEventsMax: 100_000,
  bufferBytesMax: 67_108_864,
  dedupeWindowMs: 86_400_000,
};

/** Room in a frame for what is not events. */
const FRAME_MARGIN_BYTES = 65_536;
const BUFFERED = Promise.resolve();

export class Producer {
  readonly instance: string;
  private readonly options: ProducerOptions & typeof DEFAULTS;
  private readonly clock: Clock;
  private readonly state: ProducerState;
  private readonly batcher = new EventBatcher();
  private readonly held = new Map<number, HeldBatch>();
  private readonly waiters: Waiter[] = [];
  private readonly timers = new Map<string, { cancel(): void }>();
  private readonly openers = new Map<
    string,
    { resolve(opened: OpenedPartition): void; reject(error: Error): void }[]
  >();
  private readonly inbox: ProducerMessage[] = [];
  private readonly inDoubt: InDoubtEvent[] = [];
  private readonly settledListeners = new Set<() => void>();
  private unrouted: Slot[] = [];
  private isStepping = false;
  private connection: Connection | undefined;
  private generation = 0;
  private attempt: AbortController | undefined;
  private nextBatchId = 0;
  private nextAddress = 0;
  private bufferedEvents = 0;
  private heldBytes = 0;
  private heldEvents = 0;
  /** Moving average, for events not encoded yet. */
  private averageEventBytes = 200;
  private frameBytesMax: number = WIRE_DEFAULTS.frameBytesMax;
  private linger: { cancel(): void } | undefined;
  private stoppedBy: Error | undefined;

  constructor(options: ProducerOptions) {
    this.options = { ...DEFAULTS, ...options };
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.instance = options.instance ?? newInstance();
    const { producerId, token, producerEpoch, client = "headrace-js" } = options;
    const { dedupeWindowMs } = this.options;
    this.state = initialProducer({ client, producerId, instance: this.instance, token, producerEpoch, dedupeWindowMs });
    this.dispatch({ kind: "start" });
  }

  /** Resolves once the event is buffered; waits while the buffer is full. Rejects once the producer has stopped. */
  send(event: Event | Uint8Array, options: SendOptions = {}): Promise<void> {
    return this.offer(this.slotOf(event, options, undefined), options.signal);
  }

  /** Resolves once the event is durable, or was set aside; rejects where nobody can tell. */
  sendAndConfirm(event: Event | Uint8Array, options: SendOptions = {}): Promise<Confirmation> {
    return new Promise((resolve, reject) => {
      this.offer(this.slotOf(event, options, { resolve, reject }), options.signal).catch(reject);
    });
  }

  /** Sends all of an iterable, waiting as `send` does, then flushes; answers how many were sent. */
  async sendAll(events: AsyncIterable<Event> | Iterable<Event>, options: SendOptions = {}): Promise<number> {
    let count = 0;
    for await (const event of events) {
      options.signal?.throwIfAborted();
      await this.send(event, options);
      count++;
    }
    await this.flush(options.signal === undefined ? {} : { signal: options.signal });
    return count;
  }

  /** Asks what a partition holds of this producer: where to resume. */
  open(stream: string, partition: number): Promise<OpenedPartition> {
    return new Promise((resolve, reject) => {
      if (this.stoppedBy !== undefined) return reject(this.stoppedBy);
      const key = `${stream}/${partition}`;
      this.openers.set(key, [...(this.openers.get(key) ?? []), { resolve, reject }]);
      this.dispatch({ kind: "open", stream, partition });
    });
  }

  /** Sends what is waiting for its batch to fill, and resolves when all that was sent before is settled. */
  async flush(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.until(() => this.waiters.length === 0 && this.unrouted.length === 0, options.signal);
    this.sendOpenBatches();
    const ids = [...this.held.keys()];
    await this.until(() => ids.every((id) => !this.held.has(id)), options.signal);
  }

  /** Flushes for at most `timeoutMs`, then stops; hands back what is in doubt. */
  async close(options: { readonly timeoutMs?: number } = {}): Promise<{ readonly inDoubt: readonly InDoubtEvent[] }> {
    if (this.stoppedBy === undefined) {
      const limit = new AbortController();
      const timer = this.clock.setTimer(options.timeoutMs ?? 10_000, () => limit.abort());
      // Why the flush ended early is told by what is in doubt.
      await this.flush({ signal: limit.signal }).catch(() => undefined);
      timer.cancel();
      this.dispatch({ kind: "stop" });
    }
    return { inDoubt: [...this.inDoubt] };
  }

  /** Events held: buffered, under way, or waiting to be buffered. */
  get pendingEvents(): number {
    return this.bufferedEvents + this.waiters.length;
  }

  /** The epoch to store beside `instance`, where the send buffer is stored (E1). */
  get producerEpoch(): number | undefined {
    return this.state.producerEpoch;
  }

  private slotOf(event: Event | Uint8Array, options: SendOptions, confirm: Slot["confirm"]): Slot {
    const stream = options.stream ?? this.options.stream;
    if (stream === undefined)
      throw new RejectedError(
        "UNKNOWN_STREAM",
        "Cannot send an event as it must name a stream: none is given and there is no default",
      );
    return {
      event,
      stream,
      partition: options.partition,
      sequence: options.sequence,
      position: options.position,
      traceparent: options.traceparent,
      confirm,
    };
  }

  private offer(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    if (this.stoppedBy !== undefined) return Promise.reject(this.stoppedBy);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.waiters.length === 0 && this.hasRoom()) {
      this.accept(slot);
      return BUFFERED;
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        const at = this.waiters.indexOf(waiter);
        if (at >= 0) this.waiters.splice(at, 1);
        waiter.reject(signal?.reason);
      };
      // A signal may outlive a million waits: none of them leaves its listener behind.
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
    });
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
      this.reject(slot, undefined, undefined, {
        code: "UNKNOWN_STREAM",
        path: "",
        reason: `the node knows no stream ${slot.stream}`,
      });
      return;
    }
    const batch = this.batcher.add(slot, partition);
    const { batchEventsMax, batchBytesMax, lingerMs } = this.options;
    if (batch.slots.length >= batchEventsMax || batch.slots.length * this.averageEventBytes >= batchBytesMax) {
      this.batcher.take(batch);
      this.encode(batch);
    } else this.linger ??= this.clock.setTimer(lingerMs, () => this.sendOpenBatches());
  }

  private sendOpenBatches(): void {
    this.linger?.cancel();
    this.linger = undefined;
    for (const batch of this.batcher.takeAll()) this.encode(batch);
  }

  /** Encodes a batch and gives it to the machine, in halves where it is too large for a frame. */
  private encode(batch: OpenBatch): void {
    const { slots } = batch;
    let events: Uint8Array;
    try {
      events = encodeEvents(
        slots.map((slot) => slot.event),
        { asRecords: true },
      );
    } catch (error) {
      this.encodeSeparately(batch, error);
      return;
    }
    this.averageEventBytes = Math.ceil((this.averageEventBytes * 7 + events.length / slots.length) / 8);
    if (events.length <= this.frameBytesMax - FRAME_MARGIN_BYTES) this.submit(batch, events);
    else if (slots.length > 1) this.encodeHalves(batch);
    else
      this.giveUp(
        batch,
        "EVENT_TOO_LARGE",
        `must fit a frame of ${this.frameBytesMax} bytes: current value is ${events.length}`,
      );
  }

  private encodeHalves({ stream, partition, slots }: OpenBatch): void {
    const middle = slots.length >> 1;
    this.encode({ stream, partition, slots: slots.slice(0, middle) });
    this.encode({ stream, partition, slots: slots.slice(middle) });
  }

  /** Something in the batch has no MessagePack form: finds it by halves. */
  private encodeSeparately(batch: OpenBatch, error: unknown): void {
    if (batch.slots.length > 1) this.encodeHalves(batch);
    else this.giveUp(batch, "MALFORMED_EVENT", error instanceof Error ? error.message : String(error));
  }

  private giveUp({ partition, slots }: OpenBatch, code: string, reason: string): void {
    this.bufferedEvents -= slots.length;
    for (const slot of slots) this.reject(slot, partition, slot.sequence, { code, path: "", reason });
    this.afterSettling();
  }

  private submit(batch: OpenBatch, events: Uint8Array): void {
    const id = this.nextBatchId++;
    this.held.set(id, { ...batch, sizeBytes: events.length });
    this.heldBytes += events.length;
    this.heldEvents += batch.slots.length;
    const sequences = sequencesOf(batch.slots);
    const position = batch.slots.findLast((slot) => slot.position !== undefined)?.position;
    const traceparent = batch.slots.find((slot) => slot.traceparent !== undefined)?.traceparent;
    const { stream, partition, slots } = batch;
    const { schemaVersion } = this.options;
    this.dispatch({
      kind: "batch",
      batch: {
        id,
        stream,
        partition,
        events,
        count: slots.length,
        ...(sequences === undefined ? {} : { sequences }),
        ...(position === undefined ? {} : { position }),
        ...(schemaVersion === undefined ? {} : { schemaVersion }),
        ...(traceparent === undefined ? {} : { traceparent }),
      },
    });
  }

  /** One message at a time: a connection in the same process may answer before `send` returns. */
  private dispatch(message: ProducerMessage): void {
    this.inbox.push(message);
    if (this.isStepping) return;
    this.isStepping = true;
    try {
      for (let next = this.inbox.shift(); next !== undefined; next = this.inbox.shift()) {
        const [, effects] = stepProducer(this.state, next, this.clock.nowMs());
        for (const effect of effects) this.perform(effect);
      }
    } finally {
      this.isStepping = false;
    }
  }

  private perform(effect: ProducerEffect): void {
    switch (effect.kind) {
      case "connect":
        void this.connect();
        break;
      case "disconnect":
        this.disconnect();
        break;
      case "send":
        this.transmit(effect);
        break;
      case "set_timer":
        this.setTimer(effect.timer, effect.delayMs);
        break;
      case "welcomed":
        this.frameBytesMax = effect.limits.frameBytesMax;
        this.batcher.describe(effect.streams);
        this.options.onWelcome?.({ producerEpoch: effect.producerEpoch, instance: this.instance });
        for (const slot of this.unrouted.splice(0)) this.route(slot);
        this.afterSettling();
        break;
      case "opened":
        for (const opener of this.takeOpeners(effect.stream, effect.partition))
          opener.resolve({ lastSequence: effect.lastSequence, position: effect.position });
        break;
      case "open_refused":
        for (const opener of this.takeOpeners(effect.stream, effect.partition)) opener.reject(effect.error);
        break;
      case "acked":
        for (const batch of effect.batches) this.settleAcked(batch, effect.verdicts);
        break;
      case "refused":
        this.settleRefused(effect.batch, effect.error);
        break;
      case "in_doubt":
        this.settleInDoubt(effect.batches, effect.error);
        break;
      case "lost":
        this.options.onLost?.(effect);
        break;
      case "moved":
        this.options.onMoved?.(effect);
        break;
      case "stopped":
        this.finish(effect.error);
        break;
    }
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
          onFrame: (frame) => isCurrent() && this.dispatch({ kind: "frame", frame }),
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

  private disconnect(): void {
    this.generation++;
    this.attempt?.abort();
    this.connection?.close();
    this.connection = undefined;
  }

  private transmit({ frame, estimatedBytes }: Extract<ProducerEffect, { kind: "send" }>): void {
    try {
      const wireBytes = this.connection?.send(frame) ?? 0;
      if (estimatedBytes > 0) this.inbox.push({ kind: "sent", wireBytes, estimatedBytes });
    } catch (error) {
      this.disconnect();
      this.inbox.push({
        kind: "disconnected",
        error: new UnavailableError("CONNECTION_LOST", "Cannot send a frame as the connection failed", {
          cause: error,
        }),
      });
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

  private takeOpeners(stream: string, partition: number) {
    const key = `${stream}/${partition}`;
    const openers = this.openers.get(key) ?? [];
    this.openers.delete(key);
    return openers;
  }

  private release(id: number): HeldBatch | undefined {
    const batch = this.held.get(id);
    if (batch === undefined) return undefined;
    this.held.delete(id);
    this.heldBytes -= batch.sizeBytes;
    this.heldEvents -= batch.slots.length;
    this.bufferedEvents -= batch.slots.length;
    return batch;
  }

  private settleAcked({ id, sequences }: SettledBatch, verdicts: readonly WireVerdict[]): void {
    const batch = this.release(id);
    if (batch === undefined) return;
    const { stream, partition, slots } = batch;
    const offset = sequences === undefined ? 0 : slots.length - sequenceCount(sequences);
    const rejected = new Map(verdicts.map((verdict) => [verdict.sequence.join(), verdict]));
    const isWatched = verdicts.length > 0 || slots.some((slot) => slot.confirm !== undefined);
    for (let index = 0; isWatched && index < slots.length; index++) {
      const slot = slots[index] as Slot;
      const sequence =
        slot.sequence ??
        (sequences === undefined || index < offset ? undefined : sequenceAt(sequences, index - offset));
      const verdict = sequence && rejected.get(sequence.join());
      if (verdict !== undefined) this.reject(slot, partition, sequence, verdict);
      else slot.confirm?.resolve({ kind: "stored", stream, partition, sequence });
    }
    const lastSequence = sequences === undefined ? undefined : sequenceAt(sequences, sequenceCount(sequences) - 1);
    this.options.onAck?.({ stream, partition, count: slots.length, lastSequence });
    this.afterSettling();
  }

  private settleRefused({ id }: SettledBatch, error: HeadraceError): void {
    const batch = this.release(id);
    for (const slot of batch?.slots ?? []) {
      this.reject(slot, batch?.partition, slot.sequence, { code: error.code, path: "", reason: error.message });
    }
    this.afterSettling();
  }

  private reject(
    slot: Slot,
    partition: number | undefined,
    sequence: Sequence | undefined,
    verdict: { readonly code: string; readonly path: string; readonly reason: string },
  ): void {
    const { code, path, reason } = verdict;
    slot.confirm?.resolve({ kind: "rejected", code, path, reason });
    this.options.onRejected?.({ stream: slot.stream, partition, sequence, event: slot.event, code, path, reason });
  }

  private settleInDoubt(batches: readonly SettledBatch[], error: HeadraceError): void {
    const events: InDoubtEvent[] = [];
    for (const { id, sequences } of batches) {
      const batch = this.release(id);
      const offset = batch === undefined || sequences === undefined ? 0 : batch.slots.length - sequenceCount(sequences);
      batch?.slots.forEach((slot, index) => {
        const sequence =
          slot.sequence ??
          (sequences === undefined || index < offset ? undefined : sequenceAt(sequences, index - offset));
        events.push(this.handBack(slot, batch.partition, sequence, true, error));
      });
    }
    this.tellInDoubt(events, error);
    this.afterSettling();
  }

  private handBack(
    slot: Slot,
    partition: number | undefined,
    sequence: Sequence | undefined,
    wasSent: boolean,
    error: Error,
  ): InDoubtEvent {
    slot.confirm?.reject(error);
    return { stream: slot.stream, partition, sequence, event: slot.event, wasSent };
  }

  private tellInDoubt(events: readonly InDoubtEvent[], error: HeadraceError): void {
    if (events.length === 0) return;
    this.inDoubt.push(...events);
    this.options.onInDoubt?.(events, error);
  }

  /** The machine has stopped: whatever never reached it is handed back as well. */
  private finish(cause: HeadraceError | undefined): void {
    const error = cause ?? new UnavailableError("STOPPING", "Cannot send as the producer was closed");
    this.stoppedBy = error;
    this.linger?.cancel();
    for (const timer of this.timers.values()) timer.cancel();
    const slots = [...this.unrouted.splice(0), ...this.batcher.takeAll().flatMap((batch) => batch.slots)];
    this.bufferedEvents -= slots.length;
    this.tellInDoubt(
      slots.map((slot) => this.handBack(slot, slot.partition, slot.sequence, false, error)),
      error,
    );
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    for (const openers of this.openers.values()) for (const opener of openers) opener.reject(error);
    this.openers.clear();
    this.afterSettling();
  }

  private afterSettling(): void {
    while (this.waiters.length > 0 && this.hasRoom()) {
      const waiter = this.waiters.shift();
      if (waiter === undefined) break;
      this.accept(waiter.slot);
      waiter.resolve();
    }
    for (const listener of [...this.settledListeners]) listener();
  }

  /** Waits until `isDone` holds, looking after each settling; rejects when the producer stops first or `signal` aborts. */
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

export interface OpenedPartition {
  readonly lastSequence: Sequence | undefined;
  readonly position: Event | undefined;
}

/** The sequences that the caller gave, or undefined where the producer counts by itself. */
function sequencesOf(slots: readonly Slot[]): Sequences | undefined {
  if (slots[0]?.sequence === undefined) return undefined;
  return { list: slots.map((slot) => slot.sequence).filter((sequence) => sequence !== undefined) };
}

function newInstance(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
