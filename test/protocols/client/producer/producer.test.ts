import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type InDoubtEvent,
  Producer,
  type ProducerOptions,
  type RejectedEvent,
  type SendOptions,
} from "../../../../protocols/client/producer/producer.ts";
import { REJECTED_LIST_LIMITS } from "../../../../protocols/client/producer/settlements.ts";
import { ConfigurationError, RejectedError } from "../../../../protocols/errors.ts";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import { countEvents } from "../../../../protocols/values/event_codec.ts";
import { ManualClock, settle } from "../../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../../support/fakes/memory_connection.ts";
import { ModelNode } from "../../../support/fakes/model_node.ts";

function setUp(options: Partial<ProducerOptions> = {}) {
  const node = new ModelNode();
  const network = new MemoryNetwork((frame, bytes) => node.take(frame, bytes));
  const clock = new ManualClock();
  const rejected: RejectedEvent[] = [];
  const inDoubt: InDoubtEvent[] = [];
  const producer = new Producer({
    connect: network.connect,
    addresses: ["a", "b"],
    producerId: "p",
    stream: "readings",
    clock,
    onRejected: (event) => rejected.push(event),
    onInDoubt: (events) => inDoubt.push(...events),
    ...options,
  });
  const stored = () =>
    [...node.logs.values()]
      .flat()
      .map(({ event }) => event.n as number)
      .sort((left, right) => left - right);
  return { node, network, clock, producer, rejected, inDoubt, stored };
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

test("events go to their key's partition in order, in batches by count and by linger", async () => {
  const { node, producer, clock } = setUp({ batchEventsMax: 10 });
  for (const n of numbers(45)) await producer.send({ n, key: "one" });
  await clock.advance(20);
  const log = node.log("readings", partitionOfKey("one", 4));
  assert.equal(
    log.map(({ event }) => event.n),
    numbers(45),
  );
  assert.is(node.appends, 5);
  assert.is(producer.pendingEvents, 0);
  await producer.close();
});

test("with `setsAsideUnsendable` a node sets aside events without a form in MessagePack; those without JSON are refused", async () => {
  const { node, producer, clock, rejected } = setUp({ setsAsideUnsendable: true });
  const wide = Object.fromEntries(numbers(65_537).map((n) => [`k${n}`, n]));
  const endless: Record<string, unknown> = {};
  endless.again = endless;
  for (const event of [{ n: 0 }, wide, endless, { n: 1 }]) await producer.send(event, { partition: 0 });
  await clock.advance(20);
  assert.equal(
    rejected.map(({ event }) => event === endless),
    [true],
  );
  assert.is(producer.pendingEvents, 0);
  assert.is(node.log("readings", 0).length, 3);
  await producer.close();
});

test("events without a key take the partitions in turn, a batch each", async () => {
  const { node, producer, clock } = setUp({ batchEventsMax: 5, stream: "plain" });
  for (const n of numbers(20)) await producer.send({ n });
  await clock.advance(20);
  assert.equal(
    [0, 1, 2, 3].map((partition) => node.log("plain", partition).length),
    [5, 5, 5, 5],
  );
  await producer.close();
});

test("an event without a key but with a sequence of its own goes to the same partition in every life", async () => {
  const places: string[] = [];
  for (const skipped of [0, 7]) {
    const { node, producer, clock } = setUp({ batchEventsMax: 5, stream: "plain" });
    for (const n of numbers(40).slice(skipped)) await producer.send({ n }, { sequence: [1, n * 1_000, 0] });
    await clock.advance(20);
    const place = (n: number) =>
      [0, 1, 2, 3].find((partition) => node.log("plain", partition).some(({ event }) => event.n === n));
    places.push(numbers(40).slice(7).map(place).join());
    await producer.close();
  }
  assert.is(places[0], places[1]);
  assert.is(new Set(places[0]?.split(",")).size, 4);
});

test("a batch carries the trace context of its first event that has one", async () => {
  const { node, producer, clock } = setUp({ stream: "plain" });
  const seen: (string | undefined)[] = [];
  node.intercept = ({ traceparent }) => {
    seen.push(traceparent);
    return undefined;
  };
  await producer.send({ n: 1 });
  await producer.send({ n: 2 }, { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
  await clock.advance(20);
  assert.equal(seen, ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]);
  await producer.close();
});

test("a confirmed event tells its sequence, or why it was set aside", async () => {
  const { node, producer, clock, rejected } = setUp();
  node.rejects = (event) => event.n === 2;
  const outcomes = Promise.all([1, 2, 3].map((n) => producer.sendAndConfirm({ n, key: "k" })));
  await clock.advance(20);
  const [first, second, third] = await outcomes;
  assert.equal(first, { kind: "stored", stream: "readings", partition: partitionOfKey("k", 4), sequence: [0, 0, 0] });
  assert.equal(second, { kind: "rejected", code: "SCHEMA_VIOLATION", path: "/n", reason: "must be liked" });
  assert.is(third?.kind, "stored");
  assert.equal(
    rejected.map(({ event, sequence }) => [event, sequence]),
    [[{ n: 2, key: "k" }, [0, 1, 0]]],
  );
  await producer.close();
});

test("a full buffer makes send wait, and an abort ends the wait", async () => {
  const { network, producer, clock, stored } = setUp({ bufferEventsMax: 3 });
  network.isHeld = true;
  for (const n of numbers(3)) await producer.send({ n, key: "k" });
  let isBuffered = false;
  const fourth = producer.send({ n: 3, key: "k" }).then(() => {
    isBuffered = true;
  });
  const abort = new AbortController();
  const fifth = producer.send({ n: 4, key: "k" }, { signal: abort.signal }).then(
    () => "sent",
    (error: Error) => error.message,
  );
  await clock.advance(100);
  assert.is(isBuffered, false);
  abort.abort(new Error("enough"));
  assert.is(await fifth, "enough");
  network.release();
  await clock.advance(100);
  await fourth;
  await clock.advance(100);
  assert.equal(stored(), [0, 1, 2, 3]);
  await producer.close();
});

test("a producer goes on at the next address when its connection breaks, and nothing is stored twice", async () => {
  const { network, producer, clock, stored } = setUp({ batchEventsMax: 2 });
  for (const n of numbers(6)) await producer.send({ n, key: "k" });
  await settle();
  network.isHeld = true;
  for (const n of [6, 7, 8, 9]) await producer.send({ n, key: "k" });
  await settle();
  network.isUp = false;
  network.cut();
  await clock.advance(1_000);
  network.isUp = true;
  network.isHeld = false;
  await clock.advance(20_000);
  assert.equal(stored(), numbers(10));
  assert.is(producer.pendingEvents, 0);
  assert.ok(network.addresses.includes("a") && network.addresses.includes("b"));
  await producer.close();
});

test("events without an ack when the producer closes are handed back", async () => {
  const { network, producer, clock } = setUp({ batchEventsMax: 2 });
  await settle();
  for (const n of [0, 1]) await producer.send({ n, key: "k" });
  await clock.advance(20);
  network.isHeld = true;
  const lost = producer.sendAndConfirm({ n: 2, key: "k" }).catch((error: Error) => error);
  await clock.advance(20);
  const closing = producer.close({ timeoutMs: 500 });
  await clock.advance(600);
  const { inDoubt } = await closing;
  assert.equal(
    inDoubt.map(({ event, wasSent }) => [(event as { n: number }).n, wasSent]),
    [[2, true]],
  );
  assert.ok((await lost) instanceof Error);
  assert.match(String(await producer.send({ n: 3 }).catch((error: Error) => error)), /closed/);
});

test("events that never left are handed back as such", async () => {
  const { network, producer, clock } = setUp();
  network.isUp = false;
  network.cut();
  await producer.send({ n: 0, key: "k" });
  const closing = producer.close({ timeoutMs: 100 });
  await clock.advance(1_000);
  const { inDoubt } = await closing;
  assert.is(inDoubt.length, 1);
});

test("a fenced producer refuses new events and hands back those that it holds", async () => {
  const { node, producer, clock, inDoubt } = setUp();
  await settle();
  node.intercept = () => ({ type: "error", code: "PRODUCER_FENCED", message: "another instance" });
  await producer.send({ n: 0, key: "k" });
  await clock.advance(100);
  assert.is(inDoubt.length, 1);
  const error = await producer.send({ n: 1 }).catch((reason: { code: string }) => reason);
  assert.is((error as { code: string }).code, "PRODUCER_FENCED");
});

test("one event that has no MessagePack form is refused alone", async () => {
  const { producer, clock, rejected, stored } = setUp();
  for (const n of numbers(5)) await producer.send(n === 2 ? { n, key: "k", f: () => 1 } : { n, key: "k" });
  await producer.send({ n: 5, key: "k", big: 2n ** 80n });
  await clock.advance(20);
  assert.equal(
    rejected.map(({ code }) => code),
    rejected.map(() => "MALFORMED_EVENT"),
  );
  assert.ok(rejected.some(({ event }) => (event as { n: number }).n === 5));
  for (const n of [0, 1, 3, 4]) assert.ok(stored().includes(n));
  assert.is(producer.pendingEvents, 0);
  await producer.close();
});

test("explicit sequences and positions are stored, and `open` answers the last ones", async () => {
  const { node, producer, clock } = setUp();
  for (const [index, at] of [10, 20, 30].entries()) {
    await producer.send({ n: index }, { partition: 2, sequence: [7, at, 0], position: { at } });
  }
  await clock.advance(20);
  assert.equal(
    node.log("readings", 2).map(({ sequence }) => sequence),
    [
      [7, 10, 0],
      [7, 20, 0],
      [7, 30, 0],
    ],
  );
  const opened = await producer.open("readings", 2);
  assert.equal(opened, { lastSequence: [7, 30, 0], position: { at: 30 } });
  await producer.close();
});

test("an iterable is sent and flushed; an unknown stream is refused", async () => {
  const { producer, clock, stored, rejected } = setUp({ batchEventsMax: 7 });
  await settle();
  async function* events() {
    for (const n of numbers(100)) yield { n, key: `k${n}` };
  }
  const sending = producer.sendAll(events());
  await clock.advance(50);
  assert.is(await sending, 100);
  assert.equal(stored(), numbers(100));
  const refusal = await producer.send({ n: 1 }, { stream: "nowhere" }).catch((error: unknown) => error);
  assert.ok(refusal instanceof RejectedError && refusal.code === "UNKNOWN_STREAM");
  assert.match(refusal.message, /nowhere .*: it knows readings, plain$/);
  assert.equal(rejected, []);
  await producer.close();
});

test("a batch too large for a frame is sent in parts", async () => {
  const { producer, clock, stored } = setUp({ batchBytesMax: 100_000_000 });
  await settle();
  for (const n of numbers(8)) await producer.send({ n, key: "k", text: "x".repeat(900_000) });
  await clock.advance(20);
  await producer.flush();
  assert.equal(stored(), numbers(8));
  await producer.close();
});

/** Settles as the promise does: its value, or its error. */
const outcomeOf = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

function setUpUntold(options: Partial<ProducerOptions> = {}) {
  const scene = setUp();
  void scene.producer.close({ timeoutMs: 0 });
  const { network, clock } = scene;
  const producer = new Producer({
    ...{ connect: network.connect, addresses: ["a", "b"], producerId: "untold", stream: "readings", clock },
    ...options,
  });
  scene.node.rejects = (event) => (event.n as number) % 2 === 1;
  return { ...scene, producer };
}

test("without a callback flush rejects once with the count and the first reason, and close hands back the rejected events", async () => {
  const { producer, clock } = setUpUntold();
  for (const n of numbers(5)) await producer.send({ n, key: "k" });
  const first = await outcomeOf(producer.flush());
  assert.instance(first, RejectedError);
  assert.is((first as RejectedError).code, "SCHEMA_VIOLATION");
  assert.match((first as RejectedError).message, /2 rejected, the first of readings\/\d with SCHEMA_VIOLATION at \/n/);
  assert.is(await outcomeOf(producer.flush()), undefined);
  await producer.send({ n: 7, key: "k" });
  assert.match(String(await outcomeOf(producer.flush())), /1 rejected/);
  await producer.send({ n: 9, key: "k" });
  const closing = producer.close();
  await clock.advance(100);
  const { stored, rejected, rejectedCount, inDoubt } = await closing;
  assert.is(stored, 3);
  assert.equal(
    rejected.map(({ event }) => (event as { n: number }).n),
    [1, 3, 7, 9],
  );
  assert.is(rejectedCount, 4);
  assert.equal(inDoubt, []);
});

test("sendAll rejects where the node rejected an event of it", async () => {
  const { producer, clock } = setUpUntold();
  const sending = outcomeOf(producer.sendAll(numbers(4).map((n) => ({ n, key: "k" }))));
  await clock.advance(100);
  assert.match(String(await sending), /2 rejected/);
  await producer.close();
});

test("a rejection that a confirmation or a callback told is counted by close, and no flush rejects over it", async () => {
  for (const told of ["confirmation", "callback"] as const) {
    const seen: unknown[] = [];
    const { producer, clock } = setUpUntold(
      told === "callback" ? { onRejected: (rejected) => seen.push(rejected) } : {},
    );
    const sent = numbers(4).map(async (n) => {
      if (told === "callback") await producer.send({ n, key: "k" });
      else if ((await producer.sendAndConfirm({ n, key: "k" })).kind === "rejected") seen.push(n);
    });
    await clock.advance(100);
    await Promise.all(sent);
    assert.is(await outcomeOf(producer.flush()), undefined, told);
    const { stored, rejectedCount, rejected } = await producer.close();
    assert.equal([stored, rejectedCount, rejected.length, seen.length], [2, 2, 2, 2], told);
  }
});

test("flush rejects where events are in doubt and no callback was told", async () => {
  const { node, producer, clock } = setUpUntold();
  node.intercept = () => ({ type: "error", code: "PRODUCER_FENCED", message: "another instance" });
  await producer.send({ n: 0, key: "k" });
  const flushed = outcomeOf(producer.flush());
  await clock.advance(100);
  assert.match(String(await flushed), /another instance/);
  const { stored, inDoubt } = await producer.close();
  assert.equal([stored, inDoubt.length], [0, 1]);
});

test("a callback that throws loses no later outcome, and its error is reported as uncaught", async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => uncaught.push(error);
  process.on("uncaughtException", note);
  try {
    const seen: unknown[] = [];
    const { producer, clock } = setUpUntold({
      onRejected: ({ event }) => {
        seen.push((event as { n: number }).n);
        throw new Error("a fault of the application");
      },
    });
    for (const n of numbers(6)) await producer.send({ n, key: "k" });
    await clock.advance(100);
    assert.equal(seen, [1, 3, 5]);
    const { stored, rejectedCount } = await producer.close();
    assert.equal([stored, rejectedCount, uncaught.length], [3, 3, 3]);
  } finally {
    process.off("uncaughtException", note);
  }
});

test("rejected events beyond the bound of the list are counted", async () => {
  const { node, producer, clock } = setUpUntold({ batchEventsMax: 100 });
  node.rejects = () => true;
  const count = REJECTED_LIST_LIMITS.eventsMax + 50;
  const sending = outcomeOf(producer.sendAll(numbers(count).map((n) => ({ n, key: "k" }))));
  await clock.advance(1_000);
  assert.match(String(await sending), new RegExp(`${count} rejected`));
  const { rejected, rejectedCount } = await producer.close();
  assert.is(rejected.length, REJECTED_LIST_LIMITS.eventsMax);
  assert.is(rejectedCount, count);
});

test("an event sent to an unknown stream before the first welcome is handed back as rejected", async () => {
  const { producer, clock } = setUpUntold();
  await producer.send({ n: 0 }, { stream: "nowhere" });
  await clock.advance(100);
  assert.match(String(await outcomeOf(producer.flush())), /1 rejected, the first of nowhere with UNKNOWN_STREAM/);
  const { stored, rejected } = await producer.close();
  assert.is(stored, 0);
  assert.equal(
    rejected.map(({ code, stream }) => [code, stream]),
    [["UNKNOWN_STREAM", "nowhere"]],
  );
});

test("send answers every refusal by its promise, before the event is taken", async () => {
  const { producer, clock } = setUp({ stream: undefined as never });
  const position = (size: number) => ({ text: "x".repeat(size) });
  const refusals: readonly (readonly [SendOptions, RegExp])[] = [
    [{}, /must name a stream/],
    [
      { stream: "readings", position: position(5_000) },
      /position must have at most 4096 bytes .*: current value is 50\d\d bytes/,
    ],
    [{ stream: "readings", position: { big: 2n ** 80n } }, /position must have a MessagePack form/],
    [{ stream: "readings", partition: -1 }, /partition must be a whole number/],
    [{ stream: "readings", partition: 1.5 }, /current value is 1.5/],
    [{ stream: "readings", sequence: [0, Number.NaN, 0] }, /sequence must be three whole numbers/],
  ];
  for (const [options, reason] of refusals) {
    const refusal = await outcomeOf(producer.send({ n: 0 }, options));
    assert.instance(refusal, RejectedError);
    assert.match((refusal as Error).message, reason);
    assert.match(String(await outcomeOf(producer.sendAndConfirm({ n: 0 }, options))), reason);
  }
  await producer.send({ n: 0 }, { stream: "readings", position: position(4_000) });
  await clock.advance(100);
  const { stored, rejectedCount } = await producer.close();
  assert.equal([stored, rejectedCount], [1, 0]);
});

test("options of a producer that can never work fail when it is made", () => {
  const connect = new MemoryNetwork(() => []).connect;
  const cases: readonly (readonly [Partial<ProducerOptions>, RegExp])[] = [
    [{ addresses: [] }, /addresses must name at least one node/],
    [{ producerId: "" }, /producerId must hold at least one character/],
    [{ producerId: "p".repeat(257) }, /producerId must have at most 256 characters: current value is 257/],
    [{ instance: "i".repeat(257) }, /instance must have at most 256 characters/],
    [{ bufferEventsMax: 0 }, /bufferEventsMax must be 1 or more: current value is 0/],
    [{ bufferBytesMax: Number.NaN }, /bufferBytesMax must be 1 or more: current value is NaN/],
    [{ batchEventsMax: 0 }, /batchEventsMax must be 1 or more/],
    [{ lingerMs: -1 }, /lingerMs must be 0 to 2147483647/],
    [{ schemaVersion: 2 ** 32 }, /schemaVersion must be 0 to 4294967295/],
    [{ token: "t".repeat(16_385) }, /token must have at most 16384 characters: current value is 16385 characters/],
  ];
  for (const [options, reason] of cases) {
    const make = () => new Producer({ connect, addresses: ["a"], producerId: "p", ...options });
    assert.throws(make, (error: Error) => error instanceof ConfigurationError && reason.test(error.message));
  }
});

test("a batch never has more events than the node takes, whatever `batchEventsMax` is", async () => {
  const { node, producer, clock } = setUp({ batchEventsMax: 1_000_000, batchBytesMax: 100_000_000 });
  await settle();
  let most = 0;
  node.intercept = ({ events }) => {
    most = Math.max(most, countEvents(events));
    return undefined;
  };
  for (const n of numbers(25_000)) await producer.send({ n, key: "k" });
  await clock.advance(100);
  const { stored } = await producer.close();
  assert.equal([stored, most], [25_000, 10_000]);
});

test("events that wait in a chain and never left are handed back as never sent", async () => {
  const { network, producer, clock } = setUp();
  network.isHeld = true;
  await producer.send({ n: 0 }, { partition: 1 });
  const closing = producer.close({ timeoutMs: 100 });
  await clock.advance(1_000);
  const { stored, inDoubt } = await closing;
  assert.is(stored, 0);
  assert.equal(
    inDoubt.map(({ wasSent }) => wasSent),
    [false],
  );
});

test.run();
