import { test } from "uvu";
import * as assert from "uvu/assert";
import { deliveryStep, initialDelivery } from "../../../actors/sinks/delivery_machine.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryEffect,
  type DeliveryLimits,
  type DeliveryMessage,
} from "../../../actors/sinks/delivery_messages.ts";
import { epoch, position } from "../../../protocols/position.ts";

function script(limits: Partial<DeliveryLimits> = {}) {
  let state = initialDelivery({ ...DELIVERY_LIMITS, ...limits }, "earliest");
  return (message: DeliveryMessage, nowMs = 0): DeliveryEffect[] => {
    const [next, effects] = deliveryStep(state, message, nowMs);
    state = next;
    return effects.filter(({ kind }) => kind !== "report");
  };
}

const OPENED: DeliveryMessage = { kind: "opened", position: undefined, latest: undefined, setAside: [] };
const WRITTEN: DeliveryMessage = { kind: "wrote", outcome: { kind: "written" }, random: 0 };

const records = (readId: number, from: number, to: number): DeliveryMessage => ({
  kind: "read_records",
  readId,
  items: Array.from({ length: to - from + 1 }, (_, index) => ({
    position: position(1, from + index),
    outputs: [{ position: position(1, from + index), index: 0, event: {}, timeMs: 0 }],
    sizeBytes: 10,
    appendedAtMs: 0,
  })),
});

/** The same, of a read that found the end. */
const lastRecords = (readId: number, from: number, to: number): DeliveryMessage => {
  return { ...records(readId, from, to), isAtEnd: true } as DeliveryMessage;
};

const kinds = (effects: readonly DeliveryEffect[]) => effects.map(({ kind }) => kind);

test("the sink is opened before anything is read, and its position decides from where", () => {
  const tell = script();
  assert.equal(tell({ kind: "begin" }), [{ kind: "open" }]);
  assert.equal(tell({ kind: "advanced" }), []);
  assert.equal(tell({ ...OPENED, position: position(3, 7) }), [{ kind: "read", readId: 1, after: position(3, 7) }]);
});

test("a busy partition is read at intervals, so that its records share a write; a quiet one at once", () => {
  const tell = script({ gatherMs: 10 });
  tell({ kind: "begin" }, 1_000);
  tell(OPENED, 1_000);
  tell(lastRecords(1, 0, 0), 1_001);
  tell(WRITTEN, 1_002);
  assert.equal(tell({ kind: "advanced" }, 1_003), [{ kind: "timer", timerId: 0, purpose: "read", delayMs: 7 }]);
  assert.equal(tell({ kind: "advanced" }, 1_004), [], "one timer is enough");
  const due = tell({ kind: "timer", timerId: 0, purpose: "read" }, 900); // whatever the clock says
  assert.equal(due, [{ kind: "read", readId: 2, after: position(1, 0) }]);
  tell(lastRecords(2, 1, 5), 1_011);
  tell(WRITTEN, 1_012);
  assert.equal(kinds(tell({ kind: "advanced" }, 1_500)), ["read"]);
});

test("a read that found the end is not made again before there is more", () => {
  const tell = script({ gatherMs: 0 });
  tell({ kind: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(lastRecords(1, 0, 0))), ["write"]);
  assert.equal(kinds(tell(WRITTEN)), []);
  assert.equal(kinds(tell({ kind: "advanced" })), ["read"]);
  tell({ kind: "advanced" }); // while the read is under way
  assert.equal(kinds(tell(lastRecords(2, 1, 1))), ["write", "read"]);
});

test("what lags is read without a pause", () => {
  const tell = script({ gatherMs: 10 });
  tell({ kind: "begin" }, 1_000);
  tell(OPENED, 1_000);
  assert.equal(kinds(tell(records(1, 0, 9), 1_001)), ["write", "read"]);
});

test("after a write of unknown outcome the position is asked, and decides whether it is written again", () => {
  for (const [stood, expected] of [
    [undefined, "write"],
    [position(1, 1), "read"],
  ] as const) {
    const tell = script();
    tell({ kind: "begin" });
    tell(OPENED);
    tell(records(1, 0, 1));
    const [timer] = tell({ kind: "failed", reason: "away", random: 0 });
    if (timer?.kind !== "timer") throw new Error("no retry");
    assert.equal(kinds(tell({ kind: "timer", timerId: timer.timerId, purpose: "retry" })), ["ask_position"]);
    const next = kinds(tell({ kind: "positioned", position: stood }));
    assert.is(next[0] ?? "read", expected);
  }
});

test("retries wait longer each time, up to a limit, and as long as the sink asks", () => {
  const tell = script({ retryFirstMs: 100, retryMaxMs: 350 });
  tell({ kind: "begin" });
  const delays = [undefined, undefined, undefined, 9_000].map((retryAfterMs) => {
    const failed = { kind: "failed", reason: "away", random: 0 } as const;
    const [timer] = tell(retryAfterMs === undefined ? failed : { ...failed, retryAfterMs });
    if (timer?.kind !== "timer") throw new Error("no retry");
    tell({ kind: "timer", timerId: timer.timerId, purpose: "retry" });
    return timer.delayMs;
  });
  assert.equal(delays, [100, 200, 350, 9_000]);
});

test("a stop waits for the write in hand and begins no other; it does not wait for ever", () => {
  for (const last of [WRITTEN, { kind: "timer", timerId: 0, purpose: "stop" }] as const) {
    const tell = script({ recordsMax: 1 });
    tell({ kind: "begin" });
    tell(OPENED);
    tell(records(1, 0, 3));
    assert.equal(kinds(tell({ kind: "stop" })), ["timer"]);
    assert.equal(kinds(tell(last)), ["close"]);
    assert.equal(tell({ kind: "closed" }), []);
    assert.equal(tell(WRITTEN), []);
  }
});

test("a paused delivery finishes its write, then waits until it is resumed", () => {
  const tell = script({ recordsMax: 2 });
  tell({ kind: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 3))), ["write", "read"]);
  assert.equal(tell({ kind: "pause" }), []);
  assert.equal(tell(WRITTEN), []);
  assert.equal(kinds(tell({ kind: "resume" })), ["write"]);
});

test("a bounded delivery ends once its range is read to the end and nothing of it is left in hand", () => {
  const tell = script();
  tell({ kind: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 3))), ["write", "read"]);
  assert.equal(tell({ kind: "read_records", readId: 2, items: [], isEnd: true }), [], "a write is in hand");
  const [timer] = tell({ kind: "failed", reason: "away", random: 0 });
  if (timer?.kind !== "timer") throw new Error("no retry");
  tell({ kind: "timer", timerId: timer.timerId, purpose: "retry" });
  assert.equal(kinds(tell({ kind: "positioned", position: undefined })), ["write"], "it was not written");
  assert.equal(kinds(tell(WRITTEN)), ["close"]);
  const empty = script();
  empty({ kind: "begin" });
  empty(OPENED);
  assert.equal(kinds(empty({ kind: "read_records", readId: 1, items: [], isEnd: true })), ["close"]);
});

test("a bounded delivery whose sink stood elsewhere reads its range again before it ends", () => {
  const tell = script();
  tell({ kind: "begin" });
  tell(OPENED);
  tell(records(1, 0, 3));
  tell({ kind: "read_records", readId: 2, items: [], isEnd: true });
  const [timer] = tell({ kind: "wrote", outcome: { kind: "misplaced", position: position(1, 1) }, random: 0 });
  if (timer?.kind !== "timer") throw new Error("no retry");
  tell({ kind: "timer", timerId: timer.timerId, purpose: "retry" });
  const again = tell({ kind: "positioned", position: position(1, 1) });
  assert.equal(kinds(again).includes("close"), false);
});

test("after it was fenced a delivery closes and writes nothing", () => {
  const tell = script();
  tell({ kind: "begin" });
  tell(OPENED);
  tell(records(1, 0, 3));
  assert.equal(kinds(tell({ kind: "wrote", outcome: { kind: "fenced", fence: epoch(9) }, random: 0 })), ["close"]);
  assert.equal(tell({ kind: "advanced" }), []);
  assert.equal(tell(records(2, 4, 5)), []);
});

test("a write lingers for company no longer than it was told", () => {
  const tell = script({ lingerMs: 20, recordsMax: 10 });
  tell({ kind: "begin" });
  tell(OPENED);
  const timer = tell(records(1, 0, 1), 100).find(({ kind }) => kind === "timer");
  assert.equal(timer, { kind: "timer", timerId: 0, purpose: "linger", delayMs: 20 });
  const [write] = tell({ kind: "timer", timerId: 0, purpose: "linger" }, 120);
  assert.is(write?.kind === "write" && write.batch.records.length, 2);
});

test("reading ahead is bounded while the sink is slow", () => {
  const tell = script({ readAheadBytesMax: 35, recordsMax: 1 });
  tell({ kind: "begin" });
  tell(OPENED);
  assert.equal(kinds(tell(records(1, 0, 1))), ["write", "read"]);
  assert.equal(kinds(tell(records(2, 2, 5))), [], "50 bytes wait: no more is read");
});

test.run();
