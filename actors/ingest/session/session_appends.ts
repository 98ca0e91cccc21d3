/** The session machine's appends: which are admitted, and how they are gathered for partitions (N3, N4, N5, N7). */
import { FencedError, invariant, OverloadedError, RejectedError } from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import { type Sequence, sequenceAt, sequenceCount } from "../../../protocols/sequence.ts";
import type { AppendFrame, LostFrame, OpenFrame, WireVerdict } from "../../../protocols/wire/frames.ts";
import type { Rejects } from "../../log/log.ts";
import { checkScope } from "../shown_streams.ts";
import { continues, createDraft, finishDraft, joinDraft } from "./append_draft.ts";
import { type About, NOTHING, type SessionEffect, sendAll } from "./session_messages.ts";
import {
  type Awaited,
  addressElsewhere,
  type Chain,
  chainOf,
  costOfBytes,
  errorFrame,
  isOnlyChain,
  movedFrames,
  refuseConnection,
  SESSION_LIMITS,
  type SessionProducer,
  type SessionState,
} from "./session_state.ts";

/** The producer that `frame` may append for. Throws the reason where it may not. */
function admit(state: SessionState, frame: OpenFrame | AppendFrame | LostFrame): SessionProducer {
  const streams = state.environment.directory.describe();
  checkScope(streams, state.permissions, frame.stream, "produce", "append to");
  const partitions = streams[frame.stream]?.partitions ?? 0;
  if (!(frame.partition >= 0 && frame.partition < partitions)) {
    throw new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot append to ${frame.stream} as the partition must be below ${partitions}: current value is ${frame.partition}`,
    );
  }
  if (state.producer === undefined) {
    throw new RejectedError("HELLO_REQUIRED", "Cannot append as hello must name a producerId: it named none");
  }
  if (frame.producerEpoch !== state.producer.epoch) {
    throw new FencedError(
      "STALE_PRODUCER_EPOCH",
      `Cannot append as the producer epoch must be ${state.producer.epoch}: current value is ${frame.producerEpoch}`,
    );
  }
  return state.producer;
}

/** Opens a chain, or declares a part of it lost, behind the appends gathered before. */
export function callChain(state: SessionState, frame: OpenFrame | LostFrame): readonly SessionEffect[] {
  try {
    const { id: producerId, owner } = admit(state, frame);
    const address = addressElsewhere(state, frame);
    if (address !== undefined) return sendAll(movedFrames(frame, address, 0));
    const requestId = expectCall(state, frame.type === "open" ? { kind: "open" } : { kind: "lost", to: frame.to });
    const call = owner === undefined ? { requestId, producerId } : { requestId, producerId, owner };
    return [
      ...flush(state),
      frame.type === "open" ? { type: "open_chain", frame, ...call } : { type: "declare_lost", frame, ...call },
    ];
  } catch (error) {
    return refusal(error, frame, 0);
  }
}

export function append(
  state: SessionState,
  frame: AppendFrame,
  wireBytes: number,
  nowMs: number,
): readonly SessionEffect[] {
  if (state.underWayBytes >= state.credit.creditBytes) {
    const overrun = new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot take an append as bytes under way must stay below the credit of ${state.credit.creditBytes}: current value is ${state.underWayBytes}`,
      1_000,
    );
    return refuseConnection(state, overrun); // N4
  }
  try {
    return take(state, frame, wireBytes, nowMs);
  } catch (error) {
    return [{ type: "charge", cost: 1 + costOfBytes(wireBytes) }, ...refusal(error, frame, wireBytes)]; // N7
  }
}

function take(state: SessionState, frame: AppendFrame, wireBytes: number, nowMs: number): readonly SessionEffect[] {
  const producer = admit(state, frame);
  const address = addressElsewhere(state, frame);
  const chain = chainOf(state, frame);
  if (address !== undefined) {
    if (chain !== undefined) chain.tail = undefined; // later appends to this node leave a gap
    return sendAll(movedFrames(frame, address, wireBytes));
  }
  if (chain === undefined) {
    throw new FencedError(
      "UNKNOWN_PRODUCER",
      `Cannot append to ${partitionName(frame)} as its chain must be opened first: it was not`,
    );
  }
  checkShare(state, chain, wireBytes);
  const last = sequenceAt(frame.sequences, checkCount(state, frame) - 1);
  const { inspect, limits } = state.environment;
  const inspection = inspect(frame.stream, frame.events, frame.sequences, producer.id, frame.schemaVersion);
  const isNext = continues(chain.tail, frame);
  chain.tail = isNext ? last : undefined;
  state.underWayBytes += wireBytes;
  chain.underWayBytes += wireBytes;
  const before = chain.gathered.at(-1);
  const metered = meter(state, frame, wireBytes);
  if (before !== undefined && isNext && joinDraft(before, frame, inspection, limits.batchEventsMax)) {
    joinAwaited(state, before.requestId, wireBytes, last);
    return metered;
  }
  const verdicts = inspection.rejects === undefined ? NO_VERDICTS : wireVerdicts(frame, inspection.rejects);
  const requestId = expectAnswer(state, { kind: "append", chain, creditBytes: wireBytes, last, verdicts });
  chain.unanswered.push(requestId);
  if (chain.gathered.length === 0) state.gathering.push(chain);
  chain.gathered.push(createDraft(requestId, producer, frame, inspection, nowMs, isNext));
  return state.gathering.length === 1 && chain.gathered.length === 1 ? [...metered, { type: "flush_soon" }] : metered;
}

function meter({ permissions }: SessionState, frame: AppendFrame, sizeBytes: number): readonly SessionEffect[] {
  const quota = permissions?.quota;
  if (quota?.hasRates !== true) return NOTHING;
  return [{ type: "meter", quota, events: sequenceCount(frame.sequences), sizeBytes }];
}

const NO_VERDICTS: readonly WireVerdict[] = [];

const wireVerdicts = ({ sequences }: AppendFrame, { verdicts }: Rejects): readonly WireVerdict[] =>
  verdicts.map(({ index, code, path, reason }) => ({ sequence: sequenceAt(sequences, index), code, path, reason }));

/** Milliseconds until a client tries a partition again that holds its share: long enough for a group commit. */
const SHARE_RETRY_MS = 50;

/** Adds a joined frame to the answer that its batch awaits: that answer gives back the credit of both. */
function joinAwaited(state: SessionState, requestId: number, wireBytes: number, last: Sequence): void {
  const awaited = state.awaited.get(requestId);
  invariant(awaited?.kind === "append", `Cannot join append ${requestId} as it must await its answer`);
  awaited.creditBytes += wireBytes;
  awaited.last = last;
}

/** N5. Later appends of the chain then leave a gap, so none is stored out of order. */
function checkShare(state: SessionState, chain: Chain, wireBytes: number): void {
  const shareBytes = Math.floor(state.credit.creditBytes * SESSION_LIMITS.partitionShare);
  if (isOnlyChain(state, chain) || chain.underWayBytes === 0 || chain.underWayBytes + wireBytes <= shareBytes) return;
  chain.tail = undefined;
  throw new OverloadedError(
    "OUT_OF_CREDIT",
    `Cannot append to ${partitionName(chain)} as bytes under way there must stay below ${shareBytes} while other partitions are open: current value is ${chain.underWayBytes}`,
    SHARE_RETRY_MS,
  );
}

function checkCount(state: SessionState, frame: AppendFrame): number {
  const count = sequenceCount(frame.sequences);
  const { batchEventsMax } = state.environment.limits;
  if (count === 0) throw new RejectedError("EMPTY_BATCH", "Cannot append as a batch must hold an event: it holds none");
  if (count > batchEventsMax) {
    throw new RejectedError(
      "BATCH_TOO_LARGE",
      `Cannot append as a batch must hold at most ${batchEventsMax} events: current value is ${count}`,
    );
  }
  return count;
}

/** N3: sends the gathered appends to their partitions. */
export function flush(state: SessionState): readonly SessionEffect[] {
  return state.gathering.splice(0).map((chain): SessionEffect => {
    const items = chain.gathered.map(finishDraft);
    chain.gathered = [];
    return { type: "append", stream: chain.stream, partition: chain.partition, items };
  });
}

/** Notes a call that no credit bounds. Throws `OverloadedError` where `callsUnderWayMax` have no answer yet. */
function expectCall(state: SessionState, awaited: Exclude<Awaited, { kind: "append" }>): number {
  const { callsUnderWayMax } = SESSION_LIMITS;
  if (state.callsUnderWay >= callsUnderWayMax) {
    throw new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot take a call as those under way on a connection must stay below ${callsUnderWayMax}: current value is ${state.callsUnderWay}`,
      1_000,
    );
  }
  state.callsUnderWay += 1;
  return expectAnswer(state, awaited);
}

function expectAnswer(state: SessionState, awaited: Awaited): number {
  const requestId = state.nextRequestId;
  state.nextRequestId += 1;
  state.awaited.set(requestId, awaited);
  return requestId;
}

/** The refusal of one append names its partition and gives its credit back. The connection goes on. */
function refusal(error: unknown, about: About, creditBytes: number): readonly SessionEffect[] {
  const isRefusal = error instanceof RejectedError || error instanceof FencedError || error instanceof OverloadedError;
  if (!isRefusal) throw error;
  return [{ type: "send", frame: errorFrame(error, about, creditBytes) }];
}
