import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RecordsRoom } from "../../../../actors/ingest/session/records_budget.ts";
import {
  began,
  beginning,
  createSubscription,
  noteSize,
  PARTS_OF_A_TURN,
  readAnswered,
  readFailed,
  readsDue,
  type Subscription,
} from "../../../../actors/ingest/session/subscription_machine.ts";
import { epoch, offset } from "../../../../protocols/position.ts";
import type { SubscribeFrom } from "../../../../protocols/wire/frames.ts";

const bounds = {
  epochs: [{ epoch: epoch(5), firstOffset: offset(0) }],
  firstOffset: offset(40),
  endOffset: offset(100),
  sizeBytes: 1,
};

const subscribed = (from: SubscribeFrom): Subscription =>
  createSubscription({
    type: "subscribe",
    subscription: 1,
    stream: "readings",
    partitions: [{ partition: 0, from }],
    creditBytes: 1_000,
  });

const roomOf = (bytes: number): RecordsRoom => ({
  bytes,
  grow: () => false,
  growInShare: () => false,
  sent: () => undefined,
  give: () => undefined,
});
const room = { take: roomOf };
/** Reads with their room told as bytes. */
const due = (subscription: Subscription) =>
  readsDue(subscription, room).map(({ room: { bytes: takenBytes }, ...read }) => ({ ...read, takenBytes }));
const { firstOffset, endOffset } = bounds;
const begin = (subscription: Subscription, from: SubscribeFrom) =>
  began(subscription, { partition: 0, at: beginning(from, bounds), firstOffset, endOffset });

test("U3: a subscription from an offset that retention has removed is told where reading goes on, before any record", () => {
  const subscription = subscribed({ offset: 10 });
  assert.equal(
    readsDue(subscription, room).map(({ kind }) => kind),
    ["begin"],
  );
  assert.equal(begin(subscription, { offset: 10 }), [
    { type: "trimmed", subscription: 1, stream: "readings", partition: 0, firstOffset: 40 },
  ]);
  assert.equal(due(subscription), [
    { kind: "after", partition: 0, after: { epoch: 5, offset: 39 }, bytesMax: 1_000, takenBytes: 1_000 },
  ]);
});

test("a subscription from a kept offset, or from earliest, begins without a frame", () => {
  for (const from of [{ offset: 40 }, { offset: 70 }, "earliest"] as const) {
    const subscription = subscribed(from);
    readsDue(subscription, room);
    assert.equal(begin(subscription, from), []);
  }
});

test("U3: after a truncation the subscriber is told the divergence, and reading goes on there", () => {
  const subscription = subscribed({ epoch: 5, offset: 50 });
  readsDue(subscription, room);
  const resume = { epoch: epoch(5), offset: offset(44) };
  assert.equal(readAnswered(subscription, 0, { kind: "truncated", divergence: offset(45), resume }, bounds), {
    ...{ type: "truncated", subscription: 1, stream: "readings", partition: 0, divergence: 45 },
  });
  assert.equal(
    due(subscription).map((read) => read.kind === "after" && read.after),
    [resume],
  );
});

test("U2: the cursor moves over the records that were sent, and no further: a batch sent in parts is read on within", () => {
  const subscription = subscribed({ epoch: 5, offset: 49 });
  readsDue(subscription, room);
  const part = { epoch: epoch(5), firstOffset: offset(50), count: 3, appendedAtMs: 1, schemaVersion: 1 };
  const sequences = { first: [0, 50, 0], count: 3 } as const;
  const batch = { ...part, producerId: "p", sequences, events: Uint8Array.of(0x90) };
  readFailed(subscription, 0, true, 0);
  const afterOf = () => due(subscription).map((read) => read.kind === "after" && read.after?.offset);
  assert.equal(afterOf(), [49], "a read without room moves nothing");
  const sent = readAnswered(subscription, 0, { kind: "records", batches: [batch] }, bounds);
  assert.is(sent?.type === "records" && sent.batches[0]?.count, 3);
  assert.equal(afterOf(), [52]);
});

test("a subscription from latest is told the offset that latest stands for", () => {
  const subscription = subscribed("latest");
  readsDue(subscription, room);
  assert.equal(begin(subscription, "latest"), [
    { type: "records", subscription: 1, stream: "readings", partition: 0, batches: [], endOffset: 100 },
  ]);
});

test("U1: no second read begins while one is under way, and none without credit", () => {
  const subscription = subscribed({ epoch: 5, offset: 50 });
  assert.is(readsDue(subscription, room).length, 1);
  assert.is(readsDue(subscription, room).length, 0);
  readAnswered(subscription, 0, { kind: "trimmed", firstOffset: offset(60) }, { ...bounds, firstOffset: offset(60) });
  subscription.creditBytes = 0;
  assert.is(readsDue(subscription, room).length, 0);
  subscription.creditBytes = 1;
  assert.equal(due(subscription), [
    { kind: "after", partition: 0, after: { epoch: 5, offset: 59 }, bytesMax: 1, takenBytes: 1 },
  ]);
});

test("U4: a partition within a batch that is sent in parts is read at most `PARTS_OF_A_TURN` times in its turn", () => {
  const from = { epoch: 5, offset: 50 };
  const partitions = [0, 1, 2].map((partition) => ({ partition, from }));
  const about = { type: "subscribe", subscription: 1, stream: "readings", creditBytes: 1_000 } as const;
  const subscription = createSubscription({ ...about, partitions });
  /** One read at a time, as of a connection that has the least room. */
  const readNext = (isCut: (partition: number) => boolean): number => {
    let isFree = true;
    const take = (bytes: number) => {
      const taken = isFree ? roomOf(bytes) : undefined;
      isFree = false;
      return taken;
    };
    const [read] = readsDue(subscription, { take });
    if (read === undefined) throw new Error("no read is due");
    noteSize(subscription, read.partition, 10, isCut(read.partition));
    readFailed(subscription, read.partition, true, 0);
    return read.partition;
  };
  const order = Array.from({ length: 4 + 2 * PARTS_OF_A_TURN }, () => readNext((partition) => partition === 1));
  const parts = Array(PARTS_OF_A_TURN).fill(1);
  assert.equal(order, [0, 1, 2, 0, ...parts, 2, 0, ...parts].slice(0, order.length));
  const after = new Set([0, 1, 2, 3].map(() => readNext(() => false)));
  assert.is(after.size, 3, "no batch is sent in parts any more");
});

test.run();
