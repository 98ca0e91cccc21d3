/**
 * Runs one model for many askers. Decides which inputs run together, what follows a run that fails, and when an asker is
 * answered. Leaves tensors and sessions to its actor.
 *
 *   I1. Each ask is answered once, in the order the asks came, with an inference for each of its inputs in their order.
 *   I2. One run is in flight. It takes inputs from the head of the queue, of one ask or of many, once `rowsMax` wait or the
 *       first has waited `lingerMs`.
 *   I3. What waits is bounded: an ask beyond the bounds is answered `overloaded` and kept by its asker. An ask is taken
 *       whatever its size where nothing waits.
 *   I4. A run that fails is halved, down to the row at fault. A row that fails alone runs once more on a new session, which
 *       has answered the card's examples; then it is refused. The rows beside it get their results.
 *   I5. A run that hangs, or loses its session, runs once more on a new session; then it is halved as well.
 *   I6. Where no session opens, all that wait are answered `unavailable`, and the next opening is tried after a backoff.
 */
import { refused } from "../../models/model.ts";
import { backoffMs, shortenedMs } from "../../protocols/clock.ts";
import type {
  Ask,
  InferenceAnswer,
  InferenceEffect,
  InferenceMessage,
  InferenceReport,
  InferenceSettings,
  InferenceState,
  Portion,
  WaitingAsk,
} from "./inference_messages.ts";

export const INFERENCE_LIMITS = {
  /** Time in ms within which a session opens and has answered the examples. */
  openWithinMs: 20_000,
  /** Time in ms after which a run hangs. Both are below the 30,000 ms after which an outbox takes a step for hanging. */
  runWithinMs: 5_000,
  retryFirstMs: 100,
  retryMaxMs: 10_000,
  /** Time in ms that an asker waits where too much is waiting already. */
  overloadedForMs: 50,
  /** Runs on sessions of their own after which the row is at fault, or the rows are halved. */
  attemptsMax: 2,
} as const;

type Result = readonly [InferenceState, readonly InferenceEffect[]];

export const createInference = (settings: InferenceSettings): InferenceState => ({
  settings,
  phase: "opening",
  asks: [],
  rowsWaiting: 0,
  portions: [],
  running: undefined,
  failures: 0,
  isLingering: false,
});

export function stepInference(state: InferenceState, message: InferenceMessage, nowMs: number): Result {
  switch (message.type) {
    case "begin":
    case "retry_due":
      state.phase = "opening";
      return [state, [{ type: "open" }]];
    case "opened":
      if (state.phase !== "opening") return [state, []];
      state.phase = "idle";
      state.failures = 0;
      return [state, [report({ kind: "opened" }), ...next(state, nowMs)]];
    case "not_opened":
      return state.phase === "opening" ? notOpened(state, message) : [state, []];
    case "asked":
      return asked(state, message.ask, nowMs);
    case "linger_due":
      state.isLingering = false;
      return [state, next(state, nowMs)];
    case "ran":
      return ran(state, message, nowMs);
    case "run_failed":
      return runFailed(state, message, nowMs);
  }
}

const report = (about: InferenceReport): InferenceEffect => ({ type: "report", report: about });

const answer = (ask: Ask, given: InferenceAnswer): InferenceEffect => ({ type: "answer", ask, answer: given });

/** I3 */
function asked(state: InferenceState, ask: Ask, nowMs: number): Result {
  const { rowsWaitingMax, asksWaitingMax } = state.settings;
  const { asks, rowsWaiting } = state;
  const isTooMuch = asks.length >= asksWaitingMax || rowsWaiting + ask.inputs.length > rowsWaitingMax;
  if (asks.length > 0 && isTooMuch) {
    const retryAfterMs = INFERENCE_LIMITS.overloadedForMs;
    return [state, [answer(ask, { kind: "overloaded", rowsWaiting, retryAfterMs })]];
  }
  asks.push({ ask, arrivedMs: nowMs, taken: 0, inferences: [] });
  state.rowsWaiting += ask.inputs.length;
  return [state, [...answers(state), ...next(state, nowMs)]];
}

/** I2 */
function next(state: InferenceState, nowMs: number): readonly InferenceEffect[] {
  if (state.phase !== "idle") return [];
  const portion = state.portions.pop();
  if (portion !== undefined) return run(state, portion);
  const first = state.asks.find(hasUntaken);
  if (first === undefined) return [];
  const { rowsMax, lingerMs } = state.settings;
  const waitsMs = first.arrivedMs + lingerMs - nowMs;
  if (state.rowsWaiting >= rowsMax || waitsMs <= 0) return run(state, take(state));
  if (state.isLingering) return [];
  state.isLingering = true;
  return [{ type: "linger", delayMs: waitsMs }];
}

const hasUntaken = ({ ask, taken }: WaitingAsk): boolean => taken < ask.inputs.length;

function take(state: InferenceState): Portion {
  const rows: Portion["rows"][number][] = [];
  for (const of of state.asks) {
    const inputs = of.ask.inputs.slice(of.taken, of.taken + state.settings.rowsMax - rows.length);
    of.taken += inputs.length;
    for (const input of inputs) rows.push({ of, input });
    if (rows.length === state.settings.rowsMax) break;
  }
  state.rowsWaiting -= rows.length;
  return { rows, attempts: 0 };
}

function run(state: InferenceState, portion: Portion): readonly InferenceEffect[] {
  state.phase = "running";
  state.running = portion;
  return [{ type: "run", inputs: portion.rows.map(({ input }) => input) }];
}

function ran(state: InferenceState, { inferences }: Extract<InferenceMessage, { type: "ran" }>, nowMs: number): Result {
  const done = state.running;
  if (state.phase !== "running" || done === undefined) return [state, []];
  state.running = undefined;
  state.phase = "idle";
  for (const [at, { of }] of done.rows.entries()) {
    of.inferences.push(inferences[at] ?? refused("Cannot infer as the model must answer each row: it did not"));
  }
  const asks = new Set(done.rows.map(({ of }) => of)).size;
  const about = report({ kind: "ran", rows: done.rows.length, asks });
  return [state, [about, ...answers(state), ...next(state, nowMs)]];
}

/** I1: an ask that is complete waits for those before it. */
function answers(state: InferenceState): readonly InferenceEffect[] {
  const first = state.asks.findIndex(({ ask, inferences }) => inferences.length < ask.inputs.length);
  const done = state.asks.splice(0, first < 0 ? state.asks.length : first);
  return done.map(({ ask, inferences }) => answer(ask, { kind: "inferred", inferences }));
}

/** I4, I5 */
function runFailed(
  state: InferenceState,
  { reason, isLost }: Extract<InferenceMessage, { type: "run_failed" }>,
  nowMs: number,
): Result {
  const failed = state.running;
  if (state.phase !== "running" || failed === undefined) return [state, []];
  state.running = undefined;
  const { rows } = failed;
  const isAlone = rows.length === 1;
  const attempts = failed.attempts + 1;
  const isAgain = (isAlone || isLost) && attempts < INFERENCE_LIMITS.attemptsMax;
  const about = report({
    kind: "run_failed",
    rows: rows.length,
    reason,
    next: isAgain ? "again" : isAlone ? "set_aside" : "halves",
  });
  if (isAgain) state.portions.push({ rows, attempts });
  else if (isAlone) rows[0]?.of.inferences.push(refused(`Cannot infer as the run must end well: ${reason}`));
  else state.portions.push(...halves(failed, isLost));
  const done = answers(state);
  if (!isAgain && !isLost) {
    state.phase = "idle";
    return [state, [about, ...done, ...next(state, nowMs)]];
  }
  state.phase = "opening";
  return [state, [about, ...done, { type: "open" }]];
}

/**
 * The first half comes last, so that it runs next (I1). Rows that lost their session twice are halved at the next loss, as
 * each loss may cost the whole deadline; a row alone has all its attempts.
 */
function halves({ rows, attempts }: Portion, isLost: boolean): readonly Portion[] {
  const middle = Math.ceil(rows.length / 2);
  return [rows.slice(middle), rows.slice(0, middle)].map((half) => ({
    rows: half,
    attempts: isLost && half.length > 1 ? attempts : 0,
  }));
}

/** I6 */
function notOpened(
  state: InferenceState,
  { reason, random }: Extract<InferenceMessage, { type: "not_opened" }>,
): Result {
  const fullMs = backoffMs(state.failures, INFERENCE_LIMITS.retryFirstMs, INFERENCE_LIMITS.retryMaxMs);
  const delayMs = Math.round(shortenedMs(fullMs, random));
  state.failures += 1;
  state.phase = "waiting";
  state.portions.length = 0;
  state.rowsWaiting = 0;
  const given = { kind: "unavailable", reason, retryAfterMs: delayMs } as const;
  const refusals = state.asks.splice(0).map(({ ask }) => answer(ask, given));
  return [state, [report({ kind: "not_opened", reason, delayMs }), ...refusals, { type: "wait", delayMs }]];
}
