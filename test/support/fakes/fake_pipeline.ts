/** A pipeline of one step that computes once, made of a function of each record, with state that is stored as a snapshot. */
import type { Pipeline } from "../../../actors/pipeline/pipeline.ts";
import { runSteps } from "../../../actors/pipeline/run_steps.ts";
import { perRecord, type RecordFunction } from "../../../actors/pipeline/steps/per_record.ts";

/** The step of one partition. */
export interface FakeStep {
  readonly run: RecordFunction;
  snapshot?(): unknown;
  restore?(snapshot: unknown): void;
}

/** @param instantiate makes the step of a partition, without state */
export function fakePipeline(name: string, instantiate: () => FakeStep): Pipeline {
  return {
    ...{ name, isDeterministic: false, usesTime: false, keepsTables: false, steps: [] },
    run: () => {
      throw new Error("Cannot run the pipeline by itself as it must be instantiated for one partition");
    },
    instantiate: () => {
      const step = instantiate();
      const runnable = { run: perRecord(step.run) };
      return {
        run: (batch, onProgress) => runSteps([runnable], batch, onProgress),
        snapshot: () => [step.snapshot?.() ?? null],
        restore: ([snapshot]) => {
          if (snapshot != null) step.restore?.(snapshot);
        },
        restored: () => undefined,
        hasTimers: () => false,
      };
    },
  };
}
