/** The options of a producer, and the outcomes that it tells an application. */
import type { HeadraceError } from "../../errors.ts";
import type { Event } from "../../event.ts";
import type { Sequence } from "../../sequence.ts";
import type { EncodedEvent } from "../../values/copy_events.ts";
import type { EventInput } from "../../values/unreadable.ts";
import type { StreamDescription, WireLimits } from "../../wire/frames.ts";
import type { ClientOptions } from "../client_options.ts";

/** The options of a {@linkcode Producer}. */
export interface ProducerOptions extends ClientOptions {
  /** Name of this producer, the same for all its lives: 1 to 256 characters. */
  readonly producerId: string;
  /**
   * Id of the send buffer: 1 to 256 characters. Default: a random one. An application that stores unacknowledged events
   * and sends them again after a restart stores the id and the epoch with them, and gives both here (E1).
   */
  readonly instance?: string;
  /** The last {@linkcode Producer.producerEpoch} of this instance, from 0. */
  readonly producerEpoch?: number;
  /** Stream of the events for which `send` names none. */
  readonly stream?: string;
  /** Version of the stream's schema that the events follow. Default: the newest. */
  readonly schemaVersion?: number;
  /**
   * What becomes of an event without a MessagePack form, or with more levels or values than a frame takes. By default
   * it is refused here (`onRejected`). With `true` its JSON is sent as input that cannot be read: the node sets it
   * aside as a dead letter.
   */
  readonly setsAsideUnsendable?: boolean;
  /** True keeps events of different trace contexts in batches of their own. Default: false, and a batch has its first one. */
  readonly tracesApart?: boolean;
  /** A batch is sent once it has this many events, from 1. Default: 500. */
  readonly batchEventsMax?: number;
  /** A batch is sent once it has about this many encoded bytes, from 1. Default: 262,144. */
  readonly batchBytesMax?: number;
  /** A batch is sent at the latest after this many ms. Default: 5. */
  readonly lingerMs?: number;
  /** The most events without an ack: beyond them `send` waits. From 1; default: 100,000. */
  readonly bufferEventsMax?: number;
  /** About the most bytes of events without an ack: beyond them `send` waits. From 1; default: 67,108,864. */
  readonly bufferBytesMax?: number;
  /**
   * Called for each event that the node set aside as a dead letter, or that cannot be sent at all. Without this
   * callback, `flush` and `sendAll` reject where such an event was sent by `send`.
   */
  readonly onRejected?: (rejected: RejectedEvent) => void;
  /** Called for each batch that the log holds, with the number of its events and its last sequence. */
  readonly onAck?: (ack: {
    readonly stream: string;
    readonly partition: number;
    readonly count: number;
    readonly lastSequence: Sequence | undefined;
  }) => void;
  /** Called with events that may or may not be in the log. Without this callback, `flush` rejects over them. */
  readonly onInDoubt?: (events: readonly InDoubtEvent[], error: HeadraceError) => void;
  /**
   * True for an application that can send acknowledged events again. Where the log has lost some with its tail, the producer
   * tells `onLost` and stops with `STORE_LOST`, in place of declaring them lost. A new producer goes on behind the events
   * that the log holds. Default: false.
   */
  readonly stopsAtLoss?: boolean;
  /** Called with acknowledged sequences that the log lost with its tail, and that the producer holds no more (E6). */
  readonly onLost?: (lost: {
    readonly stream: string;
    readonly partition: number;
    readonly from: Sequence | undefined;
    readonly to: Sequence;
  }) => void;
  /** Called at each welcome. An application that stores its unacknowledged events stores both values too (E1). */
  readonly onWelcome?: (welcome: {
    readonly producerEpoch: number | undefined;
    readonly instance: string;
    readonly streams: Readonly<Record<string, StreamDescription>>;
    readonly limits: WireLimits;
  }) => void;
  /** Called when a partition has another owner; `address` is undefined where the node does not know it. */
  readonly onMoved?: (moved: {
    readonly stream: string;
    readonly partition: number;
    readonly address: string | undefined;
  }) => void;
}

/** An event that is not stored: the node set it aside as a dead letter, or it cannot be sent at all. */
export interface RejectedEvent {
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly event: EventInput;
  /** A code of `RejectedCode`. */
  readonly code: string;
  /** JSON Pointer (RFC 6901) to the value at fault; empty for the event as a whole. */
  readonly path: string;
  readonly reason: string;
}

/** An event without an ack, which may or may not be in the log. */
export interface InDoubtEvent {
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly event: EventInput;
  /** False where the event never left: then it is certainly not in the log. */
  readonly wasSent: boolean;
}

/** The events of a producer's whole life, as `close()` tells them: each is stored, rejected or in doubt. */
export interface ProducerOutcome {
  /** The number of events that the log holds. */
  readonly stored: number;
  /** The first rejected events: at most 1,000, of about 4,194,304 encoded bytes together. */
  readonly rejected: readonly RejectedEvent[];
  /** The number of all rejected events, those beyond the list included. */
  readonly rejectedCount: number;
  /** All events that may or may not be in the log. */
  readonly inDoubt: readonly InDoubtEvent[];
}

/** The options of one event. */
export interface SendOptions {
  /** The event's stream. Default: the producer's. */
  readonly stream?: string;
  /** The event's partition, from 0. Default: found by the stream's key, else batches go to the partitions in turn. */
  readonly partition?: number;
  /** The event's own sequence, ascending in its partition: for replayable sources and derived streams (E3). */
  readonly sequence?: Sequence;
  /** The producer's resume point after this event, kept with the chain: at most 4,096 bytes as MessagePack. */
  readonly position?: Event;
  /** W3C trace context. A batch carries that of its first event that has one, unless `tracesApart` is set. */
  readonly traceparent?: string;
  /** Ends the wait for room in the buffer. An event that is buffered is sent all the same. */
  readonly signal?: AbortSignal;
  /** The same event in a batch that a node has stored: its bytes may be sent as they are. For parts of a node. */
  readonly stored?: EncodedEvent;
}

/** A partition's memory of this producer. */
export interface OpenedPartition {
  /** The last stored sequence; undefined where none is stored. */
  readonly lastSequence: Sequence | undefined;
  /** The resume point stored last; undefined where none is stored. */
  readonly position: Event | undefined;
}

/** The defaults of {@linkcode ProducerOptions}, and the dedupe window in ms before a node has named its own. */
export const PRODUCER_DEFAULTS = {
  batchEventsMax: 500,
  batchBytesMax: 262_144,
  lingerMs: 5,
  bufferEventsMax: 100_000,
  bufferBytesMax: 67_108_864,
  dedupeWindowMs: 86_400_000,
} as const;
