import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RecordBatch } from "../../../../actors/log/log.ts";
import { eventsOf } from "../../../../actors/log/stored_records.ts";
import { prepareItems } from "../../../../actors/sinks/delivery/prepare_items.ts";
import { epoch, offset, partitionId } from "../../../../protocols/position.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";

test("an event that a step failed on is set aside as it came, also if an outbox holds it inside another record", async () => {
  const event = { id: "e1" };
  const failed = { code: "STEP_FAILED", path: "", reason: "bad" };
  const batch = (stored: object): RecordBatch => ({
    ...{ epoch: epoch(1), firstOffset: offset(0), count: 1, appendedAtMs: 0, schemaVersion: 0, producerId: "p" },
    sequences: { first: [0, 0, 0], count: 1 },
    events: encodeEvents([stored], { asRecords: false }),
  });
  const setAside = async (stored: object, inside: object) => {
    const preparation = {
      partition: { stream: "s", partition: partitionId(0) },
      decode: eventsOf,
      run: () => ({ kind: "failed", ...failed, ...inside }) as const,
      timeOf: () => 0,
    };
    const [item] = await prepareItems(preparation, batch(stored), undefined);
    return item?.failure;
  };
  assert.equal(await setAside(event, {}), { ...failed, event });
  assert.equal(await setAside({ timeMs: 0, failed: { ...failed, event } }, { event }), { ...failed, event });
});

test.run();
