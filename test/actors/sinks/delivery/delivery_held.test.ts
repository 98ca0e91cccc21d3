import { test } from "uvu";
import * as assert from "uvu/assert";
import { createDelivery, stepDelivery } from "../../../../actors/sinks/delivery/delivery_machine.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryEffect,
  type DeliveryItem,
  type DeliveryLimits,
  type DeliveryMessage,
} from "../../../../actors/sinks/delivery/delivery_messages.ts";
import { offset, position } from "../../../../protocols/position.ts";

const at = (place: number | undefined) => (place === undefined ? undefined : position(1, place));

const itemAt = (place: number): DeliveryItem => ({
  position: position(1, place),
  outputs: [{ position: position(1, place), index: 0, event: {}, timeMs: 0 }],
  sizeBytes: 10,
  appendedAtMs: 0,
});

/** The records `from` to `to`, which are all that the log holds. */
const records = (readId: number, from: number, to: number, isEnd = false): DeliveryMessage => ({
  type: "read_records",
  readId,
  items: Array.from({ length: to - from + 1 }, (_, index) => itemAt(from + index)),
  ...(isEnd ? { isEnd } : { isAtEnd: true }),
});

const OPENED: DeliveryMessage = { type: "opened", position: undefined, latest: undefined, setAside: [], canHold: true };
const WRITTEN: DeliveryMessage = { type: "wrote", outcome: { kind: "written" }, random: 0 };
const held = (durable: number | undefined): DeliveryMessage => ({
  type: "wrote",
  outcome: { kind: "held", durable: at(durable) },
  random: 0,
});
const flushed = (place: number | undefined): DeliveryMessage => ({ type: "flushed", position: at(place), random: 0 });
const FAILED: DeliveryMessage = { type: "failed", reason: "away", random: 0 };

/** A delivery to an open sink. Each answer is what the delivery then does, and the offsets up to which it reports. */
function delivery(limits: Partial<DeliveryLimits> = {}) {
  const state = createDelivery({ ...DELIVERY_LIMITS, gatherMs: 0, ...limits }, "earliest");
  const tell = (message: DeliveryMessage, nowMs = 0): readonly DeliveryEffect[] =>
    stepDelivery(state, message, nowMs)[1];
  tell({ type: "begin" });
  tell(OPENED);
  return { tell, state };
}

const kinds = (effects: readonly DeliveryEffect[]) =>
  effects.flatMap(({ type }) => (type === "report" || type === "read" ? [] : [type]));

const delivered = (effects: readonly DeliveryEffect[]): number[] =>
  effects.flatMap((effect) =>
    effect.type === "report" && effect.report.kind === "delivered" ? [effect.report.batch.end.offset] : [],
  );

const reportsOf = (effects: readonly DeliveryEffect[]) =>
  effects.flatMap((effect) => (effect.type === "report" ? [effect.report.kind] : []));

function writeOf(effects: readonly DeliveryEffect[]) {
  const write = effects.find(({ type }) => type === "write");
  if (write?.type !== "write") throw new Error(`no write: ${kinds(effects).join()}`);
  return [write.batch.predecessor?.offset, write.batch.end.offset];
}

function timerOf(effects: readonly DeliveryEffect[]): DeliveryMessage & { readonly type: "timer" } {
  const timer = effects.find(({ type }) => type === "timer");
  if (timer?.type !== "timer") throw new Error(`no timer: ${kinds(effects).join()}`);
  return { type: "timer", timerId: timer.timerId, purpose: timer.purpose };
}

test("D14: a batch that is held is delivered once the durable position has passed it; the next write begins behind it", () => {
  const { tell } = delivery({ recordsMax: 2, lingerMs: 1_000 });
  assert.equal(writeOf(tell(records(1, 0, 7))), [undefined, 1]);
  const first = tell(held(undefined));
  assert.equal([writeOf(first), delivered(first)], [[1, 3], []]);
  const second = tell(held(1));
  assert.equal([writeOf(second), delivered(second)], [[3, 5], [1]]);
  const third = tell(held(2));
  assert.equal([writeOf(third), delivered(third)], [[5, 7], []]);
  const last = tell(WRITTEN);
  assert.equal(delivered(last), [3, 5, 7], "a batch that is written is durable, with all before it");
});

test("D14: triples set aside stay stored until the durable position has passed them", () => {
  const { tell, state } = delivery({ lettersMax: 1, lingerMs: 1_000, recordsMax: 2 });
  const reject = (place: number): DeliveryMessage => ({
    type: "wrote",
    outcome: { kind: "rejected", records: [{ at: place, code: "X", reason: "no form", isFinal: true }] },
    random: 0,
  });
  tell(records(1, 0, 5));
  tell(reject(0));
  tell({ type: "chain_opened", last: undefined });
  tell({ type: "dead_letters_stored" });
  tell(held(undefined)); // 0 is set aside, and 1 held
  const [append] = tell(reject(1)).filter(({ type }) => type === "append_dead_letters");
  assert.equal(append?.type === "append_dead_letters" && append.setAside.map(([, place]) => place), [0, 3]);
  tell({ type: "dead_letters_stored" });
  tell(held(1));
  assert.equal([...state.setAside.keys()], ["1/3/0"]);
});

test("D15: what is held is flushed after lingerMs without another batch, and each batch begins that wait anew", () => {
  const { tell } = delivery({ lingerMs: 50, recordsMax: 2 });
  tell(records(1, 0, 3), 100);
  assert.equal(writeOf(tell(held(undefined), 110)), [1, 3]);
  const waiting = tell(held(undefined), 130);
  assert.equal(kinds(waiting), ["timer"]);
  assert.equal(
    waiting.find(({ type }) => type === "timer"),
    { type: "timer", timerId: 1, purpose: "flush", delayMs: 50 },
  );
  const stale = timerOf(waiting);
  assert.equal(writeOf(tell({ type: "advanced" }, 140).length > 0 ? tell(records(2, 4, 5), 141) : []), [3, 5]);
  const next = timerOf(tell(held(undefined), 150));
  assert.equal(kinds(tell(stale, 180)), [], "another batch was taken since");
  assert.equal(kinds(tell(next, 200)), ["flush"]);
  const done = tell(flushed(5));
  assert.equal([kinds(done), delivered(done)], [[], [1, 3, 5]]);
});

test("D15: without a linger the sink is flushed once no record is in hand and no read is under way", () => {
  const { tell } = delivery({ recordsMax: 2 });
  tell({ ...records(1, 0, 1), isAtEnd: false } as DeliveryMessage);
  assert.equal(kinds(tell(held(undefined))), [], "a read is under way");
  assert.equal(kinds(tell(records(2, 2, 3))), ["write"]);
  assert.equal(kinds(tell(held(undefined))), ["flush"]);
});

test("D15: a sink that holds as many records or bytes as it may is flushed before it gets more", () => {
  for (const limits of [{ heldRecordsMax: 4 }, { heldBytesMax: 40 }]) {
    const { tell } = delivery({ recordsMax: 2, lingerMs: 1_000, ...limits });
    tell(records(1, 0, 7));
    assert.equal(kinds(tell(held(undefined))), ["write"]);
    assert.equal(kinds(tell(held(undefined))), ["flush"]);
    assert.equal(writeOf(tell(flushed(3))), [3, 5]);
    assert.equal(kinds(tell(held(3))), ["write"], "the bound is for what is held now");
  }
});

test("D15: a bounded range ends once what is held is flushed", () => {
  const { tell } = delivery({ lingerMs: 60_000 });
  tell(records(1, 0, 3, true));
  assert.equal(kinds(tell(held(undefined))), ["flush"]);
  const done = tell(flushed(3));
  assert.equal([kinds(done), delivered(done)], [["close"], [3]]);
  assert.equal(reportsOf(tell({ type: "closed" })), ["completed"]);
});

test("D15: a planned stop flushes first, whether the delivery is idle, writes, or waits for another try", () => {
  const idle = delivery({ lingerMs: 60_000, recordsMax: 2 });
  idle.tell(records(1, 0, 1));
  idle.tell(held(undefined));
  assert.equal(kinds(idle.tell({ type: "stop" })), ["timer", "flush"]);
  assert.equal(kinds(idle.tell(flushed(1))), ["close"]);

  const writing = delivery({ lingerMs: 60_000, recordsMax: 2 });
  writing.tell(records(1, 0, 5));
  writing.tell(held(undefined));
  assert.equal(kinds(writing.tell({ type: "stop" })), ["timer"]);
  assert.equal(kinds(writing.tell(held(undefined))), ["flush"], "and begins no other write");
  assert.equal(kinds(writing.tell(FAILED)), ["close"], "a flush that fails is not tried again");

  for (const isStoppedFirst of [true, false]) {
    const waiting = delivery({ lingerMs: 60_000, recordsMax: 2 });
    waiting.tell(records(1, 0, 3));
    waiting.tell(held(undefined));
    const slow: DeliveryMessage = {
      type: "wrote",
      outcome: { kind: "taken", count: 0, problem: { kind: "unavailable", reason: "503" } },
      random: 0,
    };
    const last = isStoppedFirst ? [{ type: "stop" } as const, slow] : [slow, { type: "stop" } as const];
    waiting.tell(last[0]!);
    assert.ok(kinds(waiting.tell(last[1]!)).includes("flush"), `stopped first: ${isStoppedFirst}`);
  }
});

test("D15: a sink whose requests have keys is flushed before the next batch is cut", () => {
  const { tell } = delivery({ recordsPerRequest: 2, recordsMax: 4, lingerMs: 60_000 });
  tell(records(1, 0, 7));
  assert.equal(writeOf(tell({ type: "cut_stored" })), [undefined, 3]);
  assert.equal(kinds(tell(held(undefined))), ["flush"]);
  assert.equal(kinds(tell(flushed(3))), ["store_cut"]);
});

test("D16: after an unknown outcome a sink that holds is opened again, and delivery reads again from its durable position", () => {
  const { tell } = delivery({ recordsMax: 2, lingerMs: 1_000 });
  tell(records(1, 0, 5));
  tell(held(undefined));
  tell(held(1));
  const waiting = tell(FAILED);
  assert.equal(kinds(tell(timerOf(waiting))), ["open"]);
  const read = tell({ ...OPENED, position: at(1) } as DeliveryMessage).find(({ type }) => type === "read");
  assert.equal(read?.type === "read" && read.after, position(1, 1));
  assert.equal(writeOf(tell(records(read?.type === "read" ? read.readId : 0, 2, 5))), [1, 3]);
});

test("D16: a sink that has lost what it held, as a write or a flush shows, is opened again", () => {
  for (const [answer, place] of [
    [held(9), 9],
    [held(0), 0],
  ] as const) {
    const { tell } = delivery({ recordsMax: 2, lingerMs: 1_000 });
    tell(records(1, 0, 5));
    tell(held(1));
    const lost = tell(answer);
    assert.equal(reportsOf(lost), ["misplaced", "retry"], `durable up to ${place}`);
    assert.equal(kinds(tell(timerOf(lost))), ["open"]);
  }
  const { tell } = delivery({ recordsMax: 4 });
  tell(records(1, 0, 3));
  assert.equal(kinds(tell(held(undefined))), ["flush"]);
  const lost = tell(flushed(1));
  assert.equal([reportsOf(lost), delivered(lost)], [["misplaced", "retry"], []]);
  assert.equal(kinds(tell(timerOf(lost))), ["open"]);
});

test("D16: a flush that fails is tried again, and after some failures the sink is opened again", () => {
  const { tell } = delivery({ flushTriesMax: 2 });
  tell(records(1, 0, 3));
  tell(held(undefined));
  const first = tell(FAILED);
  assert.equal(kinds(tell(timerOf(first))), ["flush"]);
  assert.equal(kinds(tell(timerOf(tell(FAILED)))), ["open"]);
});

test("D16: letters of unknown outcome are not taken for those of the batch that follows an opening", () => {
  const { tell, state } = delivery({ recordsMax: 2, flushTriesMax: 1 });
  const reject: DeliveryMessage = {
    type: "wrote",
    outcome: { kind: "rejected", records: [{ at: 0, code: "X", reason: "no form", isFinal: true }] },
    random: 0,
  };
  tell(records(1, 0, 3));
  tell(held(undefined));
  tell(reject); // 2
  tell({ type: "chain_opened", last: undefined });
  tell({ type: "pause" });
  tell(timerOf(tell(FAILED))); // the letter is stored, its answer lost; paused, the sink is flushed
  assert.equal(state.occupation, "flushing");
  const opening = tell(FAILED);
  tell({ type: "resume" });
  tell(timerOf(opening));
  const again = tell({ ...OPENED, setAside: [[1, 2, 0]] } as DeliveryMessage).find(({ type }) => type === "read");
  tell(records(again?.type === "read" ? again.readId : 0, 0, 3));
  assert.equal(kinds(tell(reject)), ["open_chain"]); // 0
  const [append] = tell({ type: "chain_opened", last: [0, 1, 0] }).filter(({ type }) => type !== "report");
  assert.equal(append?.type === "append_dead_letters" && append.letters.map(({ triple }) => triple[1]), [0]);
});

test("D16: lost records that the sink only holds are dropped with its writer, and those that are durable are rewound", () => {
  for (const [durable, reports] of [
    [1, ["truncated"]],
    [3, []],
  ] as const) {
    const { tell } = delivery({ recordsMax: 4, lingerMs: 60_000 });
    tell({ ...records(1, 0, 3), isAtEnd: false } as DeliveryMessage);
    tell(held(undefined));
    tell(records(2, 4, 7));
    tell(held(durable));
    tell({ type: "advanced" });
    const lost = { type: "read_truncated", readId: 3, divergence: offset(2), resume: position(1, 1), canRewind: true };
    const found = tell(lost as DeliveryMessage);
    assert.equal([kinds(found), reportsOf(found)], [["open"], reports], `durable up to ${durable}`);
  }
});

test("a sink that took all records, but whose position could not be stored, is not opened again for that", () => {
  const { tell } = delivery({ recordsMax: 4, lingerMs: 60_000 });
  tell(records(1, 0, 3));
  const taken: DeliveryMessage = {
    type: "wrote",
    outcome: { kind: "taken", count: 4, problem: { kind: "unavailable", reason: "the log is away" } },
    random: 0,
  };
  const again = tell(timerOf(tell(taken))).find(({ type }) => type === "write");
  assert.equal(again?.type === "write" && again.batch.records, []);
});

test.run();
