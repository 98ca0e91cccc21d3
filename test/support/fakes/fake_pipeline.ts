/** A pipeline of one step that computes once, made of a function of each record, with a snapshot or tables for its state. */
import type { Pipeline } from "../../../actors/pipeline/pipeline.ts";
import { runSteps } from "../../../actors/pipeline/run_steps.ts";
import type { StateTables } from "../../../actors/pipeline/step.ts";
import { perRecord, type RecordFunction } from "../../../actors/pipeline/steps/per_record.ts";

/** The step of one partition. */
export interface FakeStep {
  readonly run: RecordFunction;
  snapshot?(): unknown;
  restore?(snapshot: unknown): void;
}

/** @param instantiate makes the step of a partition, without state, or on the tables that a parameter asks for */
export function fakePipeline(name: string, instantiate: (tables: StateTables) => FakeStep): Pipeline {
  const keepsTables = instantiate.length > 0;
  return {
    ...{ name, isDeterministic: false, usesTime: false, keepsTables, steps: [], outputs: new Set<string>() },
    run: () => {
      throw new Error("Cannot run the pipeline by itself as it must be instantiated for one partition");
    },
    instantiate: (_partition, tables) => {
      const step = instantiate(tables);
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
