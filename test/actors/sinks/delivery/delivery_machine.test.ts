import { test } from "uvu";
import * as assert from "uvu/assert";
import { createDelivery, stepDelivery } from "../../../../actors/sinks/delivery/delivery_machine.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryEffect,
  type DeliveryLimits,
  type DeliveryMessage,
} from "../../../../actors/sinks/delivery/delivery_messages.ts";
import type { SinkRecord, TakenOutcome } from "../../../../actors/sinks/sink.ts";
import { epoch, offset, position } from "../../../../protocols/position.ts";

function script(limits: Partial<DeliveryLimits> = {}) {
  let state = createDelivery({ ...DELIVERY_LIMITS, ...limits }, "earliest");
  return (message: DeliveryMessage, nowMs = 0): DeliveryEffect[] => {
    const [next, effects] = stepDelivery(state, message, nowMs);
    state = next;
    return effects.filter(({ type }) => type !== "report");
  };
}

const OPENED: DeliveryMessage = { type: "opened", position: undefined, latest: undefined, setAside: [] };
const WRITTEN: DeliveryMessage = { type: "wrote", outcome: { kind: "written" }, random: 0 };

const records = (readId: number, from: number, to: number): DeliveryMessage => ({
  type: "read_records",
  readId,
  items: Array.from({ length: to - from + 1 }, (_, index) => ({
    position: position(1, from + index),
    outputs: [{ position: position(1, from + index), index: 0, event: {}, timeMs: 0 }],
    sizeBytes: 10,
    appendedAtMs: 0,
  })),
});

/** The records of a read that found the end. */
const lastRecords = (readId: number, from: number, to: number): DeliveryMessage => {
  return { ...records(readId, from, to), isAtEnd: true } as DeliveryMessage;
};

const kinds = (effects: readonly DeliveryEffect[]) => effects.map(({ type }) => type);

test("D1: the sink is opened before any record is read, and reading begins at its position", () => {
  const tell = script();
  assert.equal(tell({ type: "begin" }), [{ type: "open" }]);
  assert.equal(tell({ type: "advanced" }), []);
  assert.equal(tell({ ...OPENED, position: position(3, 7) }), [{ type: "read", readId: 1, after: position(3, 7) }]);
});

test("a busy partition is read at intervals, so that its records share a write; a quiet one is read at once", () => {
  const tell = script({ gatherMs: 10 });
  tell({ type: "begin" }, 1_000);
  tell(OPENED, 1_000);
  tell(lastRecords(1, 0, 0), 1_001);
  tell(WRITTEN, 1_002);
  assert.equal(tell({ type: "advanced" }, 1_003), [{ type: "timer", timerId: 0, purpose: "read", delayMs: 7 }]);
  assert.equal(tell({ type: "advanced" }, 1_004), [], "one timer is enough");
  const due = tell({ type: "timer", timerId: 0, purpose: "read" }, 900); // whatever the clock says
  assert.equal(due, [{ type: "read", readId: 2, after: position(1, 0) }]);
  tell(lastRecords(2, 1, 5), 1_011);
  tell(WRITTEN, 1_012);
  assert.equal(kinds(tell({ type: "advanced" }, 1_500)), ["read"]);
});

test("a read that found the end is not repeated before the log has more records", () => {
  const tell = script({ gatherMs: 0 });
  tell({ type: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(lastRecords(1, 0, 0))), ["write"]);
  assert.equal(kinds(tell(WRITTEN)), []);
  assert.equal(kinds(tell({ type: "advanced" })), ["read"]);
  tell({ type: "advanced" }); // while the read is under way
  assert.equal(kinds(tell(lastRecords(2, 1, 1))), ["write", "read"]);
});

test("a delivery that lags reads without a pause", () => {
  const tell = script({ gatherMs: 10 });
  tell({ type: "begin" }, 1_000);
  tell(OPENED, 1_000);
  assert.equal(kinds(tell(records(1, 0, 9), 1_001)), ["write", "read"]);
});

test("D3: after a write of unknown outcome the sink's position is asked, and decides whether the batch is written again", () => {
  for (const [stood, expected] of [
    [undefined, "write"],
    [position(1, 1), "read"],
  ] as const) {
    const tell = script();
    tell({ type: "begin" });
    tell(OPENED);
    tell(records(1, 0, 1));
    const [timer] = tell({ type: "failed", reason: "away", random: 0 });
    if (timer?.type !== "timer") throw new Error("no retry");
    assert.equal(kinds(tell({ type: "timer", timerId: timer.timerId, purpose: "retry" })), ["ask_position"]);
    const next = kinds(tell({ type: "positioned", position: stood }));
    assert.is(next[0] ?? "read", expected);
  }
});

test("retries wait longer each time, up to a limit, and at least as long as the sink asks", () => {
  const tell = script({ retryFirstMs: 100, retryMaxMs: 350 });
  tell({ type: "begin" });
  const delays = [undefined, undefined, undefined, 9_000].map((retryAfterMs) => {
    const failed = { type: "failed", reason: "away", random: 0 } as const;
    const [timer] = tell(retryAfterMs === undefined ? failed : { ...failed, retryAfterMs });
    if (timer?.type !== "timer") throw new Error("no retry");
    tell({ type: "timer", timerId: timer.timerId, purpose: "retry" });
    return timer.delayMs;
  });
  assert.equal(delays, [100, 200, 350, 9_000]);
});

test("a random share of at most one half is taken off a delay", () => {
  for (const [random, delayMs] of [
    [0, 1_000],
    [0.5, 750],
    [1, 500],
  ] as const) {
    const tell = script({ retryFirstMs: 1_000, retryMaxMs: 1_000 });
    tell({ type: "begin" });
    assert.equal(tell({ type: "failed", reason: "away", random }), [
      { type: "timer", timerId: 1, purpose: "retry", delayMs },
    ]);
  }
});

test("a stop waits a bounded time for the write in hand, and begins no other", () => {
  for (const last of [WRITTEN, { type: "timer", timerId: 0, purpose: "stop" }] as const) {
    const tell = script({ recordsMax: 1 });
    tell({ type: "begin" });
    tell(OPENED);
    tell(records(1, 0, 3));
    assert.equal(kinds(tell({ type: "stop" })), ["timer"]);
    assert.equal(kinds(tell(last)), ["close"]);
    assert.equal(tell({ type: "closed" }), []);
    assert.equal(tell(WRITTEN), []);
  }
});

test("a paused delivery finishes its write, then waits until it is resumed", () => {
  const tell = script({ recordsMax: 2 });
  tell({ type: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 3))), ["write", "read"]);
  assert.equal(tell({ type: "pause" }), []);
  assert.equal(tell(WRITTEN), []);
  assert.equal(kinds(tell({ type: "resume" })), ["write"]);
});

test("D9: a bounded delivery ends once its range is read to the end and no record of it is left in hand", () => {
  const tell = script();
  tell({ type: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 3))), ["write", "read"]);
  assert.equal(tell({ type: "read_records", readId: 2, items: [], isEnd: true }), [], "a write is in hand");
  const [timer] = tell({ type: "failed", reason: "away", random: 0 });
  if (timer?.type !== "timer") throw new Error("no retry");
  tell({ type: "timer", timerId: timer.timerId, purpose: "retry" });
  assert.equal(kinds(tell({ type: "positioned", position: undefined })), ["write"], "it was not written");
  assert.equal(kinds(tell(WRITTEN)), ["close"]);
  const empty = script();
  empty({ type: "begin" });
  empty(OPENED);
  assert.equal(kinds(empty({ type: "read_records", readId: 1, items: [], isEnd: true })), ["close"]);
});

test("a bounded delivery whose sink stood at another position reads its range again before it ends", () => {
  const tell = script();
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 3));
  tell({ type: "read_records", readId: 2, items: [], isEnd: true });
  const [timer] = tell({ type: "wrote", outcome: { kind: "misplaced", position: position(1, 1) }, random: 0 });
  if (timer?.type !== "timer") throw new Error("no retry");
  tell({ type: "timer", timerId: timer.timerId, purpose: "retry" });
  const again = tell({ type: "positioned", position: position(1, 1) });
  assert.equal(kinds(again).includes("close"), false);
});

test("D7: a fenced delivery closes and writes nothing", () => {
  const tell = script();
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 3));
  assert.equal(kinds(tell({ type: "wrote", outcome: { kind: "fenced", fence: epoch(9) }, random: 0 })), ["close"]);
  assert.equal(tell({ type: "advanced" }), []);
  assert.equal(tell(records(2, 4, 5)), []);
});

test("a write waits for more records no longer than the limit", () => {
  const tell = script({ lingerMs: 20, recordsMax: 10 });
  tell({ type: "begin" });
  tell(OPENED);
  const timer = tell(records(1, 0, 1), 100).find(({ type }) => type === "timer");
  assert.equal(timer, { type: "timer", timerId: 1, purpose: "linger", delayMs: 20 });
  const [write] = tell({ type: "timer", timerId: 1, purpose: "linger" }, 120);
  assert.is(write?.type === "write" && write.batch.records.length, 2);
});

test("the wait for a batch begins anew with each batch, and a timer of an earlier batch ends no later wait", () => {
  const tell = script({ lingerMs: 20, recordsMax: 3 });
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 1), 100);
  assert.is(writeOf(tell(records(2, 2, 3), 110)).end, 2, "full");
  const next = tell(WRITTEN, 115).find(({ type }) => type === "timer");
  assert.equal(next, { type: "timer", timerId: 2, purpose: "linger", delayMs: 15 });
  assert.equal(kinds(tell({ type: "timer", timerId: 1, purpose: "linger" }, 120)), []);
  assert.is(writeOf(tell({ type: "timer", timerId: 2, purpose: "linger" }, 130)).end, 3);
});

test("D8: a batch that no further read can fill is not waited for", () => {
  const limits = { lingerMs: 60_000, recordsMax: 100, bytesMax: 1_000, readAheadBytesMax: 35 };
  const tell = script(limits);
  tell({ type: "begin" });
  tell(OPENED);
  assert.is(writeOf(tell(records(1, 0, 3))).end, 3, "40 bytes wait, and no more is read");
});

test("D9: the last records of a bounded range are not waited for", () => {
  const tell = script({ lingerMs: 60_000 });
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 3));
  assert.is(writeOf(tell({ type: "read_records", readId: 2, items: [], isEnd: true })).end, 3);
});

test("D8: reading ahead is bounded while the sink is slow", () => {
  const tell = script({ readAheadBytesMax: 35, recordsMax: 1 });
  tell({ type: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 1))), ["write", "read"]);
  assert.equal(kinds(tell(records(2, 2, 5))), [], "50 bytes wait: no more is read");
});

/** A loss that a read found, with what the machine then reports and does. */
function afterLoss(found: DeliveryMessage) {
  let state = createDelivery({ ...DELIVERY_LIMITS, gatherMs: 0 }, "earliest");
  const messages = [{ type: "begin" } as const, { ...OPENED, position: position(1, 3) }, found];
  const [, effects] = messages.reduce<readonly [unknown, readonly DeliveryEffect[]]>(
    (_, message) => {
      const step = stepDelivery(state, message, 0);
      state = step[0];
      return step;
    },
    [state, []],
  );
  return effects.map((effect) => (effect.type === "report" ? effect.report.kind : effect.type));
}

test("D6: records that the log has trimmed or lost with its tail are reported, and a sink that holds lost ones rewinds", () => {
  const resume = position(1, 1);
  assert.equal(afterLoss({ type: "read_trimmed", readId: 1, firstOffset: offset(9), resume: position(1, 8) }), [
    "trimmed",
    "read",
  ]);
  const lost = { type: "read_truncated", readId: 1, divergence: offset(2), resume } as const;
  assert.equal(afterLoss({ ...lost, canRewind: true }), ["truncated", "rewind"]);
  assert.equal(afterLoss({ ...lost, canRewind: false }), ["truncated", "read"]);
});

test("D2: at most one write is in flight, and its predecessor is where the sink stands", () => {
  const tell = opened({ recordsMax: 2 });
  assert.equal(writeOf(tell(records(1, 0, 3))), { after: undefined, end: 1, offsets: [0, 1], requests: undefined });
  assert.equal(kinds(tell(records(2, 4, 5))).includes("write"), false);
  assert.equal(writeOf(tell(WRITTEN)), { after: 1, end: 3, offsets: [2, 3], requests: undefined });
  assert.equal(writeOf(tell(WRITTEN)), { after: 3, end: 5, offsets: [4, 5], requests: undefined });
});

const RECORDS_PER_REQUEST = 2;

function opened(limits: Partial<DeliveryLimits> = {}) {
  const tell = script(limits);
  tell({ type: "begin" });
  tell(OPENED);
  return tell;
}

const taken = (outcome: Omit<TakenOutcome, "kind">): DeliveryMessage => ({
  type: "wrote",
  outcome: { kind: "taken", ...outcome },
  random: 0,
});

function retryOf(effects: readonly DeliveryEffect[]): DeliveryMessage {
  const timer = effects.find(({ type }) => type === "timer");
  if (timer?.type !== "timer") throw new Error("no retry");
  return { type: "timer", timerId: timer.timerId, purpose: "retry" };
}

const writeOf = (effects: readonly DeliveryEffect[]) => {
  const write = effects.find(({ type }) => type === "write");
  if (write?.type !== "write") throw new Error("no write");
  const { predecessor, end, records: written, requests } = write.batch;
  return { after: predecessor?.offset, end: end.offset, offsets: written.map((one) => one.position.offset), requests };
};

const lettersOf = (effects: readonly DeliveryEffect[]) => {
  const append = effects.find(({ type }) => type === "append_dead_letters");
  if (append?.type !== "append_dead_letters") throw new Error("no letters");
  const { letters, previous, first, setAside } = append;
  const offsets = (triples: readonly (readonly number[])[]) => triples.map(([, at]) => at);
  return {
    offsets: offsets(letters.map(({ triple }) => triple)),
    previous: previous?.[1],
    first: first[1],
    setAside: offsets(setAside),
  };
};

test("D10, D11: after a failure the position moves over the taken records, and the next write begins behind them", () => {
  const tell = opened();
  tell(records(1, 0, 5));
  const moved = tell(taken({ count: 2, problem: { kind: "unavailable", reason: "503" } }));
  assert.equal(writeOf(moved), { after: undefined, end: 1, offsets: [], requests: undefined });
  const waiting = tell(WRITTEN);
  assert.equal(kinds(waiting).includes("write"), false, "the failure is waited for");
  assert.equal(writeOf(tell(retryOf(waiting))), { after: 1, end: 5, offsets: [2, 3, 4, 5], requests: undefined });
});

test("D10: taken records stay taken although their position could not be stored", () => {
  const tell = opened();
  tell(records(1, 0, 1));
  const waiting = tell(taken({ count: 2, problem: { kind: "unavailable", reason: "the log is away" } }));
  assert.equal(kinds(tell(retryOf(waiting))), ["ask_position"]);
  assert.equal(writeOf(tell({ type: "positioned", position: undefined })).offsets, []);
});

test("a sink that only reported its progress is written to again at once", () => {
  const tell = opened();
  tell(records(1, 0, 3));
  tell(taken({ count: 3 }));
  assert.equal(writeOf(tell(WRITTEN)).offsets, [3]);
});

test("a sink that takes no record, and gives no reason, is not asked again without a pause", () => {
  const tell = opened();
  tell(records(1, 0, 3));
  assert.equal(kinds(tell(retryOf(tell(taken({ count: 0 }))))), ["ask_position"]);
});

test("D4: a refused record is set aside after its tries; the records before it are delivered, and those behind it follow", () => {
  const tell = opened({ rejectTriesMax: 2 });
  tell(records(1, 0, 2));
  const refused = (at: number) =>
    ({ kind: "rejected", records: [{ at, code: "SINK_REJECTED", reason: "422" }] }) as const;
  tell(taken({ count: 1, problem: refused(1) }));
  const again = tell(retryOf(tell(WRITTEN)));
  assert.equal(writeOf(again).offsets, [1, 2]);
  assert.equal(kinds(tell(taken({ count: 0, problem: refused(0) }))), ["open_chain"]);
  const [letters] = tell({ type: "chain_opened", last: undefined });
  assert.is(letters?.type === "append_dead_letters" && letters.letters[0]?.triple[1], 1);
  assert.equal(writeOf(tell({ type: "dead_letters_stored" })).offsets, [2]);
});

test("D4: many dead letters are appended in parts, and the batch is written once all are stored", () => {
  for (const limits of [{ lettersMax: 2 }, { lettersBytesMax: 25 }]) {
    const tell = opened(limits);
    tell(records(1, 0, 5));
    const records4 = [0, 1, 2, 3].map((at) => ({ at, code: "X", reason: "no form", isFinal: true }));
    tell(taken({ count: 0, problem: { kind: "rejected", records: records4 } }));
    const first = lettersOf(tell({ type: "chain_opened", last: undefined }));
    assert.equal(first, { offsets: [0, 1], previous: undefined, first: 1, setAside: [0, 1] });
    // The answer to the first part is lost, although that part is stored.
    tell(retryOf(tell({ type: "failed", reason: "away", random: 0 })));
    const second = lettersOf(tell({ type: "chain_opened", last: [0, 2, 0] }));
    assert.equal(second, { offsets: [2, 3], previous: 2, first: 3, setAside: [0, 1, 2, 3] });
    assert.equal(writeOf(tell({ type: "dead_letters_stored" })).offsets, [4, 5]);
  }
});

test("sink S8: a final rejection is set aside without another try", () => {
  const tell = opened();
  tell(records(1, 0, 2));
  const problem = { kind: "rejected", records: [{ at: 0, code: "X", reason: "no form", isFinal: true }] } as const;
  assert.equal(kinds(tell(taken({ count: 0, problem }))), ["open_chain"]);
});

test("sink S8: a sink that refuses the node is tried again without end, no record is set aside, and a person is called", () => {
  let state = createDelivery(DELIVERY_LIMITS, "earliest");
  const tell = (message: DeliveryMessage) => {
    const [next, effects] = stepDelivery(state, message, 0);
    state = next;
    return effects;
  };
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 0));
  for (let tries = 0; tries < 10; tries += 1) {
    const effects = tell(taken({ count: 0, problem: { kind: "unwelcome", reason: "401" } }));
    const report = effects.find(({ type }) => type === "report");
    assert.is(report?.type === "report" && report.report.kind === "retry" && report.report.needsPerson, true);
    assert.equal(kinds(tell(retryOf(effects))), ["write"]);
  }
});

test("a failure that will not pass by itself calls a person, whichever operation fails", () => {
  const state = createDelivery(DELIVERY_LIMITS, "earliest");
  for (const message of [{ type: "begin" } as const, OPENED, records(1, 0, 0)]) stepDelivery(state, message, 0);
  const failed = { type: "failed", reason: "written by a newer release", needsPerson: true, random: 0 } as const;
  const [, effects] = stepDelivery(state, failed, 0);
  const report = effects.find(({ type }) => type === "report");
  assert.is(report?.type === "report" && report.report.kind === "retry" && report.report.needsPerson, true);
});

test("D12: an overdue operation is told to end, and the sink is asked nothing else before it has", () => {
  const tell = opened();
  tell(records(1, 0, 5));
  const given = tell({ type: "overdue", overdueMs: 30_000 });
  assert.equal(kinds(given), ["give_up"]);
  assert.equal(kinds(tell({ type: "overdue", overdueMs: 60_000 })), ["give_up"], "and told again");
  assert.equal(kinds(tell({ type: "advanced" })).includes("write"), false);
  const moved = tell(taken({ count: 4, problem: { kind: "unavailable", reason: "given up" } }));
  assert.is(writeOf(moved).end, 3, "the records that it took until then stay taken");
});

test("D13: a cut into requests is stored before the first request, and only once if each record goes by itself", () => {
  const alone = script({ recordsPerRequest: 1 });
  alone({ type: "begin" });
  alone(OPENED);
  const [first] = alone(records(1, 0, 1));
  assert.equal(first, { type: "store_cut", cut: { end: undefined, recordsPerRequest: 1, taken: [] } });
  assert.is(writeOf(alone({ type: "cut_stored" })).end, 1);
  assert.equal(kinds(alone(WRITTEN)), []);
  assert.is(writeOf(alone(records(2, 2, 3))).end, 3);
  const together = script({ recordsPerRequest: RECORDS_PER_REQUEST });
  together({ type: "begin" });
  together(OPENED);
  const [cut] = together(records(1, 0, 4));
  assert.equal(cut, { type: "store_cut", cut: { end: position(1, 4), recordsPerRequest: 2, taken: [] } });
  assert.equal(writeOf(together({ type: "cut_stored" })).requests, [2, 2, 1]);
  together(WRITTEN);
  assert.equal(kinds(together(records(2, 5, 5)))[0], "store_cut");
});

test("D13: after a restart records up to the end of the stored cut are cut alike, under another configuration too", () => {
  const tell = script({ recordsPerRequest: 3 });
  tell({ type: "begin" });
  const cut = { end: position(1, 4), recordsPerRequest: 2, taken: [] };
  tell({ ...OPENED, position: position(1, 0), cut } as DeliveryMessage);
  assert.equal(kinds(tell(records(1, 1, 2))), ["read"], "the batch ends at 4");
  assert.equal(writeOf(tell(records(2, 3, 9))).requests, [2, 2]);
  const [next] = tell(WRITTEN);
  assert.equal(next, { type: "store_cut", cut: { end: position(1, 9), recordsPerRequest: 3, taken: [] } });
});

test("D13: records of different targets never share a request, and a record whose outputs differ goes alone", () => {
  const target = ["a", "a", "b", "b", "b", "a"];
  const targetOf = ({ position, index }: SinkRecord) => `${target[Number(position.offset)]}${index}`;
  const tell = script({ recordsPerRequest: 3, targetOf });
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 5));
  assert.equal(writeOf(tell({ type: "cut_stored" })).requests, [2, 3, 1]);
  tell(WRITTEN);
  const outputs = [0, 1].map((index) => ({ position: position(1, 6), index, event: {}, timeMs: 0 }));
  const split = { position: position(1, 6), outputs, sizeBytes: 10, appendedAtMs: 0 };
  tell({ ...records(2, 0, 0), items: [split] } as DeliveryMessage);
  assert.equal(writeOf(tell({ type: "cut_stored" })).requests, [1, 1]);
});

test("D13: a cut for all records is stored again once a batch may hold more of them, and tells how many", () => {
  const limits = { recordsPerRequest: 1, recordsMax: 20_000 };
  for (const [recordsMax, isStored] of [
    [undefined, false],
    [10_000, false],
    [30_000, true],
  ] as const) {
    const tell = script(limits);
    tell({ type: "begin" });
    const known = { end: undefined, recordsPerRequest: 1, taken: [] };
    tell({ ...OPENED, cut: recordsMax === undefined ? known : { ...known, recordsMax } } as DeliveryMessage);
    const [effect] = tell(records(1, 0, 1));
    if (isStored) assert.is(effect?.type, "write");
    else assert.equal(effect, { type: "store_cut", cut: { ...known, recordsMax: 20_000 } });
  }
});

test("D13: a request that is refused whole is sent record by record, under a cut of its own", () => {
  const tell = script({ recordsPerRequest: RECORDS_PER_REQUEST });
  tell({ type: "begin" });
  tell(OPENED);
  tell(records(1, 0, 5));
  tell({ type: "cut_stored" });
  tell(taken({ count: 2, problem: { kind: "refused_together", count: 2, reason: "422" } }));
  const [cut] = tell(WRITTEN);
  assert.equal(cut, { type: "store_cut", cut: { end: position(1, 3), recordsPerRequest: 1, taken: [] } });
  assert.equal(writeOf(tell({ type: "cut_stored" })), { after: 1, end: 3, offsets: [2, 3], requests: undefined });
  const [after] = tell(WRITTEN);
  assert.equal(after, { type: "store_cut", cut: { end: position(1, 5), recordsPerRequest: 2, taken: [] } });
});

test.run();
