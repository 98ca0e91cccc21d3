import { test } from "uvu";
import * as assert from "uvu/assert";
import { OUTPUTS_PER_RECORD_MAX, runSteps } from "../../../actors/pipeline/run_steps.ts";
import type { Step } from "../../../actors/pipeline/step.ts";
import { outputsTo, type StepOutputs } from "../../../actors/pipeline/step_outputs.ts";
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

/** The steps on the batch, with sinks for the outputs `odd` and `late`. */
const runNamed = (...steps: Step["run"][]): StepOutputs =>
  runSteps(
    steps.map((one) => ({ run: one })),
    batch,
    undefined,
    new Set(["odd", "late"]),
  ) as StepOutputs;

const listed = ({ events, rows, names }: StepOutputs) => events.map((event, at) => [rows[at], names?.get(at), event]);

test("an event for a named output passes the steps behind, and lies behind the main outputs of its record (step T4)", () => {
  const routed: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      if (event.n === 1) out.emitTo("odd", row, event);
      if (event.n === 2) out.emitTo("even", row, event); // no sink takes it
      out.emit(row, event);
    }
  };
  assert.equal(listed(runNamed(routed, twice)), [
    [0, undefined, { n: 0 }],
    [0, undefined, { again: 0 }],
    [1, undefined, { n: 1 }],
    [1, undefined, { again: 1 }],
    [1, "odd", { n: 1 }],
    [2, undefined, { n: 2 }],
    [2, undefined, { again: 2 }],
  ]);
});

test("a record that a later step rejects has no named output either (step T1)", () => {
  const routed: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      out.emitTo("odd", row, event);
      out.emit(row, event);
    }
  };
  const rejecting: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) if (event.n === 1) out.reject(row, "one");
  };
  const found = runNamed(routed, rejecting);
  assert.equal(listed(found), [
    [0, "odd", { n: 0 }],
    [2, "odd", { n: 2 }],
  ]);
  assert.is(found.failures.get(1)?.reason, "one");
});

test("a late record goes to its output once, with its own event, however many events a step has made of it", () => {
  const late: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      if (event.n === 1 || event.again === 1) out.late(row, "too late", { startMs: 0, endMs: 1_000 });
      else out.emit(row, event);
    }
  };
  const window = { windowStart: new Date(0), windowEnd: new Date(1_000) };
  const found = listed(runNamed(twice, late));
  assert.equal(found[2], [1, "late", { event: { n: 1 }, stream: "readings", reason: "late", ...window }]);
  assert.equal(
    found.map(([row]) => row),
    [0, 0, 1, 2, 2],
  );
  const { rows, failures } = run(twice, late);
  assert.equal(rows, [0, 0, 2, 2], "without a sink for it, the record is set aside");
  assert.equal([...failures], [[1, { code: "LATE_RECORD", path: "", reason: "too late" }]]);
});

test("named outputs count among the outputs of their record", () => {
  const many: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries())
      for (let times = 0; times <= OUTPUTS_PER_RECORD_MAX; times += 1) if (event.n === 1) out.emitTo("odd", row, event);
  };
  const { rows, failures } = runNamed(many);
  assert.equal([rows, [...failures.keys()]], [[], [1]]);
});

test("the sinks of a name take its outputs alone, and those of `to` the failures too", () => {
  const mixed: Step["run"] = ({ events }, out) => {
    for (const [row, event] of events.entries()) {
      if (event.n === 0) out.reject(row, "zero");
      else {
        out.emit(row, event);
        out.emitTo("odd", row, { odd: event.n });
      }
    }
  };
  const found = runNamed(mixed);
  const [main, odd] = [outputsTo(undefined, found), outputsTo("odd", found)];
  assert.equal(listed(main), [
    [1, undefined, { n: 1 }],
    [2, undefined, { n: 2 }],
  ]);
  assert.equal(listed(odd), [
    [1, undefined, { odd: 1 }],
    [2, undefined, { odd: 2 }],
  ]);
  assert.equal([[...main.failures.keys()], [...odd.failures.keys()]], [[0], []]);
  assert.equal(listed(outputsTo("odd", run(twice))), []);
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
