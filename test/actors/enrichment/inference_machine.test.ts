import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createInference, INFERENCE_LIMITS, stepInference } from "../../../actors/enrichment/inference_machine.ts";
import type {
  InferenceAnswer,
  InferenceEffect,
  InferenceMessage,
  InferenceSettings,
} from "../../../actors/enrichment/inference_messages.ts";
import type { Event } from "../../../protocols/event.ts";

const SETTINGS: InferenceSettings = { rowsMax: 4, lingerMs: 5, rowsWaitingMax: 20, asksWaitingMax: 10 };

/** A row that makes each run that it is part of fail or hang. */
type Fault = "fails" | "hangs";
interface TestedRow {
  readonly n: number;
  readonly fault?: Fault;
}

interface Answered {
  readonly ask: number;
  readonly answer: InferenceAnswer;
}

/** Steps the machine by hand: the test answers each effect when it wants. */
class Trial {
  readonly state;
  nowMs = 0;
  readonly answered: Answered[] = [];
  readonly runs: (readonly TestedRow[])[] = [];
  readonly timers: { readonly dueMs: number; readonly message: InferenceMessage }[] = [];
  opens = 0;
  isOpening = false;
  running: readonly TestedRow[] | undefined;

  constructor(settings: Partial<InferenceSettings> = {}) {
    this.state = createInference({ ...SETTINGS, ...settings });
    this.tell({ type: "begin" });
  }

  tell(message: InferenceMessage): void {
    const [, effects] = stepInference(this.state, message, this.nowMs);
    for (const effect of effects) this.#perform(effect);
  }

  ask(ask: number, inputs: readonly TestedRow[]): void {
    const refuse = () => {
      throw new Error("answers are effects");
    };
    const replyTo = { path: String(ask), tell: refuse, send: refuse, trySend: refuse };
    this.tell({ type: "asked", ask: { inputs: inputs as unknown as Event[], replyTo } });
  }

  opened(): void {
    assert.ok(this.isOpening);
    this.isOpening = false;
    this.tell({ type: "opened" });
  }

  /** Answers the run in flight as a session would: a row with a fault spoils the whole run. */
  settleRun(): void {
    const rows = this.running;
    if (rows === undefined) throw new Error("no run is in flight");
    this.running = undefined;
    const fault = rows.find(({ fault }) => fault !== undefined)?.fault;
    if (fault !== undefined) this.tell({ type: "run_failed", reason: fault, isLost: fault === "hangs" });
    else this.tell({ type: "ran", inferences: rows.map(({ n }) => ({ kind: "result", result: { n } })) });
  }

  /** Goes on until nothing is left to do. */
  finish(): void {
    for (let steps = 0; steps < 10_000; steps += 1) {
      if (this.isOpening) this.opened();
      else if (this.running !== undefined) this.settleRun();
      else if (!this.fireTimer()) return;
    }
    throw new Error("it never ends");
  }

  fireTimer(): boolean {
    const timer = this.timers.shift();
    if (timer === undefined) return false;
    this.nowMs = Math.max(this.nowMs, timer.dueMs);
    this.tell(timer.message);
    return true;
  }

  #perform(effect: InferenceEffect): void {
    switch (effect.type) {
      case "open":
        assert.is(this.running, undefined);
        this.isOpening = true;
        this.opens += 1;
        return;
      case "run":
        assert.is(this.running, undefined, "one run is in flight");
        assert.not(this.isOpening, "nothing runs without a session");
        this.running = effect.inputs as unknown as readonly TestedRow[];
        this.runs.push(this.running);
        return;
      case "answer":
        this.answered.push({ ask: Number(effect.ask.replyTo.path), answer: effect.answer });
        return;
      case "linger":
        this.timers.push({ dueMs: this.nowMs + effect.delayMs, message: { type: "linger_due" } });
        return;
      case "wait":
        this.timers.push({ dueMs: this.nowMs + effect.delayMs, message: { type: "retry_due" } });
        return;
      case "report":
        return;
    }
  }
}

const rows = (from: number, count: number): TestedRow[] => Array.from({ length: count }, (_, at) => ({ n: from + at }));

/** Numbers of rows with a result; a refusal as its reason. */
const shown = (answer: InferenceAnswer): unknown =>
  answer.kind === "inferred"
    ? answer.inferences.map((one) => (one.kind === "result" ? one.result.n : one.reason))
    : answer.kind;

test("I1, I2: inputs of several asks run together, and each ask is answered with its own", () => {
  const trial = new Trial();
  trial.opened();
  trial.ask(1, rows(10, 1));
  trial.ask(2, rows(20, 2));
  assert.is(trial.running, undefined, "three rows wait for a fourth");
  trial.ask(3, rows(30, 3));
  assert.equal(
    trial.running?.map(({ n }) => n),
    [10, 20, 21, 30],
  );
  trial.finish();
  assert.equal(
    trial.answered.map(({ ask, answer }) => [ask, shown(answer)]),
    [
      [1, [10]],
      [2, [20, 21]],
      [3, [30, 31, 32]],
    ],
  );
});

test("I2: a row alone runs once it has waited for the time to linger, and not before", () => {
  const trial = new Trial();
  trial.opened();
  trial.ask(1, rows(1, 1));
  trial.nowMs = 4;
  trial.tell({ type: "linger_due" });
  assert.is(trial.running, undefined, "a timer may fire early");
  assert.equal(
    trial.timers.map(({ dueMs }) => dueMs),
    [5, 5],
    "and is set again",
  );
  trial.timers.pop();
  trial.fireTimer();
  assert.is(trial.running?.length, 1);
  trial.ask(2, rows(2, 1));
  trial.settleRun();
  trial.ask(3, rows(3, 1));
  assert.equal(
    trial.timers.map(({ dueMs }) => dueMs),
    [10],
    "one timer for both",
  );
});

test("I1: an ask without inputs is answered behind those before it", () => {
  const trial = new Trial();
  trial.opened();
  trial.ask(1, rows(1, 1));
  trial.ask(2, []);
  assert.equal(trial.answered, []);
  trial.finish();
  assert.equal(
    trial.answered.map(({ ask }) => ask),
    [1, 2],
  );
});

test("I3: an ask beyond the bounds is put off, and a large one is taken where nothing waits", () => {
  const trial = new Trial();
  trial.ask(1, rows(0, 30));
  trial.ask(2, rows(30, 1));
  assert.equal(
    trial.answered.map(({ ask, answer }) => [ask, answer]),
    [[2, { kind: "overloaded", rowsWaiting: 30, retryAfterMs: INFERENCE_LIMITS.overloadedForMs }]],
  );
  trial.finish();
  trial.ask(2, rows(30, 1));
  trial.finish();
  assert.equal(
    trial.answered.slice(1).map(({ ask, answer }) => [ask, shown(answer)]),
    [
      [1, rows(0, 30).map(({ n }) => n)],
      [2, [30]],
    ],
  );
  assert.ok(trial.runs.every((run) => run.length <= SETTINGS.rowsMax));
});

test("I4: a run that fails is halved down to the row at fault, which is refused after a new session failed as well", () => {
  const trial = new Trial();
  trial.ask(1, [{ n: 0 }, { n: 1 }, { n: 2, fault: "fails" }, { n: 3 }]);
  trial.finish();
  assert.equal(shown(trial.answered[0]!.answer), [0, 1, "Cannot infer as the run must end well: fails", 3]);
  assert.equal(
    trial.runs.map((run) => run.map(({ n }) => n)),
    [[0, 1, 2, 3], [0, 1], [2, 3], [2], [2], [3]],
  );
  assert.is(trial.opens, 2, "the row alone had a session of its own");
});

test("I5: a run that hung is run again on a new session, and everybody is answered", () => {
  const trial = new Trial();
  trial.ask(1, rows(0, 4));
  trial.opened();
  trial.running = undefined;
  trial.tell({ type: "run_failed", reason: "it hangs", isLost: true });
  assert.is(trial.opens, 2);
  trial.finish();
  assert.is(trial.runs.length, 2);
  assert.equal(shown(trial.answered[0]!.answer), [0, 1, 2, 3]);
});

test("I5: a row whose runs always hang is found, and those beside it get their results", () => {
  const trial = new Trial();
  trial.ask(1, [{ n: 0 }, { n: 1, fault: "hangs" }, { n: 2 }, { n: 3 }]);
  trial.finish();
  assert.equal(shown(trial.answered[0]!.answer), [0, "Cannot infer as the run must end well: hangs", 2, 3]);
  assert.equal(
    trial.runs.map((run) => run.map(({ n }) => n)),
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [0], [1], [1], [2, 3]],
  );
});

test("I5: to find a row that hangs among 256 costs 11 sessions", () => {
  for (const at of [0, 100, 255]) {
    const trial = new Trial({ rowsMax: 256 });
    trial.ask(
      1,
      rows(0, 256).map((one) => (one.n === at ? { ...one, fault: "hangs" } : one)),
    );
    trial.finish();
    assert.is(trial.opens - 1, 11, `row ${at}`);
  }
});

test("I6: where no session opens, all that wait are answered, and the next opening waits ever longer", () => {
  const trial = new Trial();
  const delays: number[] = [];
  for (let failures = 0; failures < 3; failures += 1) {
    trial.ask(failures, rows(0, 2));
    trial.isOpening = false;
    trial.tell({ type: "not_opened", reason: "no memory", random: 0 });
    assert.is(trial.answered.at(-1)?.answer.kind, "unavailable");
    const answer = trial.answered.at(-1)?.answer;
    if (answer?.kind === "unavailable") delays.push(answer.retryAfterMs);
    assert.ok(trial.fireTimer());
  }
  assert.equal(delays, [100, 200, 400]);
  assert.is(trial.state.rowsWaiting, 0);
  trial.ask(9, rows(0, 2));
  trial.finish();
  assert.equal(shown(trial.answered.at(-1)!.answer), [0, 1]);
  trial.tell({ type: "begin" });
  trial.tell({ type: "not_opened", reason: "no memory", random: 0 });
  assert.is(trial.timers.at(-1)!.dueMs - trial.nowMs, 100, "an opening that succeeded ends the row of failures");
});

test("I6: the halves of a run that failed are given up with their asks", () => {
  const trial = new Trial();
  trial.opened();
  trial.ask(1, [{ n: 0, fault: "hangs" }, ...rows(1, 3)]);
  trial.settleRun();
  trial.isOpening = false;
  trial.tell({ type: "not_opened", reason: "no memory", random: 0 });
  trial.fireTimer();
  trial.opened();
  assert.is(trial.runs.length, 1, "nobody waits for them");
  assert.equal(
    trial.answered.map(({ answer }) => answer.kind),
    ["unavailable"],
  );
});

test("an answer that comes when no run is in flight changes nothing", () => {
  const trial = new Trial();
  trial.opened();
  trial.tell({ type: "ran", inferences: [] });
  trial.tell({ type: "run_failed", reason: "late", isLost: true });
  trial.tell({ type: "opened" });
  assert.is(trial.opens, 1);
  assert.equal(trial.answered, []);
});

const row = fc.record(
  { n: fc.nat(1_000), fault: fc.constantFrom<Fault>("fails", "hangs") },
  { requiredKeys: ["n"] },
) as fc.Arbitrary<TestedRow>;
const move = fc.oneof(
  { weight: 3, arbitrary: fc.array(row, { maxLength: 9 }) },
  { weight: 4, arbitrary: fc.constantFrom("run", "open", "time") },
);

test("I1, I4, I5: whatever arrives, fails and hangs, each ask is answered once, in order, and only rows at fault are refused", () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
      const trial = new Trial({ rowsWaitingMax: 1_000, asksWaitingMax: 1_000 });
      const asked: (readonly TestedRow[])[] = [];
      for (const one of moves) {
        if (Array.isArray(one)) {
          trial.ask(asked.length, one);
          asked.push(one);
        } else if (one === "run" && trial.running !== undefined) trial.settleRun();
        else if (one === "open" && trial.isOpening) trial.opened();
        else if (one === "time") {
          trial.nowMs += 3;
          trial.fireTimer();
        }
      }
      trial.finish();
      const expected = asked.map((inputs, ask) => [
        ask,
        inputs.map(({ n, fault }) => (fault === undefined ? n : `Cannot infer as the run must end well: ${fault}`)),
      ]);
      assert.equal(
        trial.answered.map(({ ask, answer }) => [ask, shown(answer)]),
        expected,
      );
      assert.is(trial.state.rowsWaiting, 0);
    }),
    { numRuns: 300 },
  );
});

test.run();
