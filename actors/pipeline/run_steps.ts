/**
 * Runs the steps of a pipeline on a batch, each step on the outputs of the one before. Keeps for each output the record
 * that it came from, and the records that a step has set aside.
 */
import { invariant, type RejectedCode } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { type PartitionReference, type Position, position } from "../../protocols/position.ts";
import { LATE_OUTPUT, lateEvent, type MissedWindow } from "./late_event.ts";
import type { StepBatch, StepInstance, StepOutput, Watermarks } from "./step.ts";
import { type Fired, type NamedEvent, NO_ROW, type StepFailure, type StepOutputs, withNamed } from "./step_outputs.ts";

/** The most outputs of one record: a step that makes several would otherwise multiply them at each step. */
export const OUTPUTS_PER_RECORD_MAX = 1_000;

/** Rows of a batch before which a step is done. */
export type Progress = (row: number) => void;

type Runnable = Pick<StepInstance, "run">;

/** Where a timer fires before any record was read. */
const BEFORE_ALL = position(0, 0);

const NO_FAILURES: ReadonlyMap<number, StepFailure> = new Map();

const NO_NAMES: ReadonlySet<string> = new Set();
const NONE_NAMED: readonly NamedEvent[] = [];

/**
 * Answers a promise only where a step does. Rejects where a step asks to be run again (step T3).
 *
 * @param taken the named outputs that have sinks
 */
export function runSteps(
  steps: readonly Runnable[],
  batch: StepBatch,
  onProgress?: Progress,
  taken: ReadonlySet<string> = NO_NAMES,
): StepOutputs | Promise<StepOutputs> {
  if (steps.length === 0) return { events: batch.events, rows: rowsUpTo(batch.events.length), failures: NO_FAILURES };
  const reached: Reached = {
    ...{ first: batch, batch, rows: undefined, after: [], named: NONE_NAMED, taken, failures: NO_FAILURES },
  };
  return runFrom(0, steps, reached, onProgress);
}

/** The input of the next step. `rows`: the row of the first step's batch for each row; undefined where they are equal. */
interface Reached {
  readonly first: StepBatch;
  readonly batch: StepBatch;
  readonly rows: readonly number[] | undefined;
  /** Of each row that a timer made: as `Fired.after`. */
  readonly after: readonly (number | undefined)[];
  /** Events for named outputs, which pass the steps that are left. */
  readonly named: readonly NamedEvent[];
  readonly taken: ReadonlySet<string>;
  readonly failures: ReadonlyMap<number, StepFailure>;
}

function runFrom(
  first: number,
  steps: readonly Runnable[],
  from: Reached,
  onProgress: Progress | undefined,
): StepOutputs | Promise<StepOutputs> {
  let reached = from;
  for (let at = first; at < steps.length; at += 1) {
    // Without rows, only steps with timers have something to do.
    if (reached.batch.events.length === 0 && reached.batch.watermarks === undefined) break;
    const output = new Output(reached, onProgress);
    const done = steps[at]?.run(reached.batch, output);
    if (done instanceof Promise) return done.then(() => runFrom(at + 1, steps, output.end(), onProgress));
    reached = output.end();
  }
  return outputsOf(reached);
}

function outputsOf({ batch, rows, after, named, failures }: Reached): StepOutputs {
  const { events, timesMs } = batch;
  if (named.length > 0) {
    const main = { events, rows: rows ?? rowsUpTo(events.length), timesMs, after };
    return withNamed(
      main,
      named.filter(({ row }) => !failures.has(row)),
      failures,
    );
  }
  if (rows === undefined) return { events, rows: rowsUpTo(events.length), failures };
  if (!rows.includes(NO_ROW)) return { events, rows, failures };
  const fired = new Map<number, Fired>();
  for (const [at, row] of rows.entries()) {
    if (row === NO_ROW) fired.set(at, { timeMs: timesMs[at] as number, after: after[at] ?? NO_ROW });
  }
  return { events, rows, failures, fired };
}

/** The rows from 0 to `count`, of which those of small batches are made once. */
function rowsUpTo(count: number): readonly number[] {
  if (count >= SMALL_BATCH) return [...new Array(count).keys()];
  SMALL_ROWS[count] ??= [...new Array(count).keys()];
  return SMALL_ROWS[count] ?? [];
}

const SMALL_BATCH = 64;
const SMALL_ROWS: (readonly number[])[] = [];

/** The first row by which the watermark had reached `dueMs`: by bisection, as watermarks never go back. */
function rowThatReached(dueMs: number, { beforeMs }: Watermarks, count: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((beforeMs[middle] as number) < dueMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

class Output implements StepOutput {
  readonly #from: Reached;
  readonly #onProgress: Progress | undefined;
  readonly #events: Event[] = [];
  readonly #positions: Position[] = [];
  readonly #sources: PartitionReference[] = [];
  readonly #timesMs: number[] = [];
  readonly #beforeMs: number[] = [];
  readonly #after: (number | undefined)[] = [];
  #named: NamedEvent[] | undefined;
  /** The last record that was late. */
  #late = NO_ROW;
  /** Rows of the first step's batch. */
  readonly #rows: number[] = [];
  #failures: Map<number, StepFailure> | undefined;
  /** The record of the last output, and how many outputs the record has so far. */
  #last = NO_ROW;
  #count = 0;

  constructor(from: Reached, onProgress: Progress | undefined) {
    this.#from = from;
    this.#onProgress = onProgress;
  }

  emit(row: number, event: Event): void {
    const record = this.#recordOf(row);
    if (!this.#hasRoom(record, row)) return;
    const { positions, timesMs, sources, watermarks } = this.#from.batch;
    if (record === NO_ROW) this.#after[this.#events.length] = this.#from.after[row];
    this.#addSource(sources?.[row]);
    this.#add(record, event, positions[row] as Position, timesMs[row] as number, watermarks?.beforeMs[row]);
  }

  emitTo(output: string, row: number, event: Event): void {
    const record = this.#recordOf(row);
    if (!this.#hasRoom(record, row) || !this.#from.taken.has(output)) return;
    const after = record === NO_ROW ? (this.#from.after[row] ?? NO_ROW) : record;
    this.#named ??= [...this.#from.named];
    this.#named.push({ output, event, row: record, after, timeMs: this.#from.batch.timesMs[row] as number });
  }

  late(row: number, reason: string, window?: MissedWindow): void {
    if (!this.#from.taken.has(LATE_OUTPUT)) {
      this.reject(row, reason, "LATE_RECORD");
      return;
    }
    const { first, batch } = this.#from;
    const record = this.#recordOf(row);
    if (record !== NO_ROW && record === this.#late) return; // a step before has made several events of the record
    this.#late = record;
    const event = (record === NO_ROW ? batch.events[row] : first.events[record]) as Event;
    const { stream } = first.sources?.[record] ?? first.partition;
    const missed = window === undefined ? {} : { window };
    this.emitTo(LATE_OUTPUT, row, lateEvent({ event, stream, reason: "late", ...missed }));
  }

  /** The steps behind see the event before they see the watermark that fired it: otherwise the event would be late. */
  fire(dueMs: number, event: Event, timeMs: number): void {
    const { positions, watermarks } = this.#from.first;
    const after = watermarks === undefined ? NO_ROW : rowThatReached(dueMs, watermarks, positions.length);
    const position = after === NO_ROW ? watermarks?.after : positions[after];
    this.#after[this.#events.length] = after;
    if (this.#from.batch.sources !== undefined) this.#addSource(this.#from.batch.partition);
    this.#add(NO_ROW, event, position ?? BEFORE_ALL, timeMs, Number.NEGATIVE_INFINITY);
  }

  /** The first reason stands. An event of a timer belongs to no record, and is dropped. */
  reject(row: number, reason: string, code: RejectedCode = "STEP_FAILED"): void {
    const record = this.#recordOf(row);
    if (record !== NO_ROW && this.#failures?.has(record) !== true) this.#fail(record, { code, path: "", reason });
  }

  reached(row: number): void {
    this.#onProgress?.(this.#recordOf(row));
  }

  end(): Reached {
    const failed = this.#failures;
    if (failed === undefined) return this.#reached(undefined, this.#from.failures);
    const kept = [...this.#rows.keys()].filter((at) => !failed.has(this.#rows[at] as number));
    return this.#reached(kept, failed);
  }

  #add(record: number, event: Event, position: Position, timeMs: number, beforeMs: number | undefined): void {
    this.#events.push(event);
    this.#rows.push(record);
    this.#positions.push(position);
    this.#timesMs.push(timeMs);
    if (beforeMs !== undefined) this.#beforeMs.push(beforeMs);
  }

  #addSource(source: PartitionReference | undefined): void {
    if (source !== undefined) this.#sources.push(source);
  }

  /** @param kept indexes of the outputs that are kept; undefined: all of them */
  #reached(kept: readonly number[] | undefined, failures: ReadonlyMap<number, StepFailure>): Reached {
    const pick = <Value>(column: readonly Value[]): readonly Value[] =>
      kept === undefined ? column : kept.map((at) => column[at] as Value);
    const { partition, sources, watermarks } = this.#from.batch;
    const columns = { events: pick(this.#events), positions: pick(this.#positions), timesMs: pick(this.#timesMs) };
    const more = watermarks === undefined ? {} : { watermarks: { ...watermarks, beforeMs: pick(this.#beforeMs) } };
    const from = sources === undefined ? {} : { sources: pick(this.#sources) };
    const batch = { partition, ...columns, ...from, ...more };
    const { first, taken } = this.#from;
    const named = this.#named ?? this.#from.named;
    return { first, batch, rows: pick(this.#rows), after: pick(this.#after), named, taken, failures };
  }

  #recordOf(row: number): number {
    const { rows } = this.#from;
    return rows === undefined ? row : (rows[row] ?? row);
  }

  /** False for a record that has too many outputs, which is then set aside. */
  #hasRoom(record: number, row: number): boolean {
    if (record === NO_ROW || this.#countOf(record, row) <= OUTPUTS_PER_RECORD_MAX) return true;
    this.#overflow(record);
    return false;
  }

  /** Counts the outputs of a record, which come one after the other. */
  #countOf(record: number, row: number): number {
    invariant(record >= this.#last, `Cannot emit for row ${row} as rows must ascend: the last record is ${this.#last}`);
    this.#count = record === this.#last ? this.#count + 1 : 1;
    this.#last = record;
    return this.#count;
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
