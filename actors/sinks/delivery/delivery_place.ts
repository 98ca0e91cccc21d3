/** Moves the position of a delivery, and lets it read again from another one. Pure; part of the delivery machine. */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { DeliveryState } from "./delivery_messages.ts";

export function moveTo(state: DeliveryState, position: Position | undefined): void {
  state.occupation = "idle";
  state.position = position;
  if (position === undefined) return;
  forgetPassed(state.setAside, position);
  forgetPassed(state.taken, position);
  if (state.cut?.end !== undefined && comparePositions(position, state.cut.end) >= 0) forgetCut(state);
}

/** The sink stands at another position than assumed: everything is read again from that position. */
export function adopt(state: DeliveryState, position: Position | undefined): void {
  forgetReadAhead(state);
  state.hand = undefined;
  state.behind = [];
  state.problem = undefined;
  state.position = position;
  state.cursor = position;
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
