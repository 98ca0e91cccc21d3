/**
 * A step of a pipeline: compiled once from its configuration, then run on each record. It answers zero or more events.
 * A step that throws fails for that record alone, which is set aside as `STEP_FAILED`. With `UnavailableError` and
 * `OverloadedError` the fault is not the record's: the record is run again.
 */
import type { Event } from "../../../protocols/event.ts";
import type { PartitionReference, Position } from "../../../protocols/position.ts";

/** The origin of the event that a step runs on. */
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
  run(event: Event, context: StepContext): readonly Event[] | Promise<readonly Event[]>;
  /** Makes the step of one partition, with fresh state. Absent for a step without state. Only the instance is run. */
  readonly instantiate?: (partition: PartitionReference) => StatefulStep;
}

/** A step of one partition, with state that outlives records and is stored with the outbox position (E13). */
export interface StatefulStep extends Step {
  /** A JSON-like value from which `restore` makes the same state in a fresh instance. */
  snapshot(): unknown;
  restore(snapshot: unknown): void;
}
