/** Decides what follows a failure, a timer or a stop. Pure; part of the delivery machine, whose rules it cites. */
import { retryDelayMs, tracesInHand } from "./delivery_batch.ts";
import type {
  DeliveryEffect,
  DeliveryMessage,
  DeliveryState,
  Occupation,
  Operation,
  RetryThen,
} from "./delivery_messages.ts";
import { adopt } from "./delivery_place.ts";

type Effects = DeliveryEffect[];

/** Each operation of the machine: its name in reports, and the next step after its failure. */
const OPERATIONS: Readonly<Record<Operation, { readonly what: string; readonly next: RetryThen }>> = {
  opening: { what: "open", next: "open" },
  cutting: { what: "store the cut of", next: "write" },
  writing: { what: "write", next: "ask" }, // D3
  asking: { what: "ask", next: "ask" },
  flushing: { what: "flush", next: "flush" }, // the position that a later flush answers tells the outcome of this one
  // Opening the chain again shows whether an append whose answer was lost is stored.
  opening_chain: { what: "open the dead letters of", next: "write" },
  setting_aside: { what: "set aside", next: "write" },
  rewinding: { what: "rewind", next: "rewind" },
};

const operationOf = ({ occupation }: DeliveryState): (typeof OPERATIONS)[Operation] | undefined =>
  OPERATIONS[occupation as Operation];

export function onFailed(
  state: DeliveryState,
  { reason, retryAfterMs, random, needsPerson }: Extract<DeliveryMessage, { type: "failed" }>,
  effects: Effects,
) {
  if (state.occupation === "closing") state.occupation = "closed";
  const isLastFlush = state.occupation === "flushing" && state.failures + 1 >= state.limits.flushTriesMax;
  const next = isLastFlush ? "ask" : operationOf(state)?.next;
  if (next === undefined) return;
  if (state.occupation === "opening_chain" || state.occupation === "setting_aside")
    state.chain = { isOpen: false, last: undefined };
  wait(state, next, reason, retryAfterMs, random, effects, needsPerson);
}

export function wait(
  state: DeliveryState,
  wanted: RetryThen,
  reason: string,
  afterMs: number | undefined,
  random: number,
  effects: Effects,
  needsPerson = false,
) {
  if (state.isStopping && wanted === "write" && state.held.length > 0) {
    state.occupation = "idle"; // D15: the sink is flushed instead
    return;
  }
  if (state.isStopping) return end(state, { kind: "stopped" }, effects);
  const then = wanted === "ask" && state.canHold ? "open" : wanted;
  if (then !== wanted) adopt(state, state.durable); // D16
  state.failures += 1;
  state.timerId += 1;
  state.occupation = "waiting";
  state.retry = { then, timerId: state.timerId };
  const delayMs = retryDelayMs(state.limits, state.failures, afterMs, random);
  const report = { kind: "retry", what: then, reason, delayMs, ...tracesInHand(state.hand) } as const;
  effects.push({ type: "report", report: needsPerson ? { ...report, needsPerson } : report });
  effects.push({ type: "timer", timerId: state.timerId, purpose: "retry", delayMs });
}

/** D12: tells the overdue operation to end, and reports it. Nothing else begins before it has ended. */
export function onOverdue(state: DeliveryState, overdueMs: number, effects: Effects) {
  const what = operationOf(state)?.what;
  if (what === undefined) return;
  const reason = `no answer within ${overdueMs} ms: the call is given up, and the next one waits for its end`;
  effects.push({ type: "give_up" });
  const report = { kind: "retry", what, reason, delayMs: 0, ...tracesInHand(state.hand) } as const;
  effects.push({ type: "report", report });
}

type Timer = Extract<DeliveryMessage, { type: "timer" }>;

export function onTimer(state: DeliveryState, message: Timer, effects: Effects) {
  switch (message.purpose) {
    case "read":
      state.isReadWaiting = false;
      state.readBeganMs = Number.NEGATIVE_INFINITY; // the timer decides, not the clock (E24)
      return;
    case "linger":
      if (state.lingerTimerId !== message.timerId) return; // the batch that it waited for has been cut
      state.lingerTimerId = undefined;
      state.bufferedSinceMs = Number.NEGATIVE_INFINITY; // the timer decides, not the clock (E24)
      return;
    case "flush":
      if (state.flushTimerId !== message.timerId) return; // another batch was taken since
      state.flushTimerId = undefined;
      state.heldSinceMs = Number.NEGATIVE_INFINITY; // the timer decides, not the clock (E24)
      return;
    case "stop":
      // The operation in hand did not end in time. The next opening of the sink finds its outcome.
      return end(state, { kind: "stopped" }, effects);
    case "retry":
      if (state.retry?.timerId !== message.timerId) return;
      return retry(state, state.retry.then, effects);
  }
}

function retry(state: DeliveryState, then: RetryThen, effects: Effects) {
  state.retry = undefined;
  switch (then) {
    case "open":
      return occupy(state, "opening", { type: "open" }, effects);
    case "ask":
      return occupy(state, "asking", { type: "ask_position" }, effects);
    case "flush":
      return occupy(state, "flushing", { type: "flush" }, effects);
    case "rewind":
      return occupy(state, "rewinding", { type: "rewind", to: state.cursor, from: state.position }, effects);
    case "write":
      state.occupation = "idle";
      return;
  }
}

export function onStop(state: DeliveryState, effects: Effects) {
  if (state.isStopping) return;
  state.isStopping = true;
  const isHolding = state.held.length > 0;
  if (state.occupation === "waiting" && isHolding) {
    state.retry = undefined;
    state.occupation = "idle"; // D15: the flush does not wait for the next try of a write
  }
  if (state.occupation === "new" || state.occupation === "waiting") return end(state, { kind: "stopped" }, effects);
  if (operationOf(state) === undefined && !isHolding) return;
  effects.push({ type: "timer", timerId: 0, purpose: "stop", delayMs: state.limits.stopTimeoutMs });
}

type Ending = { readonly kind: "stopped" } | { readonly kind: "fenced"; readonly fence: number | undefined };

export function end(state: DeliveryState, ending: Ending, effects: Effects) {
  if (state.occupation === "closing") return;
  state.occupation = "closing";
  state.retry = undefined;
  effects.push({ type: "report", report: ending }, { type: "close", isFinal: false });
}

/** D9: `completed` is reported once the sink is closed, as the sink hands out its last records when it closes. */
export function complete(state: DeliveryState, effects: Effects) {
  state.isCompleting = true;
  occupy(state, "closing", { type: "close", isFinal: true }, effects);
}

export function occupy(state: DeliveryState, occupation: Occupation, effect: DeliveryEffect, effects: Effects) {
  state.occupation = occupation;
  effects.push(effect);
}
