/**
 * A sink writes records somewhere. It only writes: reading, batching, retry, order, dead letters, fences and checkpoints
 * live once, in the delivery machine.
 *
 *   S1. `open` stores the fence in the sink before `position` may be read (E14).
 *   S2. A transactional `write` commits the output, the fence and the position together, iff the stored fence is its own
 *       and the stored position is the batch's `predecessor`; a position at the batch's end under its own fence means
 *       done already.
 *   S3. A position is that of the last record written, an (entry epoch, offset); it is not the fence.
 *   S4. An error of `write` leaves the outcome unknown: the delivery machine asks `position` before it does anything else.
 *   S5. A record once `rejected` is never written later, not even by a write that was already under way.
 *   S6. A `rewind` takes back iff the stored fence is its own and the stored position is `from`: one that takes effect
 *       after its deadline, when newer records lie in the sink, undoes nothing.
 *   S7. A sink that is not transactional takes records in their order and answers `taken` with their number. Taken records stay
 *       taken, whatever became of the others. A long write answers about once a second, so that the position follows.
 *   S8. A record that the sink can not express is a final rejection, made before a byte of the record was sent. A refusal that
 *       would meet any record (no access, no such address) is `unwelcome`, and sets no record aside.
 *   S9. A call whose `signal` is aborted ends soon. The next call begins after that end (E28), so that no call goes on beside
 *       its successor.
 */
import type { Connect } from "../../protocols/connection.ts";
import type { Event } from "../../protocols/event.ts";
import type { Epoch, PartitionReference, Position } from "../../protocols/position.ts";

/** One output of a pipeline for one sink: the record it came from, and which output of that record it is. */
export interface SinkRecord {
  readonly position: Position;
  /** Index among the outputs of its record, from 0; with `position` it is the record's idempotency key (E15). */
  readonly index: number;
  readonly event: Event;
  /** Event time where the stream declares one, else the time of append; ms since 1970 (E18). */
  readonly timeMs: number;
  /** Trace context that came with the record, as its producer wrote it. */
  readonly traceparent?: string;
  /** Of a record that a replay brings. */
  readonly origin?: RecordOrigin;
}

/** Where a record that a replay brings comes from: told by the dead letter it may become again. */
export interface RecordOrigin {
  /** Where the record lies in its stream, as a dead letter names it; the index of the output is left out. */
  readonly source: Event;
  /** Index of the record's first output, as a dead letter names it. */
  readonly firstIndex: number;
  /** What the replay read: of a replay of dead letters the letter, not the record. */
  readonly replayed: Event;
  /** Of a replay of dead letters: names the record, whichever of its letters is sent and under whichever name. */
  readonly key?: string;
  /** The event's own bytes, where no step has changed it. */
  readonly original?: Uint8Array;
}

export interface SinkBatch {
  /** The position that the sink must hold for this batch to be next. */
  readonly predecessor: Position | undefined;
  /** The position that the sink holds once this batch is written: of the last record read, filtered or not. */
  readonly end: Position;
  /** May be empty: then only the position moves. */
  readonly records: readonly SinkRecord[];
  /**
   * How many of the records go into each request, in order. Absent where each goes by itself. Requests of one batch and of
   * its later tries are always cut alike, so that a key made of a request's first and last record stays the same.
   */
  readonly requests?: readonly number[];
}

/** One record (`at`: its index in the batch's `records`) that the sink refuses to take. */
export interface Rejection {
  readonly at: number;
  readonly code: string;
  /** JSON Pointer to the value at fault, where one is. */
  readonly path?: string;
  readonly reason: string;
  /** Another try can not end otherwise: the record is set aside at once. */
  readonly isFinal?: boolean;
}

/** Why a write of a sink that is not transactional went no further. */
export type WriteProblem =
  /** May pass by itself: the first record not taken is tried again, after `retryAfterMs` at least. */
  | { readonly kind: "unavailable"; readonly reason: string; readonly retryAfterMs?: number }
  /** The sink refuses this node and not the record: a person must act. Tried again, nothing is set aside (S8). */
  | { readonly kind: "unwelcome"; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] }
  /** The next request, which holds `count` records, was refused as a whole. The delivery finds the records at fault. */
  | { readonly kind: "refused_together"; readonly count: number; readonly reason: string };

/** The first `count` records of the batch are in the sink, and after them those at the indexes `beyond` (S7). */
export interface TakenOutcome {
  readonly kind: "taken";
  readonly count: number;
  readonly beyond?: readonly number[];
  /** Absent where the sink met no problem and only told its progress. */
  readonly problem?: WriteProblem;
}

export type WriteOutcome =
  | { readonly kind: "written" }
  /** S2: was already written by this owner. */
  | { readonly kind: "duplicate" }
  /** A newer owner has opened the sink: stand down. */
  | { readonly kind: "fenced"; readonly fence: Epoch }
  /** The stored position is neither the predecessor nor the end: read on from there. */
  | { readonly kind: "misplaced"; readonly position: Position | undefined }
  /** These records can never be written; the rest was not written either: send it without them. */
  | { readonly kind: "rejected"; readonly records: readonly Rejection[] }
  | TakenOutcome;

/** One call of a sink, as its caller sees it. */
export interface SinkCall {
  /** Aborted once the call is given up (S9). */
  readonly signal: AbortSignal;
  /** Says that a step of the call is done: its deadline counts from now on. */
  progressed(): void;
}

/** An open sink for one partition. */
export interface SinkWriter {
  position(call?: SinkCall): Promise<Position | undefined>;
  /** Throws `UnavailableError` or `OverloadedError` to be called again; anything else counts as unavailable too. */
  write(batch: SinkBatch, call?: SinkCall): Promise<WriteOutcome>;
  /**
   * Takes back everything after `to`, or more, if the sink stands at `from`; else it does nothing (S6). `position` tells
   * where it stands afterwards (E9). Where a sink can not rewind, its orphaned range is reported.
   */
  rewind?(to: Position | undefined, from: Position | undefined, call?: SinkCall): Promise<void>;
  /** Nothing more will come: hands out what was held back for company. Called before `close`, after a bounded delivery. */
  finish?(call?: SinkCall): Promise<void>;
  close(call?: SinkCall): Promise<void>;
}

/** A place in the partition's log for small state of the sink, written under the owner's fence (E8, E17). */
export interface SinkCheckpoint {
  read(): Promise<Uint8Array | undefined>;
  /** Throws `FencedError` when the partition has a newer owner. */
  write(value: Uint8Array): Promise<void>;
}

export interface SinkContext {
  /** Where relative paths of the options begin: the node's data folder. */
  readonly folder: string;
  /** Name of the sink in the configuration. */
  readonly name: string;
  readonly partition: PartitionReference;
  /** Id of the log that the partition lies in: positions and epochs of another log say nothing about this one's. */
  readonly clusterId: string;
  /**
   * Name of the replay that this delivery belongs to; absent for the sink's own. A replay has a position and a fence of its
   * own, so that it must write where neither the sink's own delivery nor another replay writes, under keys of its own.
   */
  readonly replay?: string;
  /** The owner's epoch: a writer of a lower one must never commit after this. */
  readonly fence: Epoch;
  readonly checkpoint: SinkCheckpoint;
  /** Into this node, for a producer whose epoch is the fence: the epoch that its `hello` names is the one it gets (E3). */
  readonly connect: Connect;
  nowMs(): number;
  /** Calls `onTime` once, after `delayMs` at the node's clock, unless it is cancelled before. */
  setTimer(delayMs: number, onTime: () => void): { cancel(): void };
  log(level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** One kind of sink: one file of this shape, registered in `registry.ts`. */
export interface SinkDefinition<Options> {
  readonly type: string;
  /** Transactional: exactly once. Idempotent: effectively once (E15). At least once: neither, and labelled so. */
  readonly delivery: "transactional" | "idempotent" | "at_least_once";
  /** JSON Schema 2020-12 of the options, unknown keys refused; also the text of docs/configuration.md. */
  readonly optionsSchema: Readonly<Record<string, unknown>>;
  /**
   * Says what is wrong with options before anything starts, as `ConfigurationError`: what only a person can put right. What
   * may pass by itself is for `open` to find, which is tried again. Without `folder` (where relative paths begin), the
   * options alone are judged; with it, this machine too.
   */
  check?(options: Options, folder: string | undefined): void | Promise<void>;
  /** What the sink must have for itself, as a name: two sinks of one stream that name the same are refused. */
  place?(options: Options, folder: string): string;
  /**
   * Why it can not keep its promise in a cluster, where a partition's next owner is another node; undefined where it can.
   */
  clusterProblem?(options: Options): string | undefined;
  /** Records that the options let share a request, for a sink whose requests have keys made of their records. */
  recordsPerRequest?(options: Options): number;
  /** The longest duration of one step of a call, ms. A longer one than the deadline of calls extends that deadline. */
  stepTimeoutMs?(options: Options): number;
  open(options: Options, context: SinkContext, call?: SinkCall): Promise<SinkWriter>;
}
