/**
 * The frames of wire protocol v1, as values. How they become bytes is the codec's concern; docs/protocol.md is the
 * normative text. Positions on the wire are `{epoch, offset}`; a sequence is a list of three integers.
 */
import type { Event, Verdict } from "../event.ts";
import type { Sequence, Sequences } from "../sequence.ts";
import type { TraceStart } from "../traceparent.ts";

/** The two encodings of the same frames. */
export const SUBPROTOCOL_MSGPACK = "headrace.v1.msgpack";
export const SUBPROTOCOL_JSON = "headrace.v1.json";
/** The newest minor version of protocol v1 that both ends here speak. */
export const PROTOCOL_MINOR = 3;
/** From this minor version on a node answers a subscriber's `credit` of 0; before, it made the network say whether it still works. */
export const CREDIT_ANSWERED_SINCE_MINOR = 1;
/** From this minor version on a client is told of a planned move before it happens (`moving`). */
export const MOVING_SINCE_MINOR = 2;

export type Subprotocol = typeof SUBPROTOCOL_MSGPACK | typeof SUBPROTOCOL_JSON;

export interface WirePosition {
  readonly epoch: number;
  readonly offset: number;
}

/**
 * The events of one frame: the bytes of a MessagePack array of maps (or of msgpackr records with their definitions
 * inline), which decode by themselves (E11); in the JSON subprotocol, the plain array.
 */
export type EncodedEvents = Uint8Array;

// Client to node ------------------------------------------------------------------------------------------------------

/** First frame of every connection. Without `producerId` the connection may only subscribe. */
export interface HelloFrame {
  readonly type: "hello";
  readonly client: string;
  readonly minor?: number;
  readonly token?: string;
  readonly producerId?: string;
  /** Made once per send buffer: another instance of the same producer is another sender (E1). */
  readonly instance?: string;
  /** The last producer epoch that this instance was given, if it ever was. */
  readonly producerEpoch?: number;
  /**
   * This client stays on this connection: what it sends to, and reads of, partitions of other nodes is passed on by the
   * node. Since minor version 1.
   */
  readonly forward?: boolean;
}

/** Raises the producer epoch in one partition's log and asks what it holds of this producer (E1). */
export interface OpenFrame {
  readonly type: "open";
  readonly stream: string;
  readonly partition: number;
  readonly producerEpoch: number;
}

export interface AppendFrame {
  readonly type: "append";
  readonly stream: string;
  readonly partition: number;
  readonly producerEpoch: number;
  /** The sequence of the last event that this producer sent to this partition before this batch; null for none. */
  readonly previousSequence: Sequence | null;
  readonly sequences: Sequences;
  /** The version of the stream's schema that the events follow; the newest where absent. */
  readonly schemaVersion?: number;
  readonly events: EncodedEvents;
  /** W3C trace context of the batch. */
  readonly traceparent?: string;
  /** The producer's own resume point after this batch: kept with the chain and given back by `opened`. */
  readonly position?: Event;
}

/** Declares sequences that were acknowledged once, lost with a log's tail, and can not be sent again (E6). */
export interface LostFrame {
  readonly type: "lost";
  readonly stream: string;
  readonly partition: number;
  readonly producerEpoch: number;
  readonly from: Sequence | null;
  readonly to: Sequence;
}

/**
 * Where a subscription begins: `earliest` record kept, `latest` (only what is new), after a position last handled,
 * at an offset (inclusive), or at a time of append in milliseconds since 1970.
 */
export type SubscribeFrom =
  | "earliest"
  | "latest"
  | WirePosition
  | { readonly offset: number }
  | { readonly timeMs: number };

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

export interface WireLimits {
  readonly frameBytesMax: number;
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  /** A batch older than this is never resent: it is reported in doubt (E5). */
  readonly dedupeWindowMs: number;
}

export interface StreamDescription {
  readonly partitions: number;
  /** JSON Pointer to the field whose value routes an event to its partition; absent: round robin by batch. */
  readonly key?: string;
  /** Versions of the stream's JSON Schema that may be used, ascending. */
  readonly schemaVersions: readonly number[];
  /** Address of each partition's owner, where it is another node. */
  readonly owners?: Readonly<Record<string, string>>;
}

export interface WelcomeFrame {
  readonly type: "welcome";
  readonly node: string;
  readonly minor: number;
  readonly producerEpoch?: number;
  readonly streams: Readonly<Record<string, StreamDescription>>;
  readonly limits: WireLimits;
  /** Bytes of `append` frames (as sent, before any ack) that may be under way on this connection. */
  readonly creditBytes: number;
}

export interface OpenedFrame {
  readonly type: "opened";
  readonly stream: string;
  readonly partition: number;
  readonly lastSequence: Sequence | null;
  readonly position?: Event;
}

/** Everything up to `lastSequence` is durable at the stream's tier, but for the events that a verdict names. */
export interface AckFrame {
  readonly type: "ack";
  readonly stream: string;
  readonly partition: number;
  readonly lastSequence: Sequence;
  /** Rejected events of the acknowledged batches, each by its own sequence. */
  readonly verdicts?: readonly WireVerdict[];
  /** Append credit that the acknowledged batches give back. */
  readonly creditBytes: number;
}

export interface WireVerdict extends Omit<Verdict, "index"> {
  readonly sequence: Sequence;
}

/** The batch does not follow what is stored. The client resends from after `storedSequence`, or declares the rest lost. */
export interface GapFrame {
  readonly type: "gap";
  readonly stream: string;
  readonly partition: number;
  readonly storedSequence: Sequence | null;
  readonly creditBytes: number;
}

/** The subscriber's records after `divergence` no longer exist: reading goes on there (E9). */
export interface TruncatedFrame {
  readonly type: "truncated";
  readonly subscription: number;
  readonly stream: string;
  readonly partition: number;
  readonly divergence: number;
}

/** Retention removed records that the subscriber had not read: reading goes on at `firstOffset`. */
export interface TrimmedFrame {
  readonly type: "trimmed";
  readonly subscription: number;
  readonly stream: string;
  readonly partition: number;
  readonly firstOffset: number;
}

/** The partition has another owner now; `address` is where, if the node knows. */
export interface MovedFrame {
  readonly type: "moved";
  readonly stream: string;
  readonly partition: number;
  readonly address?: string;
}

/**
 * The partition is about to be handed over to the node at `address`, and is served here until `moved` says otherwise: a
 * client that connects there now does not wait for that later. Since minor version 2.
 */
export interface MovingFrame {
  readonly type: "moving";
  readonly stream: string;
  readonly partition: number;
  readonly address: string;
}

export interface WireBatch {
  readonly epoch: number;
  readonly firstOffset: number;
  /** Records in the batch, the rejected ones not counted. */
  readonly count: number;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId?: string;
  readonly traceparent?: string;
  /** Where the trace contexts of its events differ; then there is no `traceparent`. */
  readonly traces?: readonly TraceStart[];
  /** Bit i (of byte i >> 3, lowest bit first) is set where event i of `events` was rejected and is to be skipped. */
  readonly rejected?: Uint8Array;
  readonly events: EncodedEvents;
}

export interface RecordsFrame {
  readonly type: "records";
  readonly subscription: number;
  readonly stream: string;
  readonly partition: number;
  /** Some records of the first batch may lie before the position asked for: the client skips them by offset. */
  readonly batches: readonly WireBatch[];
  /** One past the newest committed offset when this was sent: lag = endOffset - last offset - 1. */
  readonly endOffset: number;
}

/** What failed. With `stream` and `partition` it speaks of that partition alone; otherwise of the connection. */
export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly stream?: string;
  readonly partition?: number;
  readonly subscription?: number;
  /** Append credit that the refused batch gives back. */
  readonly creditBytes?: number;
}

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

export type Frame = ClientFrame | NodeFrame;

/** Limits that both sides know before any is negotiated. At each the sender is refused or slowed, nothing is dropped. */
export const WIRE_DEFAULTS = {
  /** One event; more is `EVENT_TOO_LARGE`. */
  eventBytesMax: 1_048_576,
  /** One frame: a full event, and room for a batch of small ones. */
  frameBytesMax: 4_194_304,
  /** Events in one append: bounds the work of one turn of the event loop to some milliseconds. */
  batchEventsMax: 10_000,
  /** Nesting within one frame. */
  frameDepthMax: 64,
  /** MessagePack values in one frame: 5 MB of empty maps would stall the decoder for a second. */
  frameTokensMax: 500_000,
  /** Append credit of one connection. */
  connectionCreditBytes: 8_388_608,
} as const;
