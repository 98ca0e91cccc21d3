import { test } from "uvu";
import * as assert from "uvu/assert";
import { intervalsOf, toEdn, toJsonLines } from "./export_history.ts";
import type { Operation } from "./parts/recording.ts";
import { simulate } from "./simulation.ts";

const send = (atMs: number, id: string, phase: Operation["phase"]): Operation => ({
  ...{ atMs, process: "p0", kind: "send", phase, partition: 1, ids: [id] },
});
const HISTORY = {
  operations: [
    send(1, "a", "begun"),
    send(2, "b", "begun"),
    send(3, "a", "ok"),
    send(4, "c", "begun"),
    send(5, "b", "unknown"),
    { ...send(6, "a", "ok"), kind: "poll", process: "reader", offsets: [7] } satisfies Operation,
  ],
  log: [{ partition: 1, id: "a", epoch: 1, offset: 7 }],
};

test("a history is written as Jepsen's kafka workload reads it: each process does one thing at a time", () => {
  assert.equal(toEdn(intervalsOf(HISTORY)).split("\n"), [
    "{:index 0, :time 0, :process 2, :type :invoke, :f :poll, :value [[:poll]]}",
    "{:index 1, :time 1000000, :process 0, :type :invoke, :f :send, :value [[:send 1 0]]}",
    "{:index 2, :time 2000000, :process 1, :type :invoke, :f :send, :value [[:send 1 1]]}",
    "{:index 3, :time 3000000, :process 0, :type :ok, :f :send, :value [[:send 1 [7 0]]]}",
    "{:index 4, :time 4000000, :process 0, :type :invoke, :f :send, :value [[:send 1 2]]}",
    "{:index 5, :time 6000000, :process 1, :type :info, :f :send, :value [[:send 1 1]]}",
    "{:index 6, :time 6000000, :process 2, :type :ok, :f :poll, :value [[:poll {1 [[7 0]]}]]}",
    "{:index 7, :time 6000000, :process 0, :type :info, :f :send, :value [[:send 1 2]]}",
    "",
  ]);
});

test("a history is written as lines of JSON, in which an operation that nobody was told of never ends", () => {
  const lines = toJsonLines(intervalsOf(HISTORY)).trim().split("\n");
  assert.equal(
    lines
      .map((line) => JSON.parse(line))
      .map(({ values, outcome, offsets, call, return: end }) => [...[values, outcome, offsets, call, end]]),
    [
      [[0], "ok", [7], 1, 3],
      [[1], "unknown", [null], 2, null],
      [[0], "ok", [7], 0, 6],
      [[2], "unknown", [null], 4, null],
    ],
  );
});

test("of a recorded run each process does one thing at a time, and what a poll brought lies where it was sent to", async () => {
  const { history } = await simulate(7, {}, { isRecorded: true });
  assert.ok(history !== undefined);
  const intervals = intervalsOf(history);
  const busyUntil = new Map<number, number>();
  for (const { process, beginMs, endMs } of [...intervals].sort((one, other) => one.beginMs - other.beginMs)) {
    assert.ok((busyUntil.get(process) ?? 0) <= beginMs, `process ${process} begins at ${beginMs} ms`);
    busyUntil.set(process, endMs ?? Number.POSITIVE_INFINITY);
  }
  const sent = new Map(
    intervals.flatMap(({ kind, outcome, partition, events: [event] }) =>
      kind === "send" && outcome === "ok" ? [[event?.value, `${partition}/${event?.offset}`]] : [],
    ),
  );
  let matched = 0;
  for (const { kind, partition, events } of intervals) {
    for (const { value, offset } of kind === "poll" ? events : []) {
      if (!sent.has(value)) continue;
      assert.is(`${partition}/${offset}`, sent.get(value));
      matched += 1;
    }
  }
  assert.ok(matched > 50, `${matched} events were sent and read`);
});

test.run();
