import { test } from "uvu";
import * as assert from "uvu/assert";
import { compilePipeline } from "../../../actors/pipeline/pipeline.ts";
import { runSteps } from "../../../actors/pipeline/run_steps.ts";
import type { Step } from "../../../actors/pipeline/step.ts";
import type { StepsResults } from "../../../actors/sinks/delivery/prepare_items.ts";
import { partitionId, position } from "../../../protocols/position.ts";
import { directInput, outboxInput } from "../../../supervisors/node/delivery_input.ts";

const batch = {
  partition: { stream: "orders", partition: partitionId(0) },
  events: [{ n: 1 }, { n: 2 }, { n: 3 }],
  positions: [0, 1, 2].map((at) => position(1, at)),
  timesMs: [0, 0, 0],
};

/** Odd numbers go to the output `odd`, 2 fails. */
const route: Step["run"] = ({ events }, out) => {
  for (const [row, event] of events.entries()) {
    if (event.n === 2) out.reject(row, "two");
    else if (event.n === 1) out.emitTo("odd", row, event);
    else out.emit(row, event);
  }
};

test("sinks of a pipeline that runs once for each sink take the outputs of their name alone, at once or later", async () => {
  const compiled = await compilePipeline("p", [], ".", ["odd"]);
  const atOnce = { ...compiled, run: () => runSteps([{ run: route }], batch, undefined, compiled.outputs) };
  const later = { ...atOnce, run: async () => atOnce.run() };
  for (const pipeline of [atOnce, later]) {
    const seen = async (output: string | undefined) => {
      const found: StepsResults = await directInput(pipeline, { timeOf: () => 0 }, output).run(batch);
      return [found.events, found.rows, [...found.failures.keys()]];
    };
    assert.equal(await seen(undefined), [[{ n: 3 }], [2], [1]]);
    assert.equal(await seen("odd"), [[{ n: 1 }], [0], []]);
    assert.equal(await seen("even"), [[], [], []]);
  }
});

test("sinks of a pipeline that computes once read its outbox, each the outputs of its name", async () => {
  const stored = [
    { timeMs: 5, event: { n: 1 } },
    { timeMs: 6, event: { n: 2 }, output: "late" },
  ];
  const outbox = { ...batch, events: stored, positions: batch.positions.slice(0, 2), timesMs: [0, 0] };
  const seen = async (output: string | undefined) => {
    const { channel, run, timeOf } = outboxInput("p", output);
    const { events, rows } = await run(outbox);
    return [channel, events, rows, timeOf(stored[1] ?? {}, 0)];
  };
  assert.equal(await seen(undefined), ["outbox/p", [{ n: 1 }], [0], 6]);
  assert.equal(await seen("late"), ["outbox/p", [{ n: 2 }], [1], 6]);
});

test.run();
