import { test } from "uvu";
import * as assert from "uvu/assert";
import { resultOfStored } from "../../../actors/pipeline/outbox_record.ts";

test("the sinks of `to` take outputs without a name and failures, and those of a named output its events alone", () => {
  const failed = { code: "STEP_FAILED", path: "", reason: "no such key", event: { n: 1 } };
  const stored = [
    { timeMs: 0, event: { n: 2 } },
    { timeMs: 0, event: { n: 3 }, output: "late" },
    { timeMs: 0, failed },
  ];
  const of = (output: string | undefined) => stored.map((one) => resultOfStored(one, output));
  const nothing = { kind: "outputs", events: [] };
  assert.equal(of(undefined), [{ kind: "outputs", events: [{ n: 2 }] }, nothing, { kind: "failed", ...failed }]);
  assert.equal(of("late"), [nothing, { kind: "outputs", events: [{ n: 3 }] }, nothing]);
});

test.run();
