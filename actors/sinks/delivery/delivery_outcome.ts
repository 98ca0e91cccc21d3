/** Decides the next step after the answer to a write. Pure; part of the delivery machine, whose rules it cites. */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import type { Rejection, SinkRecord, TakenOutcome, WriteProblem } from "../sink.ts";
import { tripleOf } from "./delivery_batch.ts";
import { toSinkBatch } from "./delivery_cut.ts";
import { hold, isWithin, lose, settle } from "./delivery_held.ts";
import type { DeadLetterDraft, DeliveryEffect, DeliveryMessage, DeliveryState, Hand } from "./delivery_messages.ts";
import { adopt } from "./delivery_place.ts";
import { end, occupy, wait } from "./delivery_retry.ts";

type Effects = DeliveryEffect[];
type Wrote = Extract<DeliveryMessage, { type: "wrote" }>;

export function onWrote(state: DeliveryState, { outcome, random }: Wrote, nowMs: number, effects: Effects) {
  switch (outcome.kind) {
    case "written":
    case "duplicate":
      return onPassed(state, state.hand?.end, nowMs, effects);
    case "held": {
      const { hand } = state;
      if (hand !== undefined && !isWithin(state, outcome.durable, hand.end))
        return lose(state, outcome.durable, random, effects);
      return onPassed(state, outcome.durable, nowMs, effects);
    }
    case "fenced":
      return end(state, { kind: "fenced", fence: outcome.fence }, effects);
    case "misplaced":
      effects.push({ type: "report", report: { kind: "misplaced", from: state.position, to: outcome.position } });
      adopt(state, outcome.position);
      return wait(state, "ask", "the sink stood at another position", undefined, random, effects);
    case "rejected":
      return onRejected(state, outcome.records, random, effects);
    case "taken":
      return onTaken(state, outcome, random, effects);
  }
}

export function onPositioned(state: DeliveryState, position: Position | undefined, nowMs: number, effects: Effects) {
  state.occupation = "idle";
  const hand = state.hand;
  if (hand !== undefined && comparePositions(position, hand.end) === 0)
    return onPassed(state, position, nowMs, effects);
  if (comparePositions(position, state.position) === 0) return;
  effects.push({ type: "report", report: { kind: "misplaced", from: state.position, to: position } });
  adopt(state, position);
}

/** The sink has taken the batch in hand, and has made everything up to `durable` durable. */
function onPassed(state: DeliveryState, durable: Position | undefined, nowMs: number, effects: Effects) {
  const hand = state.hand;
  state.occupation = "idle";
  state.failures = 0;
  if (hand === undefined) return;
  const { problem } = state;
  state.hand = state.behind.shift();
  state.problem = undefined;
  hold(state, hand, nowMs);
  settle(state, durable, effects);
  if (problem !== undefined) onProblem(state, problem.why, problem.random, effects);
}

/** D10, D11: the position moves over the taken records first; then the problem that ended the write is handled. */
function onTaken(state: DeliveryState, outcome: TakenOutcome, random: number, effects: Effects) {
  const hand = state.hand;
  state.occupation = "idle";
  if (hand === undefined) return;
  const { left, taken, indexes } = leftOf(hand.records, outcome);
  const why = outcome.problem === undefined ? undefined : reindexed(outcome.problem, indexes);
  if (taken.length > 0) {
    state.failures = 0;
    hand.rejections = 0;
  }
  hand.records = left;
  hand.takenCount += taken.length;
  if (outcome.beyond !== undefined && outcome.beyond.length > 0)
    hand.takenBeyond = [...hand.takenBeyond, ...taken.map(tripleOf)];
  // Records taken out of order are stored before the position moves into the middle of their request (D13).
  else if (taken.length > 0 && moveOver(state, hand, why, random, effects)) return;
  if (why !== undefined) return onProblem(state, why, random, effects);
  if (taken.length === 0) wait(state, "ask", "the sink took no record and gave no reason", undefined, random, effects);
}

function leftOf(records: readonly SinkRecord[], { count, beyond = [] }: TakenOutcome) {
  const isTaken = new Set(beyond);
  const left: SinkRecord[] = [];
  const taken: SinkRecord[] = [];
  const indexes = new Map<number, number>();
  for (const [at, record] of records.entries()) {
    if (at < count || isTaken.has(at)) taken.push(record);
    else {
      indexes.set(at, left.length);
      left.push(record);
    }
  }
  return { left, taken, indexes };
}

function reindexed(problem: WriteProblem, indexes: ReadonlyMap<number, number>): WriteProblem {
  if (problem.kind !== "rejected") return problem;
  const records = problem.records.flatMap((one) => {
    const at = indexes.get(one.at);
    return at === undefined ? [] : [{ ...one, at }];
  });
  return { kind: "rejected", records };
}

/** Moves the position over the items that are done. False if none is, or if only the position is missing. */
function moveOver(
  state: DeliveryState,
  hand: Hand,
  why: WriteProblem | undefined,
  random: number,
  effects: Effects,
): boolean {
  const open = hand.records[0]?.position;
  // All records are taken. Only their position is missing, as it could not be stored.
  if (open === undefined && why !== undefined) return false;
  const count = open === undefined ? hand.items.length : countBefore(hand, open);
  const last = hand.items[count - 1];
  if (last === undefined) return false;
  if (open !== undefined) state.behind.unshift({ ...hand, items: hand.items.slice(count), takenCount: 0 });
  state.hand = { ...hand, items: hand.items.slice(0, count), records: [], end: last.position, takenBeyond: [] };
  state.problem = why === undefined ? undefined : { why, random };
  occupy(state, "writing", { type: "write", batch: toSinkBatch(state, state.hand) }, effects); // D2
  return true;
}

function countBefore({ items }: Hand, open: Position): number {
  const at = items.findIndex(({ position }) => comparePositions(position, open) >= 0);
  return at < 0 ? items.length : at;
}

function onProblem(state: DeliveryState, why: WriteProblem, random: number, effects: Effects) {
  switch (why.kind) {
    case "unavailable": {
      // Once no record is left to write, only the position is missing, and may have been stored all the same. A sink that
      // holds batches is not asked, as it would be opened again (D16): the batch without records is written again.
      const next = state.hand?.records.length === 0 && !state.canHold ? "ask" : "write";
      return wait(state, next, why.reason, why.retryAfterMs, random, effects);
    }
    case "unwelcome":
      return wait(state, "write", why.reason, why.retryAfterMs, random, effects, true);
    case "rejected":
      return onRejected(state, why.records, random, effects);
    case "refused_together":
      return sendOneByOne(state, why.count);
  }
}

/** Finds the records at fault in a refused request: they go one by one, in a batch of their own. */
function sendOneByOne(state: DeliveryState, count: number) {
  const hand = state.hand;
  const last = hand?.records[count - 1];
  if (hand === undefined || last === undefined) return;
  const items = hand.items.filter(({ position }) => comparePositions(position, last.position) <= 0);
  const after = hand.items.slice(items.length);
  const isAfter = ({ position }: SinkRecord) => comparePositions(position, last.position) > 0;
  if (after.length > 0) {
    const records = hand.records.filter(isAfter);
    state.behind.unshift({ ...hand, items: after, records, takenCount: 0, takenBeyond: [] });
  }
  const records = hand.records.filter((record) => !isAfter(record));
  state.hand = { ...hand, items, records, end: last.position, recordsPerRequest: 1 };
}

function onRejected(state: DeliveryState, rejections: readonly Rejection[], random: number, effects: Effects) {
  const hand = state.hand;
  const named = rejections.filter(({ at }) => hand?.records[at] !== undefined);
  if (hand === undefined || named.length === 0) {
    return wait(state, "ask", "the sink rejected a batch and named none of its records", undefined, random, effects);
  }
  const final = named.filter(({ isFinal }) => isFinal === true);
  if (final.length > 0) return draftLetters(state, hand, final);
  hand.rejections += 1;
  const reason = `rejected ${named.length} records: ${named[0]?.reason}`;
  if (hand.rejections < state.limits.rejectTriesMax) return wait(state, "write", reason, undefined, random, effects);
  draftLetters(state, hand, named);
}

function draftLetters(state: DeliveryState, hand: Hand, rejections: readonly Rejection[]) {
  const drafts = new Map<number, DeadLetterDraft>();
  for (const { at, code, path = "", reason } of rejections) {
    const record = hand.records[at];
    if (record === undefined) continue;
    const { event, origin } = record;
    const draft = { triple: tripleOf(record), code, path, reason, event };
    drafts.set(at, origin === undefined ? draft : { ...draft, origin });
  }
  hand.drafts = [...drafts.keys()].sort((left, right) => left - right).flatMap((at) => drafts.get(at) ?? []);
  hand.records = hand.records.filter((_record, at) => !drafts.has(at));
  hand.rejections = 0;
  state.failures = 0;
  state.occupation = "idle";
}
