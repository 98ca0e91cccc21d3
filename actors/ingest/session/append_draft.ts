/**
 * Appends on their way from a session to a partition. Frames of one turn that follow each other in a chain become one
 * batch: a client that sends one event a frame then costs the log no more than one that sends batches.
 *
 *   D1. Only frames that continue the chain as the log holds it are joined. So the log's judgement of the joined batch
 *       is its judgement of each frame: all are written, or all lie behind a gap (E2).
 *   D2. A joined batch decodes by itself (E11). Frames with inline record definitions stay alone, as their ids would be
 *       read as records of another frame.
 *   D3. A frame with verdicts or a resume point of its own stays alone.
 *   D4. Each event keeps the trace context of its frame. A frame that would be more than the 64th change of context
 *       begins another batch.
 */
import { compareSequences, firstSequence, type Sequence, sequenceCount } from "../../../protocols/sequence.ts";
import { type TraceStart, tracesOf } from "../../../protocols/traceparent.ts";
import type { AppendFrame } from "../../../protocols/wire/frames.ts";
import type { AppendBatch } from "../../log/log.ts";
import type { AppendItem } from "../../partition/partition.ts";
import type { Inspection } from "../session.ts";

/** Beyond this a batch costs by its bytes, and joining saves nothing. */
const JOINED_BYTES_MAX = 65_536;

/** Each change takes up to 60 bytes of the batch (`record_batch.ts`). */
export const TRACES_MAX = 64;

/** The producer that appends, and the principal that owns a chain which the append makes. */
interface DraftProducer {
  readonly id: string;
  readonly owner?: string;
}

/** An append that may still be joined by those that follow it. */
export interface Draft {
  readonly requestId: number;
  readonly producer: DraftProducer;
  /** The first frame of the batch, and its inspection. */
  readonly frame: AppendFrame;
  readonly inspection: Inspection;
  readonly appendedAtMs: number;
  readonly canJoin: boolean;
  /** Events of the frames that joined, each a MessagePack array, in order. */
  readonly joined: Uint8Array[];
  /** Where the trace context changes; empty while all events have that of the first frame (D4). */
  readonly traces: TraceStart[];
  count: number;
  sizeBytes: number;
}

/** @param isNext whether the append continues its chain as the log holds it (D1) */
export function createDraft(
  requestId: number,
  producer: DraftProducer,
  frame: AppendFrame,
  inspection: Inspection,
  appendedAtMs: number,
  isNext: boolean,
): Draft {
  const canJoin = isNext && isPlain(frame, inspection);
  const count = sequenceCount(frame.sequences);
  const sizeBytes = frame.events.byteLength;
  const parts = { joined: [], traces: [], count, sizeBytes };
  return { requestId, producer, frame, inspection, appendedAtMs, canJoin, ...parts };
}

/** D2, D3. */
function isPlain(frame: AppendFrame, inspection: Inspection): boolean {
  if (inspection.hasDefinitions || inspection.rejects !== undefined || !("first" in frame.sequences)) return false;
  return frame.position === undefined;
}

/** Joins a frame that continues the draft's chain to the draft. Answers false where the two must stay apart. */
export function joinDraft(draft: Draft, frame: AppendFrame, inspection: Inspection, batchEventsMax: number): boolean {
  const { sequences, events } = frame;
  if (!draft.canJoin || !("first" in sequences) || !isPlain(frame, inspection)) return false;
  if (inspection.schemaVersion !== draft.inspection.schemaVersion) return false;
  if (draft.sizeBytes + events.byteLength > JOINED_BYTES_MAX || draft.count + sequences.count > batchEventsMax)
    return false;
  if (!isDense(draft, sequences.first)) return false;
  if (frame.traceparent !== lastTraceOf(draft) && !changeTrace(draft, frame.traceparent)) return false;
  draft.joined.push(events);
  draft.count += sequences.count;
  draft.sizeBytes += events.byteLength;
  return true;
}

const lastTraceOf = ({ frame, traces }: Draft): string | undefined =>
  traces.length === 0 ? frame.traceparent : traces.at(-1)?.traceparent;

/** D4. False where the batch has no room for another change. */
function changeTrace({ frame, traces, count }: Draft, traceparent: string | undefined): boolean {
  if (traces.length >= TRACES_MAX) return false;
  if (traces.length === 0) traces.push(startOf(0, frame.traceparent));
  traces.push(startOf(count, traceparent));
  return true;
}

const startOf = (index: number, traceparent: string | undefined): TraceStart =>
  traceparent === undefined ? { index } : { index, traceparent };

function isDense({ frame: { sequences }, count }: Draft, next: Sequence): boolean {
  if (!("first" in sequences)) return false;
  const [term, position, index] = sequences.first;
  return next[0] === term && next[1] === position + count && next[2] === index;
}

export function finishDraft(draft: Draft): AppendItem {
  const { requestId, producer, frame, inspection, appendedAtMs, joined, traces, count, sizeBytes } = draft;
  const isJoined = joined.length > 0 && "first" in frame.sequences;
  const { producerEpoch, traceparent, position } = frame;
  const isTraced = traceparent !== undefined || traces.length > 0;
  const { schemaVersion, rejects } = inspection;
  const plain: AppendBatch = {
    producerId: producer.id,
    producerEpoch,
    previousSequence: frame.previousSequence ?? undefined,
    sequences: isJoined ? { first: frame.sequences.first, count } : frame.sequences,
    schemaVersion,
    events: isJoined ? joinEvents([frame.events, ...joined], count, sizeBytes) : frame.events,
    appendedAtMs,
  };
  // Only an append without a predecessor can make a chain, which needs an owner.
  const owner = frame.previousSequence === null ? producer.owner : undefined;
  const isPlainBatch = rejects === undefined && !isTraced && position === undefined;
  if (isPlainBatch && owner === undefined) return { requestId, batch: plain };
  const batch: AppendBatch = {
    ...plain,
    ...(owner === undefined ? {} : { owner }),
    ...(rejects === undefined ? {} : { rejects }),
    ...tracesOf(traces.length > 0 ? { traces } : frame),
    ...(position === undefined ? {} : { position }),
  };
  return { requestId, batch };
}

/** One MessagePack array of the elements of all parts. */
function joinEvents(parts: readonly Uint8Array[], count: number, sizeBytes: number): Uint8Array {
  const joined = new Uint8Array(5 + sizeBytes);
  let at = writeArrayHeader(joined, count);
  for (const part of parts) {
    const body = part.subarray(arrayHeaderBytes(part[0] ?? 0));
    joined.set(body, at);
    at += body.length;
  }
  return joined.subarray(0, at);
}

const arrayHeaderBytes = (token: number): number => (token === 0xdc ? 3 : token === 0xdd ? 5 : 1);

function writeArrayHeader(target: Uint8Array, count: number): number {
  if (count < 16) {
    target[0] = 0x90 | count;
    return 1;
  }
  if (count < 65_536) {
    target.set([0xdc, count >> 8, count & 0xff]);
    return 3;
  }
  target.set([0xdd, count >>> 24, (count >> 16) & 0xff, (count >> 8) & 0xff, count & 0xff]);
  return 5;
}

/** Whether an append follows the last one sent to its chain, and lies behind it (D1): a repeated batch does not. */
export function continues(tail: Sequence | null | undefined, { previousSequence, sequences }: AppendFrame): boolean {
  if (tail === undefined) return false;
  if (tail === null || previousSequence === null) return tail === previousSequence;
  return compareSequences(tail, previousSequence) === 0 && compareSequences(firstSequence(sequences), tail) > 0;
}
