import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PartitionFeed } from "../../../../actors/partition/partition_feed.ts";
import { OutboxInputs } from "../../../../actors/pipeline/outbox/outbox_inputs.ts";
import type { Event } from "../../../../protocols/event.ts";
import { FakePartition } from "../../../../supervisors/conformance/parts/fake_feed.ts";

const TIME = { outOfOrderMs: 0, skewMs: 60_000, idleAfterMs: 1_000 };
const APPENDED_MS = 1_000; // of the first record that FakePartition stores

/** Inputs over partitions in memory. Events are their own event times. */
function inputsOf(names: readonly string[]) {
  const partitions = new Map(names.map((name) => [name, new FakePartition()]));
  const away = new Set<string>();
  /** The input of each batch that a view decoded. */
  const decoded: string[] = [];
  const inputs = new OutboxInputs(
    names.map((name) => {
      const feed = partitions.get(name)?.feed(1) as PartitionFeed;
      const decode: PartitionFeed["decode"] = (...of) => {
        decoded.push(name);
        return feed.decode(...of);
      };
      const view = { ...feed, decode };
      return {
        partition: { stream: name, partition: 0 as never },
        view: () => (away.has(name) ? undefined : view),
        timeOf: ({ t }: Event) => t as number,
      };
    }),
    TIME,
    true,
    0,
  );
  const store = (name: string, ...times: number[]) =>
    partitions.get(name)?.store(
      "records",
      1,
      times.map((t) => ({ t, name })),
    );
  const take = async (nowMs = 0) => {
    await inputs.refill(inputs.progress[0]?.covered, nowMs);
    return inputs.take().flatMap(({ batch }) => batch.events.map(({ name, t }) => `${name} ${t}`));
  };
  return { inputs, store, take, away, partitions, decoded };
}

test("the records of an input are decoded by its view, which shares them with other readers of the partition", async () => {
  const { store, take, decoded } = inputsOf(["a", "b"]);
  store("a", 10);
  store("b", 20);
  assert.equal(await take(), ["a 10"]);
  assert.equal(decoded, ["a", "b"]);
});

test("records of two inputs are merged by the latest event time that each has shown, then by their place (Q1)", async () => {
  const { store, take } = inputsOf(["a", "b"]);
  store("a", 10, 30, 20);
  store("b", 15, 30, 40);
  assert.equal(await take(), ["a 10", "b 15", "a 30", "a 20"]);
  store("a", 50);
  assert.equal(await take(), ["b 30", "b 40"]);
});

test("a tick goes no further than the records that are known to be committed, and the next one comes a while later (Q5)", async () => {
  const { inputs, store, take, partitions } = inputsOf(["a", "b"]);
  const a = partitions.get("a") as FakePartition;
  a.settledMs = 12; // an append since then is under way
  store("b", 15);
  await take(100);
  inputs.tick(1_000);
  assert.equal(await take(1_000), [], "a record of 13 may still come");
  assert.is(inputs.waitMs(1_000), 200);
  store("a", 13);
  a.settledMs = 1_100;
  assert.equal(await take(1_100), ["a 13"]);
  assert.equal(await take(1_200), []);
  inputs.tick(2_100);
  assert.equal(await take(2_100), ["b 15"]);
});

test("a record waits for an input without records until that one has advanced by a tick (Q2, Q3)", async () => {
  const { inputs, store, take } = inputsOf(["a", "b"]);
  store("b", 15);
  assert.equal(await take(100), []);
  assert.ok(inputs.isBlocked);
  assert.is(inputs.waitMs(100), 900);
  assert.is(inputs.tick(900), false, "the input is not idle yet");
  assert.ok(inputs.tick(1_000));
  assert.equal(await take(1_000), ["b 15"]);
});

test("an input whose owner is not known, or that has more records, is not idle (Q3)", async () => {
  const { inputs, store, take, away } = inputsOf(["a", "b"]);
  store("b", 15);
  away.add("a");
  await take();
  assert.is(inputs.tick(5_000), false);
  away.clear();
  store("a", 12);
  assert.equal(await take(5_000), ["a 12"]);
  assert.is(inputs.tick(5_500), false, "it had a record a moment ago");
});

test("the watermark is the least one of the inputs, and is none while one of them has shown nothing (Q4)", async () => {
  const { inputs, store } = inputsOf(["a", "b"]);
  store("a", 10, 20);
  await inputs.refill(undefined, 0);
  inputs.take();
  assert.is(inputs.nothing.batch.watermarks?.endMs, Number.NEGATIVE_INFINITY);
  store("b", 5, 12, 90);
  await inputs.refill(inputs.progress[0]?.covered, 0);
  const marks = inputs
    .take()
    .flatMap(({ batch }) => [...(batch.watermarks?.beforeMs as number[]), batch.watermarks?.endMs]);
  assert.equal(marks, [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 5, 10, 12]);
});

test("a record from the future is set aside, and its input goes on at its own time (watermark W2)", async () => {
  const { inputs, store } = inputsOf(["a"]);
  store("a", 10, APPENDED_MS + 60_001, 20);
  await inputs.refill(undefined, 0);
  const [rows] = inputs.take();
  assert.equal([...(rows?.failures.keys() ?? [])], [1]);
  assert.is(rows?.failures.get(1)?.code, "FUTURE_RECORD");
  assert.equal(rows?.batch.watermarks?.endMs, 20);
});

test("reading goes on from the stored progress of each input", async () => {
  const { inputs, store, take } = inputsOf(["a", "b"]);
  store("a", 10, 30);
  store("b", 20, 40);
  assert.equal(await take(), ["a 10", "b 20", "a 30"]);
  const { progress } = inputs;
  inputs.begin(progress, 0);
  store("a", 50);
  assert.equal(await take(), ["b 40"]);
});

test.run();
