import { test } from "uvu";
import * as assert from "uvu/assert";
import { OUTPUTS_PER_RECORD_MAX, runSteps, type StepOutputs } from "../../../actors/pipeline/run_steps.ts";
import type { Step } from "../../../actors/pipeline/step.ts";
import { batchOf } from "../../conformance/steps/step_suite.ts";

const batch = batchOf([{ n: 0 }, { n: 1 }, { n: 2 }], 10, [5, 6, 7]);
const run = (...steps: Step["run"][]): StepOutputs =>
  runSteps(
    steps.map((one) => ({ run: one })),
    batch,
  ) as StepOutputs;

const twice: Step["run"] = ({ events }, out) => {
  for (const [row, event] of events.entries()) {
    out.emit(row, event);
    out.emit(row, { again: event.n });
  }
};

test("a batch without steps passes as it is", () => {
  const { events, rows } = run();
  assert.is(events, batch.events);
  assert.equal(rows, [0, 1, 2]);
});

test("each step sees the position and the time of the record that a row comes from", () => {
  const seen: unknown[] = [];
  run(twice, ({ positions, timesMs }) => {
    seen.push(
      positions.map(({ offset }) => offset),
      [...(timesMs as number[])],
    );
  });
  assert.equal(seen, [
    [10, 10, 11, 11, 12, 12],
    [5, 5, 6, 6, 7, 7],
  ]);
});

test("a record that a later step rejects has no outputs, and its first reason stands (step T1)", () => {
  const { rows, failures } = run(twice, ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      if (event.n === 1 || event.again === 1) out.reject(row, `reason ${row}`);
      out.emit(row, event);
    }
  });
  assert.equal(rows, [0, 0, 2, 2]);
  assert.equal([...failures], [[1, { code: "STEP_FAILED", path: "", reason: "reason 2" }]]);
});

test("a record with too many outputs is set aside by itself, however many steps multiply it", () => {
  const many: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      const count = event.n === 1 || event.again === 1 ? OUTPUTS_PER_RECORD_MAX / 2 + 1 : 1;
      for (let times = 0; times < count; times += 1) out.emit(row, event);
    }
  };
  const { rows, failures } = run(twice, many);
  assert.equal(rows, [0, 0, 2, 2]);
  assert.match(failures.get(1)?.reason ?? "", /at most 1000 outputs: current value is 1002/);
});

test("rows that do not ascend are a fault of the step", () => {
  const backwards: Step["run"] = (_batch, out) => {
    out.emit(1, {});
    out.emit(0, {});
  };
  assert.throws(() => run(backwards), /rows must ascend/);
});

test("a step that awaits tells how far it has come, by the rows of the batch", async () => {
  const reached: number[] = [];
  const slow: Step["run"] = async ({ events }, out) => {
    for (const row of events.keys()) {
      await undefined;
      out.reached(row);
    }
  };
  await runSteps([{ run: twice }, { run: slow }], batch, (row) => reached.push(row));
  assert.equal(reached, [0, 0, 1, 1, 2, 2]);
});

test.run();
