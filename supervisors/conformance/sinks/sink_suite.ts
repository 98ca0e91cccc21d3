/**
 * Checks every kind of sink behind a real delivery. Each record is in the target exactly as the target's format can
 * express it, or is a dead letter with a reason. The records behind it arrive, and no record is tried without end.
 * `sink_faults.ts` checks what the kind promises through faults, and `sink_apart.ts` several deliveries of one partition.
 */
import assert from "node:assert/strict";
import type { DeliveryItem } from "../../../actors/sinks/delivery/delivery_messages.ts";
import { position } from "../../../protocols/position.ts";
import { type ConformanceCase, test } from "../conformance_case.ts";
import { FakePartition } from "../parts/fake_feed.ts";
import { beginDelivery, CHECKPOINT, lettersOf } from "./delivery_under_test.ts";
import { ODD_EVENTS, type OddEvent } from "./odd_events.ts";
import { sinkApart } from "./sink_apart.ts";
import { sinkFaults } from "./sink_faults.ts";
import { type OpenTarget, plainEvent, type SinkHarness } from "./sink_harness.ts";

/** Most retries: those of a record before it is set aside, and some that the first opening may need. */
const RETRIES_MAX = 10;

const PLAIN = plainEvent("plain");

/** Delivers the events, each between two plain ones, as outputs of the records 0, 1, 2 ... */
async function deliver(target: OpenTarget, odd: readonly OddEvent[]) {
  const partition = new FakePartition();
  const outputs = odd.flatMap((one) => [one, PLAIN]);
  partition.store(
    "records",
    1,
    outputs.map((_one, at) => ({ at })),
  );
  const items = outputs.map(({ event, traceparent }, at): DeliveryItem => {
    const record = { position: position(1, at), index: 0, event, timeMs: 0 };
    const output = traceparent === undefined ? record : { ...record, traceparent };
    return { position: position(1, at), outputs: [output], sizeBytes: 100, appendedAtMs: 0 };
  });
  const delivery = await beginDelivery(target, partition, 1, {
    prepare: async (_batch, after) => items.slice(after === undefined ? 0 : after.offset + 1),
  });
  await delivery.until(items.length - 1);
  const held = await target.held(partition.checkpoints.get(CHECKPOINT));
  await delivery.end();
  const retries = delivery.reports.filter(({ kind }) => kind === "retry").length;
  return { held, letters: lettersOf(partition), retries };
}

/** The cases of one kind of sink. Each opens a target of its own. */
export function sinkCases(harness: SinkHarness): readonly ConformanceCase[] {
  return [oddEvents(harness), promise(harness), sinkApart(harness), ...sinkFaults(harness)];
}

/** sink S5 and S8: a record is in the target or in the dead letters, never in both. */
const oddEvents = (harness: SinkHarness): ConformanceCase =>
  test(`${harness.name}: every event is held as its format can express it or set aside, and those behind it arrive`, async () => {
    const target = await harness.open();
    try {
      const { held, letters, retries } = await deliver(target, ODD_EVENTS);
      const expected = ODD_EVENTS.flatMap((odd) => [odd, PLAIN]).map(
        (odd) => [odd.name, harness.expected(odd)] as const,
      );
      for (const [at, [name, value]] of expected.entries()) {
        assert.equal(letters.has(at), value === undefined, `${name} is ${value === undefined ? "" : "not "}set aside`);
        if (value === undefined) assert.ok((letters.get(at) ?? "").length > 5, `${name} has a reason`);
      }
      const wanted = expected.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
      for (const [at, [name, value]] of wanted.entries()) assert.deepEqual(held[at], value, name);
      assert.equal(held.length, wanted.length);
      assert.ok(retries <= RETRIES_MAX, `${retries} retries`);
    } finally {
      await target.close();
    }
  });

const promise = (harness: SinkHarness): ConformanceCase =>
  test(`${harness.name}: the suite checks the promise that the kind declares`, async () => {
    const target = await harness.open();
    await target.close();
    assert.equal(target.sink.delivery, harness.delivery);
  });
