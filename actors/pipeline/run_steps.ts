/**
 * Runs the steps of a pipeline on a batch, each step on the outputs of the one before. Keeps for each output the record
 * that it came from, and the records that a step has set aside.
 */
import { invariant, type RejectedCode } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { Position } from "../../protocols/position.ts";
import type { StepBatch, StepInstance, StepOutput } from "./step.ts";

/** The most outputs of one record: a step that makes several would otherwise multiply them at each step. */
export const OUTPUTS_PER_RECORD_MAX = 1_000;

export interface StepFailure {
  readonly code: RejectedCode;
  readonly path: string;
  readonly reason: string;
}

/** The outputs of a batch, by columns, in the order of its rows. */
export interface StepOutputs {
  readonly events: readonly Event[];
  /** The row of the batch that each output came from; ascending. */
  readonly rows: readonly number[];
  /** The records that are set aside, by row. They have no outputs. */
  readonly failures: ReadonlyMap<number, StepFailure>;
}

/** Rows of a batch before which a step is done. */
export type Progress = (row: number) => void;

const NO_FAILURES: ReadonlyMap<number, StepFailure> = new Map();

/** Answers a promise only where a step does. Rejects where a step asks to be run again (step T3). */
export function runSteps(
  steps: readonly Pick<StepInstance, "run">[],
  batch: StepBatch,
  onProgress?: Progress,
): StepOutputs | Promise<StepOutputs> {
  return runFrom(0, steps, batch, { events: batch.events, rows: undefined, failures: NO_FAILURES }, onProgress);
}

/** As `StepOutputs`; without rows each event came from the row of its own index. */
interface Reached extends Omit<StepOutputs, "rows"> {
  readonly rows: readonly number[] | undefined;
}

function runFrom(
  first: number,
  steps: readonly Pick<StepInstance, "run">[],
  batch: StepBatch,
  from: Reached,
  onProgress: Progress | undefined,
): StepOutputs | Promise<StepOutputs> {
  let reached = from;
  for (let at = first; at < steps.length && reached.events.length > 0; at += 1) {
    const output = new Output(reached, onProgress);
    const done = steps[at]?.run(inputOf(batch, reached), output);
    if (done instanceof Promise) return done.then(() => runFrom(at + 1, steps, batch, output.end(), onProgress));
    reached = output.end();
  }
  const { events, rows = [...events.keys()], failures } = reached;
  return { events, rows, failures };
}

function inputOf(batch: StepBatch, { events, rows }: Reached): StepBatch {
  if (rows === undefined) return batch;
  const positions = rows.map((row) => batch.positions[row] as Position);
  const timesMs = rows.map((row) => batch.timesMs[row] as number);
  return { partition: batch.partition, events, positions, timesMs };
}

class Output implements StepOutput {
  readonly #from: Reached;
  readonly #onProgress: Progress | undefined;
  readonly #events: Event[] = [];
  readonly #rows: number[] = [];
  #failures: Map<number, StepFailure> | undefined;
  /** The record of the last output, and how many outputs the record has so far. */
  #last = -1;
  #count = 0;

  constructor(from: Reached, onProgress: Progress | undefined) {
    this.#from = from;
    this.#onProgress = onProgress;
  }

  emit(row: number, event: Event): void {
    const record = this.#recordOf(row);
    if (record === this.#last) this.#count += 1;
    else {
      invariant(
        record > this.#last,
        `Cannot emit for row ${row} as rows must ascend: the last record is ${this.#last}`,
      );
      this.#last = record;
      this.#count = 1;
    }
    if (this.#count > OUTPUTS_PER_RECORD_MAX) this.#overflow(record);
    else {
      this.#events.push(event);
      this.#rows.push(record);
    }
  }

  /** The first reason stands. */
  reject(row: number, reason: string, code: RejectedCode = "STEP_FAILED"): void {
    const record = this.#recordOf(row);
    if (this.#failures?.has(record) !== true) this.#fail(record, { code, path: "", reason });
  }

  reached(row: number): void {
    this.#onProgress?.(this.#recordOf(row));
  }

  end(): Reached {
    const failures = this.#failures;
    if (failures === undefined) return { events: this.#events, rows: this.#rows, failures: this.#from.failures };
    const kept = [...this.#rows.keys()].filter((at) => !failures.has(this.#rows[at] as number));
    return {
      events: kept.map((at) => this.#events[at] as Event),
      rows: kept.map((at) => this.#rows[at] as number),
      failures,
    };
  }

  #recordOf(row: number): number {
    const { rows } = this.#from;
    return rows === undefined ? row : (rows[row] ?? row);
  }

  #overflow(record: number): void {
    const must = `a record must have at most ${OUTPUTS_PER_RECORD_MAX} outputs`;
    const reason = `Cannot go on as ${must}: current value is ${this.#count}`;
    this.#fail(record, { code: "STEP_FAILED", path: "", reason });
  }

  #fail(record: number, failure: StepFailure): void {
    this.#failures ??= new Map(this.#from.failures);
    this.#failures.set(record, failure);
  }
}
