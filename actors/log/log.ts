/**
 * The durable log of partitions: the contract of `memory_log`, `lmdb_log` and `redis_log`, which one conformance suite
 * tests. Exactly once is decided where the bytes are written: the owner's fence, the producer's chain, the rejects and the
 * position are one atomic call.
 *
 *   L1. Only `claim` makes an epoch: `max(stored + 1, atLeast, the store's clock in ms)`, durable before the answer (E7).
 *   L2. Every write names its ownership. One of a lower epoch, or of another store, is refused and changes nothing (E8).
 *   L3. The atomic call that writes a batch also judges it against its producer's chain (E2), and writes its rejects and
 *       the chain's step (E4).
 *   L4. `append` resolves once the batches are durable at the stream's tier. A read returns nothing past the committed
 *       offset that it names (E10).
 *   L5. Stored bytes stand alone and carry a format version (E11).
 *   L6. A read with a cursor of another history answers `truncated`, one with a cursor below retention `trimmed` (E9).
 *   L7. A call that rejects with anything but `FencedError` has an unknown outcome, so the owner claims again (E8).
 */
import type { Event, Verdict } from "../../protocols/event.ts";
import type { Epoch, EpochStart, Offset, PartitionReference, Position } from "../../protocols/position.ts";
import type { Sequence, Sequences } from "../../protocols/sequence.ts";
import type { TraceStart } from "../../protocols/traceparent.ts";

/** What an acknowledgement survives: docs/guarantees.md. A claim with a tier that the store cannot keep is refused. */
export type DurabilityTier = "memory" | "everysec" | "fsync" | { readonly replicas: number };

/**
 * A sequence of record batches within a partition. One atomic call can write several: accepted `records`, the events
 * `rejected` at validation, outputs that a pipeline computed once (E13), changes of its keyed state (E29), and dead
 * letters of a sink (E16).
 */
export type Channel = "records" | "rejected" | `outbox/${string}` | `state/${string}` | `dead_letters/${string}`;

/** The coordinator's leave to claim. A grant lower than the last accepted one is refused as `STALE_GRANT`. */
export interface Grant {
  readonly leaderEpoch: number;
  readonly tableVersion: number;
}

/** Proof of a claim, shown with every write. `store` names one life of the store, such as a run of Redis. */
export interface Ownership {
  readonly partition: PartitionReference;
  readonly epoch: Epoch;
  readonly store: string;
}

/** The ends, the size and the epoch table of one channel. The table's first entry begins at or before `firstOffset`. */
export interface ChannelBounds {
  readonly epochs: readonly EpochStart[];
  /** Offset of the oldest record that retention has kept; equals `endOffset` where the channel is empty. */
  readonly firstOffset: Offset;
  /** One past the newest offset. */
  readonly endOffset: Offset;
  /** Stored bytes of the batches kept, headers included; an estimate good to a few percent. */
  readonly sizeBytes: number;
}

export interface Claim {
  readonly ownership: Ownership;
  /** Bounds of every channel that exists, always with `records`. All records within them are committed. */
  readonly channels: ReadonlyMap<Channel, ChannelBounds>;
  readonly checkpoints: ReadonlyMap<string, Uint8Array>;
}

/** The events of a batch that are set aside, in the same call that writes the others (E4). */
export interface Rejects {
  /** One verdict for each rejected event, ascending by index. */
  readonly verdicts: readonly Verdict[];
  /** MessagePack array of `DeadLetter`, one for each verdict. Decodes by itself. */
  readonly events: Uint8Array;
}

export interface AppendBatch {
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly previousSequence: Sequence | undefined;
  readonly sequences: Sequences;
  readonly schemaVersion: number;
  /** Bytes of a MessagePack array that decodes by itself and holds every event, the rejected ones included. */
  readonly events: Uint8Array;
  readonly rejects?: Rejects;
  readonly traceparent?: string;
  /** In place of `traceparent`, where joined frames have different trace contexts. */
  readonly traces?: readonly TraceStart[];
  /** The producer's resume point, which the chain keeps. */
  readonly position?: Event;
  /** When the owner accepted the batch, by the owner's clock, in ms since 1970. */
  readonly appendedAtMs: number;
  /** The principal whose place a new chain takes; absent where the node asks no client for a token. */
  readonly owner?: string;
}

export type AppendOutcome =
  /** The batch was written: `count` records from `firstOffset` on; 0 where every event was rejected. */
  | { readonly kind: "written"; readonly firstOffset: Offset; readonly count: number }
  /** The batch was stored before, up to sequence `stored`, with these verdicts. */
  | { readonly kind: "duplicate"; readonly stored: Sequence; readonly verdicts: readonly StoredVerdict[] }
  /** The batch does not follow sequence `stored`, the chain's last one. */
  | { readonly kind: "gap"; readonly stored: Sequence | undefined }
  /** The channel has no chain of this producer, and the batch names a previous sequence: `openChain` first (E5). */
  | { readonly kind: "unknown_producer" }
  | { readonly kind: "stale_producer_epoch"; readonly current: number }
  | TooManyProducers;

/** The partition has no place for another live chain. Try again after a chain has expired (E5). */
export interface TooManyProducers {
  readonly kind: "too_many_producers";
  readonly live: number;
  /** Given where places are free, but the producer's principal holds its share of them (chain places C2). */
  readonly share?: { readonly held: number; readonly free: number };
}

/** The stored verdict of a rejected event, by the event's sequence. */
export interface StoredVerdict extends Omit<Verdict, "index"> {
  readonly sequence: Sequence;
}

export interface AppendRequest {
  readonly channel: Channel;
  readonly batches: readonly AppendBatch[];
  /** Checkpoints of the same atomic call, written if every batch was written or a duplicate. `undefined` removes one. */
  readonly checkpoints?: ReadonlyMap<string, Uint8Array | undefined>;
  /**
   * Batches of other channels, in the same atomic call and under the rule of `checkpoints` (E29). No chain judges them:
   * the call's own batches, or the fence alone where there are none, decide for all. At most 16; without rejects; to no
   * channel that chains judge: neither `records`, `rejected` nor the call's own. A repeated call attaches them again.
   */
  readonly attached?: readonly AttachedBatch[];
}

export interface AttachedBatch {
  readonly channel: Channel;
  readonly batch: AppendBatch;
}

export interface AppendResult {
  /** One outcome for each batch, in order. */
  readonly outcomes: readonly AppendOutcome[];
  /** One past the newest offset of the channel after the call: the committed end (L4). */
  readonly endOffset: Offset;
  /** The same for the channel of each attached batch, in order; absent where none was attached. */
  readonly attachedEnds?: readonly Offset[];
}

/** A stored batch, with its place in its channel. Its sequences and events include the rejected ones. */
export interface RecordBatch
  extends Pick<
    AppendBatch,
    "appendedAtMs" | "schemaVersion" | "producerId" | "sequences" | "traceparent" | "traces" | "events"
  > {
  readonly epoch: Epoch;
  readonly firstOffset: Offset;
  /** Records in the batch, rejected events not counted: offsets are `firstOffset` to `firstOffset + count - 1`. */
  readonly count: number;
  /** Bit i (byte i >> 3, lowest bit first) is set where event i is rejected; absent when none is. */
  readonly rejected?: Uint8Array;
}

export interface ReadRequest {
  readonly channel: Channel;
  /** Position of the last record that the reader has handled; `undefined` to read from the beginning. */
  readonly after: Position | undefined;
  /** One past the last offset that the reader may see (E10). */
  readonly committedOffset: Offset;
  /** The first batch is returned however large it is; further ones up to this, with 1 KiB a batch for its decoding. */
  readonly bytesMax: number;
  /** The reader uses a part of a large batch and reads again for the next part, so the log keeps it (large_batches.ts). */
  readonly inParts?: boolean;
}

export type ReadResult =
  /** Batches in offset order; the reader skips records of the first one up to `after`. Empty at the committed end. */
  | { readonly kind: "records"; readonly batches: readonly RecordBatch[] }
  | { readonly kind: "trimmed"; readonly firstOffset: Offset }
  /** The histories are equal before `divergence`; `resume` is the position of the record before it. */
  | { readonly kind: "truncated"; readonly divergence: Offset; readonly resume: Position | undefined };

export type OpenChainOutcome =
  /** The chain's last stored sequence and resume point; both absent for a new chain. */
  | { readonly kind: "opened"; readonly lastSequence: Sequence | undefined; readonly position?: Event }
  | { readonly kind: "stale_producer_epoch"; readonly current: number }
  | TooManyProducers;

export type WelcomeOutcome =
  | { readonly kind: "welcomed"; readonly producerEpoch: number }
  /** Another instance was welcomed after this one had got its epoch (E1). */
  | { readonly kind: "fenced"; readonly current: number }
  /** The producer shows an epoch above `max`, which no node can have given it (E26). */
  | { readonly kind: "unknown_epoch"; readonly max: number }
  /** The producer's name belongs to another principal (E27). */
  | { readonly kind: "owned" }
  /** The producer's principal has `max` names, and may have no more. */
  | { readonly kind: "crowded"; readonly max: number };

/** The principal that a producer's name is to belong to (E27). */
export interface ProducerOwner {
  readonly subject: string;
  /** Names that the principal may have in the store at one time; absent where there is no bound. */
  readonly producersMax?: number;
}

/** How long a partition remembers an idle chain, and how many live chains it has at most (E5). */
export interface ChainLimits {
  readonly dedupeWindowMs: number;
  readonly producersMax: number;
}

/** The default: chains are remembered for 24 hours, at most 10,000 in a partition. */
export const CHAIN_LIMITS: ChainLimits = { dedupeWindowMs: 86_400_000, producersMax: 10_000 };

/** Producers of one HTTP request with an `Idempotency-Key` (E5): logs forget their chains and epochs after `windowMs`. */
export const SHORT_LIVED_PRODUCERS = { prefix: "http/", windowMs: 3_600_000 } as const;

/** How long a chain without any sequence keeps its place: a client that only opens chains takes no places for long (E5). */
export const EMPTY_CHAIN_KEPT_MS = 60_000;

export interface PartitionSettings {
  readonly tier: DurabilityTier;
  readonly chains: ChainLimits;
}

export type StoreState =
  | { readonly kind: "ready" }
  /** The store cannot be used now. The log keeps trying, and tells `ready` when the store is back. */
  | { readonly kind: "unavailable"; readonly code: string; readonly reason: string };

/**
 * Methods reject with `UnavailableError` where the store is away, with `FencedError` where the ownership is not the newest,
 * and with `ConfigurationError` where the store cannot be used as configured.
 */
export interface Log {
  readonly kind: "memory" | "lmdb" | "redis";
  /** An id that no other log has (E22). It is made with the log, and kept as long as the log's data. */
  readonly clusterId: string;

  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;

  /** Takes the partition over, and creates it where it is new. `atLeast` lies above any epoch that the node's sinks hold. */
  claim(partition: PartitionReference, grant: Grant, atLeast: Epoch, settings: PartitionSettings): Promise<Claim>;

  /** Raises the producer's epoch in its chain of one channel, and answers what the chain holds (E1). `owner` takes its place. */
  openChain(
    ownership: Ownership,
    channel: Channel,
    producerId: string,
    producerEpoch: number,
    nowMs: number,
    owner?: string,
  ): Promise<OpenChainOutcome>;

  /** Judges and writes the batches in order. Each has its own outcome, and a refused batch does not fail the call (L3). */
  append(ownership: Ownership, request: AppendRequest): Promise<AppendResult>;

  /** Moves a chain forward over sequences that no client can send any more, and records that as a dead letter (E6). */
  declareLost(
    ownership: Ownership,
    producerId: string,
    producerEpoch: number,
    from: Sequence | undefined,
    to: Sequence,
    nowMs: number,
    owner?: string,
  ): Promise<AppendOutcome>;

  read(partition: PartitionReference, request: ReadRequest): Promise<ReadResult>;

  /** The cursor behind which the first record was appended at or after `timeMs`, in ms since 1970. */
  seek(partition: PartitionReference, channel: Channel, timeMs: number): Promise<Position | undefined>;

  /** Bounds of every channel, for readers that do not own the partition. Undefined for a partition that was never claimed. */
  describe(partition: PartitionReference): Promise<ReadonlyMap<Channel, ChannelBounds> | undefined>;

  /** Removes whole entries that end before `beforeOffset`. Answers the bounds that are left. */
  trim(ownership: Ownership, channel: Channel, beforeOffset: Offset): Promise<ChannelBounds>;

  /** Forgets chains that were idle for longer than the dedupe window. Answers how many live chains are left. */
  expireChains(ownership: Ownership, nowMs: number): Promise<number>;

  /** Writes named checkpoints under the owner's fence; the embedded log flushes them in every tier (E12). `undefined` removes. */
  checkpoint(ownership: Ownership, values: ReadonlyMap<string, Uint8Array | undefined>): Promise<void>;
  readCheckpoints(partition: PartitionReference): Promise<ReadonlyMap<string, Uint8Array>>;

  /**
   * Makes a producer's epoch for an instance, or answers why it gets none (E1, E26). The name belongs to the first `owner`
   * that is welcomed under it, for as long as the name is remembered (E27).
   */
  welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner?: ProducerOwner,
  ): Promise<WelcomeOutcome>;

  /** Reads a small value of the whole store, such as a schema, the position of a source, or the cluster's id. */
  readMetadata(key: string): Promise<Metadata | undefined>;
  listMetadata(prefix: string): Promise<ReadonlyMap<string, Metadata>>;
  /** Writes where the stored version equals `expectedVersion` (0: no value). Answers the new version, else undefined. */
  writeMetadata(key: string, value: Uint8Array, expectedVersion: number): Promise<number | undefined>;

  /** Asks the store for a sign of life and its identity, so that the owner of an idle partition notices a loss (E12). */
  probe(): Promise<void>;

  close(): Promise<void>;
}

/** A small value of the whole store. `version` counts its writes, from 1. */
export interface Metadata {
  readonly value: Uint8Array;
  readonly version: number;
}

/** Whether event `index` of a batch was rejected. */
export const isRejected = (rejected: Uint8Array | undefined, index: number): boolean =>
  rejected !== undefined && ((rejected[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
