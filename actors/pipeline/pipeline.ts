/**
 * Compiles the steps of a pipeline. Leaves running them to run_steps.ts, delivery to the sinks, and computing once to
 * the outbox.
 */
import { ConfigurationError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { type PartitionReference, partitionId } from "../../protocols/position.ts";
import { type Progress, runSteps } from "./run_steps.ts";
import { PipelineState } from "./state/pipeline_state.ts";
import type { StateTables, Step, StepBatch, StepContext, StepInstance, Watermarks } from "./step.ts";
import { outputsTo, type StepFailure, type StepOutputs } from "./step_outputs.ts";
import { callStep } from "./steps/call_step.ts";
import { type CountSettings, countStep } from "./steps/count_step.ts";
import { type ExpressionCompiler, expressionCompiler } from "./steps/expression.ts";
import { filterStep } from "./steps/filter_step.ts";
import { type JoinSettings, joinStep } from "./steps/join_step.ts";
import { mapStep } from "./steps/map_step.ts";

export type StepSettings =
  | { readonly filter: string }
  | { readonly map: Readonly<Record<string, string>>; readonly keep?: boolean }
  | { readonly call: string }
  | { readonly count: CountSettings }
  | { readonly join: JoinSettings };

/** The result of one record. `named` has the events of named outputs; absent where none has any. */
export type PipelineResult =
  | {
      readonly kind: "outputs";
      readonly events: readonly Event[];
      readonly named?: readonly { readonly output: string; readonly event: Event }[];
    }
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
  /** The named outputs that have sinks. */
  readonly outputs: ReadonlySet<string>;
  /** True where a step has timers: watermarks reach the steps, and records from the future are set aside. */
  readonly usesTime: boolean;
  /** True where a step keeps its state in tables. */
  readonly keepsTables: boolean;
  /** @param tables answers the pipeline's own table of a name, in `partition` */
  instantiate(partition: PartitionReference, tables: StateTables): PipelineInstance;
}

/** The steps of one partition and the state that they keep. */
export interface PipelineInstance extends Runner {
  /** The state of each step by its index, JSON-like; null for a step without. */
  snapshot(): readonly unknown[];
  restore(snapshot: readonly unknown[]): void;
  /** The tables were read again, or set back. */
  restored(): void;
  /** Whether a timer waits for the watermark. */
  hasTimers(): boolean;
}

/** Runs one record by itself. Events of timers count as its outputs. */
export function runRecord(
  runner: Runner,
  event: Event,
  context: StepContext,
  watermarks?: Watermarks,
): PipelineResult | Promise<PipelineResult> {
  const { stream, partition, position, timeMs } = context;
  const place = { stream, partition: partitionId(partition) };
  const batch = { partition: place, events: [event], positions: [position], timesMs: [timeMs] };
  const outputs = runner.run(watermarks === undefined ? batch : { ...batch, watermarks });
  return outputs instanceof Promise ? outputs.then(resultOfRecord) : resultOfRecord(outputs);
}

function resultOfRecord(outputs: StepOutputs): PipelineResult {
  const failure = outputs.failures.get(0);
  if (failure !== undefined) return { kind: "failed", ...failure };
  const { events } = outputsTo(undefined, outputs);
  if (outputs.names === undefined) return { kind: "outputs", events };
  const named = [...outputs.names].map(([at, output]) => ({ output, event: outputs.events[at] as Event }));
  return { kind: "outputs", events, named };
}

/**
 * Throws `ConfigurationError` for a step that cannot be compiled. Paths of `call` are relative to `folder`.
 *
 * @param outputs the named outputs that have sinks
 */
export async function compilePipeline(
  name: string,
  settings: readonly StepSettings[],
  folder: string,
  outputs: readonly string[] = [],
): Promise<Pipeline> {
  const compile = await expressionCompiler();
  const steps: Step[] = [];
  const taken = new Set(outputs);
  for (const [index, one] of settings.entries()) {
    steps.push(await compileStep(one, `pipelines.${name}.steps[${index}]`, compile, folder));
  }
  return {
    name,
    steps,
    outputs: taken,
    isDeterministic: steps.every((step) => step.isDeterministic),
    usesTime: steps.some((step) => step.usesTime === true),
    keepsTables: steps.some((step) => step.keepsTables === true),
    run: (batch, onProgress) => runSteps(steps, batch, onProgress, taken),
    instantiate: (partition, tables) => instantiate(steps, taken, partition, tables),
  };
}

function instantiate(
  steps: readonly Step[],
  taken: ReadonlySet<string>,
  partition: PartitionReference,
  tables: StateTables,
): PipelineInstance {
  const instances = steps.map((step, index): StepInstance => {
    if (step.instantiate === undefined) return step;
    const prefix = prefixOf(steps, index);
    return step.instantiate(partition, (name, limits) => tables(`${prefix}/${name}`, limits));
  });
  return {
    run: (batch, onProgress) => runSteps(instances, batch, onProgress, taken),
    snapshot: () => instances.map((instance) => instance.snapshot?.() ?? null),
    restore(snapshot) {
      for (const [index, instance] of instances.entries())
        if (snapshot[index] != null) instance.restore?.(snapshot[index]);
    },
    restored() {
      for (const instance of instances) instance.restored?.();
    },
    hasTimers: () => instances.some((instance) => instance.hasTimers?.() === true),
  };
}

/** Names a step by its kind and its place among the steps of that kind: other steps may come and go around it. */
function prefixOf(steps: readonly Step[], index: number): string {
  const name = steps[index]?.name ?? "";
  const nth = steps.slice(0, index).filter((step) => step.name === name).length + 1;
  return nth === 1 ? name : `${name}${nth}`;
}

const STEP_KINDS = ["filter", "map", "call", "count", "join"];

async function compileStep(
  one: StepSettings,
  where: string,
  compile: ExpressionCompiler,
  folder: string,
): Promise<Step> {
  const kinds = STEP_KINDS.filter((kind) => kind in one);
  if (kinds.length > 1) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot compile ${where} as it must be one of ${STEP_KINDS.join(", ")}: current value is ${kinds.join(", ")}`,
    );
  }
  if ("filter" in one) return filterStep(one.filter, `${where}.filter`, compile);
  if ("map" in one) return mapStep(one, `${where}.map`, compile);
  if ("call" in one) return await callStep(one.call, `${where}.call`, folder);
  if ("join" in one) return joinStep(one.join, `${where}.join`, compile);
  if ("count" in one) return countStep(one.count, `${where}.count`, compile);
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot compile ${where} as it must be one of ${STEP_KINDS.join(", ")}: current value is ${Object.keys(one).join(", ")}`,
  );
}

/** Tables that begin empty and are stored nowhere, for a pipeline that is tried out. */
export function freshTables(): StateTables {
  const state = new PipelineState();
  state.loaded();
  return (name, limits) => state.table(name, limits);
}
