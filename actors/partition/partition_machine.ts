/**
 * Owns one partition's right to append. Decides which batches are written next, which are acknowledged, when to claim
 * again, and what retention may take. Leaves bytes and chains to the log, and placement to the coordinator.
 *   P1. An append is answered only after the log has answered it.
 *   P2. At most one append is in flight. Batches that arrive meanwhile join the next one (group commit).
 *   P3. After an unknown or fenced outcome, the partition claims before it writes again. The batches in flight then go
 *       first, and the log's chains tell which of them were written (E8).
 *   P4. The committed offset moves only by answers of the log (E10).
 *   P5. Retention takes no record that a known consumer has not handled, unless the stream's `onFull` is `trim`. A consumer
 *       that has not reported yet needs everything.
 *   P6. A partition whose claim was refused for a higher grant stands down: all waiting requests get `NOT_OWNER`.
 *   P7. While groups are large, a small one waits for the next tick of a clock that all partitions share. Their appends then
 *       leave in one write, and so do their answers.
 *   P8. A partition that is handed over refuses new requests and answers the append in flight. It then tells that it is
 *       handed over, so that no append runs when the next owner claims. Unanswered requests get `NOT_OWNER`.
 *   P9. A partition that is expected here keeps requests until it is granted: a producer may learn of the move before the
 *       grant arrives.
 *   P10. Once a later life of a producer has opened its chain, batches of a former life are refused. The log's own fence
 *       may be lost with a tail, and the later life would take the former's events for its own (E1).
 *   P11. An append that fails by a bug of this program is tried again batch by batch. The batch that fails alone is refused
 *       (`INVARIANT_VIOLATED`), also when it comes again, and the others are written (E25).
 */
import { backoffMs } from "../../protocols/clock.ts";
import { FencedError, type HeadraceError, InvariantError, UnavailableError } from "../../protocols/errors.ts";
import { type Epoch, epoch, partitionName } from "../../protocols/position.ts";
import { EMPTY_BOUNDS, trimBounds } from "../log/bounds.ts";
import type { AppendBatch, AppendResult, Claim, Grant, Ownership } from "../log/log.ts";
import { isOfFormerLife, refuseFormerLife, refuseFormerLives, supersede } from "./former_lives.ts";
import type { PartitionAnswer, ReplyTo } from "./partition.ts";
import {
  type ArrivedAppend,
  moveEnd,
  PARTITION_LIMITS,
  type PartitionEffect,
  type PartitionMessage,
  type PartitionResult,
  type PartitionState,
  type PendingAppend,
  type PendingChain,
  reply,
  type Waiting,
  type WrittenBatch,
} from "./partition_messages.ts";
import { fullError, sweep, trimEffects } from "./partition_retention.ts";
import { clear, isRefused, isSuspect, refuseSuspect, suspect } from "./suspect_batches.ts";

/** Steps the machine: updates the state in place, and returns the effects in their order. */
export function stepPartition(state: PartitionState, message: PartitionMessage, nowMs: number): PartitionResult {
  switch (message.type) {
    case "start":
      return [
        state,
        [...claim(state), { type: "wait", delayMs: PARTITION_LIMITS.sweepEveryMs, message: { type: "sweep_due" } }],
      ];
    case "granted":
      return granted(state, message.grant);
    case "hand_over":
      return handOver(state);
    case "claim_due":
    case "store_answers":
      return [state, claim(state)];
    case "claimed":
      return claimed(state, message.claim, nowMs);
    case "claim_failed":
      return claimFailed(state, message.error);
    case "append":
      return queueAppends(state, message, nowMs);
    case "gathered":
      state.isGathering = false;
      return [state, appendGroup(state)];
    case "open_chain":
    case "declare_lost":
      return queueChainCall(state, message);
    case "appended":
      return appended(state, message.epoch, message.result, nowMs);
    case "append_failed":
      if (isLastAppend(state, message.epoch)) return handedOver(state);
      if (message.error instanceof InvariantError) suspect(state.suspects, batchesOf(state.inFlight));
      return isCurrent(state, message.epoch) ? doubt(state, message.error) : [state, []];
    case "ownership_doubted":
      return isCurrent(state, message.epoch) ? doubt(state, message.error) : [state, []];
    case "chain_answered":
      return [state, [...supersede(state, message), reply(message.call, message.answer)]];
    case "chain_failed":
      return chainFailed(state, message);
    case "fence_seen":
      return fenceSeen(state, message.epoch);
    case "consumer_at":
      if (message.epoch === undefined || isCurrent(state, message.epoch)) {
        state.consumers.set(message.consumer, { channel: message.channel, offset: message.offset });
      }
      return [state, []];
    case "channel_advanced":
      if (isCurrent(state, message.epoch)) moveEnd(state, message.channel, message.endOffset);
      return [state, []];
    case "sweep_due":
      return sweep(state, nowMs);
    case "aged":
      return [state, trimEffects(state, message.channel, message.beforeOffset)];
    case "trimmed":
      if (isCurrent(state, message.epoch)) {
        const known = state.channels.get(message.channel) ?? EMPTY_BOUNDS;
        state.channels.set(message.channel, trimBounds(known, message.bounds));
      }
      return [state, []];
  }
}

// Claiming ------------------------------------------------------------------------------------------------------------

/** Begins a claim where none is under way: a second claim would make the first one's epoch stale. */
function claim(state: PartitionState): readonly PartitionEffect[] {
  const { phase, grant, claimAtLeast: atLeast } = state;
  if (phase !== "claiming" || grant === undefined || state.isAsking) return [];
  state.isAsking = true;
  return [{ type: "claim", grant, atLeast }];
}

/** P9. A repeated grant, or one for a partition that is being handed over, changes nothing. */
function granted(state: PartitionState, grant: Grant): PartitionResult {
  if (state.phase !== "expecting") return [state, []];
  state.phase = "claiming";
  state.grant = grant;
  return [state, claim(state)];
}

const isCurrent = (state: PartitionState, ofEpoch: Epoch): boolean =>
  state.phase === "owning" && state.ownership?.epoch === ofEpoch;

/** P8: whether the answer is to the append that a handover waits for. */
const isLastAppend = (state: PartitionState, ofEpoch: Epoch): boolean =>
  state.phase === "handing_over" && state.ownership?.epoch === ofEpoch;

/** Whether the partition refuses new requests. */
const isLeaving = ({ phase }: PartitionState): boolean => phase === "handing_over" || phase === "stood_down";

function claimed(state: PartitionState, claim: Claim, nowMs: number): PartitionResult {
  state.isAsking = false;
  if (state.phase !== "claiming") return [state, []];
  state.phase = "owning";
  state.claimAttempts = 0;
  state.ownership = claim.ownership;
  state.channels.clear();
  state.consumers.clear(); // P5: records that they handled may have been lost with a tail; each consumer reports again.
  for (const [channel, bounds] of claim.channels) state.channels.set(channel, bounds);
  return [state, [{ type: "owned", claim }, ...dueCalls(state), ...nextAppend(state, nowMs)]];
}

function claimFailed(state: PartitionState, error: HeadraceError): PartitionResult {
  state.isAsking = false;
  if (state.phase !== "claiming") return [state, []];
  if (error instanceof FencedError) return standDown(state, error);
  const { claimRetryFirstMs, claimRetryMaxMs } = PARTITION_LIMITS;
  const delayMs = backoffMs(state.claimAttempts++, claimRetryFirstMs, claimRetryMaxMs);
  return [
    state,
    [
      { type: "blocked", error },
      { type: "wait", delayMs, message: { type: "claim_due" } },
    ],
  ];
}

/** P3: ends the ownership and claims again. The batches in flight go first under the next epoch. */
function doubt(state: PartitionState, error: HeadraceError): PartitionResult {
  state.phase = "claiming";
  state.ownership = undefined;
  state.pending.unshift(...state.inFlight);
  state.inFlight = [];
  const refused = [...refuseSuspects(state), ...refuseFormerLives(state)];
  return [state, [{ type: "disowned", error, isFinal: false }, ...refused, ...claim(state)]];
}

function fenceSeen(state: PartitionState, seen: Epoch): PartitionResult {
  state.claimAtLeast = epoch(Math.max(state.claimAtLeast, seen + 1));
  if (state.ownership === undefined || state.ownership.epoch > seen) return [state, []];
  return doubt(
    state,
    new FencedError(
      "STALE_EPOCH",
      `Cannot deliver from ${partitionName(state.partition)} as the epoch must be above the sink's ${seen}: current value is ${state.ownership.epoch}`,
    ),
  );
}

function standDown(state: PartitionState, error: HeadraceError): PartitionResult {
  state.phase = "stood_down";
  state.ownership = undefined;
  const waiting = [...state.inFlight, ...state.pending, ...state.chainCalls];
  state.inFlight = [];
  state.pending.length = 0;
  state.chainCalls.length = 0;
  return [state, [{ type: "disowned", error, isFinal: true }, ...refuseAll(waiting, notOwner(state))]];
}

/** P8: refuses waiting requests, and waits for the append in flight. */
function handOver(state: PartitionState): PartitionResult {
  if (state.phase === "handing_over" || state.phase === "stood_down") return [state, []];
  const isWriting = state.phase === "owning" && state.inFlight.length > 0;
  state.phase = "handing_over";
  if (!isWriting) return handedOver(state);
  const refused = [...state.pending.splice(0), ...state.chainCalls.splice(0)];
  return [state, refuseAll(refused, notOwner(state))];
}

function handedOver(state: PartitionState): PartitionResult {
  const [, effects] = standDown(state, notOwner(state));
  return [state, [...effects, { type: "handed_over" }]];
}

const notOwner = (state: PartitionState): HeadraceError =>
  new FencedError(
    "NOT_OWNER",
    `Cannot append to ${partitionName(state.partition)} as this node must own it: another node does now`,
  );

// Chains --------------------------------------------------------------------------------------------------------------

function queueChainCall(state: PartitionState, request: PendingChain["request"]): PartitionResult {
  const call: PendingChain = { requestId: request.requestId, replyTo: request.replyTo, request };
  if (isLeaving(state)) return [state, refuseAll([call], notOwner(state))];
  if (isOfFormerLife(state, request)) return [state, [refuseFormerLife(state, call, request)]];
  state.chainCalls.push(call);
  return [state, dueCalls(state)];
}

/** A chain call waits for the appends that its asker sent before: `opened` must not overtake an ack (E4). */
function dueCalls(state: PartitionState): readonly PartitionEffect[] {
  const { ownership } = state;
  if (ownership === undefined || state.chainCalls.length === 0) return [];
  const waiting = new Set([...state.inFlight, ...state.pending].map(({ replyTo }) => replyTo));
  const due = state.chainCalls.filter(({ replyTo }) => !waiting.has(replyTo));
  const later = state.chainCalls.filter(({ replyTo }) => waiting.has(replyTo));
  state.chainCalls.splice(0, state.chainCalls.length, ...later);
  return due.map((call) => callEffect(ownership, call));
}

const callEffect = (ownership: Ownership, call: PendingChain): PartitionEffect => ({
  type: "call_chain",
  ownership,
  call,
});

function chainFailed(
  state: PartitionState,
  message: Extract<PartitionMessage, { type: "chain_failed" }>,
): PartitionResult {
  if (isLeaving(state)) return [state, refuseAll([message.call], notOwner(state))];
  if (state.phase === "owning" && !isCurrent(state, message.epoch)) return queueChainCall(state, message.call.request);
  state.chainCalls.push(message.call);
  return isCurrent(state, message.epoch) ? doubt(state, message.error) : [state, []];
}

// Appends -------------------------------------------------------------------------------------------------------------

function queueAppends(
  state: PartitionState,
  { items, replyTo, arrivedMs }: ArrivedAppend,
  nowMs: number,
): PartitionResult {
  const waiting = items.map(({ requestId, batch }): PendingAppend => ({ requestId, batch, replyTo, arrivedMs }));
  if (isLeaving(state)) return [state, refuseAll(waiting, notOwner(state))];
  if (state.fullBecauseOf !== undefined) return [state, refuseAll(waiting, fullError(state, state.fullBecauseOf))];
  const refused: PartitionEffect[] = [];
  for (const append of waiting) {
    if (isRefused(state, append.batch)) refused.push(refuseSuspect(state, append, append.batch));
    else if (isOfFormerLife(state, append.batch)) refused.push(refuseFormerLife(state, append, append.batch));
    else state.pending.push(append);
  }
  return [state, [...refused, ...nextAppend(state, nowMs)]];
}

/** P7: appends the waiting batches now, or at the next tick. */
function nextAppend(state: PartitionState, nowMs: number): readonly PartitionEffect[] {
  if (state.isGathering) return [];
  if (!shouldGather(state)) return appendGroup(state);
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
function appendGroup(state: PartitionState): readonly PartitionEffect[] {
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
  state.inFlight = state.pending.splice(0, taken);
  state.lastGroup = taken;
  const batches = state.inFlight.map((append) => append.batch);
  return [{ type: "append", ownership: state.ownership, batches, arrivedMs: state.inFlight[0]?.arrivedMs }];
}

function appended(state: PartitionState, ofEpoch: Epoch, result: AppendResult, nowMs: number): PartitionResult {
  const isLast = isLastAppend(state, ofEpoch);
  if (!isLast && !isCurrent(state, ofEpoch)) return [state, []]; // P3: the batches go again under the next epoch
  const done = state.inFlight;
  state.inFlight = [];
  clear(state, batchesOf(done.filter((_, index) => result.outcomes[index]?.kind !== "gap")));
  const written: WrittenBatch[] = [];
  const answers = new Map<ReplyTo, PartitionAnswer[]>();
  for (const [index, append] of done.entries()) {
    const outcome = result.outcomes[index];
    if (outcome === undefined) continue;
    if (outcome.kind === "written") {
      written.push({ batch: append.batch, firstOffset: outcome.firstOffset, count: outcome.count });
    }
    const gathered = answers.get(append.replyTo);
    const answer: PartitionAnswer = { kind: "appended", requestId: append.requestId, outcome };
    if (gathered === undefined) answers.set(append.replyTo, [answer]);
    else gathered.push(answer);
  }
  const sizeBytes = written.reduce((sum, { batch }) => sum + batch.events.byteLength, 0);
  moveEnd(state, "records", result.endOffset, sizeBytes);
  const replies = [...answers].map(([to, list]): PartitionEffect => ({ type: "reply", to, answers: list }));
  // P4 before P1: readers see a batch before its producer gets the ack.
  const told: PartitionEffect[] = [
    { type: "committed", epoch: ofEpoch, written, endOffset: result.endOffset },
    ...replies,
  ];
  if (isLast) return [state, [...told, ...handedOver(state)[1]]]; // P8
  return [state, [...told, ...dueCalls(state), ...nextAppend(state, nowMs)]];
}

/** P11: refuses waiting batches that failed alone. */
function refuseSuspects(state: PartitionState): readonly PartitionEffect[] {
  if (state.suspects.size === 0) return [];
  const refused = state.pending.filter(({ batch }) => isRefused(state, batch));
  const kept = state.pending.filter(({ batch }) => !isRefused(state, batch));
  state.pending.splice(0, state.pending.length, ...kept);
  return refused.map((append) => refuseSuspect(state, append, append.batch));
}

const batchesOf = (appends: readonly PendingAppend[]): readonly AppendBatch[] => appends.map(({ batch }) => batch);

/**
 * Refuses all waiting requests with `NOT_READY`, because the actor's life ends. Their senders ask the next life, and send
 * again what was not stored (E2). `crashedBy` is the append whose arrival crashed the life, if one did.
 */
export function endLife(state: PartitionState, crashedBy?: ArrivedAppend): readonly PartitionEffect[] {
  const waiting: Waiting[] = [...state.inFlight, ...state.pending, ...state.chainCalls];
  for (const { requestId } of crashedBy?.items ?? []) {
    const replyTo = crashedBy?.replyTo;
    const isListed = waiting.some((one) => one.requestId === requestId && one.replyTo === replyTo);
    if (replyTo !== undefined && !isListed) waiting.push({ requestId, replyTo });
  }
  const reason = `Cannot append to ${partitionName(state.partition)} as its actor must stay alive: it was restarted`;
  return refuseAll(waiting, new UnavailableError("NOT_READY", reason));
}

// Answers -------------------------------------------------------------------------------------------------------------

const refuseAll = (waiting: readonly Waiting[], error: HeadraceError): readonly PartitionEffect[] =>
  waiting.map((one) => reply(one, { kind: "refused", requestId: one.requestId, error }));
