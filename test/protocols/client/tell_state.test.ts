import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ConnectionState } from "../../../protocols/client/connection_state.ts";
import { Consumer } from "../../../protocols/client/consumer/consumer.ts";
import { Producer, type ProducerOptions } from "../../../protocols/client/producer/producer.ts";
import { UNOPENED_TOLD } from "../../../protocols/client/tell_state.ts";
import { RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import { ManualClock, settle } from "../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../support/fakes/memory_connection.ts";
import { ModelNode } from "../../support/fakes/model_node.ts";
import { ModelStream } from "../../support/fakes/model_stream.ts";

const wordsOf = (states: readonly ConnectionState[]): string[] => states.map(({ state }) => state);

function setUpProducer(options: Partial<ProducerOptions> = {}) {
  const node = new ModelNode();
  const network = new MemoryNetwork((frame, bytes) => node.take(frame, bytes));
  const clock = new ManualClock();
  const states: ConnectionState[] = [];
  const about = { connect: network.connect, addresses: ["a"], producerId: "p", stream: "readings", clock };
  const producer = new Producer({ ...about, onState: (state) => states.push(state), ...options });
  return { node, network, clock, producer, states };
}

function setUpConsumer() {
  const node = new ModelStream(1);
  const network = new MemoryNetwork((frame) => node.take(frame));
  const clock = new ManualClock();
  const states: ConnectionState[] = [];
  const onState = (state: ConnectionState) => states.push(state);
  const consumer = new Consumer({ connect: network.connect, addresses: ["a"], clock, onState });
  return { node, network, clock, consumer, states };
}

test("a producer tells that it connects, is online, waits with the time of its next try, and is closed", async () => {
  const { network, clock, producer, states } = setUpProducer();
  await settle();
  network.isUp = false;
  network.cut();
  await clock.advance(100);
  network.isUp = true;
  await clock.advance(1_000);
  void producer.close();
  await settle();
  assert.equal(
    states.map(({ state, address, attempt }) => [state, address, attempt]),
    [
      ["connecting", "a", 1],
      ["online", "a", 0],
      ["waiting", "a", 0],
      ["connecting", "a", 1],
      ["waiting", "a", 1],
      ["connecting", "a", 2],
      ["online", "a", 0],
      ["closed", "a", 0],
    ],
  );
  const [, , first, , second] = states;
  // The backoff of 50 and 100 ms, and the jitter of a clock whose chance is always one half.
  assert.equal([first?.nextTryMs, second?.nextTryMs], [63, 125]);
  assert.equal([first?.lastError?.message, second?.lastError?.message], ["cut", "down"]);
  assert.ok(states.every(({ state, nextTryMs }) => (nextTryMs !== undefined) === (state === "waiting")));
  const { lastError } = states.at(-1) ?? {};
  assert.ok(lastError instanceof UnavailableError && lastError.code === "STOPPING");
});

test("a producer tells within 5 s that a frozen node is silent, and that it is online once the node speaks", async () => {
  const { network, clock, producer, states } = setUpProducer();
  await clock.advance(60_000);
  assert.equal(wordsOf(states), ["connecting", "online"], "nothing is owed, so nothing is silent");
  network.isHeld = true;
  await producer.send({ n: 0 }, { partition: 0 });
  await clock.advance(5_000);
  assert.equal(wordsOf(states), ["connecting", "online", "silent"]);
  assert.match(String(states.at(-1)?.lastError), /TIMEOUT|said nothing/);
  network.release();
  await clock.advance(100);
  assert.equal(wordsOf(states), ["connecting", "online", "silent", "online"]);
  await producer.close();
});

test("a consumer without records tells within 5 s that a frozen node is silent, and stays online beside one that lives", async () => {
  const { node, network, clock, consumer, states } = setUpConsumer();
  node.minor = 1;
  const items = consumer.subscribe({ stream: "readings" });
  void items.next();
  await clock.advance(600_000);
  assert.equal(wordsOf(states), ["connecting", "online"]);
  network.isHeld = true;
  await clock.advance(5_000);
  assert.equal(wordsOf(states), ["connecting", "online", "silent"]);
  await clock.advance(60_000);
  assert.is(states[3]?.state, "waiting", "the connection is given up");
  assert.match(String(states[3]?.lastError), /must answer within 30000 ms/);
  consumer.close();
});

test("a consumer without records asks for a sign of life at most once in 2 s", async () => {
  let asked = 0;
  const node = new ModelStream(1);
  node.minor = 1;
  const network = new MemoryNetwork((frame) => {
    if (frame.type === "credit") asked += 1;
    return node.take(frame);
  });
  const clock = new ManualClock();
  const consumer = new Consumer({ connect: network.connect, addresses: ["a"], clock });
  consumer.subscribe({ stream: "readings" });
  await clock.advance(600_000);
  assert.ok(asked > 100 && asked <= 300, `${asked} in 600 s`);
  consumer.close();
});

test("a node of minor version 0, which answers no request for a sign of life, is never called silent", async () => {
  const { node, clock, consumer, states } = setUpConsumer();
  node.minor = 0;
  consumer.subscribe({ stream: "readings" });
  await clock.advance(120_000);
  assert.equal(wordsOf(states), ["connecting", "online"]);
  consumer.close();
});

test("attempts in a row that opened no connection are told with their likely causes, and the client goes on", async () => {
  const { network, clock, consumer, states } = setUpConsumer();
  network.isUp = false;
  network.cut();
  await clock.advance(20_000);
  const waiting = states.filter(({ state }) => state === "waiting");
  assert.match(String(waiting[UNOPENED_TOLD]?.lastError), /Origin or Host \(last: down\)/);
  assert.not.match(String(waiting[1]?.lastError), /Origin/);
  network.isUp = true;
  await clock.advance(20_000);
  assert.is(states.at(-1)?.state, "online");
  consumer.close();
});

const refused = () => new RejectedError("FORBIDDEN", "Cannot connect as this Origin must be allowed");

/** Refuses at some addresses, and connects at the others. */
function refusing(network: MemoryNetwork, addresses: readonly string[]): ProducerOptions["connect"] {
  return (address, events, signal) =>
    addresses.includes(address) ? Promise.reject(refused()) : network.connect(address, events, signal);
}

test("L7: a client that each of its addresses refuses ends with the reason, and its events never left", async () => {
  const { network, clock } = setUpProducer();
  const states: ConnectionState[] = [];
  const connect = refusing(network, ["a", "b"]);
  const onState = (state: ConnectionState) => states.push(state);
  const about = { connect, addresses: ["a", "b"], clock, onState };
  const producer = new Producer({ ...about, producerId: "p", stream: "readings" });
  await producer.send({ n: 0 });
  await producer.send({ n: 1 }, { partition: 0 });
  const flushed = producer.flush().catch((error: unknown) => error);
  await clock.advance(5_000);
  assert.instance(await flushed, RejectedError);
  const { stored, inDoubt } = await producer.close();
  assert.is(stored, 0);
  assert.equal(
    inDoubt.map(({ wasSent }) => wasSent),
    [false, false],
  );
  assert.is(states.at(-1)?.state, "closed");
  assert.match(String(states.at(-1)?.lastError), /this Origin/);
  const reading = new Consumer(about).subscribe({ stream: "readings" }).next();
  const ended = reading.catch((error: unknown) => error);
  await clock.advance(5_000);
  assert.match(String(await ended), /this Origin/);
});

test("L7: a client that some of its addresses refuse goes on with the address that accepts it", async () => {
  const { network, clock, node } = setUpProducer();
  const connect = refusing(network, ["a", "c"]);
  const about = { connect, addresses: ["a", "c", "b"], clock };
  const producer = new Producer({ ...about, producerId: "p2", stream: "readings" });
  const confirmed = producer.sendAndConfirm({ n: 0, key: "k" });
  await clock.advance(5_000);
  assert.is((await confirmed).kind, "stored");
  network.cut();
  await producer.send({ n: 1, key: "k" });
  await clock.advance(5_000);
  assert.is([...node.logs.values()].flat().length, 2);
  await producer.close();
});

test("L7: after a refused greeting the client tries another address; a refusal after the welcome ends it", async () => {
  const node = new ModelNode();
  const network: MemoryNetwork = new MemoryNetwork((frame, bytes) =>
    frame.type === "hello" && network.addresses.at(-1) === "a"
      ? [{ type: "error", code: "UNAUTHENTICATED", message: "no such token here" }]
      : node.take(frame, bytes),
  );
  const clock = new ManualClock();
  const states: ConnectionState[] = [];
  const onState = (state: ConnectionState) => states.push(state);
  const about = { connect: network.connect, addresses: ["a", "b"], clock, onState };
  const producer = new Producer({ ...about, producerId: "p", stream: "readings" });
  await clock.advance(5_000);
  assert.is(states.at(-1)?.state, "online");
  network.say({ type: "error", code: "UNAUTHENTICATED", message: "expired" });
  await settle();
  assert.equal([states.at(-1)?.state, states.at(-1)?.lastError?.message], ["closed", "expired"]);
  assert.match(String(await producer.send({ n: 0 }).catch((error: unknown) => error)), /expired/);
});

test("each change of state is told once, and silence ends or leads to a new try, whatever the network does", async () => {
  const steps = fc.array(fc.constantFrom("send", "cut", "down", "up", "hold", "release", "wait", "wait long"), {
    maxLength: 30,
  });
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const { network, clock, producer, states } = setUpProducer();
      for (const one of sequence) {
        if (one === "send") await producer.send({ n: 0 }, { partition: 0 });
        if (one === "cut") network.cut();
        if (one === "down") network.isUp = false;
        if (one === "up") network.isUp = true;
        if (one === "hold") network.isHeld = true;
        if (one === "release") network.release();
        await clock.advance(one === "wait long" ? 40_000 : 300);
      }
      network.isUp = true;
      network.release();
      await clock.advance(60_000);
      assert.is(states.at(-1)?.state, "online");
      void producer.close();
      await settle();
      assert.is(states.at(-1)?.state, "closed");
      const keys = states.map(({ state, address, attempt }) => `${state} ${address} ${attempt}`);
      assert.ok(keys.every((key, at) => key !== keys[at - 1]));
      const after = wordsOf(states).filter((_, at) => states[at - 1]?.state === "waiting");
      assert.ok(after.every((word) => word === "connecting" || word === "closed"));
    }),
    { numRuns: 60 },
  );
});

test.run();
