/** What a session sees of the node it is on: streams, their partitions, validation, producers. */

import type { Sequences } from "../../protocols/sequence.ts";
import type { ClientFrame, NodeFrame, StreamDescription, WireLimits } from "../../protocols/wire/frames.ts";
import type { ActorReference } from "../kernel/actor.ts";
import type { ProducerOwner, Rejects, WelcomeOutcome } from "../log/log.ts";
import type { PartitionRequest } from "../partition/partition.ts";
import type { PartitionFeed, PartitionView } from "../partition/partition_feed.ts";

/** One partition as the node knows it: whom to ask, and its feed while this node owns it. */
export interface PartitionEntry {
  /** Its owner, here or on another node; undefined while none is known. */
  readonly reference: ActorReference<PartitionRequest> | undefined;
  /** Where clients reach its owner, if that is another node. */
  readonly ownerAddress: string | undefined;
  /** Where clients will reach it, while it is still served here and about to be handed over. */
  readonly nextAddress: string | undefined;
  readonly feed: PartitionFeed | undefined;
  /** What can be read of it here, wherever it is owned; undefined while no owner is known. */
  readonly view: PartitionView | undefined;
  /** Calls `listener` after each change of the owner or the feed. */
  onChange(listener: () => void): { stop(): void };
}

export interface StreamDirectory {
  describe(): Readonly<Record<string, StreamDescription>>;
  /** With the addresses of the owners on other nodes. */
  describeWithOwners(): Readonly<Record<string, StreamDescription>>;
  partition(stream: string, partition: number): PartitionEntry | undefined;
}

/** What was found in a batch's events: how many there are, what they are validated against, which are set aside (E4). */
export interface Inspection {
  readonly schemaVersion: number;
  readonly rejects?: Rejects;
  /** Some of the events are records with inline definitions: their bytes can not stand beside others in one array. */
  readonly hasDefinitions: boolean;
}

/**
 * Holds a batch's events against its stream: framing, size and schema of each. Pure. Throws `RejectedError` where the
 * batch as a whole can not be taken (broken framing, a count that is not the sequences', an unknown schema version).
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
  /** Whether there is a rate to be counted against: where there is none, no append is metered. */
  readonly hasRates: boolean;
  /** Takes off what was appended, and answers for how many ms nothing more should be read of the principal. */
  take(events: number, sizeBytes: number): number;
  /** Throws `OverloadedError` `QUOTA_EXCEEDED` while more was taken than the principal may append. */
  admit(): void;
  /** Producers' names that the principal may have in the store at one time. */
  readonly producersMax?: number | undefined;
}

/** What a connection may do, decided once from its token. */
export interface Permissions {
  readonly subject: string;
  /** Whom the producers of this connection belong to (E27); absent where nobody is asked who it is. */
  readonly owner?: string;
  /** Whom the places of its producers in partitions are counted for; absent where that is `owner`, or nobody. */
  readonly placesOf?: string;
  /** Absent for a principal without one. */
  readonly quota?: AppendQuota;
  mayProduce(stream: string): boolean;
  mayConsume(stream: string): boolean;
  /** May know that the stream is there, and how it stands. */
  mayObserve(stream: string): boolean;
}

export interface SessionEnvironment {
  readonly node: string;
  /** Clients within the node know no other: what is for partitions of other nodes is passed on. */
  readonly passesOn?: boolean;
  readonly limits: WireLimits;
  readonly directory: StreamDirectory;
  readonly inspect: Inspect;
  /** Turns the token of a `hello` into permissions, or undefined where there is none that counts. */
  authenticate(token: string | undefined): Promise<Permissions | undefined>;
  welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner: ProducerOwner | undefined,
  ): Promise<WelcomeOutcome>;
  /** Counts something that a client is not told of. */
  count?(what: "traceparent_dropped"): void;
}

/** A frame as it came, and its size on the wire. */
export interface EncodedFrame {
  readonly data: Uint8Array | string;
  readonly wireBytes: number;
}

/** The other side of a session. */
export interface SessionPeer {
  /** Sends a frame and answers its size on the wire. `onLeft` is called once it has left this process, or never can. */
  send(frame: NodeFrame, onLeft?: () => void): number;
  close(code: number, reason: string): void;
  /** Ends the connection without a word: what was not sent is dropped. A peer without it is closed. */
  abandon?(): void;
  /** Takes `cost` off the connection's allowance for frames that no credit bounds: see the session's costs. */
  charge?(cost: number): void;
  /** Reads nothing of the client for so long. */
  hold?(forMs: number): void;
}

/** What comes in: what arrived at once, to decode; a frame; or the end of the connection. */
export type SessionInput =
  | { readonly type: "data"; readonly frames: readonly EncodedFrame[] }
  | { readonly type: "frame"; readonly frame: ClientFrame; readonly wireBytes: number }
  /** What the connection was allowed has ended: its token expired, or was taken away. */
  | { readonly type: "grant_ended" }
  | { readonly type: "stopping" }
  | { readonly type: "disconnected" };
