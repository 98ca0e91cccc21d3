/** A pipeline with a state: it counts its inputs and puts the count into each output, so it must compute once (E13). */
import type { Pipeline, PipelineResult } from "../../../actors/pipeline/pipeline.ts";
import type { Event } from "../../../protocols/event.ts";

function compute(event: Event, count: number): PipelineResult {
  if (event.kind === "failing") return { kind: "failed", code: "STEP_FAILED", path: "", reason: "bad" };
  return { kind: "outputs", events: event.kind === "filtered" ? [] : [{ ...event, count }] };
}

const instantiate: Pipeline["instantiate"] = () => {
  let count = 0;
  return {
    run: (event) => {
      count += 1;
      return compute(event, count);
    },
    snapshot: () => [count],
    restore: (snapshot) => {
      count = Number(snapshot[0] ?? 0);
    },
  };
};

export const counting: Pipeline = {
  ...{ name: "count", isDeterministic: false, steps: [], instantiate },
  run: () => {
    throw new Error("Cannot run the pipeline by itself as it must be instantiated for one partition");
  },
};
