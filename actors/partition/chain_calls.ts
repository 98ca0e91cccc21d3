/** The partition machine's chain calls: openings of chains and declared losses, in their order with appends (E4). */
import { isOfFormerLife, refuseFormerLife } from "./former_lives.ts";
import {
  type Effects,
  isCurrent,
  isLeaving,
  notOwner,
  type PartitionState,
  type PendingChain,
  refuseAll,
  type Told,
} from "./partition_messages.ts";

export function queueChainCall(state: PartitionState, request: PendingChain["request"]): Effects {
  const call: PendingChain = { requestId: request.requestId, replyTo: request.replyTo, request };
  if (isLeaving(state)) return refuseAll([call], notOwner(state));
  if (isOfFormerLife(state, request)) return [refuseFormerLife(state, call, request)];
  state.chainCalls.push(call);
  return dueCalls(state);
}

/** A chain call waits for the appends that its asker sent before: `opened` must not overtake an ack (E4). */
export function dueCalls(state: PartitionState): Effects {
  const { ownership, chainCalls } = state;
  if (ownership === undefined || chainCalls.length === 0) return [];
  const waiting = new Set([...state.inFlight, ...state.pending].map(({ replyTo }) => replyTo));
  const due = chainCalls.filter(({ replyTo }) => !waiting.has(replyTo));
  const later = chainCalls.filter(({ replyTo }) => waiting.has(replyTo));
  chainCalls.splice(0, chainCalls.length, ...later);
  return due.map((call) => ({ type: "call_chain", ownership, call }));
}

/** The call waits again. Under the present ownership, its failure is also a doubt about that (P3). */
export function chainFailed(state: PartitionState, { call, epoch }: Told<"chain_failed">): Effects {
  if (isLeaving(state)) return refuseAll([call], notOwner(state));
  if (state.phase === "owning" && !isCurrent(state, epoch)) return queueChainCall(state, call.request);
  state.chainCalls.push(call);
  return [];
}
