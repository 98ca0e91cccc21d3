import { test } from "uvu";
import * as assert from "uvu/assert";
import { DecodedBatch } from "../../../../actors/log/decoded_batch.ts";
import type { RecordBatch } from "../../../../actors/log/log.ts";
import { eachRecord, type Preparation, prepareItems } from "../../../../actors/sinks/delivery/prepare_items.ts";
import type { Event } from "../../../../protocols/event.ts";
import { epoch, offset, partitionId, position } from "../../../../protocols/position.ts";
import { encodeEvent, encodeEvents } from "../../../../protocols/values/event_codec.ts";

const stored = (events: readonly object[]): RecordBatch => ({
  ...{ epoch: epoch(1), firstOffset: offset(10), count: events.length, appendedAtMs: 5, schemaVersion: 0 },
  ...{ producerId: "p", sequences: { first: [0, 0, 0], count: events.length } },
  events: encodeEvents(events, { asRecords: false }),
});
const batch = (events: readonly object[]) => new DecodedBatch(stored(events), true);

const preparation = (run: Preparation["run"], more: Partial<Preparation> = {}): Preparation => ({
  partition: { stream: "s", partition: partitionId(0) },
  run,
  timeOf: (_event, appendedAtMs) => appendedAtMs,
  ...more,
});

const passing = eachRecord((event) => ({ kind: "outputs", events: [event] }));

test("an event that a step failed on is set aside as it came, also if an outbox holds it inside another record", async () => {
  const event = { id: "e1" };
  const failed = { code: "STEP_FAILED", path: "", reason: "bad" };
  const setAside = async (record: object, inside: object) => {
    const run = eachRecord(() => ({ kind: "failed", ...failed, ...inside }));
    const [item] = await prepareItems(preparation(run), batch([record]), undefined);
    return item?.failure;
  };
  assert.equal(await setAside(event, {}), { ...failed, event });
  assert.equal(await setAside({ timeMs: 0, failed: { ...failed, event } }, { event }), { ...failed, event });
});

test("deliveries that share an input have the same items, and the steps run once for all of them", async () => {
  let runs = 0;
  const counted: Preparation["run"] = (input) => {
    runs += 1;
    return passing(input);
  };
  const shared = batch([{ n: 0 }, { n: 1 }, { n: 2 }]);
  const mine = preparation(counted, { sharedBy: passing });
  const all = await prepareItems(mine, shared, undefined);
  assert.is(await prepareItems(mine, shared, undefined), all);
  const behind = await prepareItems(mine, shared, position(1, 10));
  assert.equal(behind, all.slice(1), "a delivery that stands within the batch gets what is left");
  assert.is(behind[0], all[1]);
  assert.is(runs, 1);
  await prepareItems(preparation(counted, { sharedBy: {} }), shared, undefined);
  assert.is(runs, 2, "another input runs its own steps");
});

test("steps without sharing see the records after the cursor alone", async () => {
  const seen: Event[] = [];
  const run = eachRecord((event) => {
    seen.push(event);
    return { kind: "outputs", events: [event] };
  });
  await prepareItems(preparation(run), batch([{ n: 0 }, { n: 1 }]), position(1, 10));
  assert.equal(seen, [{ n: 1 }]);
});

test("steps that ask to be run again are run again, although their input is shared", async () => {
  let isAway = true;
  const run: Preparation["run"] = async (input) => {
    if (isAway) throw new Error("away");
    return passing(input);
  };
  const shared = batch([{ n: 0 }]);
  const mine = preparation(run, { sharedBy: passing });
  await Promise.resolve(prepareItems(mine, shared, undefined)).then(
    () => assert.unreachable(),
    () => undefined,
  );
  isAway = false;
  assert.is((await prepareItems(mine, shared, undefined)).length, 1);
});

test("each output of a record has the record's position, its own index and the bytes that are stored, where no step changed it", async () => {
  const events = [{ n: 0 }, { n: 1 }];
  const run = eachRecord((event) => ({ kind: "outputs", events: event.n === 0 ? [event, { n: 7 }] : [] }));
  const items = await prepareItems(preparation(run, { keepsBytes: true }), batch(events), undefined);
  const outputs = items.flatMap((item) => item.outputs);
  assert.equal(
    outputs.map(({ position: { offset: at }, index, event }) => [at, index, event]),
    [
      [10, 0, { n: 0 }],
      [10, 1, { n: 7 }],
    ],
  );
  assert.equal([...(outputs[0]?.stored?.bytes() ?? [])], [...encodeEvent({ n: 0 })]);
  assert.is(outputs[1]?.stored, undefined);
});

test.run();
