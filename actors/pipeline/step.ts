/**
 * A step of a pipeline: compiled once from its configuration, then run on batches of records.
 *
 *   T1. A step emits zero or more events for each row, or rejects the row's record, which is then set aside as a whole.
 *       Rows of `emit` ascend from call to call.
 *   T2. Outputs and state never depend on the cut of the same records into batches.
 *   T3. `run` throws `UnavailableError` or `OverloadedError` where the fault is not a record's. The batch is run again,
 *       from the state before it.
 *
 * No step reads a clock or draws random numbers: times are those of the records (E18).
 */
import type { RejectedCode } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { PartitionReference, Position } from "../../protocols/position.ts";
import type { KeyedState, StateLimits } from "./keyed_state.ts";

/** Records in their order, by columns: entry `row` of each column belongs to one record. Shared, and never changed. */
export interface StepBatch {
  readonly partition: PartitionReference;
  readonly events: readonly Event[];
  /** Position of the input record that each row comes from; ascending, and repeated where a record has several rows. */
  readonly positions: readonly Position[];
  /** Event time of that record, in ms since 1970. */
  readonly timesMs: ArrayLike<number>;
}

/** Takes the outputs of a step. */
export interface StepOutput {
  emit(row: number, event: Event): void;
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
  /** The bounds of the step's keyed state; absent for a step without. */
  readonly state?: StateLimits;
  /** Makes the step of one partition, on its state. Absent for a step without state. Only the instance is run. */
  readonly instantiate?: (partition: PartitionReference, state: KeyedState | undefined) => StepInstance;
}

/** A step of one partition. */
export interface StepInstance {
  run: Step["run"];
  /** A JSON-like value from which `restore` makes the same state in a fresh instance; for state that has no keys. */
  snapshot?(): unknown;
  restore?(snapshot: unknown): void;
}
