import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeliveryReport } from "../../../actors/sinks/delivery/delivery_messages.ts";
import { position } from "../../../protocols/position.ts";
import { FakePartition } from "../../../supervisors/conformance/parts/fake_feed.ts";
import { DeliveryBoard } from "../../../supervisors/node/delivery_board.ts";

function standingAfter(...reports: DeliveryReport[]) {
  const board = new DeliveryBoard(
    () => 5_000,
    () => true,
  );
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }]);
  const feed = partition.feed(1);
  for (const report of reports) board.report({ sink: "hook" }, feed, report);
  const [standing] = board.standings();
  if (standing === undefined) throw new Error("no standing");
  return standing;
}

const retry = { kind: "retry", what: "write", reason: "the answer is 401", delayMs: 50 } as const;
const delivered: Extract<DeliveryReport, { kind: "delivered" }> = {
  kind: "delivered",
  batch: { end: position(1, 1), inputs: 2, records: 2, oldestAppendedAtMs: 4_000 },
};

test("a sink that refuses the node is retrying, with the reason, and says that a person must act", () => {
  const { state, reason, needsPerson, deadLetters } = standingAfter(delivered, { ...retry, needsPerson: true });
  assert.equal([state, reason, needsPerson, deadLetters], ["retrying", "the answer is 401", true, 0]);
  assert.is(standingAfter(retry).needsPerson, undefined, "what passes by itself calls nobody");
});

test("once a batch is delivered the reason is gone, and the lag is what is left", () => {
  const { state, reason, needsPerson, lagRecords, lastDelayMs } = standingAfter(
    { ...retry, needsPerson: true },
    delivered,
  );
  assert.equal([state, reason, needsPerson, lagRecords, lastDelayMs], ["delivering", undefined, undefined, 1, 1_000]);
});

test("deliveries of one stream to one sink stand apart, each with its own dead letters", () => {
  const board = new DeliveryBoard(
    () => 5_000,
    () => true,
  );
  const partition = new FakePartition();
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }]);
  partition.store("dead_letters/hook@slow", 1, [{ code: "X" }]);
  const feed = partition.feed(1);
  board.report({ sink: "hook" }, feed, delivered);
  board.report({ sink: "hook", as: "slow" }, feed, retry);
  const found = [...board.standings()].map(({ sink, as, state, lagRecords, deadLettersStored }) => [
    ...[sink, as, state, lagRecords, deadLettersStored],
  ]);
  assert.equal(found, [
    ["hook", undefined, "delivering", 1, 0],
    ["hook", "slow", "retrying", 3, 1],
  ]);
});

test("behind a pipeline that stores its outputs, the lag is its unread records and the outputs that are left", () => {
  const board = new DeliveryBoard(
    () => 5_000,
    () => true,
  );
  const partition = new FakePartition();
  const origin = { channel: "outbox/count", pipeline: "count" } as const;
  partition.store("records", 1, [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }]);
  partition.store(origin.channel, 1, [{ count: 2 }, { count: 1 }]);
  const feed = partition.feed(1);
  board.report({ sink: "hook" }, feed, { ...delivered, batch: { ...delivered.batch, end: position(1, 0) } }, origin);
  board.reached("count", feed, 1);
  assert.is([...board.standings()][0]?.lagRecords, 4, "three records and an output");
  board.reached("count", feed, 4, () => 10);
  assert.is([...board.standings()][0]?.lagRecords, 11, "an output, and the records of another stream");
  board.reached("count", feed, 4);
  assert.is([...board.standings()][0]?.lagRecords, 1, "an output");
});

test("a partition that has left this node stands on it no longer, and again once it is back", () => {
  let isOwned = true;
  const board = new DeliveryBoard(
    () => 5_000,
    () => isOwned,
  );
  board.report({ sink: "hook" }, new FakePartition().feed(1), retry);
  isOwned = false;
  assert.equal([...board.standings()], []);
  isOwned = true;
  assert.is([...board.standings()].length, 1);
});

test("dead letters that lie in the partition are counted, whoever wrote them and when", () => {
  const board = new DeliveryBoard(
    () => 5_000,
    () => true,
  );
  const partition = new FakePartition();
  partition.store("dead_letters/hook", 1, [{ code: "SINK_REJECTED" }, { code: "STEP_FAILED" }]);
  board.report({ sink: "hook" }, partition.feed(2), { kind: "opened", position: undefined });
  const [standing] = board.standings();
  assert.equal([standing?.deadLetters, standing?.deadLettersStored], [0, 2]);
});

test.run();
