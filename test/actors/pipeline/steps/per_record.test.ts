import { test } from "uvu";
import * as assert from "uvu/assert";
import { runSteps } from "../../../../actors/pipeline/run_steps.ts";
import { perRecord } from "../../../../actors/pipeline/steps/per_record.ts";
import { OverloadedError, UnavailableError } from "../../../../protocols/errors.ts";
import { batchOf } from "../../../conformance/steps/step_suite.ts";

const batch = batchOf([{ n: 0 }, { n: 1 }, { n: 2 }], 0, [0, 0, 0]);

test("an error of one record sets that record aside, thrown at once or later", async () => {
  for (const isLater of [false, true]) {
    const run = perRecord((event) => {
      if (event.n === 1) throw new Error("odd one");
      return isLater ? Promise.resolve([event]) : [event];
    });
    const { rows, failures } = await runSteps([{ run }], batch);
    assert.equal(rows, [0, 2]);
    assert.is(failures.get(1)?.reason, "odd one");
  }
});

test("a function that is away has its whole batch run again (step T3)", async () => {
  for (const error of [new UnavailableError("TIMEOUT", "away"), new OverloadedError("STORE_FULL", "busy", 1)]) {
    const later = perRecord(async (event) => {
      if (event.n === 2) throw error;
      return [event];
    });
    const found = await Promise.resolve(runSteps([{ run: later }], batch)).then(
      () => "went on",
      (thrown: unknown) => thrown,
    );
    assert.is(found, error);
    const atOnce = perRecord(() => {
      throw error;
    });
    assert.throws(() => runSteps([{ run: atOnce }], batch), error.message);
  }
});

test("a function is given each record after its answer for the one before", async () => {
  const seen: string[] = [];
  const run = perRecord(async (event) => {
    seen.push(`begin ${event.n}`);
    await undefined;
    seen.push(`end ${event.n}`);
    return [];
  });
  await runSteps([{ run }], batch);
  assert.equal(seen, ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]);
});

test.run();
