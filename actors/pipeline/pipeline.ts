/**
 * Compiles the steps of a pipeline to one function from a record to its outputs. Decides the order of steps and the
 * meaning of a failure. Leaves delivery to the sinks, and computing once to the outbox.
 */
import {
  ConfigurationError,
  OverloadedError,
  RejectedError,
  reasonOf,
  UnavailableError,
} from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { PartitionReference } from "../../protocols/position.ts";
import { callStep } from "./steps/call_step.ts";
import { type ExpressionCompiler, expressionCompiler } from "./steps/expression.ts";
import { filterStep } from "./steps/filter_step.ts";
import { mapStep } from "./steps/map_step.ts";
import type { Step, StepContext } from "./steps/step.ts";

export type StepSettings =
  | { readonly filter: string }
  | { readonly map: Readonly<Record<string, string>>; readonly keep?: boolean }
  | { readonly call: string };

/** The most outputs of one record: a step that makes several would otherwise multiply them at each step. */
export const OUTPUTS_PER_RECORD_MAX = 1_000;

export type PipelineResult =
  | { readonly kind: "outputs"; readonly events: readonly Event[] }
  | { readonly kind: "failed"; readonly code: "STEP_FAILED"; readonly path: string; readonly reason: string };

export interface Pipeline {
  readonly name: string;
  /** True where the pipeline may run once for each sink; otherwise it runs once, into an outbox (E13). */
  readonly isDeterministic: boolean;
  readonly steps: readonly Step[];
  /** Throws nothing but `UnavailableError` and `OverloadedError`: run the record again then. */
  run(event: Event, context: StepContext): PipelineResult | Promise<PipelineResult>;
  instantiate(partition: PartitionReference): PipelineInstance;
}

/** The steps of one partition and the state that they keep. */
export interface PipelineInstance {
  run: Pipeline["run"];
  /** The state of each step by its index, JSON-like; null for a step without state. */
  snapshot(): readonly unknown[];
  restore(snapshot: readonly unknown[]): void;
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
    run: runner(steps),
    instantiate: (partition) => instantiate(steps, partition),
  };
}

function instantiate(steps: readonly Step[], partition: PartitionReference): PipelineInstance {
  const stateful = steps.map((step) => step.instantiate?.(partition));
  return {
    run: runner(steps.map((step, index) => stateful[index] ?? step)),
    snapshot: () => stateful.map((step) => step?.snapshot() ?? null),
    restore(snapshot) {
      for (const [index, step] of stateful.entries()) if (snapshot[index] != null) step?.restore(snapshot[index]);
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

/** Awaits only where a step answers a promise: an `await` for each record costs more than most steps. */
function runner(steps: readonly Step[]): Pipeline["run"] {
  const runFrom = (
    at: number,
    events: readonly Event[],
    context: StepContext,
  ): readonly Event[] | Promise<readonly Event[]> => {
    const step = steps[at];
    if (step === undefined || events.length === 0) return events;
    const answers = events.map((event) => step.run(event, context));
    if (answers.some((answer) => answer instanceof Promise)) {
      return Promise.all(answers).then((all) => runFrom(at + 1, bounded(all.flat()), context));
    }
    return runFrom(at + 1, bounded((answers as (readonly Event[])[]).flat()), context);
  };
  return (event, context) => {
    try {
      const events = runFrom(0, [event], context);
      return events instanceof Promise ? events.then(succeed, fail) : succeed(events);
    } catch (error) {
      return fail(error);
    }
  };
}

function bounded(events: readonly Event[]): readonly Event[] {
  if (events.length <= OUTPUTS_PER_RECORD_MAX) return events;
  throw new RejectedError(
    "STEP_FAILED",
    `Cannot go on as a record must have at most ${OUTPUTS_PER_RECORD_MAX} outputs: current value is ${events.length}`,
  );
}

const succeed = (events: readonly Event[]): PipelineResult => ({ kind: "outputs", events });

function fail(error: unknown): PipelineResult {
  if (error instanceof UnavailableError || error instanceof OverloadedError) throw error;
  return { kind: "failed", code: "STEP_FAILED", path: "", reason: reasonOf(error) };
}
