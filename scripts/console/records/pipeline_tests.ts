/**
 * Unit tests of pipelines, in YAML beside the configuration: given events, and the expected outputs. Reads the tests
 * and judges their results. Every test has a pipeline of its own, so that none depends on another.
 */
import { isDeepStrictEqual } from "node:util";
import {
  compilePipeline,
  freshTables,
  type PipelineResult,
  runRecord,
  type StepSettings,
} from "../../../actors/pipeline/pipeline.ts";
import { InputWatermark, TIME_DEFAULTS } from "../../../actors/pipeline/watermark.ts";
import { ConfigurationError, reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { partitionId, position } from "../../../protocols/position.ts";
import { fromJsonValue, toJsonValue } from "../../../protocols/values/json_values.ts";
import { type Problem, readYaml } from "../../../supervisors/configuration/configuration.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { nearest } from "../../../supervisors/configuration/nearest_word.ts";
import { eventTimeReader } from "../../../supervisors/node/event_time.ts";

export interface PipelineTest {
  readonly name: string;
  readonly pipeline: string;
  readonly given: readonly Event[];
  /** The expected outputs of all given events, in order. */
  readonly expect?: readonly Event[];
  /** The expected events of named outputs, in order; an output without events is left out. Default: there are none. */
  readonly expectOutputs?: Readonly<Record<string, readonly Event[]>>;
  /** Set if every given event must be set aside, with this text in its reason. */
  readonly expectFailure?: string;
  readonly at?: {
    readonly partition?: number;
    readonly offset?: number;
    readonly epoch?: number;
    readonly timeMs?: number;
  };
  readonly line: number;
}

export type TestOutcome =
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly reason: string; readonly expected?: unknown; readonly actual?: unknown };

const events = { type: "array", items: { type: "object" } };
const TESTS_SCHEMA = {
  type: "object",
  required: ["tests"],
  additionalProperties: false,
  properties: {
    tests: {
      type: "array",
      items: {
        type: "object",
        required: ["name", "pipeline", "given"],
        additionalProperties: false,
        properties: {
          name: { type: "string" },
          pipeline: { type: "string" },
          given: events,
          expect: events,
          expectOutputs: { type: "object", additionalProperties: { ...events, minItems: 1 } },
          expectFailure: { type: "string" },
          at: {
            type: "object",
            additionalProperties: false,
            properties: {
              partition: { type: "integer", minimum: 0 },
              offset: { type: "integer", minimum: 0 },
              epoch: { type: "integer", minimum: 1 },
              timeMs: { type: "number" },
            },
          },
        },
      },
    },
  },
};

export type ReadTests =
  | { readonly kind: "read"; readonly tests: readonly PipelineTest[] }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

export async function readPipelineTests(text: string, configuration: Configuration): Promise<ReadTests> {
  const read = await readYaml(text, TESTS_SCHEMA);
  if (read.kind === "refused") return read;
  const known = Object.keys(configuration.pipelines);
  const problems: Problem[] = [];
  const tests = (read.value.tests as readonly Omit<PipelineTest, "line">[]).map((test, index): PipelineTest => {
    const refuse = (key: string, reason: string) =>
      problems.push({ line: read.lineAt(["tests", index, key]), path: `/tests/${index}/${key}`, reason });
    if (!known.includes(test.pipeline)) {
      const guess = nearest(test.pipeline, known);
      const hint = guess === undefined ? `known ones are [${known.join(", ")}]` : `did you mean ${guess}?`;
      refuse("pipeline", `unknown pipeline ${test.pipeline}: ${hint}`);
    }
    if ((test.expect === undefined) === (test.expectFailure === undefined)) {
      refuse("expect", "a test must have exactly one of expect and expectFailure");
    }
    for (const key of ["given", "expect", "expectOutputs"] as const) {
      try {
        fromJsonValue(test[key]); // in place
      } catch (error) {
        refuse(key, reasonOf(error));
      }
    }
    return { ...test, line: read.lineAt(["tests", index]) };
  });
  return problems.length > 0 ? { kind: "refused", problems } : { kind: "read", tests };
}

export async function runPipelineTest(test: PipelineTest, configuration: Configuration): Promise<TestOutcome> {
  const pipeline = configuration.pipelines[test.pipeline];
  if (pipeline === undefined) return { kind: "failed", reason: `there is no pipeline ${test.pipeline}` };
  const steps = pipeline.steps as unknown as readonly StepSettings[];
  const compiled = await compilePipeline(test.pipeline, steps, configuration.folder, Object.keys(pipeline.outputs));
  const timeOf = eventTimeReader(configuration.streams[pipeline.from]?.eventTime);
  const { partition = 0, offset = 0, epoch = 1, timeMs = 0 } = test.at ?? {};
  // Each test begins with fresh steps, without state.
  const instance = compiled.instantiate({ stream: pipeline.from, partition: partitionId(partition) }, freshTables());
  const watermark = new InputWatermark(TIME_DEFAULTS);
  try {
    const results: PipelineResult[] = [];
    for (const [index, event] of test.given.entries()) {
      const eventTimeMs = timeOf(event, timeMs);
      const at = position(epoch, offset + index);
      const context = { stream: pipeline.from, partition, position: at, timeMs: eventTimeMs };
      const beforeMs = [watermark.ms];
      watermark.see(eventTimeMs, eventTimeMs);
      const watermarks = { beforeMs, after: undefined, endMs: watermark.ms };
      results.push(await runRecord(instance, event, context, watermarks));
    }
    return judge(test, results);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    return {
      kind: "failed",
      reason: `a step asked to be run again: ${reasonOf(error)}`,
    };
  }
}

function judge(test: PipelineTest, results: readonly PipelineResult[]): TestOutcome {
  if (test.expectFailure !== undefined) return judgeFailure(test.expectFailure, results);
  const failed = results.findIndex((result) => result.kind === "failed");
  const failure = results[failed];
  if (failure?.kind === "failed") {
    return { kind: "failed", reason: `given event ${failed} was set aside: ${failure.reason}` };
  }
  const actual = toJsonValue(results.flatMap((result) => (result.kind === "outputs" ? result.events : [])));
  const expected = toJsonValue(test.expect);
  if (!isDeepStrictEqual(actual, expected)) return { kind: "failed", reason: "the outputs differ", expected, actual };
  const actualNamed = toJsonValue(namedOf(results));
  const expectedNamed = toJsonValue(test.expectOutputs ?? {});
  if (isDeepStrictEqual(actualNamed, expectedNamed)) return { kind: "passed" };
  return { kind: "failed", reason: "the named outputs differ", expected: expectedNamed, actual: actualNamed };
}

function namedOf(results: readonly PipelineResult[]): Readonly<Record<string, readonly Event[]>> {
  const named = new Map<string, readonly Event[]>();
  for (const { output, event } of results.flatMap((result) => (result.kind === "outputs" && result.named) || [])) {
    named.set(output, [...(named.get(output) ?? []), event]);
  }
  return Object.fromEntries(named);
}

function judgeFailure(text: string, results: readonly PipelineResult[]): TestOutcome {
  for (const [index, result] of results.entries()) {
    if (result.kind === "outputs") {
      return { kind: "failed", reason: `given event ${index} was not set aside`, actual: toJsonValue(result.events) };
    }
    if (!result.reason.includes(text)) {
      const reason = `given event ${index} was set aside for another reason`;
      return { kind: "failed", reason, expected: text, actual: result.reason };
    }
  }
  return { kind: "passed" };
}
