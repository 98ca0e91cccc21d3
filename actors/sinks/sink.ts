/**
 * A sink writes records somewhere. It only writes: reading, batching, retry, order, dead letters, fences and
 * checkpoints live once, in the delivery machine.
 *
 *   S1. `open` stores the fence in the sink before `position` may be read (E14).
 *   S2. A transactional `write` commits output, fence and position together, only if the stored fence is its own and
 *       the stored position is the batch's `predecessor`. If its own fence is stored with the batch's end, the batch is
 *       done already.
 *   S3. A position is the (entry epoch, offset) of the last record written. It says nothing about the fence.
 *   S4. An error of `write` leaves its outcome unknown. The delivery machine asks `position` before it does anything
 *       else.
 *   S5. A record that was `rejected` is never written later, not even by a write that was under way by then.
 *   S6. A `rewind` takes records back only if the stored fence is its own and the stored position is `from`. So a
 *       rewind that takes effect after its deadline, when newer records lie in the sink, undoes nothing.
 *   S7. A sink that is not transactional takes records in their order, and answers `taken` with their number. Taken
 *       records stay taken, whatever became of the others. A long write answers about once a second, so that the
 *       position follows.
 *   S8. A record that the sink cannot express is a final rejection, made before a byte of the record was sent. A
 *       refusal that would meet any record (no access, no such address) is `unwelcome`, and sets no record aside.
 *   S9. A call whose `signal` is aborted ends soon. The next call begins after that end (E28), so that no call goes on
 *       beside its successor.
 *   S10. A sink that answers `held` has taken the batch and may still lose it. Its next write begins behind the batch.
 *       `position` tells the durable position alone, so that a crash begins there; nothing up to it is ever lost. Records
 *       that are `taken` are durable, and so is everything up to the end of a `written` batch.
 *   S11. A client of `connect` serves all partitions of its sink on this node, and reconnects by itself. It is closed
 *       after the last writer that uses it.
 *   S12. Several deliveries of one partition may write to one sink, each with an `as` of its own. A sink that keeps them
 *       apart writes to places and under keys made of `as`, so that no record of one is taken for the other's.
 */
import type { Connect } from "../../protocols/connection.ts";
import type { Event } from "../../protocols/event.ts";
import type { Epoch, PartitionReference, Position } from "../../protocols/position.ts";

/** One output of a pipeline for one sink, with the record it came from and its index among that record's outputs. */
export interface SinkRecord {
  readonly position: Position;
  /** Index among the outputs of its record, from 0; with `position` it is the record's idempotency key (E15). */
  readonly index: number;
  readonly event: Event;
  /** Event time where the stream declares one, else the time of append; ms since 1970 (E18). */
  readonly timeMs: number;
  /** The trace context that the record's producer sent, unchanged. */
  readonly traceparent?: string;
  readonly origin?: RecordOrigin;
  /**
   * The event's stored bytes, for a sink that `usesStoredBytes`. Absent where a step made the event, in a replay, and behind
   * a pipeline that computes once.
   */
  readonly stored?: StoredBytes;
}

/** An event as it lies in the log, in an encoded batch (docs/protocol.md) that is only to be read. */
export interface StoredBytes {
  readonly batch: Uint8Array;
  /** Index of the event in the batch. */
  readonly index: number;
  /** Answers the event alone, as one MessagePack map. */
  bytes(): Uint8Array;
}

/** Where a replayed record comes from. A dead letter that the record becomes again names this origin. */
export interface RecordOrigin {
  /** Where the record lies in its stream, as a dead letter names it; the index of the output is left out. */
  readonly source: Event;
  /** Index of the record's first output, as a dead letter names it. */
  readonly firstIndex: number;
  /** The place that the replay read: in a replay of dead letters, the letter's and not the record's. */
  readonly replayed: Event;
  /** In a replay of dead letters: names the record, the same for each of its letters and each name of a replay. */
  readonly key?: string;
  /** The event's own bytes, where no step has changed the event. */
  readonly original?: Uint8Array;
}

export interface SinkBatch {
  /** The position that the sink must hold for this batch to be next. */
  readonly predecessor: Position | undefined;
  /** The position that the sink holds once this batch is written: of the last record read, filtered or not. */
  readonly end: Position;
  readonly records: readonly SinkRecord[];
  /** How many records each request holds, in order; absent: one each. Later tries are cut alike: keys stay. */
  readonly requests?: readonly number[];
}

/** One record (`at`: its index in the batch's `records`) that the sink refuses to take. */
export interface Rejection {
  readonly at: number;
  readonly code: string;
  /** JSON Pointer to the value at fault, where one is. */
  readonly path?: string;
  readonly reason: string;
  /** Another try would end alike: the record is set aside at once. */
  readonly isFinal?: boolean;
}

/** Why a write of a sink that is not transactional stopped before its end. */
export type WriteProblem =
  /** May pass by itself: the first record that was not taken is tried again, after at least `retryAfterMs`. */
  | { readonly kind: "unavailable"; readonly reason: string; readonly retryAfterMs?: number }
  /** The sink refuses this node: a person must act. The write is tried again; no record is set aside (S8). */
  | { readonly kind: "unwelcome"; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] }
  /** The next request, which holds `count` records, was refused as a whole. The delivery finds the records at fault. */
  | { readonly kind: "refused_together"; readonly count: number; readonly reason: string };

/** The first `count` records of the batch are in the sink, and after them those at the indexes `beyond` (S7). */
export interface TakenOutcome {
  readonly kind: "taken";
  readonly count: number;
  readonly beyond?: readonly number[];
  /** Absent where the sink met no problem and only reports its progress. */
  readonly problem?: WriteProblem;
}

export type WriteOutcome =
  | { readonly kind: "written" }
  /** This owner has written the batch before (S2). */
  | { readonly kind: "duplicate" }
  /** A newer owner has opened the sink: stand down. */
  | { readonly kind: "fenced"; readonly fence: Epoch }
  /** The stored position is neither the predecessor nor the end: delivery reads on from that position. */
  | { readonly kind: "misplaced"; readonly position: Position | undefined }
  /** These records can never be written. Nothing of the batch was written: it is to be sent without them. */
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] }
  /** The whole batch is taken and not durable yet; everything up to `durable` is (S10). Undefined: nothing is so far. */
  | { readonly kind: "held"; readonly durable: Position | undefined }
  | TakenOutcome;

/** One call of a sink, as its caller sees it. */
export interface SinkCall {
  /** Aborted once the call is given up (S9). */
  readonly signal: AbortSignal;
  /** Tells the caller that a step of the call is done: the deadline of the next step begins now. */
  progressed(): void;
}

export interface SinkWriter {
  position(call?: SinkCall): Promise<Position | undefined>;
  /** Throws `UnavailableError` or `OverloadedError` to be called again. Any other error counts as unavailable. */
  write(batch: SinkBatch, call?: SinkCall): Promise<WriteOutcome>;
  /** Takes back all after `to`, or more (S6). Without it, delivery reports the orphaned range (E9). */
  rewind?(to: Position | undefined, from: Position | undefined, call?: SinkCall): Promise<void>;
  /**
   * Makes every batch durable that the sink holds, and answers the durable position (S10). Needed by a sink that answers
   * `held`; called after the batch's `lingerMs` without another batch, and before a planned end.
   */
  flush?(call?: SinkCall): Promise<Position | undefined>;
  /** Hands out records held back for others to join. Called before `close`, after a bounded delivery. */
  finish?(call?: SinkCall): Promise<void>;
  close(call?: SinkCall): Promise<void>;
}

/** A place in the partition's log for the sink's own small state, written under the owner's fence (E8, E17). */
export interface SinkCheckpoint {
  read(): Promise<Uint8Array | undefined>;
  /** Throws `FencedError` once the partition has a newer owner. */
  write(value: Uint8Array): Promise<void>;
}

/** The bounds of one batch. A batch holds at least one record of the input, however large that record is. */
export interface SinkBatchLimits {
  /** The most records. At most 100,000. */
  readonly recordsMax: number;
  /** The most bytes of events as they are stored. At most 67,108,864. */
  readonly bytesMax: number;
  /** The longest wait for a batch to fill, in ms. At most 600,000. */
  readonly lingerMs: number;
  /** The least time between two reads of a partition, in ms: its records share a write, and a lone one waits for none. At most 10,000. */
  readonly gatherMs: number;
}

/** What the partitions of a sink share on one node, such as a pool of connections (S11). */
export interface SinkClient {
  close(): Promise<void>;
}

/** The surroundings of a client, and of the live check of a sink's options. */
export interface SinkClientContext {
  /** The node's data folder, in which relative paths of the options begin. */
  readonly folder: string;
  readonly name: string;
  nowMs(): number;
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface SinkContext<Client extends SinkClient | undefined = undefined> {
  /** The client that `connect` made; undefined for a sink without `connect`. */
  readonly client: Client;
  /** The node's data folder, in which relative paths of the options begin. */
  readonly folder: string;
  readonly name: string;
  readonly partition: PartitionReference;
  /** Id of the log that the partition lies in. Positions and epochs of different logs cannot be compared. */
  readonly clusterId: string;
  /** Absent for a delivery without `as`. A delivery with it writes to places, and under keys, of its own (S12). */
  readonly as?: string;
  /** Absent for the sink's own delivery. A replay writes to places, and under keys, that no other delivery uses. */
  readonly replay?: string;
  /** The owner's epoch. Once this writer is open, a writer of a lower epoch must never commit again. */
  readonly fence: Epoch;
  readonly checkpoint: SinkCheckpoint;
  /** Connects to this node, for a producer whose epoch is the fence: it gets the epoch that its `hello` names (E3). */
  readonly connect: Connect;
  nowMs(): number;
  /** Calls `onTime` once, after `delayMs` by the node's clock, unless the timer is cancelled before. */
  setTimer(delayMs: number, onTime: () => void): { cancel(): void };
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** One kind of sink. Each is one file of this shape, registered in `registry.ts` or named by a user's configuration. */
export interface SinkDefinition<Options, Client extends SinkClient | undefined = undefined> {
  readonly type: string;
  /** In this order: exactly once; effectively once (E15); records may be written twice. */
  readonly delivery: "transactional" | "idempotent" | "at_least_once";
  /** JSON Schema 2020-12 of the options, which must refuse unknown keys. docs/configuration.md is generated from it. */
  readonly optionsSchema: Readonly<Record<string, unknown>>;
  /** Throws `ConfigurationError` for faults that only a person can mend, of this machine too if `folder` is given. */
  check?(options: Options, folder: string | undefined): void | Promise<void>;
  /** True where the sink writes records as they are stored, by `SinkRecord.stored`. */
  readonly usesStoredBytes?: boolean;
  /** The place that the sink must have to itself: two sinks of one stream with one place are refused. */
  place?(options: Options, folder: string): string;
  /**
   * True for a sink that keeps deliveries with different `as` apart (S12). A configuration that gives `as` for another sink
   * is refused.
   */
  readonly keepsDeliveriesApart?: true;
  /** Why the sink cannot keep its promise where a partition's next owner is another node, if it cannot. */
  clusterProblem?(options: Options): string | undefined;
  /** How many records may share a request by the options, for a sink whose requests have keys made of their records. */
  recordsPerRequest?(options: Options): number;
  /**
   * Answers for a record a text that names its target, where templates give records different ones: only records with
   * equal texts share a request. Must follow from the options and the record alone. Undefined: all have one target.
   */
  targetOf?(options: Options): ((record: SinkRecord, partition: PartitionReference) => string) | undefined;
  /** The longest duration of one step of a call, in ms. It extends the deadline of calls where it is longer. */
  stepTimeoutMs?(options: Options): number;
  /** The bounds of a batch by the options. Absent ones have the house's default. */
  batch?(options: Options): Partial<SinkBatchLimits>;
  /**
   * Makes the client that all partitions of the sink share on this node (S11). Called before the first `open`, and again
   * where it rejects.
   */
  connect?(options: Options, context: SinkClientContext): Promise<Client>;
  /**
   * Tries the options against the real target, for `lint --connect` and `doctor`: reachable, allowed, and fit for
   * records. Leaves nothing behind that a reader takes for a record. Rejects with the reason.
   */
  test?(options: Options, context: SinkClientContext, call?: SinkCall): Promise<void>;
  open(options: Options, context: SinkContext<Client>, call?: SinkCall): Promise<SinkWriter>;
}
