import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ConsumedItem, Consumer, type SubscribeOptions } from "../../../../protocols/client/consumer/consumer.ts";
import { RejectedError } from "../../../../protocols/errors.ts";
import { ManualClock, settle } from "../../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../../support/fakes/memory_connection.ts";
import { ModelStream } from "../../../support/fakes/model_stream.ts";

function setUp(partitions = 1) {
  const node = new ModelStream(partitions);
  const network = new MemoryNetwork((frame) => node.take(frame));
  const clock = new ManualClock();
  const consumer = new Consumer({ connect: network.connect, addresses: ["a"], clock });
  const publish = () => {
    for (const frame of node.pump()) network.say(frame);
  };
  return { node, network, clock, consumer, publish };
}

const batch = (first: number, count = 3) => Array.from({ length: count }, (_, index) => ({ n: first + index }));

async function take(items: AsyncIterator<ConsumedItem>, count: number): Promise<number[]> {
  const seen: number[] = [];
  while (seen.length < count) {
    const { value, done } = await items.next();
    if (done) break;
    if (value.kind === "records") seen.push(...value.records.map(({ event }) => event.n as number));
  }
  return seen;
}

test("records come in order with their positions, rejected ones skipped", async () => {
  const { node, consumer } = setUp();
  node.append(0, batch(0), [1]);
  node.append(0, batch(3));
  const items = consumer.subscribe({ stream: "readings", from: "earliest" });
  const first = (await items.next()).value as Extract<ConsumedItem, { kind: "records" }>;
  assert.equal(
    first.records.map(({ event, position }) => [event.n, position.epoch, position.offset]),
    [
      [0, 7, 0],
      [2, 7, 1],
    ],
  );
  assert.equal(await take(items, 3), [3, 4, 5]);
  consumer.close();
});

test("R1: a subscription resumes after the last record received when the connection breaks", async () => {
  const { node, network, clock, consumer, publish } = setUp(2);
  for (let n = 0; n < 30; n += 3) node.append((n / 3) % 2, batch(n));
  const items = consumer.subscribe({ stream: "readings", from: "earliest" });
  const seen = await take(items, 12);
  network.cut();
  for (let n = 30; n < 36; n += 3) node.append(0, batch(n));
  await clock.advance(1_000);
  publish();
  seen.push(...(await take(items, 24)));
  assert.equal(
    [...seen].sort((left, right) => left - right),
    Array.from({ length: 36 }, (_, n) => n),
  );
  const resumed = node.subscribed.at(-1);
  assert.ok(
    resumed?.type === "subscribe" &&
      resumed.partitions.every(({ from }) => typeof from === "object" && "epoch" in from),
  );
  consumer.close();
});

test("a subscription from `latest` whose connection breaks before the first record skips nothing", async () => {
  const { node, network, clock, consumer } = setUp();
  node.append(0, batch(0));
  const items = consumer.subscribe({ stream: "readings", from: "latest" });
  await settle();
  network.cut();
  node.append(0, batch(3));
  await clock.advance(1_000);
  assert.equal(await take(items, 3), [3, 4, 5]);
  consumer.close();
});

test("records before the one asked for are skipped within their batch", async () => {
  const { node, consumer } = setUp();
  node.append(0, batch(0, 10));
  assert.equal(await take(consumer.subscribe({ stream: "readings", from: { offset: 4 } }), 6), [4, 5, 6, 7, 8, 9]);
  assert.equal(
    await take(consumer.subscribe({ stream: "readings", from: { epoch: 7, offset: 4 } }), 5),
    [5, 6, 7, 8, 9],
  );
  consumer.close();
});

test("a consumer that does not consume is sent no more than its window and one frame", async () => {
  const { node, clock, consumer } = setUp();
  for (let n = 0; n < 300; n += 3) node.append(0, batch(n));
  const items = consumer.subscribe({ stream: "readings", from: "earliest", windowBytes: 2_000 });
  await clock.advance(100);
  assert.ok(node.sentBytes >= 2_000 && node.sentBytes < 2_400, `${node.sentBytes}`);
  assert.equal(
    await take(items, 300),
    Array.from({ length: 300 }, (_, n) => n),
  );
  consumer.close();
});

test("a break while the application is slow does not double its memory", async () => {
  const { node, network, clock, consumer } = setUp();
  for (let n = 0; n < 300; n += 3) node.append(0, batch(n));
  const items = consumer.subscribe({ stream: "readings", from: "earliest", windowBytes: 2_000 });
  for (let cuts = 0; cuts < 5; cuts++) {
    await clock.advance(10_000);
    network.cut();
  }
  await clock.advance(10_000);
  assert.ok(node.sentBytes < 2_400, `${node.sentBytes}`);
  assert.equal(
    await take(items, 300),
    Array.from({ length: 300 }, (_, n) => n),
  );
  consumer.close();
});

test("R4: a trim and a truncation are items before the records after them, and reading goes on where they say", async () => {
  const { node, network, clock, consumer, publish } = setUp();
  node.append(0, batch(0));
  const items = consumer.subscribe({ stream: "readings", from: "earliest" });
  await take(items, 3);
  network.say({ type: "trimmed", subscription: 1, stream: "readings", partition: 0, firstOffset: 3 });
  node.append(0, batch(3));
  publish();
  assert.equal((await items.next()).value, { kind: "trimmed", stream: "readings", partition: 0, firstOffset: 3 });
  assert.equal(await take(items, 3), [3, 4, 5]);
  network.say({ type: "truncated", subscription: 1, stream: "readings", partition: 0, divergence: 1 });
  assert.equal((await items.next()).value, { kind: "truncated", stream: "readings", partition: 0, divergence: 1 });
  network.cut();
  await clock.advance(1_000);
  const resumed = node.subscribed.at(-1);
  assert.equal(resumed?.type === "subscribe" && resumed.partitions, [{ partition: 0, from: { offset: 1 } }]);
  consumer.close();
});

test("R2: a refusal ends the loop with its error, unless it has the number of an earlier attempt", async () => {
  const { node, network, clock, consumer } = setUp();
  const options: SubscribeOptions = { stream: "readings", from: "earliest" };
  const items = consumer.subscribe(options);
  await settle();
  network.say({ type: "error", subscription: 1, code: "STORE_UNAVAILABLE", message: "away" });
  await clock.advance(1_000);
  assert.is(node.subscribed.length, 2);
  network.say({ type: "error", subscription: 1, code: "FORBIDDEN", message: "of an earlier attempt" });
  network.say({ type: "error", subscription: 2, code: "FORBIDDEN", message: "no" });
  const error = await items.next().catch((reason: unknown) => reason);
  assert.ok(error instanceof RejectedError && error.code === "FORBIDDEN");
  const unknown = await consumer
    .subscribe({ ...options, stream: "nowhere" })
    .next()
    .catch((reason: unknown) => reason);
  assert.ok(unknown instanceof RejectedError && unknown.code === "UNKNOWN_STREAM");
  consumer.close();
});

test("a window of less than one byte, in which no record fits, is refused at once", () => {
  const { consumer } = setUp();
  for (const windowBytes of [0, -1, Number.NaN])
    assert.throws(() => consumer.subscribe({ stream: "readings", windowBytes }), /windowBytes must be 1 to/);
  consumer.close();
});

test("an abort, a return and a close end the loop", async () => {
  const { consumer, node } = setUp();
  const abort = new AbortController();
  const items = consumer.subscribe({ stream: "readings", signal: abort.signal });
  const waiting = items.next();
  abort.abort();
  assert.is((await waiting).done, true);
  node.append(0, batch(0));
  for await (const item of consumer.subscribe({ stream: "readings", from: "earliest" })) {
    assert.is(item.kind, "records");
    break;
  }
  const last = consumer.subscribe({ stream: "readings" }).next();
  consumer.close();
  assert.is((await last).done, true);
});

test("a moved partition is read on without a gap", async () => {
  const { node, network, consumer, publish } = setUp();
  node.append(0, batch(0));
  const items = consumer.subscribe({ stream: "readings", from: "earliest" });
  const seen = await take(items, 3);
  network.say({ type: "moved", stream: "readings", partition: 0 });
  node.append(0, batch(3));
  await settle();
  publish();
  seen.push(...(await take(items, 3)));
  assert.equal(seen, [0, 1, 2, 3, 4, 5]);
  consumer.close();
});

test.run();
