/**
 * Owns one partition's right to append. Decides what is written next, what is acknowledged, when to claim again and
 * what retention may take; leaves bytes and chains to the log, and who owns what to the coordinator.
 *   P1. An append is answered only after the log has answered for it.
 *   P2. At most one append is in flight; what arrives meanwhile joins the next one (group commit).
 *   P3. After an outcome that is unknown or fenced, the partition claims before it writes again; what was in flight goes
 *       first, and the log's chains tell what of it was written (E8).
 *   P4. The committed offset moves only by what the log has answered (E10).
 *   P5. Retention never takes what a known consumer has not handled, unless the stream says `trim`; a consumer that has
 *       not reported yet needs everything.
 *   P6. Once fenced by a higher grant the partition stands down: everything waiting is refused with `NOT_OWNER`.
 *   P7. While groups are large, a small one waits for the next tick of a clock that all partitions share: what they
 *       write then leaves in one write, and so do their answers.
 */
import { FencedError, type HeadraceError, OverloadedError } from "../../protocols/errors.ts";
import {
  type Epoch,
  epoch,
  type Offset,
  offset,
  type PartitionReference,
  partitionName,
} from "../../protocols/position.ts";
import type {
  AppendBatch,
  AppendResult,
  Channel,
  ChannelBounds,
  Claim,
  OpenChainOutcome,
  Ownership,
} from "../log/log.ts";
import { advanceBounds, EMPTY_BOUNDS, trimBounds } from "./bounds.ts";
import type { PartitionAnswer, PartitionRequest, ReplyTo, Retention } from "./partition.ts";

/** Limits of one partition. */
export const PARTITION_LIMITS = {
  /** Bytes of one group commit: one function call of the store takes some tens of milliseconds at most. */
  groupBytesMax: 2_097_152,
  /** Batches of one group commit. */
  groupBatchesMax: 1_000,
  /** Batches in a group from which on the next one waits for a tick: fewer senders than this wait for nothing. */
  gatherFromBatches: 4,
  /** Bytes that are worth an append of their own and wait for no tick. */
  gatherBytesMax: 65_536,
  /** Between ticks: what it costs an append to share its way with those of other partitions. */
  gatherEveryMs: 2,
  /** First and longest delay between claims while the store is away. */
  claimRetryFirstMs: 50,
  claimRetryMaxMs: 2_000,
  /** Between looks at retention and at idle chains. */
  sweepEveryMs: 5_000,
  /** Told to producers that wait for a full partition. */
  fullRetryAfterMs: 1_000,
} as const;

interface Waiting {
  readonly requestId: number;
  readonly replyTo: ReplyTo;
}

type PendingAppend = Waiting & { readonly batch: AppendBatch; readonly arrivedMs: number | undefined };

type PendingChain = Waiting & {
  readonly request: Extract<PartitionRequest, { type: "open_chain" | "declare_lost" }>;
};

export interface PartitionState {
  readonly partition: PartitionReference;
  readonly retention: Retention;
  /** Consumers that the configuration names: absent from `consumers` until they report. */
  readonly expectedConsumers: readonly string[];
  phase: "claiming" | "owning" | "stood_down";
  claimAttempts: number;
  claimAtLeast: Epoch;
  ownership: Ownership | undefined;
  readonly channels: Map<Channel, ChannelBounds>;
  readonly pending: PendingAppend[];
  inFlight: PendingAppend[];
  /** Batches of the last group. */
  lastGroup: number;
  isGathering: boolean;
  readonly chainCalls: PendingChain[];
  /** Lowest offset that each consumer still needs, by channel and name. */
  readonly consumers: Map<string, { readonly channel: Channel; readonly offset: Offset }>;
  /** The consumer that keeps a full partition full. */
  fullBecauseOf: string | undefined;
}

/** With when it arrived, where somebody times that; the machine hands it on to the append that takes it. */
export type ArrivedAppend = Extract<PartitionRequest, { type: "append" }> & { readonly arrivedMs?: number };

export type PartitionMessage =
  | PartitionRequest
  | ArrivedAppend
  | { readonly type: "start" }
  | { readonly type: "claim_due" }
  | { readonly type: "gathered" }
  | { readonly type: "claimed"; readonly claim: Claim }
  | { readonly type: "claim_failed"; readonly error: HeadraceError }
  | { readonly type: "appended"; readonly epoch: Epoch; readonly result: AppendResult }
  | { readonly type: "append_failed"; readonly epoch: Epoch; readonly error: HeadraceError }
  | { readonly type: "chain_answered"; readonly call: PendingChain; readonly answer: PartitionAnswer }
  | { readonly type: "chain_failed"; readonly epoch: Epoch; readonly call: PendingChain; readonly error: HeadraceError }
  /** A write of another part under this ownership (checkpoint, outbox, trim) was refused or has an unknown outcome. */
  | { readonly type: "ownership_doubted"; readonly epoch: Epoch; readonly error: HeadraceError }
  | { readonly type: "channel_advanced"; readonly epoch: Epoch; readonly channel: Channel; readonly endOffset: Offset }
  | { readonly type: "sweep_due" }
  | { readonly type: "aged"; readonly channel: Channel; readonly beforeOffset: Offset }
  | { readonly type: "trimmed"; readonly epoch: Epoch; readonly channel: Channel; readonly bounds: ChannelBounds };

export type PartitionEffect =
  | { readonly type: "claim"; readonly atLeast: Epoch }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: PartitionMessage }
  | {
      readonly type: "append";
      readonly ownership: Ownership;
      readonly batches: readonly AppendBatch[];
      /** When the oldest of them arrived. */
      readonly arrivedMs: number | undefined;
    }
  | { readonly type: "call_chain"; readonly ownership: Ownership; readonly call: PendingChain }
  | { readonly type: "reply"; readonly to: ReplyTo; readonly answers: readonly PartitionAnswer[] }
  /** The partition is owned under a new epoch: deliveries and subscriptions start from this. */
  | { readonly type: "owned"; readonly claim: Claim }
  /** The partition can not be claimed now, and why: it is tried again. */
  | { readonly type: "blocked"; readonly error: HeadraceError }
  /** No longer owned under the last epoch: what was opened under it must end. */
  | { readonly type: "disowned"; readonly error: HeadraceError; readonly isFinal: boolean }
  /** The committed offset moved by these batches, in order. */
  | {
      readonly type: "committed";
      readonly epoch: Epoch;
      readonly written: readonly WrittenBatch[];
      readonly endOffset: Offset;
    }
  | { readonly type: "sweep"; readonly ownership: Ownership; readonly agedBeforeMs: number }
  | { readonly type: "trim"; readonly ownership: Ownership; readonly channel: Channel; readonly beforeOffset: Offset };

export interface WrittenBatch {
  readonly batch: AppendBatch;
  readonly firstOffset: Offset;
  readonly count: number;
}

type Result = readonly [PartitionState, readonly PartitionEffect[]];

export function createPartition(
  partition: PartitionReference,
  retention: Retention,
  expectedConsumers: readonly string[],
): PartitionState {
  return {
    partition,
    retention,
    expectedConsumers,
    phase: "claiming",
    claimAttempts: 0,
    claimAtLeast: epoch(1),
    ownership: undefined,
    channels: new Map(),
    pending: [],
    inFlight: [],
    lastGroup: 0,
    isGathering: false,
    chainCalls: [],
    consumers: new Map(),
    fullBecauseOf: undefined,
  };
}

export function stepPartition(state: PartitionState, message: PartitionMessage, nowMs: number): Result {
  switch (message.type) {
    case "start":
      return [
        state,
        [claimEffect(state), { type: "wait", delayMs: PARTITION_LIMITS.sweepEveryMs, message: { type: "sweep_due" } }],
      ];
    case "claim_due":
      return [state, state.phase === "claiming" ? [claimEffect(state)] : []];
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
    case "ownership_doubted":
      return isCurrent(state, message.epoch) ? doubt(state, message.error) : [state, []];
    case "chain_answered":
      return [state, [reply(message.call, message.answer)]];
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

const claimEffect = (state: PartitionState): PartitionEffect => ({ type: "claim", atLeast: state.claimAtLeast });

const isCurrent = (state: PartitionState, ofEpoch: Epoch): boolean =>
  state.phase === "owning" && state.ownership?.epoch === ofEpoch;

function claimed(state: PartitionState, claim: Claim, nowMs: number): Result {
  if (state.phase !== "claiming") return [state, []];
  state.phase = "owning";
  state.claimAttempts = 0;
  state.ownership = claim.ownership;
  state.channels.clear();
  state.consumers.clear(); // P5: what they handled may have been lost with a tail; each reports again.
  for (const [channel, bounds] of claim.channels) state.channels.set(channel, bounds);
  return [state, [{ type: "owned", claim }, ...dueCalls(state), ...nextAppend(state, nowMs)]];
}

function claimFailed(state: PartitionState, error: HeadraceError): Result {
  if (state.phase !== "claiming") return [state, []];
  if (error instanceof FencedError) return standDown(state, error);
  const delayMs = Math.min(
    PARTITION_LIMITS.claimRetryMaxMs,
    PARTITION_LIMITS.claimRetryFirstMs * 2 ** Math.min(state.claimAttempts, 10),
  );
  state.claimAttempts += 1;
  return [
    state,
    [
      { type: "blocked", error },
      { type: "wait", delayMs, message: { type: "claim_due" } },
    ],
  ];
}

/** P3: nothing is written under this epoch any more; what was in flight is asked about first. */
function doubt(state: PartitionState, error: HeadraceError): Result {
  state.phase = "claiming";
  state.ownership = undefined;
  state.pending.unshift(...state.inFlight);
  state.inFlight = [];
  return [state, [{ type: "disowned", error, isFinal: false }, claimEffect(state)]];
}

function fenceSeen(state: PartitionState, seen: Epoch): Result {
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

function standDown(state: PartitionState, error: HeadraceError): Result {
  state.phase = "stood_down";
  state.ownership = undefined;
  const waiting = [...state.inFlight, ...state.pending, ...state.chainCalls];
  state.inFlight = [];
  state.pending.length = 0;
  state.chainCalls.length = 0;
  return [state, [{ type: "disowned", error, isFinal: true }, ...refuseAll(waiting, notOwner(state))]];
}

const notOwner = (state: PartitionState): HeadraceError =>
  new FencedError(
    "NOT_OWNER",
    `Cannot append to ${partitionName(state.partition)} as this node must own it: another node does now`,
  );

// Chains --------------------------------------------------------------------------------------------------------------

function queueChainCall(state: PartitionState, request: PendingChain["request"]): Result {
  const call: PendingChain = { requestId: request.requestId, replyTo: request.replyTo, request };
  if (state.phase === "stood_down") return [state, refuseAll([call], notOwner(state))];
  state.chainCalls.push(call);
  return [state, dueCalls(state)];
}

/** Chain calls stay behind the appends that their asker sent before: `opened` must not overtake an ack (E4). */
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

function chainFailed(state: PartitionState, message: Extract<PartitionMessage, { type: "chain_failed" }>): Result {
  if (state.phase === "stood_down") return [state, refuseAll([message.call], notOwner(state))];
  if (state.phase === "owning" && !isCurrent(state, message.epoch)) return queueChainCall(state, message.call.request);
  state.chainCalls.push(message.call);
  return isCurrent(state, message.epoch) ? doubt(state, message.error) : [state, []];
}

// Appends -------------------------------------------------------------------------------------------------------------

function queueAppends(state: PartitionState, { items, replyTo, arrivedMs }: ArrivedAppend, nowMs: number): Result {
  const waiting = items.map(({ requestId, batch }): PendingAppend => ({ requestId, batch, replyTo, arrivedMs }));
  if (state.phase === "stood_down") return [state, refuseAll(waiting, notOwner(state))];
  if (state.fullBecauseOf !== undefined) return [state, refuseAll(waiting, fullError(state, state.fullBecauseOf))];
  for (const append of waiting) state.pending.push(append);
  return [state, nextAppend(state, nowMs)];
}

/** P7: what waits goes now, or at the next tick. */
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

/** P2: takes what waits, up to the limits of one call, if nothing is in flight. */
function appendGroup(state: PartitionState): readonly PartitionEffect[] {
  if (state.ownership === undefined || state.inFlight.length > 0 || state.pending.length === 0) return [];
  let sizeBytes = 0;
  let taken = 0;
  for (const { batch } of state.pending) {
    sizeBytes += batch.events.byteLength;
    if (taken > 0 && (sizeBytes > PARTITION_LIMITS.groupBytesMax || taken >= PARTITION_LIMITS.groupBatchesMax)) break;
    taken += 1;
  }
  state.inFlight = state.pending.splice(0, taken);
  state.lastGroup = taken;
  const batches = state.inFlight.map((append) => append.batch);
  return [{ type: "append", ownership: state.ownership, batches, arrivedMs: state.inFlight[0]?.arrivedMs }];
}

function appended(state: PartitionState, ofEpoch: Epoch, result: AppendResult, nowMs: number): Result {
  if (!isCurrent(state, ofEpoch)) return [state, []]; // P3: asked again under the next epoch
  const done = state.inFlight;
  state.inFlight = [];
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
  // P4, then P1: readers may see what its producer is told of.
  return [
    state,
    [
      { type: "committed", epoch: ofEpoch, written, endOffset: result.endOffset },
      ...replies,
      ...dueCalls(state),
      ...nextAppend(state, nowMs),
    ],
  ];
}

function moveEnd(state: PartitionState, channel: Channel, endOffset: Offset, addedBytes = 0): void {
  if (state.ownership === undefined) return;
  const bounds = state.channels.get(channel) ?? EMPTY_BOUNDS;
  state.channels.set(channel, advanceBounds(bounds, state.ownership.epoch, endOffset, addedBytes));
}

// Retention -----------------------------------------------------------------------------------------------------------

function sweep(state: PartitionState, nowMs: number): Result {
  const again: PartitionEffect = {
    type: "wait",
    delayMs: PARTITION_LIMITS.sweepEveryMs,
    message: { type: "sweep_due" },
  };
  if (state.ownership === undefined) return [state, [again]];
  const trims = [...state.channels].flatMap(([channel, bounds]) => {
    const excess = bounds.sizeBytes - state.retention.bytesMax;
    const records = bounds.endOffset - bounds.firstOffset;
    if (excess <= 0 || records <= 0) return [];
    const cut = Math.ceil((excess / bounds.sizeBytes) * records);
    return trimEffects(state, channel, offset(bounds.firstOffset + cut));
  });
  judgeFullness(state);
  const look: PartitionEffect = {
    type: "sweep",
    ownership: state.ownership,
    agedBeforeMs: nowMs - state.retention.ageMaxMs,
  };
  return [state, [look, ...trims, again]];
}

/** P5: what retention would take, cut to what no consumer needs. */
function trimEffects(state: PartitionState, channel: Channel, wantedOffset: Offset): readonly PartitionEffect[] {
  const bounds = state.channels.get(channel);
  if (state.ownership === undefined || bounds === undefined) return [];
  const allowed =
    state.retention.onFull === "trim" ? wantedOffset : Math.min(wantedOffset, neededFrom(state, channel).offset);
  const beforeOffset = offset(Math.min(allowed, bounds.endOffset));
  if (beforeOffset <= bounds.firstOffset) return [];
  return [{ type: "trim", ownership: state.ownership, channel, beforeOffset }];
}

function neededFrom(state: PartitionState, channel: Channel): { readonly offset: number; readonly consumer?: string } {
  let needed: { offset: number; consumer?: string } = { offset: Number.POSITIVE_INFINITY };
  for (const consumer of state.expectedConsumers) {
    if (!state.consumers.has(consumer)) needed = { offset: 0, consumer };
  }
  for (const [consumer, at] of state.consumers) {
    if (at.channel === channel && at.offset < needed.offset) needed = { offset: at.offset, consumer };
  }
  return needed;
}

/** A partition is full when retention is exceeded and a consumer forbids the trim that would mend it. */
function judgeFullness(state: PartitionState): void {
  const bounds = state.channels.get("records");
  state.fullBecauseOf = undefined;
  if (bounds === undefined || bounds.sizeBytes <= state.retention.bytesMax || state.retention.onFull === "trim") return;
  const needed = neededFrom(state, "records");
  if (needed.consumer !== undefined && needed.offset <= bounds.firstOffset) state.fullBecauseOf = needed.consumer;
}

const fullError = (state: PartitionState, consumer: string): HeadraceError =>
  new OverloadedError(
    "STORE_FULL",
    `Cannot append to ${partitionName(state.partition)} as what ${consumer} has not read must stay below ${state.retention.bytesMax} bytes: current value is ${state.channels.get("records")?.sizeBytes ?? 0}`,
    PARTITION_LIMITS.fullRetryAfterMs,
  );

// Answers -------------------------------------------------------------------------------------------------------------

const reply = (to: Waiting, answer: PartitionAnswer): PartitionEffect => ({
  type: "reply",
  to: to.replyTo,
  answers: [answer],
});

const refuseAll = (waiting: readonly Waiting[], error: HeadraceError): readonly PartitionEffect[] =>
  waiting.map((one) => reply(one, { kind: "refused", requestId: one.requestId, error }));

/** The answer to a chain call that the log has answered. */
export const chainOpened = (call: Waiting, outcome: OpenChainOutcome): PartitionAnswer => ({
  kind: "opened",
  requestId: call.requestId,
  outcome,
});
