import { test } from "uvu";
import * as assert from "uvu/assert";
import { readPipelineTests, runPipelineTest } from "../../../../scripts/console/records/pipeline_tests.ts";
import { checkConfiguration } from "../../../../supervisors/configuration/configuration.ts";
import { KNOWN_KINDS } from "../../../../supervisors/configuration/known_kinds.ts";

const YAML = `streams: { orders: { eventTime: /at } }
sinks: { out: { type: stdout }, late: { type: stdout } }
pipelines:
  p:
    from: orders
    steps: [{ count: { by: event.k, every: 1m } }, { map: { k: event.key, n: event.count } }]
    to: [out]
    outputs: { late: [late] }
`;

/** The outcome of a test whose second event closes a window, and whose third one is late for it. */
async function outcomeOf(expectations: string) {
  const loaded = await checkConfiguration(YAML, "/", KNOWN_KINDS);
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  const read = await readPipelineTests(
    `tests:
  - name: a window, and a record that missed it
    pipeline: p
    given: [{ k: 1, at: 0 }, { k: 1, at: 60000 }, { k: 2, at: 5 }]
    ${expectations}
`,
    loaded.configuration,
  );
  const [first] = read.kind === "read" ? read.tests : [];
  if (first === undefined) throw new Error(JSON.stringify(read));
  return await runPipelineTest(first, loaded.configuration);
}

const LATE =
  "{ event: { k: 2, at: 5 }, stream: orders, reason: late, windowStart: { $time: 1970-01-01T00:00:00.000Z }, windowEnd: { $time: 1970-01-01T00:01:00.000Z } }";

test("a test of a pipeline expects the events of its named outputs, and fails for one that it does not name", async () => {
  const passed = await outcomeOf(`expect: [{ k: 1, n: 1 }]\n    expectOutputs: { late: [${LATE}] }`);
  assert.equal(passed, { kind: "passed" }, JSON.stringify(passed));
  await outcomeOf("expect: [{ at: { $time: today } }]").then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /tests\/0\/expect.*\$time/),
  );
  const silent = await outcomeOf("expect: [{ k: 1, n: 1 }]");
  assert.equal([silent.kind, silent.kind === "failed" && silent.reason], ["failed", "the named outputs differ"]);
  const other = await outcomeOf(`expect: [{ k: 1, n: 2 }]\n    expectOutputs: { late: [${LATE}] }`);
  assert.equal(other.kind === "failed" && other.reason, "the outputs differ");
});

test.run();
