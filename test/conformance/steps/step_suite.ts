/**
 * The suite of every step (step.ts): results that never depend on the cut of records into batches, rows that ascend, and
 * failures that stay with their record. A step of a user's own can run it too.
 */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PipelineInstance } from "../../../actors/pipeline/pipeline.ts";
import type { StepBatch } from "../../../actors/pipeline/step.ts";
import type { Event } from "../../../protocols/event.ts";
import { partitionId, position } from "../../../protocols/position.ts";

export interface StepHarness {
  readonly name: string;
  /** Records that the step takes in various ways: kept, dropped, multiplied, rejected. */
  readonly events: fc.Arbitrary<Event>;
  /** A fresh instance, without state. */
  instantiate(): PipelineInstance | Promise<PipelineInstance>;
}

const PARTITION = { stream: "readings", partition: partitionId(0) };
const RECORDS_MAX = 40;

/** Everything that a step makes of records: each output with its record, each failure, and the state at the end. */
async function resultsOf(instance: PipelineInstance, batches: readonly StepBatch[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const batch of batches) {
    const { events, rows, failures } = await instance.run(batch);
    for (const [at, row] of rows.entries()) found.push([batch.positions[row]?.offset, events[at]]);
    for (const [row, { code, reason }] of failures) found.push([batch.positions[row]?.offset, code, reason]);
    assert.ok(
      rows.every((row) => !failures.has(row)),
      "a record that is set aside has no outputs",
    );
    assert.equal(
      [...rows].sort((left, right) => left - right),
      rows,
      "the rows of outputs ascend",
    );
  }
  const ofRecord = (one: unknown) => (one as [number])[0];
  found.sort((left, right) => ofRecord(left) - ofRecord(right)); // stable: outputs of a record keep their order
  return [found, instance.snapshot()];
}

export function batchOf(events: readonly Event[], first: number, timesMs: readonly number[]): StepBatch {
  return { partition: PARTITION, events, positions: events.map((_event, row) => position(3, first + row)), timesMs };
}

function cut(events: readonly Event[], timesMs: readonly number[], ends: readonly number[]): StepBatch[] {
  const bounds = [...new Set([0, ...ends.map((end) => end % (events.length + 1)), events.length])].sort(
    (a, b) => a - b,
  );
  return bounds.slice(1).map((end, at) => {
    const begin = bounds[at] as number;
    return batchOf(events.slice(begin, end), begin, timesMs.slice(begin, end));
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
        const whole = await resultsOf(await harness.instantiate(), [batchOf(events, 0, timesMs)]);
        assert.equal(await resultsOf(await harness.instantiate(), cut(events, timesMs, ends)), whole);
      }),
      { numRuns: 60 },
    );
  });
}
