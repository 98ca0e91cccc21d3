/**
 * Makes a step of a function of one record. The function fails for its record alone, which is set aside; with
 * `UnavailableError` and `OverloadedError` the fault is not the record's, and the batch is run again (step T3).
 */
import { OverloadedError, RejectedError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import type { Step, StepBatch, StepContext, StepOutput } from "../step.ts";

/** Answers the events that the record becomes. Records are given in their order, each after the answer for the one before. */
export type RecordFunction = (event: Event, context: StepContext) => readonly Event[] | Promise<readonly Event[]>;

export const perRecord =
  (run: RecordFunction): Step["run"] =>
  (batch, out) =>
    runFrom(0, run, batch, out);

/** Awaits only where the function answers a promise: an `await` for each record costs more than most functions. */
function runFrom(first: number, run: RecordFunction, batch: StepBatch, out: StepOutput): void | Promise<void> {
  for (let row = first; row < batch.events.length; row += 1) {
    try {
      const answer = run(batch.events[row] as Event, contextOf(batch, row));
      if (answer instanceof Promise) return awaitRow(answer, row, run, batch, out);
      for (const event of answer) out.emit(row, event);
    } catch (error) {
      rejectRow(error, row, out);
    }
  }
}

async function awaitRow(
  answer: Promise<readonly Event[]>,
  row: number,
  run: RecordFunction,
  batch: StepBatch,
  out: StepOutput,
): Promise<void> {
  let pending: ReturnType<RecordFunction> = answer;
  for (let at = row; ; ) {
    try {
      for (const event of await pending) out.emit(at, event);
    } catch (error) {
      rejectRow(error, at, out);
    }
    at += 1;
    out.reached(at);
    if (at >= batch.events.length) return;
    pending = started(run, batch, at);
  }
}

/** A function may throw before it answers a promise. */
async function started(run: RecordFunction, batch: StepBatch, row: number): Promise<readonly Event[]> {
  return await run(batch.events[row] as Event, contextOf(batch, row));
}

export function contextOf({ partition, sources, positions, timesMs }: StepBatch, row: number): StepContext {
  const { stream, partition: number } = sources?.[row] ?? partition;
  return {
    stream,
    partition: number,
    position: positions[row] as StepContext["position"],
    timeMs: timesMs[row] as number,
  };
}

function rejectRow(error: unknown, row: number, out: StepOutput): void {
  if (error instanceof UnavailableError || error instanceof OverloadedError) throw error;
  out.reject(row, reasonOf(error), error instanceof RejectedError ? error.code : undefined);
}
