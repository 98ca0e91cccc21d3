/**
 * Compiles the steps of a pipeline. Leaves running them to run_steps.ts, delivery to the sinks, and computing once to
 * the outbox.
 */
import { ConfigurationError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { type PartitionReference, partitionId } from "../../protocols/position.ts";
import { type Progress, runSteps, type StepFailure, type StepOutputs } from "./run_steps.ts";
import type { Step, StepBatch, StepContext } from "./step.ts";
import { callStep } from "./steps/call_step.ts";
import { type ExpressionCompiler, expressionCompiler } from "./steps/expression.ts";
import { filterStep } from "./steps/filter_step.ts";
import { mapStep } from "./steps/map_step.ts";

export type StepSettings =
  | { readonly filter: string }
  | { readonly map: Readonly<Record<string, string>>; readonly keep?: boolean }
  | { readonly call: string };

/** The result of one record. */
export type PipelineResult =
  | { readonly kind: "outputs"; readonly events: readonly Event[] }
  | ({ readonly kind: "failed" } & StepFailure);

/** Runs steps on records in their order. Cuts of the same records into batches have the same results (step T2). */
export interface Runner {
  /** Throws nothing but `UnavailableError` and `OverloadedError`: run the batch again then. */
  run(batch: StepBatch, onProgress?: Progress): StepOutputs | Promise<StepOutputs>;
}

export interface Pipeline extends Runner {
  readonly name: string;
  /** True where the pipeline may run once for each sink; otherwise it runs once, into an outbox (E13). */
  readonly isDeterministic: boolean;
  readonly steps: readonly Step[];
  instantiate(partition: PartitionReference): PipelineInstance;
}

/** The steps of one partition and the state that they keep. */
export interface PipelineInstance extends Runner {
  /** The state of each step by its index, JSON-like; null for a step without. */
  snapshot(): readonly unknown[];
  restore(snapshot: readonly unknown[]): void;
}

/** Runs one record by itself. */
export function runRecord(
  runner: Runner,
  event: Event,
  context: StepContext,
): PipelineResult | Promise<PipelineResult> {
  const { stream, partition, position, timeMs } = context;
  const place = { stream, partition: partitionId(partition) };
  const outputs = runner.run({ partition: place, events: [event], positions: [position], timesMs: [timeMs] });
  return outputs instanceof Promise ? outputs.then(resultOfRecord) : resultOfRecord(outputs);
}

function resultOfRecord({ events, failures }: StepOutputs): PipelineResult {
  const failure = failures.get(0);
  return failure === undefined ? { kind: "outputs", events } : { kind: "failed", ...failure };
}

/** Throws `ConfigurationError` for a step that cannot be compiled. Paths of `call` are relative to `folder`. */
export async function compilePipeline(
  name: string,
  settings: readonly StepSettings[],
  folder: string,
): Promise<Pipeline> {
  const compile = await expressionCompiler();
  const steps: Step[] = [];
  for (const [index, one] of settings.entries()) {
    steps.push(await compileStep(one, `pipelines.${name}.steps[${index}]`, compile, folder));
  }
  return {
    name,
    steps,
    isDeterministic: steps.every((step) => step.isDeterministic),
    run: (batch, onProgress) => runSteps(steps, batch, onProgress),
    instantiate: (partition) => instantiate(steps, partition),
  };
}

function instantiate(steps: readonly Step[], partition: PartitionReference): PipelineInstance {
  const instances = steps.map((step) => step.instantiate?.(partition, undefined) ?? step);
  return {
    run: (batch, onProgress) => runSteps(instances, batch, onProgress),
    snapshot: () => instances.map((instance) => ("snapshot" in instance ? (instance.snapshot?.() ?? null) : null)),
    restore(snapshot) {
      for (const [index, instance] of instances.entries()) {
        if (snapshot[index] != null && "restore" in instance) instance.restore?.(snapshot[index]);
      }
    },
  };
}

async function compileStep(
  one: StepSettings,
  where: string,
  compile: ExpressionCompiler,
  folder: string,
): Promise<Step> {
  const kinds = ["filter", "map", "call"].filter((kind) => kind in one);
  if (kinds.length > 1) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot compile ${where} as it must be one of filter, map and call: current value is ${kinds.join(", ")}`,
    );
  }
  if ("filter" in one) return filterStep(one.filter, `${where}.filter`, compile);
  if ("map" in one) return mapStep(one, `${where}.map`, compile);
  if ("call" in one) return await callStep(one.call, `${where}.call`, folder);
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot compile ${where} as it must be filter, map or call: current value is ${Object.keys(one).join(", ")}`,
  );
}
