/** The partition machine's appends: which batches are written together, and when (P2, P7), and their answers (P1, P4). */
import { isOfFormerLife, refuseFormerLife } from "./former_lives.ts";
import type { PartitionAnswer, ReplyTo } from "./partition.ts";
import {
  type ArrivedAppend,
  type Effects,
  isLeaving,
  moveEnd,
  notOwner,
  PARTITION_LIMITS,
  type PartitionEffect,
  type PartitionState,
  type PendingAppend,
  refuseAll,
  type Told,
  type WrittenBatch,
} from "./partition_messages.ts";
import { fullError } from "./partition_retention.ts";
import { clear, isRefused, isSuspect, refuseSuspect } from "./suspect_batches.ts";

export function queueAppends(
  state: PartitionState,
  { items, replyTo, arrivedMs }: ArrivedAppend,
  nowMs: number,
): Effects {
  const waiting = items.map(({ requestId, batch }): PendingAppend => ({ requestId, batch, replyTo, arrivedMs }));
  if (isLeaving(state)) return refuseAll(waiting, notOwner(state));
  if (state.fullBecauseOf !== undefined) return refuseAll(waiting, fullError(state, state.fullBecauseOf));
  const refused: PartitionEffect[] = [];
  for (const append of waiting) {
    if (isRefused(state, append.batch)) refused.push(refuseSuspect(state, append, append.batch));
    else if (isOfFormerLife(state, append.batch)) refused.push(refuseFormerLife(state, append, append.batch));
    else state.pending.push(append);
  }
  return [...refused, ...nextAppend(state, nowMs)];
}

/** P7: appends the waiting batches now, or at the next tick. */
export function nextAppend(state: PartitionState, nowMs: number): Effects {
  if (state.isGathering) return [];
  if (!shouldGather(state)) return appendGroup(state, nowMs);
  state.isGathering = true;
  const { gatherEveryMs } = PARTITION_LIMITS;
  return [{ type: "wait", delayMs: gatherEveryMs - (nowMs % gatherEveryMs), message: { type: "gathered" } }];
}

function shouldGather({ lastGroup, inFlight, pending }: PartitionState): boolean {
  if (lastGroup < PARTITION_LIMITS.gatherFromBatches || inFlight.length > 0 || pending.length === 0) return false;
  let sizeBytes = 0;
  for (const { batch } of pending) {
    sizeBytes += batch.events.byteLength;
    if (sizeBytes >= PARTITION_LIMITS.gatherBytesMax) return false;
  }
  return true;
}

/** P2: appends waiting batches, up to the limits of one call, if no append is in flight. */
export function appendGroup(state: PartitionState, nowMs: number): Effects {
  if (state.ownership === undefined || state.inFlight.length > 0 || state.pending.length === 0) return [];
  const { groupBytesMax, groupBatchesMax } = PARTITION_LIMITS;
  let sizeBytes = 0;
  let taken = 0;
  for (const { batch } of state.pending) {
    sizeBytes += batch.events.byteLength;
    const isAlone = isSuspect(state, batch);
    if (taken > 0 && (isAlone || sizeBytes > groupBytesMax || taken >= groupBatchesMax)) break;
    taken += 1;
    if (isAlone) break; // P11
  }
  state.stampedMs = Math.max(state.stampedMs, nowMs); // P13
  state.inFlight = state.pending.splice(0, taken).map((append) => stamped(append, state.stampedMs));
  state.lastGroup = taken;
  const batches = state.inFlight.map((append) => append.batch);
  return [{ type: "append", ownership: state.ownership, batches, arrivedMs: state.inFlight[0]?.arrivedMs }];
}

const stamped = (append: PendingAppend, appendedAtMs: number): PendingAppend => ({
  ...append,
  batch: { ...append.batch, appendedAtMs },
});

/** P1: answers the batches in flight as the log has judged them. */
export function settleAppends(state: PartitionState, { epoch, result }: Told<"appended">): Effects {
  const done = state.inFlight;
  state.inFlight = [];
  if (state.suspects.size > 0)
    clear(
      state,
      done.filter((_, index) => result.outcomes[index]?.kind !== "gap"),
    ); // P11
  const written: WrittenBatch[] = [];
  const answers = new Map<ReplyTo, PartitionAnswer[]>();
  for (const [index, { batch, requestId, replyTo }] of done.entries()) {
    const outcome = result.outcomes[index];
    if (outcome === undefined) continue;
    if (outcome.kind === "written") {
      written.push({ batch, firstOffset: outcome.firstOffset, count: outcome.count });
    }
    const gathered = answers.get(replyTo);
    const answer: PartitionAnswer = { kind: "appended", requestId, outcome };
    if (gathered === undefined) answers.set(replyTo, [answer]);
    else gathered.push(answer);
  }
  const sizeBytes = written.reduce((sum, { batch }) => sum + batch.events.byteLength, 0);
  moveEnd(state, "records", result.endOffset, sizeBytes);
  const replies = [...answers].map(([to, list]): PartitionEffect => ({ type: "reply", to, answers: list }));
  // P4 before P1: readers see a batch before its producer gets the ack.
  return [{ type: "committed", epoch, written, endOffset: result.endOffset }, ...replies];
}
