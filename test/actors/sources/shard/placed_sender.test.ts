import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventOf, PartitionChoice } from "../../../../actors/sources/shard/item_events.ts";
import { PlacedSender } from "../../../../actors/sources/shard/placed_sender.ts";
import type { PlacedItem, SourceItem } from "../../../../actors/sources/source.ts";
import type { SendOptions } from "../../../../protocols/client/producer/producer.ts";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import { UnreadableInput } from "../../../../protocols/values/unreadable.ts";

const placed = (term: number, position: number, more: object = {}): PlacedItem => ({
  item: { kind: "event", event: { position }, ...more },
  term,
  position,
});

async function send(batches: readonly (readonly PlacedItem[])[], key?: string): Promise<readonly SendOptions[]> {
  const sent: SendOptions[] = [];
  const choice = new PartitionChoice({ partitions: 50, ...(key === undefined ? {} : { key }) });
  const producer = { send: async (_event: unknown, options?: SendOptions) => void sent.push(options ?? {}) };
  const sender = new PlacedSender({ name: "s", producer, fields: {}, choice });
  for (const batch of batches) await sender.send(batch, new AbortController().signal);
  return sent;
}

test("T1: an item that does not ascend is refused, within a batch and over batches", async () => {
  await send([[placed(1, 4), placed(1, 5)], [placed(2, 0)]]);
  for (const batches of [
    [[placed(1, 5), placed(1, 5)]],
    [[placed(1, 5)], [placed(1, 4)]],
    [[placed(2, 0)], [placed(1, 9)]],
  ]) {
    const error = await send(batches).catch((reason: Error) => reason);
    assert.match(String(error), /its term and position must ascend/);
  }
});

test("T2: the message's key chooses the partition where the stream declares no key", async () => {
  const items = [placed(1, 0, { key: "a" }), placed(1, 1, { key: "b" }), placed(1, 2)];
  const partitions = (sent: readonly SendOptions[]) => sent.map(({ partition }) => partition);
  assert.equal(partitions(await send([items])), [partitionOfKey("a", 50), partitionOfKey("b", 50), undefined]);
  assert.equal(partitions(await send([items], "/position")), [undefined, undefined, undefined]);
});

test("a message's trace context goes with its event", async () => {
  const [one] = await send([[placed(1, 0, { traceparent: "00-1-2-01" })]]);
  assert.is(one?.traceparent, "00-1-2-01");
});

test("headers and time are written into the fields that are named, and the event's own fields win", () => {
  const item: SourceItem = { kind: "event", event: { at: 1 }, headers: { h: "x" }, timeMs: 5 };
  assert.equal(eventOf(item, {}), { at: 1 });
  assert.equal(eventOf(item, { headers: "meta", time: "time" }), { at: 1, meta: { h: "x" }, time: 5 });
  assert.equal(eventOf(item, { headers: "meta", time: "at" }), { at: 1, meta: { h: "x" } });
  const odd = eventOf(item, { time: "__proto__" }) as object;
  assert.ok(Object.hasOwn(odd, "__proto__") && Object.getPrototypeOf(odd) === Object.prototype);
  const malformed = eventOf({ kind: "malformed", original: Uint8Array.of(1), reason: "no" }, { time: "at" });
  assert.instance(malformed, UnreadableInput);
});

test.run();
