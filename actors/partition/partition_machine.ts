/**
 * Owns one partition's right to append. Decides which batches are written next, which are acknowledged, when to claim
 * again, and what retention may take. Leaves bytes and chains to the log, and placement to the coordinator. This file has
 * claims and handovers; group_commit.ts has appends, chain_calls.ts chains, and partition_retention.ts trims.
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
 *   P12. Retention by size goes by the bytes that the log stores for each channel, headers and traces included. It never
 *       takes the state of a pipeline, which only the pipeline trims.
 *   P13. A batch gets its time of append from its owner's clock, as the call leaves, and never an earlier one than the batch
 *       before. So while nothing is under way, no record comes with an earlier time than the clock's. This holds over a change
 *       of the owner as well, unless the clocks are more than a minute apart: one wrong clock must not set all times to come.
 */
import { backoffMs } from "../../protocols/clock.ts";
import { FencedError, type HeadraceError, InvariantError, UnavailableError } from "../../protocols/errors.ts";
import { type Epoch, epoch, partitionName } from "../../protocols/position.ts";
import type { Grant } from "../log/log.ts";
import { chainFailed, dueCalls, queueChainCall } from "./chain_calls.ts";
import { refuseFormerLives, supersede } from "./former_lives.ts";
import { appendGroup, nextAppend, queueAppends, settleAppends } from "./group_commit.ts";
import {
  type ArrivedAppend,
  type Effects,
  isCurrent,
  moveEnd,
  notOwner,
  PARTITION_LIMITS,
  type PartitionMessage,
  type PartitionResult,
  type PartitionState,
  refuseAll,
  reply,
  type Waiting,
} from "./partition_messages.ts";
import { measured, moveBeginning, SWEEP_LATER, sweep, trimEffects } from "./partition_retention.ts";
import { refuseSuspects, suspect } from "./suspect_batches.ts";

/** Steps the machine: updates the state in place, and returns the effects in their order. */
export const stepPartition = (state: PartitionState, message: PartitionMessage, nowMs: number): PartitionResult => [
  state,
  effectsOf(state, message, nowMs),
];

function effectsOf(state: PartitionState, message: PartitionMessage, nowMs: number): Effects {
  switch (message.type) {
    case "start":
      return [...claim(state), SWEEP_LATER];
    case "granted":
      return granted(state, message.grant);
    case "hand_over":
      return handOver(state);
    case "claim_due":
    case "store_answers":
      return claim(state);
    case "claimed":
      return claimed(state, message, nowMs);
    case "claim_failed":
      return claimFailed(state, message.error);
    case "append":
      return queueAppends(state, message, nowMs);
    case "gathered":
      state.isGathering = false;
      return appendGroup(state, nowMs);
    case "open_chain":
    case "declare_lost":
      return queueChainCall(state, message);
    case "appended": {
      if (isLastAppend(state, message.epoch)) return [...settleAppends(state, message), ...handedOver(state)]; // P8
      if (!isCurrent(state, message.epoch)) return []; // P3: the batches go again under the next epoch
      return [...settleAppends(state, message), ...dueCalls(state), ...nextAppend(state, nowMs)];
    }
    case "append_failed":
      if (isLastAppend(state, message.epoch)) return handedOver(state);
      if (message.error instanceof InvariantError) suspect(state.suspects, state.inFlight);
      return isCurrent(state, message.epoch) ? doubt(state, message.error) : [];
    case "ownership_doubted":
      return isCurrent(state, message.epoch) ? doubt(state, message.error) : [];
    case "chain_answered":
      return [...supersede(state, message), reply(message.call, message.answer)];
    case "chain_failed": {
      const effects = chainFailed(state, message);
      return isCurrent(state, message.epoch) ? [...effects, ...doubt(state, message.error)] : effects;
    }
    case "fence_seen":
      return fenceSeen(state, message.epoch);
    case "consumer_at":
      if (message.epoch === undefined || isCurrent(state, message.epoch)) {
        state.consumers.set(message.consumer, { channel: message.channel, offset: message.offset });
      }
      return [];
    case "channel_advanced":
      if (isCurrent(state, message.epoch)) moveEnd(state, message.channel, message.endOffset);
      return [];
    case "sweep_due":
      return sweep(state, nowMs);
    case "described":
      return isCurrent(state, message.epoch) ? measured(state, message.channels) : [];
    case "aged":
      return trimEffects(state, message.channel, message.beforeOffset);
    case "trimmed":
      if (isCurrent(state, message.epoch)) moveBeginning(state, message.channel, message.bounds);
      return [];
  }
}

/** Begins a claim where none is under way: a second claim would make the first one's epoch stale. */
function claim(state: PartitionState): Effects {
  const { phase, grant, claimAtLeast: atLeast } = state;
  if (phase !== "claiming" || grant === undefined || state.isAsking) return [];
  state.isAsking = true;
  return [{ type: "claim", grant, atLeast }];
}

/** P9. A repeated grant, or one for a partition that is being handed over, changes nothing. */
function granted(state: PartitionState, grant: Grant): Effects {
  if (state.phase !== "expecting") return [];
  state.phase = "claiming";
  state.grant = grant;
  return claim(state);
}

function claimed(
  state: PartitionState,
  { claim, newestMs = 0 }: Extract<PartitionMessage, { type: "claimed" }>,
  nowMs: number,
): Effects {
  state.isAsking = false;
  if (state.phase !== "claiming") return [];
  state.phase = "owning";
  state.claimAttempts = 0;
  state.ownership = claim.ownership;
  state.stampedMs = Math.max(state.stampedMs, Math.min(newestMs, nowMs + PARTITION_LIMITS.clocksApartMaxMs)); // P13
  state.channels.clear();
  state.consumers.clear(); // P5: records that they handled may have been lost with a tail; each consumer reports again.
  for (const [channel, bounds] of claim.channels) state.channels.set(channel, bounds);
  return [{ type: "owned", claim }, ...dueCalls(state), ...nextAppend(state, nowMs)];
}

function claimFailed(state: PartitionState, error: HeadraceError): Effects {
  state.isAsking = false;
  if (state.phase !== "claiming") return [];
  if (error instanceof FencedError) return standDown(state, error);
  const { claimRetryFirstMs, claimRetryMaxMs } = PARTITION_LIMITS;
  const delayMs = backoffMs(state.claimAttempts++, claimRetryFirstMs, claimRetryMaxMs);
  return [
    { type: "blocked", error },
    { type: "wait", delayMs, message: { type: "claim_due" } },
  ];
}

/** P3: ends the ownership and claims again. The batches in flight go first under the next epoch. */
function doubt(state: PartitionState, error: HeadraceError): Effects {
  state.phase = "claiming";
  state.ownership = undefined;
  state.pending.unshift(...state.inFlight);
  state.inFlight = [];
  const refused = [...refuseSuspects(state), ...refuseFormerLives(state)];
  return [{ type: "disowned", error, isFinal: false }, ...refused, ...claim(state)];
}

function fenceSeen(state: PartitionState, seen: Epoch): Effects {
  state.claimAtLeast = epoch(Math.max(state.claimAtLeast, seen + 1));
  if (state.ownership === undefined || state.ownership.epoch > seen) return [];
  const must = `Cannot deliver from ${partitionName(state.partition)} as the epoch must be above the sink's ${seen}: current value is ${state.ownership.epoch}`;
  return doubt(state, new FencedError("STALE_EPOCH", must));
}

function standDown(state: PartitionState, error: HeadraceError): Effects {
  state.phase = "stood_down";
  state.ownership = undefined;
  const waiting = [...state.inFlight, ...state.pending.splice(0), ...state.chainCalls.splice(0)];
  state.inFlight = [];
  return [{ type: "disowned", error, isFinal: true }, ...refuseAll(waiting, notOwner(state))];
}

/** P8: refuses waiting requests, and waits for the append in flight. */
function handOver(state: PartitionState): Effects {
  if (state.phase === "handing_over" || state.phase === "stood_down") return [];
  const isWriting = state.phase === "owning" && state.inFlight.length > 0;
  state.phase = "handing_over";
  if (!isWriting) return handedOver(state);
  return refuseAll([...state.pending.splice(0), ...state.chainCalls.splice(0)], notOwner(state));
}

const handedOver = (state: PartitionState): Effects => [...standDown(state, notOwner(state)), { type: "handed_over" }];

/** P8: whether the answer is to the append that a handover waits for. */
const isLastAppend = (state: PartitionState, ofEpoch: Epoch): boolean =>
  state.phase === "handing_over" && state.ownership?.epoch === ofEpoch;

/**
 * Refuses all waiting requests with `NOT_READY`, because the actor's life ends. Their senders ask the next life, and send
 * again what was not stored (E2). `crashedBy` is the append whose arrival crashed the life, if one did.
 */
export function endLife(state: PartitionState, crashedBy?: ArrivedAppend): Effects {
  const waiting: Waiting[] = [...state.inFlight, ...state.pending, ...state.chainCalls];
  for (const { requestId } of crashedBy?.items ?? []) {
    const replyTo = crashedBy?.replyTo;
    const isListed = waiting.some((one) => one.requestId === requestId && one.replyTo === replyTo);
    if (replyTo !== undefined && !isListed) waiting.push({ requestId, replyTo });
  }
  const reason = `Cannot append to ${partitionName(state.partition)} as its actor must stay alive: it was restarted`;
  return refuseAll(waiting, new UnavailableError("NOT_READY", reason));
}
