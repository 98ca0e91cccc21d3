/** A pipeline with a state: it counts its inputs and puts the count into each output, so it must compute once (E13). */
import type { Pipeline } from "../../../actors/pipeline/pipeline.ts";
import { runSteps } from "../../../actors/pipeline/run_steps.ts";
import { perRecord } from "../../../actors/pipeline/steps/per_record.ts";
import { RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";

function compute(event: Event, count: number): readonly Event[] {
  if (event.kind === "failing") throw new RejectedError("STEP_FAILED", "bad");
  return event.kind === "filtered" ? [] : [{ ...event, count }];
}

const instantiate: Pipeline["instantiate"] = () => {
  let count = 0;
  const step = {
    run: perRecord((event) => {
      count += 1;
      return compute(event, count);
    }),
  };
  return {
    run: (batch) => runSteps([step], batch),
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
