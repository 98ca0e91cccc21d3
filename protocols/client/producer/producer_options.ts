/** What an application gives to a producer, and what it is told by it. */
import type { Clock } from "../../clock.ts";
import type { Connect } from "../../connection.ts";
import type { HeadraceError } from "../../errors.ts";
import type { Event } from "../../event.ts";
import type { Sequence } from "../../sequence.ts";
import type { EventInput } from "../../values/unreadable.ts";
import type { ConnectionState } from "../connection_state.ts";

export interface ProducerOptions {
  readonly connect: Connect;
  /** Tried in turn. Owners of partitions that a node names are connected to as well. */
  readonly addresses: readonly string[];
  /** Speaks to the addresses alone, behind a load balancer for instance: nodes pass on what is for others. */
  readonly forward?: boolean;
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
  /**
   * What becomes of an event without a MessagePack form, or with more levels or values than a frame takes. By default
   * it is refused here (`onRejected`). With `true` its JSON is sent as input that can not be read: the node sets it
   * aside as a dead letter.
   */
  readonly setsAsideUnsendable?: boolean;
  /** A batch is sent when it has so many events, about so many bytes, or is so old. */
  readonly batchEventsMax?: number;
  readonly batchBytesMax?: number;
  readonly lingerMs?: number;
  /** Events, and about so many bytes, held until acknowledged; beyond them `send` waits. */
  readonly bufferEventsMax?: number;
  readonly bufferBytesMax?: number;
  readonly clock?: Clock;
  /**
   * Told of each event that the node set aside as a dead letter, or that can not be sent at all. Without this callback,
   * `flush` and `sendAll` reject where such an event was sent by `send`.
   */
  readonly onRejected?: (rejected: RejectedEvent) => void;
  readonly onAck?: (ack: {
    readonly stream: string;
    readonly partition: number;
    readonly count: number;
    readonly lastSequence: Sequence | undefined;
  }) => void;
  /** Events of which nobody can tell whether they are in the log. Without this callback, `flush` rejects over them. */
  readonly onInDoubt?: (events: readonly InDoubtEvent[], error: HeadraceError) => void;
  /** Sequences once acknowledged that the log lost with its tail, and that can not be sent again (E6). */
  readonly onLost?: (lost: {
    readonly stream: string;
    readonly partition: number;
    readonly from: Sequence | undefined;
    readonly to: Sequence;
  }) => void;
  /** Told of each change of the connection's state, once. */
  readonly onState?: (state: ConnectionState) => void;
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
  readonly event: EventInput;
  readonly code: string;
  readonly path: string;
  readonly reason: string;
}

export interface InDoubtEvent {
  readonly stream: string;
  readonly partition: number | undefined;
  readonly sequence: Sequence | undefined;
  readonly event: EventInput;
  /** False where it never left: it is not in the log for certain. */
  readonly wasSent: boolean;
}

/** The events of a producer's whole life, as `close()` tells them: each is stored, rejected or in doubt. */
export interface ProducerOutcome {
  /** Events that the log holds. */
  readonly stored: number;
  /** The first rejected events: at most `REJECTED_LIST_LIMITS.eventsMax`, of about `bytesMax` bytes together. */
  readonly rejected: readonly RejectedEvent[];
  /** All rejected events; those beyond the list are counted here. */
  readonly rejectedCount: number;
  readonly inDoubt: readonly InDoubtEvent[];
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

export interface OpenedPartition {
  readonly lastSequence: Sequence | undefined;
  readonly position: Event | undefined;
}

export const PRODUCER_DEFAULTS = {
  batchEventsMax: 500,
  batchBytesMax: 262_144,
  lingerMs: 5,
  bufferEventsMax: 100_000,
  bufferBytesMax: 67_108_864,
  dedupeWindowMs: 86_400_000,
} as const;
