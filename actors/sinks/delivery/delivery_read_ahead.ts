/**
 * Decides when records are read ahead, and what follows a read that brought records, failed or met a loss. Pure; part of
 * the delivery machine, whose rules it cites.
 */
import { comparePositions } from "../../../protocols/position.ts";
import { retryDelayMs } from "./delivery_batch.ts";
import { isCutUnread } from "./delivery_cut.ts";
import { openAgain } from "./delivery_held.ts";
import type { DeliveryEffect, DeliveryMessage, DeliveryState, Occupation } from "./delivery_messages.ts";
import { forgetCut, forgetReadAhead } from "./delivery_place.ts";
import { occupy } from "./delivery_retry.ts";

type Effects = DeliveryEffect[];

const NOT_READING: ReadonlySet<Occupation> = new Set(["new", "opening", "rewinding", "closing", "closed"]);

/** Begins the next read, if there is something to read and room for it. */
export function readAhead(state: DeliveryState, nowMs: number, effects: Effects) {
  if (!canRead(state)) return;
  const { gatherMs } = state.limits;
  const waitMs = Math.min(gatherMs, state.readBeganMs + gatherMs - nowMs);
  if (waitMs > 0) {
    state.isReadWaiting = true;
    effects.push({ type: "timer", timerId: 0, purpose: "read", delayMs: waitMs });
    return;
  }
  state.isReading = true;
  state.hasMore = false;
  state.readBeganMs = nowMs;
  state.readId += 1;
  effects.push({ type: "read", readId: state.readId, after: state.cursor });
}

function canRead(state: DeliveryState): boolean {
  if (state.isReading || state.isReadWaiting || !state.hasMore || state.isPaused || state.isStopping) return false;
  if (state.interruption !== undefined) return false;
  // D8. A batch that was cut in an earlier life had room in memory then, so it has room now.
  if (state.bufferBytes >= state.limits.readAheadBytesMax && !isCutUnread(state)) return false;
  if (NOT_READING.has(state.occupation)) return false;
  return state.retry?.then !== "open" && state.retry?.then !== "rewind";
}

type ReadRecords = Extract<DeliveryMessage, { type: "read_records" }>;

export function onRecords(state: DeliveryState, message: ReadRecords, nowMs: number) {
  if (message.readId !== state.readId) return;
  state.isReading = false;
  state.readFailures = 0;
  state.hasEnded = message.isEnd === true;
  const last = message.items.at(-1);
  if (message.isAtEnd !== true) state.readBeganMs = Number.NEGATIVE_INFINITY; // a delivery that lags does not pause
  if (last === undefined) return;
  if (message.isAtEnd !== true) state.hasMore = true;
  if (state.buffer.length === 0) state.bufferedSinceMs = nowMs;
  for (const item of message.items) {
    state.buffer.push(item);
    state.bufferBytes += item.sizeBytes;
  }
  state.cursor = last.position;
}

type ReadFailed = Extract<DeliveryMessage, { type: "read_failed" }>;

export function onReadFailed(state: DeliveryState, message: ReadFailed, effects: Effects) {
  if (message.readId !== state.readId) return;
  state.isReading = false;
  state.hasMore = true;
  state.isReadWaiting = true;
  state.readFailures += 1;
  const delayMs = retryDelayMs(state.limits, state.readFailures, undefined, message.random);
  effects.push({ type: "report", report: { kind: "retry", what: "read", reason: message.reason, delayMs } });
  effects.push({ type: "timer", timerId: 0, purpose: "read", delayMs });
}

/** Whether a loss is due: every record that was read before it is out of hand. */
export const isInterrupted = ({ interruption, hand, buffer }: DeliveryState): boolean =>
  interruption !== undefined && hand === undefined && (buffer.length === 0 || interruption.type === "read_truncated");

/** D6 */
export function onInterruption(state: DeliveryState, effects: Effects) {
  const found = state.interruption;
  if (found === undefined) return;
  forgetReadAhead(state);
  if (found.type === "read_trimmed") {
    const after = state.position?.offset;
    effects.push({ type: "report", report: { kind: "trimmed", after, firstOffset: found.firstOffset } });
    state.cursor = found.resume;
    return;
  }
  const isAhead = comparePositions(state.durable, found.resume) > 0;
  const report = { kind: "truncated", position: state.durable, divergence: found.divergence, isAhead } as const;
  if (comparePositions(state.position, state.durable) > 0 && comparePositions(state.position, found.resume) > 0) {
    // D16: the lost records that the sink holds are never made durable. Others are found again by the next read.
    if (!isAhead) effects.push({ type: "report", report });
    return openAgain(state, effects);
  }
  forgetCut(state);
  state.cursor = found.resume;
  effects.push({ type: "report", report });
  if (!isAhead || !found.canRewind) return;
  occupy(state, "rewinding", { type: "rewind", to: found.resume, from: state.position }, effects);
}
