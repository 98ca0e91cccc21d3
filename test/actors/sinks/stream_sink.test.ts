import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SinkBatch, SinkContext, SinkWriter } from "../../../actors/sinks/sink.ts";
import { streamSink } from "../../../actors/sinks/stream_sink.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import {
  type FakeCheckpoint,
  fakeCheckpoint,
  fakeSinkContext,
  sinkBatch,
} from "../../support/fakes/fake_sink_context.ts";
import { settle } from "../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../support/fakes/memory_connection.ts";
import { ModelNode } from "../../support/fakes/model_node.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { seededRandom } from "../../support/seeded_random.ts";

const DERIVED = `
log: { type: memory }
streams:
  derived:
    partitions: 3
    durability: memory
    schema: { type: object, properties: { at: { type: number, maximum: 1000 } } }
`;

interface Stored {
  readonly event: { readonly at: number };
  readonly sequence: readonly number[];
  readonly producerId: string;
  readonly traceparent?: string;
}

async function storedIn(node: TestNode, stream = "derived", partitions = 3): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const path = `/v1/streams/${stream}/partitions/${partition}/records?limit=1000`;
    all.push(...((await (await fetch(`${node.address}${path}`)).json()) as { records: Stored[] }).records);
  }
  return all;
}

const contextOf = (node: TestNode, store: FakeCheckpoint, owner: number): SinkContext => ({
  ...fakeSinkContext(store, owner),
  name: "derive",
  connect: node.connectWithEpoch,
});

const open = (node: TestNode, store: FakeCheckpoint, owner: number) =>
  streamSink.open({ stream: "derived" }, contextOf(node, store, owner));

const ascending = (numbers: readonly number[]) => [...numbers].sort((left, right) => left - right);

test("a record that a crash makes the sink write twice is in the stream once, with the place it came from", async () => {
  const node = await runningNode(DERIVED);
  const store = fakeCheckpoint();
  const first = await open(node, store, 5);
  assert.is((await first.write(sinkBatch(5, 0, 9))).kind, "written");
  store.fault = () => {
    throw new Error("killed before its position was stored");
  };
  const reason = "Cannot store the sink's position: killed before its position was stored";
  const problem = { kind: "unavailable" as const, reason };
  assert.equal(await first.write(sinkBatch(5, 10, 19)), { kind: "taken", count: 10, problem });
  store.fault = undefined;
  const second = await open(node, store, 6);
  assert.equal(await second.position(), { epoch: 5, offset: 9 });
  assert.is((await second.write(sinkBatch(5, 10, 24))).kind, "written");
  const stored = await storedIn(node);
  assert.equal(ascending(stored.map(({ event }) => event.at)), ascending(Array.from({ length: 25 }, (_, at) => at)));
  for (const { event, sequence, producerId } of stored) {
    assert.equal(sequence, [5, event.at, 0]);
    assert.is(producerId, "pipeline/derive/readings/0");
  }
  await Promise.all([first.close(), second.close()]);
  await node.end();
});

test("S1, T1: an owner that wakes up after another has opened the sink can append to no partition", async () => {
  const node = await runningNode(DERIVED);
  const store = fakeCheckpoint();
  const old = await open(node, store, 5);
  await old.write(sinkBatch(5, 0, 4));
  const next = await open(node, store, 6);
  // Offsets so far apart that each record goes to another partition, also to those that the new owner has not written to.
  const late: SinkBatch = {
    ...sinkBatch(5, 5, 5),
    records: [5, 5_000, 10_000].map((offset) => ({
      ...(sinkBatch(5, offset, offset).records[0] as SinkBatch["records"][number]),
      event: { at: 999 },
    })),
  };
  assert.equal(await old.write(late), { kind: "fenced", fence: 5 });
  assert.is((await next.write(sinkBatch(5, 5, 6))).kind, "written");
  assert.equal(ascending((await storedIn(node)).map(({ event }) => event.at)), [0, 1, 2, 3, 4, 5, 6]);
  const again = await open(node, store, 5);
  assert.is((await again.write(sinkBatch(5, 7, 7))).kind, "fenced");
  await Promise.all([old.close(), next.close(), again.close()]);
  await node.end();
});

test("records of a later entry epoch follow those of an earlier one, however low their offsets", async () => {
  const node = await runningNode(DERIVED);
  const store = fakeCheckpoint();
  const sink = await open(node, store, 5);
  await sink.write(sinkBatch(5, 100, 109));
  const after = await open(node, store, 6);
  await after.write(sinkBatch(6, 100, 104));
  const stored = await storedIn(node);
  assert.is(stored.filter(({ sequence }) => sequence[0] === 6).length, 5);
  await Promise.all([sink.close(), after.close()]);
  await node.end();
});

test("T2: a record that the target's schema refuses is named, and the rest is written once", async () => {
  const node = await runningNode(DERIVED);
  const sink = await open(node, fakeCheckpoint(), 5);
  const batch = sinkBatch(5, 0, 3);
  const records = batch.records.map((record, at) => (at === 2 ? { ...record, event: { at: 5_000 } } : record));
  const outcome = await sink.write({ ...batch, records });
  assert.equal(outcome, {
    kind: "rejected",
    records: [{ at: 2, code: "SCHEMA_VIOLATION", reason: "/at: must be <= 1000" }],
  });
  const rest = records.filter((_record, at) => at !== 2);
  assert.is((await sink.write({ ...batch, records: rest })).kind, "written");
  assert.equal(ascending((await storedIn(node)).map(({ event }) => event.at)), [0, 1, 3]);
  await sink.close();
  await node.end();
});

test("T3, S9: a write that was given up is settled before the next one sends its records", async () => {
  const node = await runningNode(DERIVED);
  const context = contextOf(node, fakeCheckpoint(), 5);
  let appends = 0;
  let release: (() => void) | undefined;
  let onAnswer: (() => void) | undefined;
  const answered = new Promise<void>((resolve) => (onAnswer = resolve));
  const connect: SinkContext["connect"] = async (address, events, signal) => {
    const onFrame: typeof events.onFrame = (frame, wireBytes) => {
      if (frame.type !== "ack" || release !== undefined) return events.onFrame(frame, wireBytes);
      release = () => events.onFrame(frame, wireBytes);
      onAnswer?.();
    };
    const connection = await context.connect(address, { ...events, onFrame }, signal);
    const send: typeof connection.send = (frame) => {
      if (frame.type === "append") appends += 1;
      return connection.send(frame);
    };
    return { send, close: () => connection.close(), bufferedBytes: 0 };
  };
  const sink = await streamSink.open({ stream: "derived" }, { ...context, connect });
  const givingUp = new AbortController();
  const first = sink.write(sinkBatch(5, 0, 0), { signal: givingUp.signal, progressed: () => {} });
  const end = first.catch((error: Error) => error);
  await answered;
  givingUp.abort(new Error("given up"));
  assert.is(String(await end), "Error: given up");
  const second = sink.write(sinkBatch(5, 1, 1));
  for (let turns = 0; turns < 20; turns += 1) await settle();
  assert.is(appends, 1, "the answer to the first write is still held back");
  release?.();
  assert.is((await second).kind, "written");
  assert.is(appends, 2);
  await sink.close();
  await node.end();
});

/** A writer over a model of a node, whose target may lose its tail between any two answers. */
async function openOverModel(model: ModelNode, store: FakeCheckpoint) {
  const network = new MemoryNetwork((frame, bytes) => model.take(frame, bytes));
  const logged: string[] = [];
  const sink = await streamSink.open(
    { stream: "readings" },
    {
      ...fakeSinkContext(store, 5),
      connect: network.connect,
      log: (_level, message) => logged.push(message),
    },
  );
  return { sink, network, logged };
}

/** Writes the records up to `until` as a delivery does, behind the position that the sink names. Keys choose partitions. */
async function deliver(sink: SinkWriter, until: number, batchMax: number): Promise<void> {
  let at = ((await sink.position())?.offset ?? -1) + 1;
  while (at < until) {
    const batch = sinkBatch(5, at, Math.min(until, at + batchMax) - 1);
    const records = batch.records.map((record) => ({ ...record, event: { key: record.position.offset % 11 } }));
    const outcome = await sink.write({ ...batch, records }).catch(() => undefined);
    const isWritten = outcome?.kind === "written";
    at = isWritten ? Math.min(until, at + batchMax) : ((await sink.position())?.offset ?? -1) + 1;
  }
}

test("T4: whatever tails the target loses, each record is in it once and in order after the writes that follow", async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const { below } = seededRandom(seed);
    const model = new ModelNode(3);
    const { sink, network } = await openOverModel(model, fakeCheckpoint());
    let until = 0;
    for (let round = 0; round < 12; round += 1) {
      until += 1 + below(40);
      await deliver(sink, until, 1 + below(7));
      const losing = below(3);
      for (let count = 0; count < losing; count += 1) model.loseTail("readings", below(3), 1 + below(15));
      if (below(80) === 0) network.cut(); // otherwise the next append shows the loss
    }
    // Each partition takes further records, so that no loss stays unseen.
    for (let batch = 0; batch < 30; batch += 1) {
      until += 4;
      await deliver(sink, until, 1);
    }
    const stored = [0, 1, 2].map((partition) => model.log("readings", partition));
    for (const log of stored) {
      const sequences = log.map(({ sequence }) => sequence[1]);
      assert.equal(sequences, ascending(sequences), `seed ${seed}: order`);
    }
    const all = ascending(stored.flat().map(({ sequence }) => sequence[1]));
    assert.equal(
      all,
      Array.from({ length: until }, (_, at) => at),
      `seed ${seed}: each record once`,
    );
    assert.equal(model.lost, [], `seed ${seed}: nothing is declared lost`);
    await sink.close();
  }
});

test("T4: a crash after the position went back begins before the lost records", async () => {
  const model = new ModelNode(1);
  const store = fakeCheckpoint();
  const { sink, network, logged } = await openOverModel(model, store);
  await deliver(sink, 20, 5);
  model.loseTail("readings", 0, 7);
  network.cut();
  assert.equal(await sink.write(sinkBatch(5, 20, 24)), { kind: "misplaced", position: { epoch: 5, offset: 9 } });
  assert.equal(logged, ["the derived stream has lost records, which are written again"]);
  const next = await openOverModel(model, store);
  assert.equal(await next.sink.position(), { epoch: 5, offset: 9 });
  await deliver(next.sink, 25, 5);
  const stored = model.log("readings", 0).map(({ sequence }) => sequence[1]);
  assert.equal(
    stored,
    Array.from({ length: 25 }, (_, at) => at),
  );
  await Promise.all([sink.close(), next.sink.close()]);
});

test("T4: a position that cannot be stored is stored by the next write, before any record follows the loss", async () => {
  const model = new ModelNode(1);
  const store = fakeCheckpoint();
  const { sink, network } = await openOverModel(model, store);
  await deliver(sink, 20, 5);
  model.loseTail("readings", 0, 20);
  network.cut();
  store.fault = () => {
    throw new UnavailableError("STORE_UNAVAILABLE", "the store is away");
  };
  for (const _try of [1, 2]) {
    const failed = await sink.write(sinkBatch(5, 20, 24)).catch((error: Error) => error);
    assert.match(String(failed), "the store is away");
    assert.equal(model.log("readings", 0), []);
  }
  store.fault = undefined;
  assert.equal(await sink.write(sinkBatch(5, 20, 24)), { kind: "misplaced", position: undefined });
  assert.is(await sink.position(), undefined);
  await deliver(sink, 25, 5);
  assert.is(model.log("readings", 0).length, 25);
  await sink.close();
});

const PIPELINE = `
log: { type: lmdb }
streams: { orders: { partitions: 2, key: /n }, large: { partitions: 3, key: /n } }
pipelines: { pick: { from: orders, steps: [{ filter: "event.n % 2 == 0" }], to: [derive] } }
sinks: { derive: { type: stream, stream: large } }
`;

test("a pipeline fills a derived stream over restarts of the node, and its records have the trace of their input", async () => {
  const empty = await runningNode("log: { type: memory }\nstreams: {}\n");
  await empty.stop(5_000);
  for (const life of [0, 1, 2]) {
    const node = await runningNode(PIPELINE, { folder: empty.folder });
    const producer = node.producer({ producerId: "p", stream: "orders" });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (let n = 0; n < 100; n += 1) await producer.send({ n: life * 100 + n }, { traceparent });
    await producer.close();
    const wanted = (life + 1) * 50;
    const stored = await eventually(async () => {
      const found = await storedIn(node, "large");
      return found.length >= wanted ? found : undefined;
    });
    const expected = Array.from({ length: wanted }, (_, index) => index * 2);
    assert.equal(ascending(stored.map(({ event }) => Number((event as unknown as { n: number }).n))), expected);
    assert.ok(stored.every((record) => record.traceparent === traceparent));
    assert.equal(await node.stop(10_000), []);
  }
});

test("a derived stream that is not declared, or that leads back to its input, is refused", async () => {
  const misspelt = await runningNode(PIPELINE.replace("stream: large", "stream: larg")).catch((error: Error) => error);
  assert.match(String(misspelt), /did you mean large\?/);
  const loop = await runningNode(PIPELINE.replace("stream: large", "stream: orders")).catch((error: Error) => error);
  assert.match(String(loop), /leads back to itself/);
});

/** Two records of one shape. The number 1 is a float, as a JavaScript encoder would not write it. */
const FLOATS = Uint8Array.from(
  Buffer.from("92 d47240 91a16e cb3ff0000000000000 40 cb4000000000000000".replaceAll(" ", ""), "hex"),
);

/** The bytes of all events that a stream of one partition holds, batch by batch. */
async function storedBytes(node: TestNode, stream: string): Promise<readonly string[]> {
  const client = await RawClient.open(node.endpoint);
  await client.ask({ type: "hello", client: "reader" });
  const partitions = [{ partition: 0, from: "earliest" } as const];
  const frame = await client.ask({ type: "subscribe", subscription: 1, stream, partitions, creditBytes: 100_000 });
  client.end();
  return frame?.type === "records" ? frame.batches.map(({ events }) => Buffer.from(events).toString("hex")) : [];
}

test("records that no step has changed are appended as they are stored, and others are encoded", async () => {
  const node = await runningNode(`
log: { type: memory }
streams:
  input: { partitions: 1, durability: memory }
  same: { partitions: 1, durability: memory }
  kept: { partitions: 1, durability: memory }
  made: { partitions: 1, durability: memory }
pipelines:
  same: { from: input, to: [same] }
  kept: { from: input, steps: [{ filter: event.n > 0.0 }], to: [kept] }
  made: { from: input, steps: [{ map: { n: event.n } }], to: [made] }
sinks:
  same: { type: stream, stream: same }
  kept: { type: stream, stream: kept }
  made: { type: stream, stream: made }
`);
  const client = await RawClient.open(node.endpoint);
  const producerEpoch = await client.produceTo("p", "input", 0);
  const answer = await client.ask({
    ...{ type: "append", stream: "input", partition: 0, producerEpoch, events: FLOATS },
    ...{ previousSequence: null, sequences: { first: [0, 0, 0], count: 2 } },
  });
  assert.is(answer?.type, "ack");
  const body = Buffer.from(FLOATS.subarray(1)).toString("hex");
  for (const [stream, isCopy] of [
    ["same", true],
    ["kept", true],
    ["made", false],
  ] as const) {
    const [bytes = ""] = await eventually(async () => {
      const found = await storedBytes(node, stream);
      return found.length > 0 ? found : undefined;
    });
    assert.is(bytes.endsWith(body), isCopy, `${stream}: ${bytes}`);
  }
  client.end();
  await node.end();
});

test.run();
