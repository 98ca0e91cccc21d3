/**
 * Runs a pipeline's steps on the inputs of one partition, in their order, and makes records of the outbox of the results.
 * Follows the watermark for pipelines with timers. Reads and stores nothing.
 */
import type { Event } from "../../../protocols/event.ts";
import type { PartitionReference, Position } from "../../../protocols/position.ts";
import type { DecodedBatch } from "../../log/decoded_batch.ts";
import type { OutboxOutput } from "../outbox_machine.ts";
import type { OutboxRecord } from "../outbox_record.ts";
import type { PipelineInstance } from "../pipeline.ts";
import { NO_ROW, type StepFailure, type StepOutputs } from "../run_steps.ts";
import type { StepBatch } from "../step.ts";
import type { InputWatermark } from "../watermark.ts";

/** The records of a batch from row `first` on. */
export interface RunInput {
  readonly batch: DecodedBatch;
  readonly first: number;
}

/** One run of the steps over the inputs read last. */
export interface Run {
  /** The input in hand. */
  at: Position | undefined;
  /** Nobody waits for the run any more. */
  isOver: boolean;
}

export interface RunOptions {
  readonly partition: PartitionReference;
  readonly instance: PipelineInstance;
  /** Absent for a pipeline without timers. */
  readonly watermark?: InputWatermark;
  /** The last input of earlier runs. */
  readonly after: Position | undefined;
  timeOf(event: Event, appendedAtMs: number): number;
  /** Takes secrets out of the text of a step's failure. */
  hide(text: string): string;
}

/** The rows of an input that the steps are given, and those that are set aside before. */
interface Given {
  readonly batch: StepBatch;
  /** Row of the input for each row of `batch`; undefined where all rows are given. */
  readonly rows: readonly number[] | undefined;
  readonly failures: ReadonlyMap<number, StepFailure>;
}

const NOTHING_FAILED: ReadonlyMap<number, StepFailure> = new Map();

export class OutboxRun {
  readonly #options: RunOptions;
  #after: Position | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#after = options.after;
  }

  get watermarkMs(): number | undefined {
    const ms = this.#options.watermark?.ms;
    return ms === undefined || !Number.isFinite(ms) ? undefined : ms;
  }

  /** One batch after the other: steps that keep state see the records in order. */
  async run(inputs: readonly RunInput[], run: Run): Promise<OutboxOutput[]> {
    const outputs: OutboxOutput[] = [];
    for (const input of inputs) {
      if (run.isOver) break;
      const given = this.#given(input);
      const { positions } = given.batch;
      run.at = positions[0];
      const found = this.#options.instance.run(given.batch, (row) => {
        run.at = positions[row] ?? run.at;
      });
      this.#gather(outputs, input, given, found instanceof Promise ? await found : found);
      this.#after = input.batch.positions.at(-1);
    }
    return outputs;
  }

  /** An idle input has advanced to the owner's clock (watermark W3). */
  async tick(nowMs: number): Promise<OutboxOutput[]> {
    const { partition, instance, watermark } = this.#options;
    watermark?.tick(nowMs);
    const watermarks = { beforeMs: [], after: this.#after, endMs: watermark?.ms ?? Number.NEGATIVE_INFINITY };
    const found = await instance.run({ partition, events: [], positions: [], timesMs: [], watermarks });
    return found.events.map((_event, at) => firedOutput(found, at, this.#after));
  }

  #given({ batch, first }: RunInput): Given {
    const { partition, timeOf, watermark } = this.#options;
    const events = first === 0 ? batch.events : batch.events.slice(first);
    const positions = first === 0 ? batch.positions : batch.positions.slice(first);
    const { appendedAtMs } = batch.stored;
    const timesMs = events.map((event) => timeOf(event, appendedAtMs));
    const whole = { partition, events, positions, timesMs };
    if (watermark === undefined) return { batch: whole, rows: undefined, failures: NOTHING_FAILED };
    return this.#timed(whole, watermark, appendedAtMs);
  }

  /** Notes the watermark before each row, and sets records from the future aside (watermark W2). */
  #timed(whole: StepBatch, watermark: InputWatermark, appendedAtMs: number): Given {
    const rows: number[] = [];
    const beforeMs: number[] = [];
    const failures = new Map<number, StepFailure>();
    for (let row = 0; row < whole.events.length; row += 1) {
      const timeMs = whole.timesMs[row] as number;
      const before = watermark.ms;
      if (watermark.see(timeMs, appendedAtMs)) {
        rows.push(row);
        beforeMs.push(before);
      } else failures.set(row, fromFuture(timeMs, appendedAtMs));
    }
    const watermarks = { beforeMs, after: this.#after, endMs: watermark.ms };
    if (failures.size === 0) return { batch: { ...whole, watermarks }, rows: undefined, failures };
    const pick = <Value>(column: ArrayLike<Value>) => rows.map((row) => column[row] as Value);
    const { partition, events, positions, timesMs } = whole;
    const batch = { partition, events: pick(events), positions: pick(positions), timesMs: pick(timesMs), watermarks };
    return { batch, rows, failures };
  }

  /** Appends the results in the order of their records; an event of a timer lies behind the record that caused it. */
  #gather(outputs: OutboxOutput[], { batch, first }: RunInput, given: Given, results: StepOutputs): void {
    const inputRow = (row: number) => (row === NO_ROW ? NO_ROW : (given.rows?.[row] ?? row));
    const failed = failuresByRow(given, results);
    const count = batch.events.length - first;
    let next = 0;
    const takeFired = (before: number) => {
      for (let fired = results.fired?.get(next); fired !== undefined; fired = results.fired?.get(next)) {
        if (inputRow(fired.after) >= before) return;
        const position = fired.after === NO_ROW ? this.#after : batch.positions[first + inputRow(fired.after)];
        outputs.push(firedOutput(results, next, position));
        next += 1;
      }
    };
    for (let row = 0; row < count; row += 1) {
      takeFired(row);
      const failure = failed.size === 0 ? undefined : failed.get(row);
      const hasOutputs = next < results.rows.length && inputRow(results.rows[next] as number) === row;
      if (failure === undefined && !hasOutputs) continue;
      const base = this.#base(batch, first + row);
      const { epoch, offset } = batch.positions[first + row] as Position;
      if (failure !== undefined) {
        const reason = this.#options.hide(failure.reason);
        const event = { ...base, failed: { ...failure, reason, event: batch.events[first + row] as Event } };
        outputs.push({ sequence: [epoch, offset, 0], event: event satisfies OutboxRecord });
      }
      for (let index = 0; inputRow(results.rows[next] ?? NO_ROW) === row; index += 1, next += 1) {
        const event = { ...base, event: results.events[next] as Event } satisfies OutboxRecord;
        outputs.push({ sequence: [epoch, offset, index], event });
      }
    }
    takeFired(count);
  }

  /** The properties of an input that its outputs keep. */
  #base(batch: DecodedBatch, row: number) {
    const timeMs = this.#options.timeOf(batch.events[row] as Event, batch.stored.appendedAtMs);
    const traceparent = batch.traceparentOf(row);
    return traceparent === undefined ? { timeMs } : { timeMs, traceparent };
  }
}

function firedOutput({ events, fired }: StepOutputs, at: number, position: Position | undefined): OutboxOutput {
  const { epoch = 0, offset = 0 } = position ?? {};
  const event = { timeMs: fired?.get(at)?.timeMs ?? 0, event: events[at] as Event } satisfies OutboxRecord;
  return { sequence: [epoch, offset, 0], event };
}

function failuresByRow({ rows, failures }: Given, results: StepOutputs): ReadonlyMap<number, StepFailure> {
  if (failures.size === 0) return results.failures;
  const all = new Map(failures);
  for (const [row, failure] of results.failures) all.set(rows?.[row] ?? row, failure);
  return all;
}

function fromFuture(timeMs: number, appendedAtMs: number): StepFailure {
  const [time, appended] = [timeMs, appendedAtMs].map((ms) => new Date(ms).toISOString());
  const reason = `Cannot take the record as its event time must lie near its append at ${appended}: current value is ${time}`;
  return { code: "FUTURE_RECORD", path: "", reason };
}
