/** The contract of the sessions: what a session needs of its node, and of its peer. */
import type { Sequences } from "../../protocols/sequence.ts";
import type { ClientFrame, NodeFrame, StreamDescription, WireLimits } from "../../protocols/wire/frames.ts";
import type { ActorReference } from "../kernel/actor.ts";
import type { ProducerOwner, Rejects, WelcomeOutcome } from "../log/log.ts";
import type { PartitionRequest } from "../partition/partition.ts";
import type { PartitionFeed, PartitionView } from "../partition/partition_feed.ts";

/** One partition as the node knows it: its owner, and its feed while this node owns it. */
export interface PartitionEntry {
  /** The owner, on this node or another; undefined while none is known. */
  readonly reference: ActorReference<PartitionRequest> | undefined;
  /** Address of the owner for clients, where it is another node. */
  readonly ownerAddress: string | undefined;
  /** Address of the next owner for clients, while this node still serves the partition and is about to hand it over. */
  readonly nextAddress: string | undefined;
  readonly feed: PartitionFeed | undefined;
  /** The records as they can be read on this node, whichever node owns them; undefined while no owner is known. */
  readonly view: PartitionView | undefined;
  /** Calls `listener` after each change of the owner or the feed. */
  onChange(listener: () => void): { stop(): void };
}

export interface StreamDirectory {
  describe(): Readonly<Record<string, StreamDescription>>;
  /** As `describe`, with the addresses of owners on other nodes. */
  describeWithOwners(): Readonly<Record<string, StreamDescription>>;
  partition(stream: string, partition: number): PartitionEntry | undefined;
}

/** The result of inspecting a batch: its schema version, and the events that are set aside (E4). */
export interface Inspection {
  readonly schemaVersion: number;
  readonly rejects?: Rejects;
  /** Some events are records with inline definitions: their bytes cannot be joined with other events to one array. */
  readonly hasDefinitions: boolean;
}

/**
 * Checks the events of a batch for its stream: framing, size and schema of each. Pure. Throws `RejectedError` where the
 * whole batch is refused: for broken framing, another count than that of the sequences, or an unknown schema version.
 */
export type Inspect = (
  stream: string,
  events: Uint8Array,
  sequences: Sequences,
  producerId: string,
  schemaVersion: number | undefined,
) => Inspection;

/** How much a principal may append to this node. */
export interface AppendQuota {
  /** Whether the principal has a rate. Without one no append is metered. */
  readonly hasRates: boolean;
  /** Counts an append. Answers the ms for which nothing more should be read of the principal. */
  take(events: number, sizeBytes: number): number;
  /** Throws `OverloadedError` `QUOTA_EXCEEDED` while the principal has appended more than it may. */
  admit(): void;
  /** The most producer names that the principal may have in the store at one time. */
  readonly producersMax?: number | undefined;
}

/** The permissions of a connection, decided once from its token. */
export interface Permissions {
  readonly subject: string;
  /** The principal that owns the producers of this connection (E27); absent on a node without authentication. */
  readonly owner?: string;
  /** The principal that the producers' places in partitions are counted for; absent where that is `owner`, or none. */
  readonly placesOf?: string;
  readonly quota?: AppendQuota;
  mayProduce(stream: string): boolean;
  mayConsume(stream: string): boolean;
  /** Whether the token may know that the stream exists, and see its state. */
  mayObserve(stream: string): boolean;
}

export interface SessionEnvironment {
  readonly node: string;
  /** True for clients within the node: their frames for partitions of other nodes are passed on. */
  readonly passesOn?: boolean;
  readonly limits: WireLimits;
  readonly directory: StreamDirectory;
  readonly inspect: Inspect;
  /** Turns the token of a `hello` into permissions; undefined where the token is refused, or missing but needed. */
  authenticate(token: string | undefined): Promise<Permissions | undefined>;
  welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner: ProducerOwner | undefined,
  ): Promise<WelcomeOutcome>;
  /** Counts an event of which the client is not told. */
  count?(what: "traceparent_dropped"): void;
}

/** A frame as it arrived, and its size on the wire in bytes. */
export interface EncodedFrame {
  readonly data: Uint8Array | string;
  readonly wireBytes: number;
}

export interface SessionPeer {
  /** True where the peer sends records as JSON text. */
  readonly sendsJson?: boolean;
  /**
   * Sends a frame; answers its bytes on the wire. Calls `onLeft` once it has left this process, or never can.
   *
   * @param texts the batches of a `records` frame as JSON text, for a peer that sends JSON. Other
   *   peers get the same bytes, which are only to be read.
   */
  send(frame: NodeFrame, onLeft?: () => void, texts?: readonly Uint8Array[]): number;
  close(code: number, reason: string): void;
  /** Ends the connection at once and drops frames that were not sent. Absent: the session calls `close`. */
  abandon?(): void;
  /** Takes `cost` off the connection's allowance for frames that no credit bounds (session N7). */
  charge?(cost: number): void;
  /** Reads nothing of the client for `forMs`. */
  hold?(forMs: number): void;
}

/** The messages of a session from outside: frames that arrived together, a decoded frame, or an end. */
export type SessionInput =
  | { readonly type: "data"; readonly frames: readonly EncodedFrame[] }
  | { readonly type: "frame"; readonly frame: ClientFrame; readonly wireBytes: number }
  /** The connection's token has expired, or was taken away. */
  | { readonly type: "grant_ended" }
  | { readonly type: "stopping" }
  | { readonly type: "disconnected" };
