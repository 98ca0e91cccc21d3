import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compilePipeline } from "../../../../actors/pipeline/pipeline.ts";
import type { StepBatch } from "../../../../actors/pipeline/step.ts";
import { decodePosition } from "../../../../actors/sinks/delivery/checkpointed_writer.ts";
import { CountedClient } from "../../../../actors/sinks/delivery/counted_client.ts";
import {
  type DeliveryOptions,
  type DeliveryRange,
  deliveryActor,
} from "../../../../actors/sinks/delivery/delivery_actor.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryLimits,
  type DeliveryMessage,
  type DeliveryReport,
} from "../../../../actors/sinks/delivery/delivery_messages.ts";
import { prepareItems } from "../../../../actors/sinks/delivery/prepare_items.ts";
import { type FileSinkOptions, fileSink } from "../../../../actors/sinks/file/file_sink.ts";
import type { SinkBatch, SinkClient, SinkDefinition, SinkRecord, WriteOutcome } from "../../../../actors/sinks/sink.ts";
import { epoch, type Position, position } from "../../../../protocols/position.ts";
import { startActor } from "../../../../supervisors/conformance/parts/fake_actor.ts";
import { FakePartition, packedEvents } from "../../../../supervisors/conformance/parts/fake_feed.ts";
import { readFileSink } from "../../../support/read_file_sink.ts";

interface Setup<Options, Client extends SinkClient | undefined = undefined> {
  readonly sink: SinkDefinition<Options, Client>;
  readonly clients?: CountedClient<Client>;
  readonly sinkOptions: Options;
  readonly filter?: string;
  readonly start?: "earliest" | "latest";
  readonly replay?: string;
  readonly range?: DeliveryRange;
  readonly operationTimeoutMs?: number;
  readonly limits?: Partial<DeliveryLimits>;
}

async function deliver<Options, Client extends SinkClient | undefined>(
  partition: FakePartition,
  owner: number,
  setup: Setup<Options, Client>,
) {
  const feed = partition.feed(owner);
  const reports: DeliveryReport[] = [];
  const pipeline = await compilePipeline("p", setup.filter === undefined ? [] : [{ filter: setup.filter }], ".");
  const preparation = {
    partition: feed.partition,
    run: (batch: StepBatch) => pipeline.run(batch),
    timeOf: (_event: unknown, appendedAtMs: number) => appendedAtMs,
  };
  const options: DeliveryOptions<Options, Client> = {
    name: "out",
    sink: setup.sink,
    clients: setup.clients,
    sinkOptions: setup.sinkOptions,
    folder: "/",
    clusterId: "log-1",
    feed,
    input: "records",
    start: setup.start ?? "earliest",
    limits: {
      ...DELIVERY_LIMITS,
      rejectTriesMax: 2,
      recordsPerRequest: setup.sink.recordsPerRequest?.(setup.sinkOptions),
      ...setup.limits,
    },
    eventBytes: packedEvents,
    prepare: (batch, after) => prepareItems(preparation, batch, after),
    operationTimeoutMs: setup.operationTimeoutMs ?? 5_000,
    readBytesMax: 1_000,
    connect: () => Promise.reject(new Error("no node to connect to")),
    observe: (report) => reports.push(report),
    log: () => {},
    ...(setup.replay === undefined ? {} : { replay: setup.replay }),
    ...(setup.range === undefined ? {} : { range: setup.range }),
  };
  const definition = deliveryActor(options);
  const actor = await startActor<DeliveryMessage>(definition);
  const standsAt = (offset: number) =>
    reports.some((report) => report.kind === "delivered" && report.batch.end.offset === offset);
  return { actor, reports, standsAt };
}

/** Collects records, rejects those with `bad`, and fails the first `failures` writes. */
function collectingSink(delivery: "idempotent" | "at_least_once", failures = 0) {
  const records: SinkRecord[] = [];
  let left = failures;
  const write = async (batch: { records: readonly SinkRecord[] }): Promise<WriteOutcome> => {
    left -= 1;
    if (left >= 0) throw new Error("away");
    const bad = batch.records.flatMap(({ event }, at) =>
      event.bad === true ? [{ at, code: "SINK_REJECTED", reason: "bad" }] : [],
    );
    if (bad.length > 0) return { kind: "rejected", records: bad };
    records.push(...batch.records);
    return { kind: "written" };
  };
  const sink: SinkDefinition<object> = {
    type: "collecting",
    delivery,
    optionsSchema: {},
    open: async () => ({ position: async () => undefined, write, close: async () => {} }),
  };
  return { sink, records };
}

const ids = (records: readonly SinkRecord[]) => records.map(({ event }) => event.id);

test("records reach a sink in order; rejected events are skipped, filtered ones move the position", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: "rejected" }, { id: 1 }], [1]);
  partition.store("records", 1, [{ id: 2 }, { id: 3 }]);
  const { sink, records } = collectingSink("at_least_once", 2);
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, filter: "event.id != 2" });
  await actor.until(() => standsAt(3));
  assert.equal(ids(records), [0, 1, 3]);
  assert.ok(reports.some(({ kind }) => kind === "retry"));
  partition.store("records", 1, [{ id: 4 }]);
  await actor.until(() => standsAt(4));
  assert.equal(ids(records), [0, 1, 3, 4]);
  await actor.stop();
});

test("a sink without a position of its own goes on after its checkpoint", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  const { sink, records } = collectingSink("idempotent");
  const first = await deliver(partition, 1, { sink, sinkOptions: {} });
  await first.actor.until(() => first.standsAt(1));
  await first.actor.stop();
  partition.store("records", 2, [{ id: 2 }]);
  const second = await deliver(partition, 2, { sink, sinkOptions: {} });
  await second.actor.until(() => second.standsAt(2));
  assert.equal(ids(records), [0, 1, 2]);
  await second.actor.stop();
});

test("D4: records that the sink rejects or that a step fails on are set aside, and the others are delivered", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1, bad: true }, { other: 2 }, { id: 3 }]);
  const { sink, records } = collectingSink("idempotent");
  const { actor, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, filter: "event.id >= 0" });
  await actor.until(() => standsAt(3));
  assert.equal(ids(records), [0, 3]);
  const letters = partition.events("dead_letters/out");
  assert.equal(
    letters.map(({ code, by }) => [code, by]),
    [
      ["STEP_FAILED", "sink/out"],
      ["SINK_REJECTED", "sink/out"],
    ],
  );
  assert.equal(
    letters.map(({ sequence }) => sequence),
    [
      [1, 2, 0],
      [1, 1, 0],
    ],
  );
  await actor.stop();
});

test("a new sink that begins at the latest record skips the older ones, also after a restart", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  const { sink, records } = collectingSink("idempotent");
  const first = await deliver(partition, 1, { sink, sinkOptions: {}, start: "latest" });
  await first.actor.until(() => first.standsAt(1));
  await first.actor.stop();
  partition.store("records", 2, [{ id: 2 }]);
  const second = await deliver(partition, 2, { sink, sinkOptions: {}, start: "latest" });
  await second.actor.until(() => second.standsAt(2));
  assert.equal(ids(records), [2]);
  await second.actor.stop();
});

test("D6: records that retention removed are skipped, and reported", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  partition.store("records", 1, [{ id: 2 }]);
  partition.firstOffset = 2;
  const { sink, records } = collectingSink("idempotent");
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {} });
  await actor.until(() => standsAt(2));
  assert.equal(ids(records), [2]);
  assert.equal(
    reports.filter(({ kind }) => kind === "trimmed"),
    [{ kind: "trimmed", after: undefined, firstOffset: 2 }],
  );
  await actor.stop();
});

test("an owner that lost its partition writes nothing more", async () => {
  const partition = new FakePartition();
  const { sink } = collectingSink("idempotent");
  const { actor, reports } = await deliver(partition, 1, { sink, sinkOptions: {} });
  partition.fence = 2;
  partition.store("records", 1, [{ id: 0 }]);
  await actor.until(() => reports.some(({ kind }) => kind === "fenced"));
  assert.is(partition.checkpoints.size, 0);
  await actor.stop();
});

test("a bounded delivery brings its range and no other record, and ends", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }]);
  partition.store("records", 1, [{ id: 3 }, { id: 4 }, { id: 5 }]);
  const { sink, records } = collectingSink("idempotent");
  const range = { after: position(1, 0), last: position(1, 4) };
  const { actor, reports } = await deliver(partition, 1, { sink, sinkOptions: {}, range, replay: "r" });
  await actor.until(() => reports.some(({ kind }) => kind === "completed"));
  assert.equal(ids(records), [1, 2, 3, 4]);
  assert.equal([...partition.checkpoints.keys()], ["sink/out/replay/r"], "the sink's own position is not there");
  await actor.stop();
});

test("replays R2: records at the offsets of a lost tail do not belong to the range, and a range that was lost whole ends", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  partition.store("records", 2, [{ id: "new" }, { id: "newer" }]);
  const cases = [
    [{ after: undefined, last: position(1, 3) }, [0, 1]],
    [{ after: position(1, 2), last: position(1, 3) }, []],
  ] as const;
  for (const [at, [range, expected]] of cases.entries()) {
    const { sink, records } = collectingSink("idempotent");
    const { actor, reports } = await deliver(partition, 3 + at, { sink, sinkOptions: {}, range, replay: `r${at}` });
    await actor.until(() => reports.some(({ kind }) => kind === "completed"));
    assert.equal(ids(records), expected);
    await actor.stop();
  }
});

test("two owners after another bring every record into the file sink once", async () => {
  const directory = mkdtempSync(join(tmpdir(), "headrace-delivery-"));
  try {
    const partition = new FakePartition();
    const setup: Setup<FileSinkOptions> = { sink: fileSink, sinkOptions: { directory, segmentBytesMax: 40 } };
    for (const owner of [1, 2, 3]) {
      for (let batch = 0; batch < 4; batch += 1) {
        const from = partition.end("records");
        partition.store("records", owner, [{ id: from }, { id: from + 1 }, { id: from + 2 }]);
      }
      const { actor, standsAt } = await deliver(partition, owner, setup);
      await actor.until(() => standsAt(partition.end("records") - 1));
      await actor.stop();
    }
    const feed = partition.feed(9);
    assert.is(feed.epoch, epoch(9));
    const texts = await readFileSink(directory, feed.partition, partition.checkpoints.get("sink/out"));
    const found = texts
      .join("")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line).id);
    assert.equal(
      found,
      Array.from({ length: 36 }, (_, id) => id),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** Far more, in ms, than the fake clock gains while the disk works. */
const AGE_MS = 1e12;

test("a segment of the file sink closes at its age while the partition is quiet, by a timer of the delivery", async () => {
  const directory = mkdtempSync(join(tmpdir(), "headrace-delivery-"));
  try {
    const partition = new FakePartition();
    partition.store("records", 1, [{ id: 0 }]);
    const setup: Setup<FileSinkOptions> = { sink: fileSink, sinkOptions: { directory, segmentAgeMaxMs: AGE_MS } };
    const { actor, standsAt } = await deliver(partition, 1, { ...setup, operationTimeoutMs: 60_000 });
    await actor.until(() => standsAt(0));
    const files = () => readdirSync(join(directory, "readings", "0"));
    assert.not(files().some((name) => name.startsWith("segment-")));
    actor.advance(AGE_MS);
    await actor.until(() => files().includes("segment-0000000000000000.ndjson"));
    await actor.stop();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** A sink whose `write` is the test's. Counts the calls that are under way at once. */
function watchedSink(write: (batch: SinkBatch, signal: AbortSignal, call: number) => Promise<WriteOutcome>) {
  const seen = { calls: 0, underWay: 0, atOnceMax: 0 };
  const sink: SinkDefinition<object> = {
    type: "watched",
    delivery: "idempotent",
    optionsSchema: {},
    open: async () => ({
      position: async () => undefined,
      write: async (batch, call) => {
        if (call === undefined) throw new Error("a delivery's calls can be given up");
        seen.calls += 1;
        seen.underWay += 1;
        seen.atOnceMax = Math.max(seen.atOnceMax, seen.underWay);
        try {
          return await write(batch, call.signal, seen.calls);
        } finally {
          seen.underWay -= 1;
        }
      },
      close: async () => {},
    }),
  };
  return { sink, seen };
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

test("D12, sink S9: a write that is given up tells how many records it took; once it has ended, the next begins behind them", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }]);
  const written: unknown[][] = [];
  const { sink, seen } = watchedSink(async ({ records }, signal, call) => {
    written.push(ids(records));
    if (call > 1) return { kind: "written" };
    await aborted(signal);
    return { kind: "taken", count: 2, problem: { kind: "unavailable", reason: "given up" } };
  });
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, operationTimeoutMs: 20 });
  await actor.until(() => standsAt(2));
  assert.equal(written, [[0, 1, 2], [2]]);
  assert.is(seen.atOnceMax, 1);
  assert.ok(standsAt(1), "the position moved over the taken records first");
  assert.ok(reports.some((report) => report.kind === "retry" && report.reason.startsWith("no answer within 20 ms")));
  await actor.stop();
});

test("D12: a write that does not end, though it was told to, holds back the next, and is reported again and again", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { sink, seen } = watchedSink(async (_batch, _signal, call) => {
    if (call === 1) await held;
    if (call === 1) throw new Error("ended at last");
    return { kind: "written" };
  });
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, operationTimeoutMs: 10 });
  await actor.until(() => reports.filter(({ kind }) => kind === "retry").length >= 3);
  assert.equal([seen.calls, seen.atOnceMax], [1, 1]);
  release();
  await actor.until(() => standsAt(0));
  assert.equal([seen.calls, seen.atOnceMax], [2, 1]);
  await actor.stop();
});

test("a read that the log never answers is told after its deadline, and tried again", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  const feedOf = partition.feed.bind(partition);
  let reads = 0;
  partition.feed = (owner) => {
    const feed = feedOf(owner);
    const read: typeof feed.read = (...parts) => {
      reads += 1;
      return reads === 1 ? new Promise(() => undefined) : feed.read(...parts);
    };
    return { ...feed, read };
  };
  const { sink, records } = collectingSink("idempotent");
  const { actor, reports, standsAt } = await deliver(partition, 1, {
    sink,
    sinkOptions: {},
    operationTimeoutMs: 1_000,
  });
  await actor.until(() => reads === 1);
  actor.advance(1_000);
  await actor.until(() => reports.some(({ kind }) => kind === "retry"));
  const retry = reports.find(({ kind }) => kind === "retry");
  assert.match(retry?.kind === "retry" ? retry.reason : "", /must be done in time: current value is 1000 ms/);
  actor.advance(10_000);
  await actor.until(() => standsAt(0));
  assert.equal(ids(records), [0]);
  await actor.stop();
});

test("each step of a call has the whole deadline", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  const sink: SinkDefinition<object> = {
    type: "slow",
    delivery: "idempotent",
    optionsSchema: {},
    open: async () => ({
      position: async () => undefined,
      write: async (_batch, call) => {
        const endMs = performance.now() + 200;
        while (performance.now() < endMs) {
          call?.progressed();
          await new Promise((resolve) => setImmediate(resolve));
        }
        return { kind: "written" };
      },
      close: async () => {},
    }),
  };
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, operationTimeoutMs: 100 });
  await actor.until(() => standsAt(0));
  assert.is(reports.filter(({ kind }) => kind === "retry").length, 0);
  await actor.stop();
});

test("D13: the next owner cuts a request whose answer was lost alike, though more records have come since", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }]);
  const keyed = (size: number, isAway: boolean) => {
    const requests: unknown[][] = [];
    const sink: SinkDefinition<object> = {
      type: "keyed",
      delivery: "idempotent",
      optionsSchema: {},
      recordsPerRequest: () => size,
      open: async () => ({
        position: async () => undefined,
        write: async ({ records, requests: sizes = [] }) => {
          let at = 0;
          for (const count of sizes) {
            requests.push(ids(records.slice(at, at + count)));
            at += count;
            if (isAway) return { kind: "taken", count: 0, problem: { kind: "unavailable", reason: "no answer" } };
          }
          return { kind: "written" };
        },
        close: async () => {},
      }),
    };
    return { sink, requests };
  };
  const before = keyed(2, true);
  const first = await deliver(partition, 1, { sink: before.sink, sinkOptions: {} });
  await first.actor.until(() => before.requests.length > 2);
  await first.actor.stop();
  partition.store("records", 2, [{ id: 3 }, { id: 4 }, { id: 5 }, { id: 6 }]);
  const after = keyed(3, false);
  const second = await deliver(partition, 2, { sink: after.sink, sinkOptions: {} });
  await second.actor.until(() => second.standsAt(6));
  assert.equal(before.requests[0], [0, 1]);
  assert.equal(after.requests, [[0, 1], [2], [3, 4, 5], [6]]);
  await second.actor.stop();
});

test("D13: records that may have gone one by one, in batches of an earlier configuration, still do", async () => {
  const LARGER = 12_000;
  for (const [cut, alone] of [
    [{ recordsPerRequest: 1, taken: [], version: 1 }, 5_000],
    [{ recordsPerRequest: 1, taken: [], version: 2, recordsMax: LARGER }, LARGER],
  ] as const) {
    const partition = new FakePartition();
    partition.store(
      "records",
      1,
      Array.from({ length: LARGER + 2_000 }, (_, id) => ({ id })),
    );
    partition.checkpoints.set("sink/out/cut", new TextEncoder().encode(JSON.stringify(cut)));
    let sentAlone = 0;
    const sink: SinkDefinition<object> = {
      type: "keyed",
      delivery: "idempotent",
      optionsSchema: {},
      recordsPerRequest: () => 100,
      open: async () => ({
        position: async () => undefined,
        write: async ({ records, requests }) => {
          if (requests === undefined) sentAlone += records.length;
          return { kind: "written" };
        },
        close: async () => {},
      }),
    };
    const { actor, standsAt } = await deliver(partition, 2, { sink, sinkOptions: {}, limits: { recordsMax: 1_000 } });
    await actor.until(() => standsAt(LARGER + 1_999));
    assert.is(sentAlone, alone);
    await actor.stop();
  }
});

/** A sink whose first `failures` openings fail after they got the client. */
function sharingSink(failures = 0) {
  const seen = { connects: 0, closes: 0, opens: 0, writersOpen: 0, writersAtClose: 0, clients: new Set<unknown>() };
  interface Client extends SinkClient {
    readonly name: string;
  }
  const connect = async (): Promise<Client> => {
    seen.connects += 1;
    const close = async () => {
      seen.closes += 1;
      seen.writersAtClose += seen.writersOpen;
    };
    return { name: "client", close };
  };
  const sink: SinkDefinition<object, Client> = {
    type: "sharing",
    delivery: "idempotent",
    optionsSchema: {},
    connect,
    open: async (_options, { client }) => {
      seen.clients.add(client);
      seen.opens += 1;
      if (seen.opens <= failures) throw new Error("not yet");
      seen.writersOpen += 1;
      return {
        position: async () => undefined,
        write: async () => ({ kind: "written" }),
        close: async () => {
          seen.writersOpen -= 1;
        },
      };
    },
  };
  return { sink, seen, clients: new CountedClient(connect, () => {}) };
}

test("sink S11: 100 partitions share one client, which is closed after the last writer", async () => {
  const { sink, seen, clients } = sharingSink();
  const partitions = Array.from({ length: 100 }, () => new FakePartition());
  const deliveries = [];
  for (const partition of partitions) {
    partition.store("records", 1, [{ id: 0 }]);
    deliveries.push(await deliver(partition, 1, { sink, sinkOptions: {}, clients }));
  }
  for (const { actor, standsAt } of deliveries) await actor.until(() => standsAt(0));
  assert.equal([seen.connects, seen.clients.size, seen.writersOpen], [1, 1, 100]);
  for (const { actor } of deliveries.slice(1)) await actor.stop();
  assert.is(seen.closes, 0);
  await deliveries[0]?.actor.stop();
  await clients.closed();
  assert.equal([seen.connects, seen.closes, seen.writersAtClose], [1, 1, 0]);
});

test("sink S11: a sink that is opened again keeps its client", async () => {
  const { sink, seen, clients } = sharingSink(2);
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  const { actor, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, clients });
  await actor.until(() => standsAt(0));
  await actor.stop();
  await clients.closed();
  assert.equal([seen.opens, seen.connects, seen.closes], [3, 1, 1]);
});

test("sink S11: a stop while the client is being made leaves no client behind", async () => {
  const { sink, seen } = sharingSink();
  let made = () => {};
  const clients = new CountedClient(
    async () => {
      await new Promise<void>((resolve) => {
        made = resolve;
      });
      return sink.connect!({}, {} as never);
    },
    () => {},
  );
  const { actor } = await deliver(new FakePartition(), 1, {
    sink,
    sinkOptions: {},
    clients,
    limits: { stopTimeoutMs: 5 },
  });
  await new Promise((resolve) => setImmediate(resolve));
  await actor.stop();
  made();
  await clients.closed();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal([seen.connects, seen.closes, seen.opens], [1, 1, 0]);
});

/** Holds every batch until it is flushed; a writer that is closed loses what it holds. */
function holdingSink(delivery: "idempotent" | "at_least_once") {
  const target: unknown[] = [];
  const seen = { flushes: 0, beforeFlush: async (_signal: AbortSignal | undefined) => {} };
  const sink: SinkDefinition<object> = {
    type: "holding",
    delivery,
    optionsSchema: {},
    open: async () => {
      let held: SinkBatch[] = [];
      let durable: Position | undefined;
      return {
        position: async () => undefined,
        write: async (batch) => {
          held.push(batch);
          return { kind: "held", durable };
        },
        flush: async (call) => {
          seen.flushes += 1;
          await seen.beforeFlush(call?.signal);
          for (const batch of held) {
            target.push(...ids(batch.records));
            durable = batch.end;
          }
          held = [];
          return durable;
        },
        close: async () => {
          held = [];
        },
      };
    },
  };
  return { sink, target, seen };
}

test("D14, D15, sink S10: a sink that holds batches is flushed when none follows, and its checkpoint says how far", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  const { sink, target } = holdingSink("idempotent");
  const { actor, standsAt } = await deliver(partition, 1, { sink, sinkOptions: {}, filter: "event.id != 1" });
  await actor.until(() => standsAt(1));
  assert.equal(target, [0]);
  assert.equal(decodePosition(partition.checkpoints.get("sink/out")), position(1, 1));
  await actor.stop();
});

test("D15: a delivery that is stopped flushes the sink first, and the next owner sends nothing again", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }]);
  const { sink, target, seen } = holdingSink("at_least_once");
  const limits = { recordsMax: 2, lingerMs: 600_000 };
  const first = await deliver(partition, 1, { sink, sinkOptions: {}, limits });
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal([target, seen.flushes], [[], 0]);
  await first.actor.stop();
  assert.equal([target, seen.flushes], [[0, 1], 1]);
  partition.store("records", 2, [{ id: 2 }, { id: 3 }]);
  const second = await deliver(partition, 2, { sink, sinkOptions: {}, limits });
  await second.actor.until(() => second.reports.some(({ kind }) => kind === "opened"));
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await second.actor.stop();
  assert.equal(target, [0, 1, 2, 3]);
});

test("D15: a flush that does not end holds up a stop for a bounded time, and is told to end", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  const { sink, seen } = holdingSink("idempotent");
  let isAborted = false;
  seen.beforeFlush = async (signal) => {
    if (signal !== undefined) await aborted(signal);
    isAborted = true;
    throw new Error("given up");
  };
  const limits = { recordsMax: 1, lingerMs: 600_000, stopTimeoutMs: 20 };
  const { actor, reports } = await deliver(partition, 1, { sink, sinkOptions: {}, limits });
  await actor.until(() => reports.some(({ kind }) => kind === "opened"));
  await actor.stop();
  assert.equal([seen.flushes, isAborted], [1, true]);
});

test("D15: a sink that holds a batch and cannot be flushed calls a person", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  const { sink } = collectingSink("idempotent");
  const held = { ...sink, open: async () => ({ ...NOTHING, write: async () => HELD }) };
  const { actor, reports, standsAt } = await deliver(partition, 1, { sink: held, sinkOptions: {} });
  await actor.until(() => reports.some((one) => one.kind === "retry" && one.needsPerson === true));
  assert.not(standsAt(0));
  await actor.stop();
});

const HELD: WriteOutcome = { kind: "held", durable: undefined };
const NOTHING = { position: async () => undefined, close: async () => {} };

test("a stop waits a bounded time for a call that was told to end", async () => {
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }]);
  let isAborted = false;
  const { sink, seen } = watchedSink(async (_batch, signal) => {
    await aborted(signal);
    isAborted = true;
    throw new Error("ended");
  });
  const limits = { stopTimeoutMs: 20 };
  const { actor } = await deliver(partition, 1, { sink, sinkOptions: {}, limits });
  await actor.until(() => seen.calls === 1);
  await actor.stop();
  assert.ok(isAborted);
});

test.run();
