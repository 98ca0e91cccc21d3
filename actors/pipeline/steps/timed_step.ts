/**
 * Makes a step with timers of two functions: one for a record, one for a timer. Timers that are due fire before the next
 * record is handled, and after the last one, so that the cut of records into batches changes nothing (step T2).
 */
import { OverloadedError, RejectedError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { Step, StepBatch, StepOutput } from "../step.ts";
import type { Timer, Timers } from "./timers.ts";

export interface TimedFunctions {
  /** Throws for its record alone, which is then set aside. */
  record(batch: StepBatch, row: number, out: StepOutput): void;
  /** Answers the event that the timer emits, with its event time; undefined for none. */
  timer(timer: Timer): { readonly event: Parameters<StepOutput["fire"]>[1]; readonly timeMs: number } | undefined;
}

export function timedRun(timers: Timers, { record, timer }: TimedFunctions): Step["run"] {
  const fireDue = (watermarkMs: number, out: StepOutput) => {
    for (const due of timers.takeDue(watermarkMs)) {
      const fired = timer(due);
      if (fired !== undefined) out.fire(due.timeMs, fired.event, fired.timeMs);
    }
  };
  return (batch, out) => {
    const { events, watermarks } = batch;
    for (let row = 0; row < events.length; row += 1) {
      if (watermarks !== undefined) fireDue(watermarks.beforeMs[row] as number, out);
      try {
        record(batch, row, out);
      } catch (error) {
        if (error instanceof UnavailableError || error instanceof OverloadedError) throw error;
        out.reject(row, reasonOf(error), error instanceof RejectedError ? error.code : undefined);
      }
    }
    if (watermarks !== undefined) fireDue(watermarks.endMs, out);
  };
}
