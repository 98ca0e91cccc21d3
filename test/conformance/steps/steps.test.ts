import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compilePipeline, type Pipeline, type StepSettings } from "../../../actors/pipeline/pipeline.ts";
import { runSteps } from "../../../actors/pipeline/run_steps.ts";
import type { Step, StepInstance } from "../../../actors/pipeline/step.ts";
import { countStep } from "../../../actors/pipeline/steps/count_step.ts";
import { expressionCompiler } from "../../../actors/pipeline/steps/expression.ts";
import type { Event } from "../../../protocols/event.ts";
import { namesUsed, type StepHarness, stepSuite } from "./step_suite.ts";

const folder = mkdtempSync(join(tmpdir(), "headrace-steps-"));
writeFileSync(
  join(folder, "steps.mjs"),
  `export default async (event) => {
     if (event.n % 7 === 3) throw new Error("odd one");
     return event.n % 3 === 0 ? [event, { twice: event.n }] : event.n % 3 === 1 ? event : undefined;
   };
   export const create = () => {
     let sum = 0;
     return {
       run: (event) => ({ sum: (sum += event.n ?? 0) }),
       snapshot: () => sum,
       restore: (stored) => { sum = stored; },
     };
   };`,
);

/** Whole numbers, texts that no arithmetic takes, and events without the field. */
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ n: fc.integer({ min: 0, max: 50 }) }),
  fc.record({ n: fc.constant("text") }),
  fc.constant({}),
) as fc.Arbitrary<Event>;
const numbers = fc.record({ n: fc.integer({ min: 0, max: 50 }) }) as fc.Arbitrary<Event>;

const JOIN_STEPS: readonly StepSettings[] = [
  { join: { on: { left: "event.n", right: "event.n" }, within: 30_000 } },
  { map: { n: "event.left.n", other: "event.right.note", stream: "stream" } },
  { count: { by: "event.n", every: 20_000 } },
  { map: { after: "offset" }, keep: true },
];
const cases: readonly (readonly [name: string, steps: readonly StepSettings[], events: fc.Arbitrary<Event>])[] = [
  ["filter", [{ filter: "event.n > 20" }], events],
  ["map", [{ map: { double: "event.n * 2", at: "offset", time: "timeMs" }, keep: true }], events],
  ["call", [{ call: "./steps.mjs" }], numbers],
  ["call with state", [{ call: "./steps.mjs#create" }], numbers],
  [
    "count, with the record that closed a window",
    [{ count: { by: "event.n % 3", every: 20_000 } }, { map: { after: "offset" }, keep: true }],
    events,
  ],
  [
    "count behind a filter, with the record that closed a window",
    [
      { filter: "event.n < 10" },
      { count: { by: "event.n % 2", every: 20_000 } },
      { map: { after: "offset" }, keep: true },
    ],
    numbers,
  ],
  [
    "count of counts behind a filter",
    [
      { filter: "event.n != 7" },
      { count: { by: "event.n", every: 10_000 } },
      { map: { n: "event.count", late: "offset" } },
      { count: { by: "event.n", every: 30_000 } },
    ],
    numbers,
  ],
  [
    "filter, call, map and call",
    [
      { filter: "event.n != 5" },
      { call: "./steps.mjs" },
      { map: { n: "event.?n.orValue(event.?twice.orValue(0))", offset: "offset" } },
      { call: "./steps.mjs#create" },
    ],
    numbers,
  ],
];
const JOINED: StepHarness = {
  name: "join of two streams, and a count of the pairs",
  events: fc.record({ n: fc.integer({ min: 0, max: 3 }), note: fc.string({ maxLength: 3 }) }) as fc.Arbitrary<Event>,
  streams: ["left", "right"],
  compile: () => compilePipeline("tested", JOIN_STEPS, folder),
};
stepSuite(JOINED);

for (const [name, steps, given] of cases) {
  stepSuite({ name, events: given, compile: () => compilePipeline("tested", steps, folder) });
}

/** The event of each record with an odd number goes to the output `odd`, and that of each window to `windows` as well. */
const route: Step["run"] = ({ events: given }, out) => {
  for (const [row, event] of given.entries()) {
    if (event.windowEnd !== undefined) out.emitTo("windows", row, { closed: event.windowEnd });
    if (event.n === 7) out.reject(row, "seven");
    if (Number(event.n) % 2 === 1) out.emitTo("odd", row, { odd: event.n });
    else out.emit(row, event);
  }
};

/** A pipeline that routes records, counts those that are left, and routes the windows. */
async function routed(): Promise<Pipeline> {
  const outputs = new Set(["late", "odd", "windows"]);
  const compiled = await compilePipeline("tested", [], folder, [...outputs]);
  const count = countStep({ by: "event.n % 3", every: 20_000 }, "count", await expressionCompiler());
  return {
    ...compiled,
    instantiate: (partition, tables) => {
      const counted = count.instantiate?.(partition, tables) as StepInstance;
      const steps = [{ run: route }, counted, { run: route }];
      return {
        run: (batch, onProgress) => runSteps(steps, batch, onProgress, outputs),
        ...{ snapshot: () => [], restore: () => undefined, restored: () => counted.restored?.() },
        hasTimers: () => counted.hasTimers?.() === true,
      };
    },
  };
}

const COUNTED = [{ count: { by: "event.n % 3", every: 20_000 } }] as const;
const named: readonly (readonly [StepHarness, readonly string[]])[] = [
  [
    {
      name: "count with an output for late records, behind a step that multiplies records",
      events: numbers,
      compile: () =>
        compilePipeline(
          "tested",
          [{ filter: "event.n % 7 != 3" }, { call: "./steps.mjs" }, { filter: "has(event.n)" }, ...COUNTED],
          folder,
          ["late"],
        ),
    },
    ["late"],
  ],
  [
    {
      ...JOINED,
      name: "join with late records",
      compile: () => compilePipeline("tested", JOIN_STEPS, folder, ["late"]),
    },
    ["late"],
  ],
  [{ name: "named outputs of records and of timers", events: numbers, compile: routed }, ["late", "odd", "windows"]],
];
for (const [harness, outputs] of named) {
  stepSuite(harness);
  test(`${harness.name}: the suite sees events of each named output`, async () => {
    assert.equal([...(await namesUsed(harness, 20))].sort(), outputs);
  });
}

test.run();
