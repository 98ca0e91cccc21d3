/**
 * Brings one partition's records to one sink. Decides what is read, written, repeated and set aside, and where delivery
 * stands. Leaves reading, steps, bytes and clocks to its actor.
 *
 *   D1. The sink is opened (fenced) and answers its position before any record is read or written (E14).
 *   D2. At most one write is in flight. Its predecessor is the position that the sink is known to hold, durable or not.
 *   D3. After a write whose outcome is unknown, the sink's position is asked before anything else (sink S4).
 *   D4. A record that is set aside lies in the dead letters before the sink's position moves past it (E16). The same
 *       append stores the triples of all records set aside beyond that position; a restart leaves out exactly those
 *       records.
 *   D5. Records go to the sink in offset order. Each record that no step filtered is in exactly one batch that was
 *       written, or is set aside. A batch that was not written is written again with the same end.
 *   D6. Records that the log no longer holds are reported, as `trimmed` or `truncated`, and never skipped in silence
 *       (E9).
 *   D7. After `fenced` nothing is written any more.
 *   D8. Records read ahead are bounded by `readAheadBytesMax` plus one read.
 *   D9. A delivery of a bounded range ends once the range was read to its end and none of its records is left in hand.
 *   D10. A record that a sink has taken stays taken: no later write of this life holds that record. The next write
 *       begins at the first record that was not taken.
 *   D11. The position moves over taken records before anything else is written. The position never moves over a record
 *       that was neither taken, nor filtered, nor set aside.
 *   D12. An operation that makes no step within its deadline is told to end. The sink is asked nothing else before that
 *       end (E28). Records that the operation took until then are taken.
 *   D13. Before a request is sent, its cut is stored: the end of the batch, the number of records that share a request,
 *       and the records taken out of order. Until the sink stands at that end, every batch is cut alike. A sink that
 *       posts each record by itself stores that once.
 *   D14. Progress follows the durable position (sink S10). A batch that the sink holds is reported as delivered, and what
 *       is stored for its records is forgotten, once the durable position has passed it.
 *   D15. What the sink holds is flushed: after `lingerMs` without another batch, at the limits of held records and bytes,
 *       at the end of a bounded range, and before a planned stop. A sink whose requests have keys is flushed before the
 *       next batch, as one cut is stored at a time (D13).
 *   D16. After an unknown outcome, or where it lost what it held, a sink that can hold batches is opened again. Delivery
 *       reads again from the durable position. The same follows where the log lost records that the sink holds.
 */
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import { lettersWithin, tracesInHand, tripleKey } from "./delivery_batch.ts";
import { cutHand, cutInForce, cutOf, isCutStored, isCutUnread, toSinkBatch } from "./delivery_cut.ts";
import { flush, flushWhenQuiet, mustFlush, onFlushed } from "./delivery_held.ts";
import type {
  DeadLetterDraft,
  DeliveryEffect,
  DeliveryLimits,
  DeliveryMessage,
  DeliveryState,
} from "./delivery_messages.ts";
import { onPositioned, onWrote } from "./delivery_outcome.ts";
import { moveTo } from "./delivery_place.ts";
import { isInterrupted, onInterruption, onReadFailed, onRecords, readAhead } from "./delivery_read_ahead.ts";
import { complete, end, occupy, onFailed, onOverdue, onStop, onTimer } from "./delivery_retry.ts";

type Effects = DeliveryEffect[];

export function createDelivery(limits: DeliveryLimits, start: "earliest" | "latest"): DeliveryState {
  return {
    limits,
    start,
    occupation: "new",
    retry: undefined,
    isPaused: false,
    isStopping: false,
    position: undefined,
    durable: undefined,
    canHold: false,
    held: [],
    heldBytes: 0,
    heldInputs: 0,
    heldSinceMs: 0,
    flushTimerId: undefined,
    cursor: undefined,
    chain: { isOpen: false, last: undefined },
    chainTarget: undefined,
    lettersInAppend: 0,
    setAside: new Map(),
    cut: undefined,
    taken: new Map(),
    buffer: [],
    bufferBytes: 0,
    bufferedSinceMs: 0,
    hand: undefined,
    behind: [],
    problem: undefined,
    failures: 0,
    readFailures: 0,
    readId: 0,
    isReading: false,
    isReadWaiting: false,
    readBeganMs: Number.NEGATIVE_INFINITY,
    hasMore: true,
    hasEnded: false,
    isCompleting: false,
    timerId: 0,
    lingerTimerId: undefined,
    interruption: undefined,
  };
}

export function stepDelivery(
  state: DeliveryState,
  message: DeliveryMessage,
  nowMs: number,
): readonly [DeliveryState, readonly DeliveryEffect[]] {
  const effects: Effects = [];
  // D7: a delivery that has ended ignores every message.
  if (state.occupation === "closed") return [state, effects];
  if (state.occupation === "closing" && message.type !== "closed" && message.type !== "failed") return [state, effects];
  handle(state, message, nowMs, effects);
  proceed(state, nowMs, effects);
  return [state, effects];
}

function handle(state: DeliveryState, message: DeliveryMessage, nowMs: number, effects: Effects) {
  switch (message.type) {
    case "begin":
      if (state.occupation === "new") occupy(state, "opening", { type: "open" }, effects);
      return;
    case "opened":
      return onOpened(state, message, effects);
    case "advanced":
      state.hasMore = true;
      return;
    case "read_records":
      return onRecords(state, message, nowMs);
    case "read_trimmed":
    case "read_truncated":
      if (message.readId !== state.readId) return;
      state.isReading = false;
      state.interruption = message;
      return;
    case "read_failed":
      return onReadFailed(state, message, effects);
    case "wrote":
      return onWrote(state, message, nowMs, effects);
    case "cut_stored":
      return onCutStored(state);
    case "positioned":
      return onPositioned(state, message.position, nowMs, effects);
    case "flushed":
      return onFlushed(state, message, effects);
    case "chain_opened":
      return onChainOpened(state, message.last, effects);
    case "dead_letters_stored":
      return onSetAside(state, effects);
    case "rewound":
      moveTo(state, message.to);
      state.cursor = message.to;
      return;
    case "failed":
      return onFailed(state, message, effects);
    case "overdue":
      return onOverdue(state, message.overdueMs, effects);
    case "fenced":
      return end(state, { kind: "fenced", fence: message.fence }, effects);
    case "timer":
      return onTimer(state, message, effects);
    case "pause":
      state.isPaused = true;
      return;
    case "resume":
      state.isPaused = false;
      return;
    case "stop":
      return onStop(state, effects);
    case "closed":
      state.occupation = "closed";
      if (state.isCompleting) effects.push({ type: "report", report: { kind: "completed" } });
      return;
  }
}

/** Begins whatever can be done: at most one operation on the sink, one read, and a timer for each wait. */
function proceed(state: DeliveryState, nowMs: number, effects: Effects) {
  if (state.occupation === "idle") advance(state, nowMs, effects);
  readAhead(state, nowMs, effects);
  flushWhenQuiet(state, nowMs, effects);
}

function advance(state: DeliveryState, nowMs: number, effects: Effects) {
  const isDone = isComplete(state);
  if (mustFlush(state, state.isStopping || isDone)) return flush(state, effects);
  if (state.isStopping) return end(state, { kind: "stopped" }, effects);
  if (isDone) return complete(state, effects);
  if (state.isPaused) return;
  if (isInterrupted(state)) onInterruption(state, effects);
  else advanceHand(state, nowMs, effects);
}

/** D9 */
const isComplete = ({ hasEnded, buffer, hand, interruption }: DeliveryState): boolean =>
  hasEnded && buffer.length === 0 && hand === undefined && interruption === undefined;

function advanceHand(state: DeliveryState, nowMs: number, effects: Effects) {
  if (state.hand === undefined) {
    if (state.buffer.length === 0 || isCutUnread(state) || linger(state, nowMs, effects)) return;
    cutHand(state, nowMs);
  }
  const hand = state.hand;
  if (hand === undefined) return;
  if (!isCutStored(state, hand)) {
    occupy(state, "cutting", { type: "store_cut", cut: cutOf(state, hand) }, effects); // D13
  } else if (hand.drafts.length === 0) {
    occupy(state, "writing", { type: "write", batch: toSinkBatch(state, hand) }, effects); // D2
  } else if (!state.chain.isOpen) {
    occupy(state, "opening_chain", { type: "open_chain" }, effects);
  } else {
    setAside(state, lettersWithin(hand, state.limits), effects);
  }
}

/** D4: one append holds letters, and all triples set aside beyond the sink's position. */
function setAside(state: DeliveryState, letters: readonly DeadLetterDraft[], effects: Effects) {
  const triples = [...state.setAside.values(), ...letters.map(({ triple }) => triple)].sort(compareSequences);
  const number = (state.chain.last?.[1] ?? 0) + 1;
  state.chainTarget = [0, number + letters.length - 1, 0];
  state.lettersInAppend = letters.length;
  const first: Sequence = [0, number, 0];
  const effect = {
    type: "append_dead_letters",
    letters,
    previous: state.chain.last,
    first,
    setAside: triples,
  } as const;
  occupy(state, "setting_aside", effect, effects);
}

function onCutStored(state: DeliveryState) {
  state.occupation = "idle";
  state.failures = 0;
  const { hand } = state;
  if (hand === undefined) return;
  state.cut = cutOf(state, hand);
  state.taken = new Map(hand.takenBeyond.map((triple) => [tripleKey(triple), triple]));
}

function onChainOpened(state: DeliveryState, last: Sequence | undefined, effects: Effects) {
  state.occupation = "idle";
  state.chain = { isOpen: true, last };
  // Only this owner writes to the chain: an append whose answer was lost has reached it after all.
  if (state.chainTarget !== undefined && compareSequences(last, state.chainTarget) >= 0) onSetAside(state, effects);
}

function onSetAside(state: DeliveryState, effects: Effects) {
  state.occupation = "idle";
  state.failures = 0;
  state.chain = { isOpen: true, last: state.chainTarget };
  state.chainTarget = undefined;
  const letters = state.hand?.drafts.slice(0, state.lettersInAppend) ?? [];
  if (state.hand !== undefined) state.hand.drafts = state.hand.drafts.slice(state.lettersInAppend);
  for (const { triple } of letters) state.setAside.set(tripleKey(triple), triple);
  const report = { kind: "dead_lettered", letters, ...tracesInHand(state.hand, letters) } as const;
  effects.push({ type: "report", report });
}

/** Whether the next batch is waited for to fill. */
function linger(state: DeliveryState, nowMs: number, effects: Effects): boolean {
  const waitMs = lingerLeftMs(state, nowMs);
  if (waitMs <= 0) return false;
  if (state.lingerTimerId !== undefined) return true;
  state.timerId += 1;
  state.lingerTimerId = state.timerId;
  effects.push({ type: "timer", timerId: state.timerId, purpose: "linger", delayMs: waitMs });
  return true;
}

/** 0 once no more records are to be expected: the batch is full, nothing more is read ahead (D8), or the input ends. */
function lingerLeftMs(state: DeliveryState, nowMs: number): number {
  const { recordsMax, bytesMax, lingerMs, readAheadBytesMax } = state.limits;
  const isFull = state.buffer.length >= recordsMax || state.bufferBytes >= Math.min(bytesMax, readAheadBytesMax);
  if (isFull || state.hasEnded || state.interruption !== undefined) return 0;
  return Math.min(lingerMs, state.bufferedSinceMs + lingerMs - nowMs);
}

type Opened = Extract<DeliveryMessage, { type: "opened" }>;

function onOpened(state: DeliveryState, message: Opened, effects: Effects) {
  state.failures = 0;
  state.setAside = new Map(message.setAside.map((sequence) => [tripleKey(sequence), sequence]));
  state.cut = cutInForce(message.cut, message.reach, state.limits.recordsPerRequest);
  state.taken = new Map(state.cut?.taken.map((sequence) => [tripleKey(sequence), sequence]) ?? []);
  state.canHold = message.canHold === true;
  moveTo(state, message.position);
  state.cursor = message.position;
  effects.push({ type: "report", report: { kind: "opened", position: message.position } });
  if (message.position !== undefined || state.start === "earliest" || message.latest === undefined) return;
  // A new sink that begins at the latest record stores that position: otherwise a restart would begin at a later one.
  state.cursor = message.latest;
  const nothing = { items: [], records: [], drafts: [], takenBeyond: [] };
  state.hand = { ...nothing, end: message.latest, recordsPerRequest: 1, rejections: 0, takenCount: 0 };
}
