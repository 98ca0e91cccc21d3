/** A pipeline with a state: it counts its inputs and puts the count into each output, so it must compute once (E13). */
import { RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { fakePipeline } from "../../support/fakes/fake_pipeline.ts";

function compute(event: Event, count: number): readonly Event[] {
  if (event.kind === "failing") throw new RejectedError("STEP_FAILED", "bad");
  return event.kind === "filtered" ? [] : [{ ...event, count }];
}

export const counting = fakePipeline("count", () => {
  let count = 0;
  return {
    run: (event) => {
      count += 1;
      return compute(event, count);
    },
    snapshot: () => count,
    restore: (snapshot) => {
      count = Number(snapshot);
    },
  };
});
