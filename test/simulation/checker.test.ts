import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkHistory, type History, type LoggedEvent, type ProblemKind } from "../support/checker.ts";

const at = (offset: number, id: string, epoch = 1): LoggedEvent => ({ partition: 0, epoch, offset, id });
const record = (offset: number, id: string, epoch = 1) => ({ kind: "record", epoch, offset, id }) as const;

/** Three events sent, acked, stored, read and delivered. */
const GOOD: History = {
  sent: ["a", "b", "c"].map((id, order) => ({ id, producer: "p", partition: 0, order })),
  told: new Map([
    ["a", "acked"],
    ["b", "acked"],
    ["c", "acked"],
  ]),
  log: [at(0, "a"), at(1, "b"), at(2, "c")],
  rejected: [],
  readers: [{ reader: "r", partition: 0, observations: [record(0, "a"), record(1, "b"), record(2, "c")] }],
  sinks: [{ sink: "s", partition: 0, records: [at(0, "a"), at(1, "b"), at(2, "c")], deadLetters: [] }],
  lostWithTail: new Set(),
  firstOffsets: new Map(),
  mayTrimUnread: false,
};

const reads = (...observations: History["readers"][number]["observations"]): Partial<History> => ({
  readers: [{ reader: "r", partition: 0, observations }],
});
const sink = (ids: readonly LoggedEvent[], deadLetters: readonly string[] = []): Partial<History> => ({
  sinks: [{ sink: "s", partition: 0, records: ids, deadLetters }],
});

const BROKEN: readonly (readonly [string, Partial<History>, ProblemKind])[] = [
  [
    "an acked event is not in the log",
    { log: [at(0, "a"), at(1, "c")], readers: [], ...sink([at(0, "a"), at(1, "c")]) },
    "lost",
  ],
  ["a rejected event is not set aside", { told: new Map([...GOOD.told, ["b", "rejected"]]) }, "lost"],
  ["an event is in the log twice", { log: [...GOOD.log, at(3, "b")] }, "duplicated"],
  ["an event is stored and rejected", { rejected: ["b"] }, "duplicated"],
  ["a dead letter is there twice", { rejected: ["x", "x"] }, "duplicated"],
  ["two events of a producer changed places", { log: [at(0, "b"), at(1, "a"), at(2, "c")], readers: [] }, "reordered"],
  ["a reader passes over an offset", reads(record(0, "a"), record(2, "c")), "skipped"],
  ["a reader sees an offset again", reads(record(0, "a"), record(1, "b"), record(1, "b")), "non-monotonic"],
  ["a reader sees an older epoch", reads(record(0, "a", 2), record(1, "b", 1)), "non-monotonic"],
  ["a reader sees another event at a position", reads(record(0, "b")), "inconsistent offset"],
  ["the log holds an event that was never sent", { log: [...GOOD.log, at(3, "z")] }, "never sent"],
  ["a sender was told nothing", { told: new Map([["a", "acked"]]) }, "untold"],
  ["a sink lacks a record", sink([at(0, "a"), at(2, "c")]), "not delivered"],
  ["a sink holds a record twice", sink([...GOOD.log, at(3, "a")]), "delivered twice"],
  ["a sink holds a record that it set aside", sink(GOOD.log, ["b"]), "delivered and set aside"],
  ["a sink holds records out of order", sink([at(1, "b"), at(0, "a"), at(2, "c")]), "non-monotonic"],
  ["a sink holds another event at a position", sink([at(0, "a"), at(1, "c")]), "inconsistent offset"],
];

test("a history that keeps the guarantees has no problems", () => assert.equal(checkHistory(GOOD), []));

for (const [name, broken, kind] of BROKEN) {
  test(`the checker finds that ${name}`, () => {
    const found = checkHistory({ ...GOOD, ...broken }).map((problem) => problem.kind);
    assert.ok(found.includes(kind), `found ${found.join(", ") || "nothing"}`);
  });
}

test("the checker accepts a dead letter for a delivery, and a told loss for a record", () => {
  assert.equal(checkHistory({ ...GOOD, ...sink([at(0, "a"), at(2, "c")], ["b"]) }), []);
  const log = [at(0, "a"), at(1, "b")];
  const history = { ...GOOD, log, ...reads(record(0, "a"), record(1, "b")), ...sink(log) };
  assert.equal(checkHistory({ ...history, lostWithTail: new Set(["c"]) }), []);
});

test("the checker accepts a reader that goes on where a trim or a truncation told it to", () => {
  assert.equal(checkHistory({ ...GOOD, ...reads(record(0, "a"), { kind: "trimmed", offset: 2 }, record(2, "c")) }), []);
  const again = reads(record(0, "a"), record(1, "x", 1), { kind: "truncated", offset: 1 }, record(1, "b", 2));
  const log = [at(0, "a"), at(1, "b", 2), at(2, "c", 2)];
  assert.equal(checkHistory({ ...GOOD, log, ...again, ...sink(log) }), []);
});

test.run();
