/**
 * The durable log of partitions: the contract that `memory_log`, `lmdb_log` and `redis_log` keep, and that one
 * conformance suite holds them to. Everything that makes Headrace exact is decided where the bytes are written: the
 * owner's fence, the producer's chain, the rejects and the position are one atomic call.
 *
 *   L1. Only `claim` makes an epoch: `max(stored + 1, atLeast, the store's clock in ms)`, durable before it is answered (E7).
 *   L2. Every write names its ownership; one of a lower epoch, or made on another store, is refused and changes nothing (E8).
 *   L3. A batch is judged against its producer's chain in the same atomic call that writes it (E2), and its rejects and
 *       the chain's step are written with it (E4).
 *   L4. `append` resolves once the batches are durable at the stream's tier; nothing read by anybody lies past the
 *       committed offset that the owner derives from it (E10).
 *   L5. Stored bytes stand alone and carry a format version (E11).
 *   L6. A cursor of another history is told `truncated`, one below retention `trimmed` (E9).
 *   L7. A call that rejects with anything but `FencedError` has an unknown outcome: the owner claims again (E8).
 */
import type { Event, Verdict } from "../../protocols/event.ts";
import type { Epoch, EpochStart, Offset, PartitionReference, Position } from "../../protocols/position.ts";
import type { Sequence, Sequences } from "../../protocols/sequence.ts";
import type { TraceStart } from "../../protocols/traceparent.ts";

/** What survives what: see docs/guarantees.md. The log refuses a tier that its store can not keep. */
export type DurabilityTier = "memory" | "everysec" | "fsync" | { readonly replicas: number };

/**
 * The sequences of record batches that one partition holds side by side, in one atomic domain: accepted `records`;
 * those `rejected` at validation; what a pipeline computed once (E13); what a sink set aside (E16).
 */
export type Channel = "records" | "rejected" | `outbox/${string}` | `dead_letters/${string}`;

/** The coordinator's permission to claim; a lower one than the last accepted is refused as `STALE_GRANT`. */
export interface Grant {
  readonly leaderEpoch: number;
  readonly tableVersion: number;
}

/** Proof of a claim, shown with every write. `store` tells one life of the store from the next (Redis run id). */
export interface Ownership {
  readonly partition: PartitionReference;
  readonly epoch: Epoch;
  readonly store: string;
}

/** Where one channel of a partition stands. `epochs` begins at or before `firstOffset`. */
export interface ChannelBounds {
  readonly epochs: readonly EpochStart[];
  /** Oldest offset that retention has left; equals `endOffset` when the channel is empty. */
  readonly firstOffset: Offset;
  /** One past the newest offset. */
  readonly endOffset: Offset;
  /** Stored bytes of the batches kept, headers included; an estimate good to a few percent. */
  readonly sizeBytes: number;
}

export interface Claim {
  readonly ownership: Ownership;
  /** Bounds of every channel that exists, `records` always among them; all of it is committed. */
  readonly channels: ReadonlyMap<Channel, ChannelBounds>;
  readonly checkpoints: ReadonlyMap<string, Uint8Array>;
}

/** What is set aside of a batch, in the same call that writes the rest of it (E4). */
export interface Rejects {
  /** One verdict for each rejected event, ascending by index. */
  readonly verdicts: readonly Verdict[];
  /** MessagePack array of dead letters, one for each verdict, as `dead_letter.ts` defines them; decodes by itself. */
  readonly events: Uint8Array;
}

/** One batch of one producer, for one channel. */
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
  /** Of frames that were joined, each with its own trace context; then there is no `traceparent`. */
  readonly traces?: readonly TraceStart[];
  /** The producer's resume point, kept with the chain. */
  readonly position?: Event;
  /** When the owner took the batch in, by its clock, in ms since 1970. */
  readonly appendedAtMs: number;
  /** The principal that a chain takes its place for, where the batch makes one; absent where nobody is asked who it is. */
  readonly owner?: string;
}

export type AppendOutcome =
  /** Written at `firstOffset`, `count` records (0 where every event was rejected). */
  | { readonly kind: "written"; readonly firstOffset: Offset; readonly count: number }
  /** Stored before; the verdicts that were stored with it, by sequence. */
  | { readonly kind: "duplicate"; readonly stored: Sequence; readonly verdicts: readonly StoredVerdict[] }
  | { readonly kind: "gap"; readonly stored: Sequence | undefined }
  /** No such chain in this channel, and the batch claims to follow something: `openChain` first (E5). */
  | { readonly kind: "unknown_producer" }
  | { readonly kind: "stale_producer_epoch"; readonly current: number }
  | TooManyProducers;

/** No place for another live chain in the partition: try again when one has expired (E5). */
export interface TooManyProducers {
  readonly kind: "too_many_producers";
  readonly live: number;
  /** Where places are free, but the producer's principal holds its share of them (chain_places.ts, C2). */
  readonly share?: { readonly held: number; readonly free: number };
}

export interface StoredVerdict extends Omit<Verdict, "index"> {
  readonly sequence: Sequence;
}

export interface AppendRequest {
  readonly channel: Channel;
  readonly batches: readonly AppendBatch[];
  /** Written in the same atomic call, if every batch was written or a duplicate; `undefined` removes. */
  readonly checkpoints?: ReadonlyMap<string, Uint8Array | undefined>;
}

export interface AppendResult {
  /** One outcome for each batch, in order. */
  readonly outcomes: readonly AppendOutcome[];
  /** One past the newest offset of the channel after the call: the committed end (L4). */
  readonly endOffset: Offset;
}

/** A batch as stored: what was appended, and where it came to lie. */
export interface RecordBatch {
  readonly epoch: Epoch;
  readonly firstOffset: Offset;
  /** Records in the batch, rejected events not counted: offsets are `firstOffset` to `firstOffset + count - 1`. */
  readonly count: number;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId: string;
  /** Of all the batch's events, the rejected ones included. */
  readonly sequences: Sequences;
  readonly traceparent?: string;
  /** Where the trace contexts of its events differ; then there is no `traceparent`. */
  readonly traces?: readonly TraceStart[];
  /** Bit i (byte i >> 3, lowest bit first) is set where event i is rejected; absent when none is. */
  readonly rejected?: Uint8Array;
  readonly events: Uint8Array;
}

export interface ReadRequest {
  readonly channel: Channel;
  /** Last record handled; `undefined` to read from the beginning. */
  readonly after: Position | undefined;
  /** One past the last offset that may be seen (E10). */
  readonly committedOffset: Offset;
  /** At least one batch is returned where there is one, however large; then no more than this, its decoding counted as bytes. */
  readonly bytesMax: number;
  /** The reader takes of a large batch a part at a time and asks again for the next: the batch is kept for that (large_batches.ts). */
  readonly inParts?: boolean;
}

export type ReadResult =
  /** In offset order; records of the first batch up to `after` are to be skipped. Empty at the committed end. */
  | { readonly kind: "records"; readonly batches: readonly RecordBatch[] }
  | { readonly kind: "trimmed"; readonly firstOffset: Offset }
  /** Everything before `divergence` stands; `resume` is the position of the record before it. */
  | { readonly kind: "truncated"; readonly divergence: Offset; readonly resume: Position | undefined };

export interface OpenedChain {
  readonly lastSequence: Sequence | undefined;
  readonly position?: Event;
}

export type OpenChainOutcome =
  | ({ readonly kind: "opened" } & OpenedChain)
  | { readonly kind: "stale_producer_epoch"; readonly current: number }
  | TooManyProducers;

export type WelcomeOutcome =
  | { readonly kind: "welcomed"; readonly producerEpoch: number }
  /** Another instance was welcomed since this one held its epoch (E1). */
  | { readonly kind: "fenced"; readonly current: number }
  /** The epoch that it shows was given by no node: it lies beyond all that any could have given (E26). */
  | { readonly kind: "unknown_epoch"; readonly max: number }
  /** Its name belongs to another principal (E27). */
  | { readonly kind: "owned" }
  /** Its principal has as many names as it may. */
  | { readonly kind: "crowded"; readonly max: number };

/** The principal that a producer's name is to belong to (E27). */
export interface ProducerOwner {
  readonly subject: string;
  /** Names that it may have in the store at one time; absent where there is no bound. */
  readonly producersMax?: number;
}

/** How large the memory of chains may grow in each partition (E5). */
export interface ChainLimits {
  readonly dedupeWindowMs: number;
  readonly producersMax: number;
}

export const CHAIN_LIMITS: ChainLimits = { dedupeWindowMs: 86_400_000, producersMax: 10_000 };

/**
 * Producers that live for one request with an `Idempotency-Key` (E5): what logs remember of a producer whose name begins
 * so is forgotten after this much shorter time.
 */
export const SHORT_LIVED_PRODUCERS = { prefix: "http/", windowMs: 3_600_000 } as const;

/**
 * How long a chain that holds nothing keeps its place after it was opened: whoever opens chains and sends nothing takes a place
 * of no producer that does (E5).
 */
export const EMPTY_CHAIN_KEPT_MS = 60_000;

/** What a partition asks of its log when it is created or claimed. */
export interface PartitionSettings {
  readonly tier: DurabilityTier;
  readonly chains: ChainLimits;
}

export type StoreState =
  | { readonly kind: "ready" }
  /** Not usable now; the log tries again by itself and says `ready` when it is back. */
  | { readonly kind: "unavailable"; readonly code: string; readonly reason: string };

/**
 * All methods reject with `UnavailableError` when the store is away (retry), `FencedError` when the ownership is not the
 * newest (claim again or stand down) and `ConfigurationError` when the store can not be used as declared.
 */
export interface Log {
  /** Name of the build, for logs and metrics. */
  readonly kind: "memory" | "lmdb" | "redis";
  /** Tells this log from every other (E22): made with it, and kept as long as what it holds. */
  readonly clusterId: string;

  /** What the store's health is now; `onStateChange` is called after each change. */
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;

  /** Takes the partition over, creating it where it is new. `atLeast` lies above any epoch that the node's sinks hold. */
  claim(partition: PartitionReference, grant: Grant, atLeast: Epoch, settings: PartitionSettings): Promise<Claim>;

  /** Raises the producer's epoch in one channel's chains and tells what is stored (E1). The chain's place is `owner`'s then. */
  openChain(
    ownership: Ownership,
    channel: Channel,
    producerId: string,
    producerEpoch: number,
    nowMs: number,
    owner?: string,
  ): Promise<OpenChainOutcome>;

  /** Judges and writes the batches in order; each gets its own outcome, none makes the call fail (L3). */
  append(ownership: Ownership, request: AppendRequest): Promise<AppendResult>;

  /** Moves a chain forward over sequences that nobody can send any more, and records that as a dead letter (E6). */
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

  /** The cursor to read from so that the first record seen was appended at or after `timeMs`. */
  seek(partition: PartitionReference, channel: Channel, timeMs: number): Promise<Position | undefined>;

  /** Bounds of every channel, for those who do not own the partition. Absent for a partition never claimed. */
  describe(partition: PartitionReference): Promise<ReadonlyMap<Channel, ChannelBounds> | undefined>;

  /** Removes whole batches before `beforeOffset`; answers the bounds that are left. */
  trim(ownership: Ownership, channel: Channel, beforeOffset: Offset): Promise<ChannelBounds>;

  /** Forgets chains idle for longer than the dedupe window; answers how many are live. */
  expireChains(ownership: Ownership, nowMs: number): Promise<number>;

  /** Writes named checkpoints, fenced, durable for sinks (E12); `undefined` removes one. */
  checkpoint(ownership: Ownership, values: ReadonlyMap<string, Uint8Array | undefined>): Promise<void>;
  readCheckpoints(partition: PartitionReference): Promise<ReadonlyMap<string, Uint8Array>>;

  /**
   * Makes a producer's epoch for an instance, or says why it gets none (E1, E26, E27). The name belongs to the first `owner`
   * that is welcomed under it, for as long as it is remembered; without an owner nobody is asked who it is. A further name is
   * refused to an owner that has `producersMax` of them.
   */
  welcomeProducer(
    producerId: string,
    instance: string,
    heldEpoch: number | undefined,
    nowMs: number,
    owner?: ProducerOwner,
  ): Promise<WelcomeOutcome>;

  /** Small values of the whole store (schemas, positions of sources, the cluster's id), by compare-and-set. */
  readMetadata(key: string): Promise<Metadata | undefined>;
  listMetadata(prefix: string): Promise<ReadonlyMap<string, Metadata>>;
  /** Writes iff the stored version equals `expectedVersion` (0: absent); answers the new version, or undefined. */
  writeMetadata(key: string, value: Uint8Array, expectedVersion: number): Promise<number | undefined>;

  /** Asks the store for a sign of life and for its identity, so that an idle partition notices a loss (E12). */
  probe(): Promise<void>;

  close(): Promise<void>;
}

export interface Metadata {
  readonly value: Uint8Array;
  readonly version: number;
}

/** Event `index` of a batch was rejected. */
export const isRejected = (rejected: Uint8Array | undefined, index: number): boolean =>
  rejected !== undefined && ((rejected[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;

/** The bitmap of the rejected events, or undefined where there is none. */
export function rejectedBitmap(verdicts: readonly Verdict[] | undefined, eventCount: number): Uint8Array | undefined {
  if (verdicts === undefined || verdicts.length === 0) return undefined;
  const bitmap = new Uint8Array((eventCount + 7) >> 3);
  for (const { index } of verdicts) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
  return bitmap;
}
