/**
 * The suite of every step (step.ts): results, named outputs included, that never depend on the cut of records into batches,
 * rows that ascend, and failures that stay with their record. A step of a user's own can run it too.
 */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KeyedState } from "../../../actors/pipeline/keyed_state.ts";
import { freshTables, type Pipeline } from "../../../actors/pipeline/pipeline.ts";
import type { StepBatch } from "../../../actors/pipeline/step.ts";
import { NO_ROW } from "../../../actors/pipeline/step_outputs.ts";
import type { Event } from "../../../protocols/event.ts";
import { partitionId, position } from "../../../protocols/position.ts";

export interface StepHarness {
  readonly name: string;
  /** Records that the step takes in various ways: kept, dropped, multiplied, rejected. */
  readonly events: fc.Arbitrary<Event>;
  /** The streams that records come from, in turn by their length; absent for one stream. */
  readonly streams?: readonly string[];
  /** The step, compiled. Each run has an instance of its own, without state. */
  compile(): Promise<Pipeline>;
}

const PARTITION = { stream: "readings", partition: partitionId(0) };
const RECORDS_MAX = 40;
const OUT_OF_ORDER_MS = 10_000;

/** Everything that a step makes of records: each output with its record and name, each failure, and the state at the end. */
async function resultsOf(pipeline: Pipeline, batches: readonly StepBatch[]): Promise<unknown[]> {
  const kept = new Map<string, KeyedState>();
  const tables = freshTables();
  const instance = pipeline.instantiate(PARTITION, (name, limits) => {
    const table = tables(name, limits);
    kept.set(name, table);
    return table;
  });
  const outputs: unknown[] = [];
  const failed: unknown[] = [];
  for (const batch of batches) {
    const { events, rows, failures, fired, names } = await instance.run(batch);
    for (const [at, row] of rows.entries()) {
      const from = row === NO_ROW ? "a timer" : batch.positions[row]?.offset;
      outputs.push([from, events[at], fired?.get(at)?.timeMs, names?.get(at)]);
    }
    for (const [row, { code, reason }] of failures) failed.push([batch.positions[row]?.offset, code, reason]);
    const ofRecords = rows.filter((row) => row !== NO_ROW);
    assert.ok(
      ofRecords.every((row) => !failures.has(row)),
      "a record that is set aside has no outputs",
    );
    assert.equal(
      [...ofRecords].sort((left, right) => left - right),
      ofRecords,
      "the rows of outputs ascend",
    );
  }
  const state = [...kept].map(([name, table]) => [name, [...table.scan()]]);
  return [outputs, failed, instance.snapshot(), state];
}

/** The named outputs that the step uses for `batches` batches of random records. */
export async function namesUsed(harness: StepHarness, batches: number): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  const given = fc.sample(fc.array(fc.tuple(harness.events, fc.integer({ min: 0, max: 100_000 })), { minLength: 20 }), {
    numRuns: batches,
    seed: 1,
  });
  const pipeline = await harness.compile();
  for (const one of given) {
    const whole = batchOf(
      one.map(([event]) => event),
      0,
      one.map(([, timeMs]) => timeMs),
      harness.streams,
    );
    const { names } = await pipeline.instantiate(PARTITION, freshTables()).run(whole);
    for (const name of names?.values() ?? []) used.add(name);
  }
  return used;
}

/** Records in one batch, with the watermarks that event times in any order cause. */
export function batchOf(
  events: readonly Event[],
  first: number,
  timesMs: readonly number[],
  streams: readonly string[] = [],
): StepBatch {
  const beforeMs: number[] = [];
  let ms = Number.NEGATIVE_INFINITY;
  for (const timeMs of timesMs) {
    beforeMs.push(ms);
    ms = Math.max(ms, timeMs - OUT_OF_ORDER_MS);
  }
  const positions = events.map((_event, row) => position(3, first + row));
  const sourceOf = (event: Event) => ({
    ...PARTITION,
    stream: streams[JSON.stringify(event).length % streams.length] ?? "",
  });
  const from = streams.length === 0 ? {} : { sources: events.map(sourceOf) };
  const watermarks = { beforeMs, after: undefined, endMs: ms };
  return { partition: PARTITION, events, positions, timesMs, ...from, watermarks };
}

/** Parts of a batch, one after the other; a part may be empty. */
function cut({ events, positions, timesMs, sources, watermarks }: StepBatch, ends: readonly number[]): StepBatch[] {
  const bounds = [0, ...ends.map((end) => end % (events.length + 1)), events.length].sort((a, b) => a - b);
  return bounds.slice(1).map((end, at) => {
    const begin = bounds[at] as number;
    const part = <Value>(column: ArrayLike<Value>) => Array.prototype.slice.call(column, begin, end) as Value[];
    const { beforeMs = [], endMs = 0 } = watermarks ?? {};
    const marks = { beforeMs: part(beforeMs), after: positions[begin - 1], endMs: beforeMs[end] ?? endMs };
    const columns = { events: part(events), positions: part(positions), timesMs: part(timesMs) };
    const from = sources === undefined ? {} : { sources: part(sources) };
    return { partition: PARTITION, ...columns, ...from, watermarks: marks };
  });
}

export function stepSuite(harness: StepHarness): void {
  test(`${harness.name}: results and state do not depend on the cut of records into batches (step T1, step T2)`, async () => {
    const records = fc.array(fc.tuple(harness.events, fc.integer({ min: 0, max: 100_000 })), {
      maxLength: RECORDS_MAX,
    });
    await fc.assert(
      fc.asyncProperty(records, fc.array(fc.nat(RECORDS_MAX), { maxLength: 8 }), async (given, ends) => {
        const events = given.map(([event]) => event);
        const timesMs = given.map(([, timeMs]) => timeMs);
        const pipeline = await harness.compile();
        const whole = batchOf(events, 0, timesMs, harness.streams);
        assert.equal(await resultsOf(pipeline, cut(whole, ends)), await resultsOf(pipeline, [whole]));
      }),
      { numRuns: 60 },
    );
  });
}
