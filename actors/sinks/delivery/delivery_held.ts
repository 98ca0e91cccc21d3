/**
 * Decides what follows from batches that the sink has taken and may still lose: how far the durable position has come,
 * and when they are flushed. Pure; part of the delivery machine, whose rules it cites.
 */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { describeHand } from "./delivery_batch.ts";
import type { DeliveryEffect, DeliveryMessage, DeliveryState, Hand } from "./delivery_messages.ts";
import { adopt, passed } from "./delivery_place.ts";
import { occupy, wait } from "./delivery_retry.ts";

type Effects = DeliveryEffect[];

/** The sink has taken the batch: the next write begins behind it (sink S10). */
export function hold(state: DeliveryState, hand: Hand, nowMs: number): void {
  const sizeBytes = hand.items.reduce((sum, item) => sum + item.sizeBytes, 0);
  state.held.push({ batch: describeHand(hand), sizeBytes });
  state.heldBytes += sizeBytes;
  state.heldInputs += hand.items.length;
  state.heldSinceMs = nowMs;
  state.flushTimerId = undefined;
  state.position = hand.end;
}

/** D14: the sink has made everything up to `durable` durable. */
export function settle(state: DeliveryState, durable: Position | undefined, effects: Effects): void {
  passed(state, durable);
  for (;;) {
    const [first] = state.held;
    if (first === undefined || comparePositions(first.batch.end, durable) > 0) return;
    state.held.shift();
    state.heldBytes -= first.sizeBytes;
    state.heldInputs -= first.batch.inputs;
    effects.push({ type: "report", report: { kind: "delivered", batch: first.batch } });
  }
}

/** Whether the sink can stand at `durable` after it took the batches up to `end`. */
export const isWithin = (state: DeliveryState, durable: Position | undefined, end: Position): boolean =>
  comparePositions(durable, state.durable) >= 0 && comparePositions(durable, end) <= 0;

type Flushed = Extract<DeliveryMessage, { type: "flushed" }>;

/** D15, D16: a sink that has not made all durable that it took has lost the rest. */
export function onFlushed(state: DeliveryState, { position, random }: Flushed, effects: Effects) {
  state.occupation = "idle";
  if (comparePositions(position, state.position) !== 0) return lose(state, position, random, effects);
  state.failures = 0;
  settle(state, position, effects);
}

/** D16 */
export function lose(state: DeliveryState, to: Position | undefined, random: number, effects: Effects): void {
  effects.push({ type: "report", report: { kind: "misplaced", from: state.position, to } });
  wait(state, "ask", "the sink does not hold what it had taken", undefined, random, effects);
}

/** D16: what the sink holds ends with its writer. */
export function openAgain(state: DeliveryState, effects: Effects): void {
  adopt(state, state.durable);
  occupy(state, "opening", { type: "open" }, effects);
}

/** D15: whether what the sink holds is flushed before anything else is done. `isEnding`: nothing else will follow. */
export function mustFlush({ held, heldBytes, heldInputs, limits }: DeliveryState, isEnding: boolean): boolean {
  if (held.length === 0) return false;
  const isFull = heldBytes >= limits.heldBytesMax || heldInputs >= limits.heldRecordsMax;
  return isEnding || isFull || limits.recordsPerRequest !== undefined;
}

export const flush = (state: DeliveryState, effects: Effects): void =>
  occupy(state, "flushing", { type: "flush" }, effects);

/** D15: flushes after `lingerMs` without another batch. The records of a read under way may be the next one. */
export function flushWhenQuiet(state: DeliveryState, nowMs: number, effects: Effects) {
  if (state.occupation !== "idle" || state.held.length === 0 || state.isReading) return;
  const { lingerMs } = state.limits;
  const waitMs = Math.min(lingerMs, state.heldSinceMs + lingerMs - nowMs);
  if (waitMs <= 0) return flush(state, effects);
  if (state.flushTimerId !== undefined) return;
  state.timerId += 1;
  state.flushTimerId = state.timerId;
  effects.push({ type: "timer", timerId: state.timerId, purpose: "flush", delayMs: waitMs });
}
