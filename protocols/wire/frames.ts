/**
 * The frames of wire protocol v1, as values. `codec.ts` turns them into bytes; docs/protocol.md is the normative text.
 * Positions on the wire are `{epoch, offset}`; a sequence is a list of three integers.
 */
import type { Event, Verdict } from "../event.ts";
import type { PartitionPlace } from "../position.ts";
import type { Sequence, Sequences } from "../sequence.ts";
import type { TraceStart } from "../traceparent.ts";

/** The WebSocket subprotocol with frames in MessagePack. */
export const SUBPROTOCOL_MSGPACK = "headrace.v1.msgpack";
/** The WebSocket subprotocol with the same frames in JSON. */
export const SUBPROTOCOL_JSON = "headrace.v1.json";
/** The newest minor version of protocol v1 that this client and this node know. */
export const PROTOCOL_MINOR = 3;
/** From this minor version on a node answers a subscriber's `credit` of 0 bytes. */
export const CREDIT_ANSWERED_SINCE_MINOR = 1;
/** From this minor version on a node tells a client of a planned move before it happens (`moving`). */
export const MOVING_SINCE_MINOR = 2;

/** The name of a WebSocket subprotocol. */
export type Subprotocol = typeof SUBPROTOCOL_MSGPACK | typeof SUBPROTOCOL_JSON;

/** A position: the epoch of the owner that wrote a record, from 1, and the record's offset, from 0. */
export interface WirePosition {
  readonly epoch: number;
  readonly offset: number;
}

/**
 * The events of one frame: the bytes of a MessagePack array of maps, or of msgpackr records with inline definitions.
 * They decode by themselves (E11). In the JSON subprotocol they are a plain list.
 */
export type EncodedEvents = Uint8Array;

// Client to node ------------------------------------------------------------------------------------------------------

/** The first frame of each connection. Without `producerId` the connection may only subscribe. */
export interface HelloFrame {
  readonly type: "hello";
  /** Name of the client's program, for the node's logs: at most 256 characters. */
  readonly client: string;
  /** The newest minor version that the client knows; 0 where absent. */
  readonly minor?: number;
  /** The token that a node with authentication asks for: at most 16,384 characters. */
  readonly token?: string;
  /** Name of the producer: 1 to 256 characters. It takes `instance` beside it. */
  readonly producerId?: string;
  /** Id of the send buffer, made once: another instance of the same producer is another sender (E1). */
  readonly instance?: string;
  /** The last producer epoch that this instance was given, if it ever was. */
  readonly producerEpoch?: number;
  /**
   * True for a client that stays on this connection: the node passes on its appends to, and its reads of, partitions of
   * other nodes. Since minor version 1.
   */
  readonly forward?: boolean;
}

/** Raises the producer epoch in one partition's log, and asks for the last stored sequence of this producer (E1). */
export interface OpenFrame extends PartitionPlace {
  readonly type: "open";
  readonly producerEpoch: number;
}

/** Appends a batch of events to one partition. Answered by `ack`, `gap`, `moved` or `error`. */
export interface AppendFrame extends PartitionPlace {
  readonly type: "append";
  readonly producerEpoch: number;
  /** The sequence of the last event that this producer sent to this partition before this batch; null for none. */
  readonly previousSequence: Sequence | null;
  readonly sequences: Sequences;
  /** The version of the stream's schema that the events follow; the newest where absent. */
  readonly schemaVersion?: number;
  readonly events: EncodedEvents;
  /** W3C trace context of the batch. */
  readonly traceparent?: string;
  /** The producer's own resume point after this batch. The log keeps it with the chain, and `opened` gives it back. */
  readonly position?: Event;
}

/** Declares acknowledged sequences that the log lost with its tail, and that cannot be sent again (E6). */
export interface LostFrame extends PartitionPlace {
  readonly type: "lost";
  readonly producerEpoch: number;
  /** The last sequence that the log still holds; null for none. */
  readonly from: Sequence | null;
  /** The last sequence that is lost. */
  readonly to: Sequence;
}

/**
 * Where a subscription begins: at the `earliest` record kept, at `latest` (new records alone), behind a position last
 * handled, at an offset (inclusive), or at a time of append in ms since 1970.
 */
export type SubscribeFrom =
  | "earliest"
  | "latest"
  | WirePosition
  | { readonly offset: number }
  | { readonly timeMs: number };

/** Begins to read some partitions of a stream. */
export interface SubscribeFrame {
  readonly type: "subscribe";
  /** Chosen by the client, unique on its connection. */
  readonly subscription: number;
  readonly stream: string;
  /** Which kind of records: accepted ones (the default), or those set aside at validation. */
  readonly channel?: "records" | "rejected";
  readonly partitions: readonly { readonly partition: number; readonly from: SubscribeFrom }[];
  /** Bytes of `records` frames that the node may send before it needs more. */
  readonly creditBytes: number;
}

/** Ends a subscription. */
export interface UnsubscribeFrame {
  readonly type: "unsubscribe";
  readonly subscription: number;
}

/** From a client: more bytes for a subscription. From a node: more bytes for appends. */
export interface CreditFrame {
  readonly type: "credit";
  readonly subscription?: number;
  readonly creditBytes: number;
}

/** Ends the connection when all that was sent has been answered. */
export interface GoodbyeFrame {
  readonly type: "goodbye";
}

/** A frame from a client to a node. */
export type ClientFrame =
  | HelloFrame
  | OpenFrame
  | AppendFrame
  | LostFrame
  | SubscribeFrame
  | UnsubscribeFrame
  | CreditFrame
  | GoodbyeFrame;

// Node to client ------------------------------------------------------------------------------------------------------

/** The bounds of a node, as its welcome names them. */
export interface WireLimits {
  readonly frameBytesMax: number;
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  /** A client never sends a batch again that it first sent longer ago than this: the batch is in doubt (E5). */
  readonly dedupeWindowMs: number;
}

/** A stream, as the welcome describes it. */
export interface StreamDescription {
  /** Number of partitions, from 1. */
  readonly partitions: number;
  /** JSON Pointer to the field whose value routes an event to its partition; absent: round robin by batch. */
  readonly key?: string;
  /** Versions of the stream's JSON Schema that may be used, ascending. */
  readonly schemaVersions: readonly number[];
  /** Address of the owner by partition, for partitions that other nodes own. */
  readonly owners?: Readonly<Record<string, string>>;
}

/** Answers `hello`: the connection is open. */
export interface WelcomeFrame {
  readonly type: "welcome";
  readonly node: string;
  readonly minor: number;
  readonly producerEpoch?: number;
  readonly streams: Readonly<Record<string, StreamDescription>>;
  readonly limits: WireLimits;
  /** The bytes of `append` frames, as sent, that may await their answer on this connection. */
  readonly creditBytes: number;
}

/** Answers `open`: the last stored sequence of this producer, null for none, and its resume point. */
export interface OpenedFrame extends PartitionPlace {
  readonly type: "opened";
  readonly lastSequence: Sequence | null;
  readonly position?: Event;
}

/** All events up to `lastSequence` are durable in the stream's tier, except those rejected, which have verdicts. */
export interface AckFrame extends PartitionPlace {
  readonly type: "ack";
  readonly lastSequence: Sequence;
  /** Rejected events of the acknowledged batches, each by its own sequence. */
  readonly verdicts?: readonly WireVerdict[];
  /** Append credit that the acknowledged batches give back. */
  readonly creditBytes: number;
}

/** The verdict of a rejected event, by the event's own sequence. */
export interface WireVerdict extends Omit<Verdict, "index"> {
  readonly sequence: Sequence;
}

/** The batch does not follow `storedSequence`. The client sends the events behind it again, or declares them lost. */
export interface GapFrame extends PartitionPlace {
  readonly type: "gap";
  /** The last sequence that the log holds of this producer; null for none. */
  readonly storedSequence: Sequence | null;
  readonly creditBytes: number;
}

/** Records from `divergence` on, which the subscriber may have read, no longer exist. Reading goes on there (E9). */
export interface TruncatedFrame extends PartitionPlace {
  readonly type: "truncated";
  readonly subscription: number;
  readonly divergence: number;
}

/** Retention removed records that the subscriber had not read: reading goes on at `firstOffset`. */
export interface TrimmedFrame extends PartitionPlace {
  readonly type: "trimmed";
  readonly subscription: number;
  readonly firstOffset: number;
}

/** The partition has another owner now, at `address` where the node knows it. */
export interface MovedFrame extends PartitionPlace {
  readonly type: "moved";
  readonly address?: string;
}

/**
 * The partition is about to be handed over to the node at `address`, and is served here until `moved`. A client that
 * connects to `address` now does not wait for the connection later. Since minor version 2.
 */
export interface MovingFrame extends PartitionPlace {
  readonly type: "moving";
  readonly address: string;
}

/** A stored batch. */
export interface WireBatch {
  readonly epoch: number;
  readonly firstOffset: number;
  /** The number of records: rejected events are not counted. */
  readonly count: number;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId?: string;
  readonly traceparent?: string;
  /** Where the trace contexts of its events differ; then there is no `traceparent`. */
  readonly traces?: readonly TraceStart[];
  /** Bit i (of byte i >> 3, lowest bit first) is set where event i of `events` was rejected: readers skip it. */
  readonly rejected?: Uint8Array;
  readonly events: EncodedEvents;
}

/** Records of one partition of a subscription. */
export interface RecordsFrame extends PartitionPlace {
  readonly type: "records";
  readonly subscription: number;
  /** Some records of the first batch may lie before the position asked for: the client skips them by offset. */
  readonly batches: readonly WireBatch[];
  /** One past the newest committed offset when this was sent: lag = endOffset - last offset - 1. */
  readonly endOffset: number;
}

/** A failure: of one subscription, of one partition, or of the whole connection where it names neither. */
export interface ErrorFrame {
  readonly type: "error";
  /** A code of `ErrorCode`. A later version may send others. */
  readonly code: string;
  /** The action, the reason and the current value, for people. */
  readonly message: string;
  /** Milliseconds until the client should try again. */
  readonly retryAfterMs?: number;
  readonly stream?: string;
  readonly partition?: number;
  readonly subscription?: number;
  /** Bytes of append credit that the refused batch gives back. */
  readonly creditBytes?: number;
}

/** A frame from a node to a client. */
export type NodeFrame =
  | WelcomeFrame
  | OpenedFrame
  | AckFrame
  | GapFrame
  | TruncatedFrame
  | TrimmedFrame
  | MovedFrame
  | MovingFrame
  | CreditFrame
  | RecordsFrame
  | ErrorFrame;

/** Any frame of protocol v1. */
export type Frame = ClientFrame | NodeFrame;

/** The bounds of protocol v1. Beyond one a sender is refused or slowed; no event is dropped. */
export const WIRE_DEFAULTS = {
  /** Bytes of one event; a larger event is `EVENT_TOO_LARGE`. */
  eventBytesMax: 1_048_576,
  /** Bytes of one frame: room for the largest event, or for a batch of small ones. */
  frameBytesMax: 4_194_304,
  /** Events in one append, which bounds the work of one turn of the event loop to some milliseconds. */
  batchEventsMax: 10_000,
  /** Levels of lists and maps within one frame. */
  frameDepthMax: 64,
  /** MessagePack values in one frame: 5 MB of empty maps would stall the decoder for a second. */
  frameTokensMax: 500_000,
  /** The most bytes of append credit of one connection. */
  connectionCreditBytes: 8_388_608,
} as const;
