/**
 * Runs a pipeline's steps on the records that its inputs have given, and makes records of the outbox of the results. Reads
 * and stores nothing.
 */
import type { Event } from "../../../protocols/event.ts";
import type { Position } from "../../../protocols/position.ts";
import { LATE_OUTPUT, lateEvent } from "../late_event.ts";
import type { OutboxRecord } from "../outbox_record.ts";
import type { PipelineInstance } from "../pipeline.ts";
import type { StepBatch } from "../step.ts";
import { NO_ROW, type StepFailure, type StepOutputs } from "../step_outputs.ts";
import type { TakenRows } from "./outbox_inputs.ts";
import type { OutboxOutput } from "./outbox_messages.ts";

/** One run of the steps over the records taken last. */
export interface Run {
  /** The record in hand. */
  at: Position | undefined;
  /** Nobody waits for the run any more. */
  isOver: boolean;
}

export interface RunParts {
  readonly instance: PipelineInstance;
  /** The named outputs that have sinks. */
  readonly named: ReadonlySet<string>;
  /** Takes secrets out of reasons. */
  hide(text: string): string;
}

/** One batch after the other: steps that keep state see the records in order. */
export async function runTaken(parts: RunParts, taken: readonly TakenRows[], run: Run): Promise<OutboxOutput[]> {
  const outputs: OutboxOutput[] = [];
  for (const rows of taken) {
    if (run.isOver) break;
    const given = givenTo(rows);
    const { positions } = given.batch;
    run.at = positions[0];
    const found = parts.instance.run(given.batch, (row) => {
      run.at = positions[row] ?? run.at;
    });
    gather(outputs, rows, given, found instanceof Promise ? await found : found, parts);
  }
  return outputs;
}

/** The rows that the steps are given. */
interface Given {
  readonly batch: StepBatch;
  /** Row of the taken records for each row of `batch`; undefined where all are given. */
  readonly rows: readonly number[] | undefined;
}

/** Leaves out the records that were set aside before any step. */
function givenTo({ batch, failures }: TakenRows): Given {
  if (failures.size === 0) return { batch, rows: undefined };
  const rows = [...batch.events.keys()].filter((row) => !failures.has(row));
  const pick = <Value>(column: ArrayLike<Value>) => rows.map((row) => column[row] as Value);
  const { partition, events, positions, timesMs, sources, watermarks } = batch;
  const columns = { events: pick(events), positions: pick(positions), timesMs: pick(timesMs) };
  const from = sources === undefined ? {} : { sources: pick(sources) };
  const marks = watermarks === undefined ? {} : { watermarks: { ...watermarks, beforeMs: pick(watermarks.beforeMs) } };
  return { batch: { partition, ...columns, ...from, ...marks }, rows };
}

/** Appends the results in the order of their records; an event of a timer lies behind the record that caused it. */
function gather(
  outputs: OutboxOutput[],
  { batch, failures, traceparentOf }: TakenRows,
  given: Given,
  results: StepOutputs,
  { named, hide }: RunParts,
): void {
  const takenRow = (row: number) => (row === NO_ROW ? NO_ROW : (given.rows?.[row] ?? row));
  const failed = failuresByRow(failures, results, takenRow);
  let next = 0;
  const takeFired = (before: number) => {
    for (let fired = results.fired?.get(next); fired !== undefined; fired = results.fired?.get(next)) {
      const after = takenRow(fired.after);
      if (after >= before) return;
      const { epoch = 0, offset = 0 } = batch.positions[after] ?? batch.watermarks?.after ?? {};
      const record = { timeMs: fired.timeMs, ...resultAt(results, next) } satisfies OutboxRecord;
      outputs.push({ sequence: [epoch, offset, 0], event: record });
      next += 1;
    }
  };
  for (let row = 0; row < batch.events.length; row += 1) {
    takeFired(row);
    const failure = failed.size === 0 ? undefined : failed.get(row);
    const hasOutputs = next < results.rows.length && takenRow(results.rows[next] as number) === row;
    if (failure === undefined && !hasOutputs) continue;
    const input = batch.events[row] as Event;
    const traceparent = traceparentOf(row);
    const timeMs = batch.timesMs[row] as number;
    const base = traceparent === undefined ? { timeMs } : { timeMs, traceparent };
    const { epoch, offset } = batch.positions[row] as Position;
    if (failure?.code === "FUTURE_RECORD" && named.has(LATE_OUTPUT)) {
      const { stream } = batch.sources?.[row] ?? batch.partition;
      const event = lateEvent({ event: input, stream, reason: "future" });
      const record = { ...base, event, output: LATE_OUTPUT } satisfies OutboxRecord;
      outputs.push({ sequence: [epoch, offset, 0], event: record, input });
    } else if (failure !== undefined) {
      const record = { ...base, failed: { ...failure, reason: hide(failure.reason), event: input } };
      outputs.push({ sequence: [epoch, offset, 0], event: record satisfies OutboxRecord, input });
    }
    for (let index = 0; takenRow(results.rows[next] ?? NO_ROW) === row; index += 1, next += 1) {
      const record = { ...base, ...resultAt(results, next) } satisfies OutboxRecord;
      outputs.push({ sequence: [epoch, offset, index], event: record, input });
    }
  }
  takeFired(batch.events.length);
}

function resultAt({ events, names }: StepOutputs, at: number): { readonly event: Event; readonly output?: string } {
  const event = events[at] as Event;
  const output = names?.get(at);
  return output === undefined ? { event } : { event, output };
}

function failuresByRow(
  before: ReadonlyMap<number, StepFailure>,
  { failures }: StepOutputs,
  takenRow: (row: number) => number,
): ReadonlyMap<number, StepFailure> {
  if (before.size === 0) return failures;
  const all = new Map(before);
  for (const [row, failure] of failures) all.set(takenRow(row), failure);
  return all;
}
