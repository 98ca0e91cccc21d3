/**
 * Checks that a kind of sink keeps two deliveries of one partition apart (sink S12): each writes events of its own at the
 * same positions, over a lost answer and a change of the owner, and none is taken for the other's.
 */
import assert from "node:assert/strict";
import type { DeliveryItem } from "../../../actors/sinks/delivery/delivery_messages.ts";
import { position } from "../../../protocols/position.ts";
import { type ConformanceCase, test } from "../conformance_case.ts";
import { FakePartition } from "../parts/fake_feed.ts";
import { beginDelivery, checkpointOf, Faults } from "./delivery_under_test.ts";
import { type OpenTarget, plainEvent, type SinkHarness } from "./sink_harness.ts";

const RECORDS = 6;
/** The records that the first owner delivers. */
const BEFORE = 4;
const DELIVERIES = [undefined, "slow", "slow.er"] as const;

const textOf = (as: string | undefined, at: number): string => `${as ?? "own"} ${at}`;

const itemsOf = (as: string | undefined): readonly DeliveryItem[] =>
  Array.from({ length: RECORDS }, (_, at) => {
    const output = { position: position(1, at), index: 0, event: plainEvent(textOf(as, at)).event, timeMs: 0 };
    return { position: position(1, at), outputs: [output], sizeBytes: 100, appendedAtMs: 0 };
  });

/** All deliveries at once, by two owners; the second write of each has its answer lost. */
async function deliverBeside(target: OpenTarget, partition: FakePartition): Promise<void> {
  for (const [owner, last] of [
    [1, BEFORE],
    [2, RECORDS],
  ] as const) {
    const stored = partition.end("records");
    const positions = Array.from({ length: last - stored }, (_, at) => ({ at: stored + at }));
    partition.store("records", 1, positions);
    const deliveries = await Promise.all(
      DELIVERIES.map((as) =>
        beginDelivery(target, partition, owner, {
          ...(as === undefined ? {} : { as }),
          recordsMax: 2,
          faults: new Faults({ operation: "write", isAfter: true, number: 2 }),
          prepare: async (_batch, after) => itemsOf(as).slice(after === undefined ? 0 : after.offset + 1, last),
        }),
      ),
    );
    await Promise.all(deliveries.map((delivery) => delivery.until(last - 1)));
    for (const delivery of deliveries) await delivery.end();
  }
}

/** The first delivery whose records are not in the target once each and in order; undefined where all are. */
export async function mixedUp(harness: SinkHarness, target: OpenTarget): Promise<string | undefined> {
  const partition = new FakePartition();
  await deliverBeside(target, partition);
  const formOf = (as: string | undefined, at: number) => JSON.stringify(harness.expected(plainEvent(textOf(as, at))));
  const all = DELIVERIES.flatMap((as) => itemsOf(as).map((_item, at) => formOf(as, at)));
  for (const as of DELIVERIES) {
    const held = (await target.held(partition.checkpoints.get(checkpointOf(as)), as)).map((one) => JSON.stringify(one));
    const expected = itemsOf(as).map((_item, at) => formOf(as, at));
    const own = held.filter((one) => expected.includes(one));
    const found = harness.delivery === "at_least_once" ? own.filter((one, at) => own.indexOf(one) === at) : own;
    const foreign = held.filter((one) => !all.includes(one));
    if (found.join() !== expected.join() || foreign.length > 0) {
      return `delivery ${as ?? "without a name"} must have ${expected.join()}: the target holds ${held.join()}`;
    }
  }
  return undefined;
}

/** Passes for a kind that says of itself that it does not keep deliveries apart. */
export const sinkApart = (harness: SinkHarness): ConformanceCase =>
  test(`${harness.name}: deliveries of one partition with different names write nothing over each other (sink S12)`, async () => {
    const target = await harness.open();
    try {
      if (target.sink.keepsDeliveriesApart === true) assert.equal(await mixedUp(harness, target), undefined);
    } finally {
      await target.close();
    }
  });
