/** Moves the position of a delivery, and lets it read again from another one. Pure; part of the delivery machine. */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { DeliveryState } from "./delivery_messages.ts";

/** The sink stands at `position`, and holds nothing behind it. */
export function moveTo(state: DeliveryState, position: Position | undefined): void {
  state.occupation = "idle";
  state.position = position;
  forgetHeld(state);
  passed(state, position);
}

/** D14: the state that is stored for a restart is kept until the durable position has passed it. */
export function passed(state: DeliveryState, durable: Position | undefined): void {
  state.durable = durable;
  if (durable === undefined) return;
  forgetPassed(state.setAside, durable);
  forgetPassed(state.taken, durable);
  if (state.cut?.end !== undefined && comparePositions(durable, state.cut.end) >= 0) forgetCut(state);
}

/** The sink stands at another position than assumed: everything is read again from that position. */
export function adopt(state: DeliveryState, position: Position | undefined): void {
  forgetReadAhead(state);
  forgetHeld(state);
  state.hand = undefined;
  state.behind = [];
  state.problem = undefined;
  state.chainTarget = undefined; // the letters in hand are those of another batch from now on
  state.position = position;
  state.durable = position;
  state.cursor = position;
}

function forgetHeld(state: DeliveryState): void {
  state.held = [];
  state.heldBytes = 0;
  state.heldInputs = 0;
  state.flushTimerId = undefined;
}

export function forgetReadAhead(state: DeliveryState): void {
  state.buffer = [];
  state.bufferBytes = 0;
  state.readId += 1;
  state.isReading = false;
  state.hasMore = true;
  state.hasEnded = false;
  state.interruption = undefined;
}

/** Forgets the stored cut: its records are lost, or are in the sink. */
export function forgetCut(state: DeliveryState): void {
  state.cut = undefined;
  state.taken.clear();
}

function forgetPassed(triples: Map<string, Sequence>, position: Position): void {
  for (const [key, [term, at]] of triples) {
    if (term < position.epoch || (term === position.epoch && at <= position.offset)) triples.delete(key);
  }
}
