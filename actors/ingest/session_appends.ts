/** The session machine's appends: who may write where, what a batch must be, and its way to the partition (N3, N4). */
import { FencedError, OverloadedError, RejectedError } from "../../protocols/errors.ts";
import type { AppendFrame, LostFrame, OpenFrame, WireVerdict } from "../../protocols/frames.ts";
import { sequenceAt, sequenceCount } from "../../protocols/sequence.ts";
import type { AppendItem } from "../partition/partition.ts";
import {
  type About,
  type Awaited,
  chainKey,
  errorFrame,
  refuseConnection,
  type SessionEffect,
  type SessionState,
} from "./session_state.ts";

/** Who may write where: throws what the client did wrong. */
function admit(state: SessionState, frame: OpenFrame | AppendFrame | LostFrame): { readonly id: string } {
  const streams = state.environment.directory.describe();
  const stream = Object.hasOwn(streams, frame.stream) ? streams[frame.stream] : undefined;
  if (stream === undefined) {
    const known = Object.keys(streams).join(", ");
    throw new RejectedError(
      "UNKNOWN_STREAM",
      `Cannot append to ${frame.stream} as the stream must be one of [${known}]: current value is ${frame.stream}`,
    );
  }
  if (!(frame.partition >= 0 && frame.partition < stream.partitions)) {
    throw new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot append to ${frame.stream} as the partition must be below ${stream.partitions}: current value is ${frame.partition}`,
    );
  }
  if (state.permissions?.mayProduce(frame.stream) !== true) {
    throw new RejectedError(
      "FORBIDDEN",
      `Cannot append to ${frame.stream} as the token must allow to produce there: subject is ${state.permissions?.subject}`,
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

export function open(state: SessionState, frame: OpenFrame): readonly SessionEffect[] {
  return guarded(frame, 0, () => {
    const { id } = admit(state, frame);
    const requestId = expectAnswer(state, { kind: "open" });
    return [...flush(state), { type: "open_chain", requestId, frame, producerId: id }];
  });
}

export function lost(state: SessionState, frame: LostFrame): readonly SessionEffect[] {
  return guarded(frame, 0, () => {
    const { id } = admit(state, frame);
    const requestId = expectAnswer(state, { kind: "lost", to: frame.to });
    return [...flush(state), { type: "declare_lost", requestId, frame, producerId: id }];
  });
}

export function append(
  state: SessionState,
  frame: AppendFrame,
  wireBytes: number,
  nowMs: number,
): readonly SessionEffect[] {
  if (state.underWayBytes >= state.creditBytes) {
    const overrun = new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot take an append as bytes under way must stay below the credit of ${state.creditBytes}: current value is ${state.underWayBytes}`,
      1_000,
    );
    return refuseConnection(state, overrun); // N4
  }
  return guarded(frame, wireBytes, () => {
    const { id } = admit(state, frame);
    const key = chainKey(frame);
    if (!state.opened.has(key)) {
      throw new FencedError(
        "UNKNOWN_PRODUCER",
        `Cannot append to ${key} as its chain must be opened first: it was not`,
      );
    }
    const count = checkCount(state, frame);
    const inspection = state.environment.inspect(frame.stream, frame.events, frame.sequences, id, frame.schemaVersion);
    const verdicts = (inspection.rejects?.verdicts ?? []).map(({ index, code, path, reason }): WireVerdict => {
      return { sequence: sequenceAt(frame.sequences, index), code, path, reason };
    });
    const requestId = expectAnswer(state, {
      kind: "append",
      creditBytes: wireBytes,
      last: sequenceAt(frame.sequences, count - 1),
      verdicts,
    });
    const unanswered = state.unanswered.get(key);
    if (unanswered === undefined) state.unanswered.set(key, [requestId]);
    else unanswered.push(requestId);
    state.underWayBytes += wireBytes;
    gather(state, frame, {
      requestId,
      batch: {
        producerId: id,
        producerEpoch: frame.producerEpoch,
        previousSequence: frame.previousSequence ?? undefined,
        sequences: frame.sequences,
        schemaVersion: inspection.schemaVersion,
        events: frame.events,
        appendedAtMs: nowMs,
        ...(inspection.rejects === undefined ? {} : { rejects: inspection.rejects }),
        ...(frame.traceparent === undefined ? {} : { traceparent: frame.traceparent }),
        ...(frame.position === undefined ? {} : { position: frame.position }),
      },
    });
    return state.gathered.size === 1 && firstGathered(state) === 1 ? [{ type: "flush_soon" }] : [];
  });
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

const firstGathered = (state: SessionState): number => {
  for (const { items } of state.gathered.values()) return items.length;
  return 0;
};

function gather(state: SessionState, frame: AppendFrame, item: AppendItem): void {
  const key = chainKey(frame);
  const gathered = state.gathered.get(key);
  if (gathered !== undefined) gathered.items.push(item);
  else state.gathered.set(key, { stream: frame.stream, partition: frame.partition, items: [item] });
}

/** N3: what was gathered goes to its partitions. */
export function flush(state: SessionState): readonly SessionEffect[] {
  if (state.gathered.size === 0) return [];
  const effects = [...state.gathered.values()].map((appends): SessionEffect => ({ type: "append", ...appends }));
  state.gathered.clear();
  return effects;
}

function expectAnswer(state: SessionState, awaited: Awaited): number {
  const requestId = state.nextRequestId;
  state.nextRequestId += 1;
  state.awaited.set(requestId, awaited);
  return requestId;
}

/** A refusal of one append speaks of its partition and gives its credit back; the connection goes on. */
function guarded(about: About, creditBytes: number, attempt: () => readonly SessionEffect[]): readonly SessionEffect[] {
  try {
    return attempt();
  } catch (error) {
    if (!(error instanceof RejectedError || error instanceof FencedError)) throw error;
    return [{ type: "send", frame: errorFrame(error, about, creditBytes) }];
  }
}
