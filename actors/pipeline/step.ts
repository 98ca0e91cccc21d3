/**
 * A step of a pipeline: compiled once from its configuration, then run on batches of records.
 *
 *   T1. A step emits zero or more events for each row, or rejects the row's record, which is then set aside as a whole.
 *       Rows of `emit`, `emitTo` and `late` ascend from call to call.
 *   T2. Outputs and state never depend on the cut of the same records into batches. So a step with timers fires those
 *       that are due by `watermarks` before it handles a row, and after the last row those due by `endMs`.
 *   T3. `run` throws `UnavailableError` or `OverloadedError` where the fault is not a record's. The batch is run again,
 *       from the state before it.
 *   T4. An event for a named output passes the steps behind. It is an output of its record like any other.
 *
 * No step reads a clock or draws random numbers: times are those of the records (E18).
 */
import type { RejectedCode } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { PartitionReference, Position } from "../../protocols/position.ts";
import type { KeyedState, StateLimits } from "./keyed_state.ts";
import type { MissedWindow } from "./late_event.ts";

/** Records in their order, by columns: entry `row` of each column belongs to one record. Shared, and never changed. */
export interface StepBatch {
  readonly partition: PartitionReference;
  readonly events: readonly Event[];
  /** Position of the input record that each row comes from; ascending, and repeated where a record has several rows. */
  readonly positions: readonly Position[];
  /** Event time of that record, in ms since 1970. */
  readonly timesMs: ArrayLike<number>;
  /** The partition of each record, where the pipeline reads several streams. */
  readonly sources?: readonly PartitionReference[];
  /** Absent for a pipeline that runs once for each sink, whose steps have no timers. */
  readonly watermarks?: Watermarks;
}

/** The event times before which nothing more is expected, in ms since 1970; minus infinity while none is known. */
export interface Watermarks {
  /** In force when a row's record was read: what the records before it say. */
  readonly beforeMs: ArrayLike<number>;
  /** Position of the record before the batch; undefined for the first batch of all. */
  readonly after: Position | undefined;
  /** In force after the batch. A batch without records may move it: an idle input has advanced by its recorded tick. */
  readonly endMs: number;
}

/** Takes the outputs of a step. */
export interface StepOutput {
  emit(row: number, event: Event): void;
  /** Emits an event to a named output of the pipeline (T4). Without a sink for that output, nobody takes the event. */
  emitTo(output: string, row: number, event: Event): void;
  /**
   * The record of a row has come after its time. Its own event goes to the output `late`, once for the record. Where the
   * pipeline has no sink for that output, the record is set aside as `LATE_RECORD`.
   *
   * @param reason why the record is late, for a dead letter
   * @param window the window that the record has missed; undefined for a step without windows
   */
  late(row: number, reason: string, window?: MissedWindow): void;
  /**
   * Emits an event of a timer, which belongs to no record.
   *
   * @param dueMs the time of the timer: the event lies behind the record that moved the watermark there
   * @param timeMs event time of the event
   */
  fire(dueMs: number, event: Event, timeMs: number): void;
  /** Sets the record of a row aside, whatever was emitted for it. `code` defaults to `STEP_FAILED`. */
  reject(row: number, reason: string, code?: RejectedCode): void;
  /** The rows before `row` are done. Called by a step that awaits: a step that works on is not taken for a hanging one. */
  reached(row: number): void;
}

/** The origin of the event that a per-record function runs on. */
export interface StepContext {
  readonly stream: string;
  readonly partition: number;
  readonly position: Position;
  /** Event time in ms since 1970: it moves with the record, never with the clock (E18). */
  readonly timeMs: number;
}

export interface Step {
  /** `filter`, `map`, `call`: for errors and metrics. */
  readonly name: string;
  /** True where the outputs always follow from the record alone: the step may run once for each sink (E13). */
  readonly isDeterministic: boolean;
  run(batch: StepBatch, out: StepOutput): void | Promise<void>;
  /** True for a step with timers: its pipeline follows watermarks. */
  readonly usesTime?: boolean;
  /** True for a step that keeps its state in tables. */
  readonly keepsTables?: boolean;
  /** Makes the step of one partition, on its state. Absent for a step without state. Only the instance is run. */
  readonly instantiate?: (partition: PartitionReference, tables: StateTables) => StepInstance;
}

/** Answers the step's own table of this name, the same at each call. Tables are stored under the name of the step. */
export type StateTables = (name: string, limits: StateLimits) => KeyedState;

/** A step of one partition. */
export interface StepInstance {
  run: Step["run"];
  /** The state of the tables was read again, or set back to an earlier one. */
  restored?(): void;
  /** Whether a timer waits for the watermark. */
  hasTimers?(): boolean;
  /** A JSON-like value from which `restore` makes the same state in a fresh instance; for state that has no keys. */
  snapshot?(): unknown;
  restore?(snapshot: unknown): void;
}
