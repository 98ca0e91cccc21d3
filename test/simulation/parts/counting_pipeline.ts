/** Pipelines with a state: they count their inputs and put the count into each output, so they must compute once (E13). */
import { STATE_LIMITS } from "../../../actors/pipeline/keyed_state.ts";
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

/** Keys of the table: each input changes one of them. */
const KEYS = 7;

/** As `counting`; the count is the sum over the keys of a table, so that a lost change of any key shows (E29). */
export const countingByKey = fakePipeline("count", (tables) => {
  const counts = tables("counts", STATE_LIMITS);
  return {
    run: (event) => {
      const key = `k${[...String(event.id)].reduce((sum, character) => sum + character.charCodeAt(0), 0) % KEYS}`;
      counts.put(key, Number(counts.get(key) ?? 0) + 1);
      const total = [...counts.scan()].reduce((sum, [, count]) => sum + Number(count), 0);
      return compute(event, total);
    },
  };
});
