/**
 * Appends on their way from a session to a partition. Frames of one turn that follow each other in a chain become one
 * batch: a client that sends one event a frame then costs the log no more than one that sends batches.
 *   D1. Only what continues the chain as it stands is joined, so that the log's judgement of the whole is its judgement
 *       of each part: all written, or all of it behind a gap (E2).
 *   D2. A joined batch decodes by itself (E11): nothing with inline record definitions is joined, as the ids of one part
 *       would be defined, or read as records, in another.
 *   D3. What carries its own verdicts, trace context or resume point stays alone.
 */
import type { AppendFrame } from "../../protocols/frames.ts";
import type { Sequences } from "../../protocols/sequence.ts";
import type { AppendBatch } from "../log/log.ts";
import type { AppendItem } from "../partition/partition.ts";
import type { Inspection } from "./session.ts";

/** Beyond this a batch costs by its bytes, and joining saves nothing. */
export const JOINED_BYTES_MAX = 65_536;

/** An append that may still be joined by those that follow it. */
export interface Draft {
  readonly requestId: number;
  readonly batch: AppendBatch;
  /** Events of `batch` and of what joined it, each a MessagePack array, in order. */
  readonly parts: Uint8Array[];
  readonly canJoin: boolean;
  count: number;
  sizeBytes: number;
}

/** @param isNext the append continues its chain as it stands (D1) */
export function createDraft(requestId: number, batch: AppendBatch, inspection: Inspection, isNext: boolean): Draft {
  const { events, sequences, rejects, traceparent, position } = batch;
  const isPlain = rejects === undefined && traceparent === undefined && position === undefined; // D3
  const canJoin = isNext && isPlain && !inspection.hasDefinitions && "first" in sequences;
  const count = "first" in sequences ? sequences.count : sequences.list.length;
  return { requestId, batch, parts: [events], canJoin, count, sizeBytes: events.byteLength };
}

/** Takes `next` into `draft`, where the two may be one batch; both continue the same chain. */
export function joinDraft(draft: Draft, next: Draft, batchEventsMax: number): boolean {
  if (!draft.canJoin || !next.canJoin || draft.batch.schemaVersion !== next.batch.schemaVersion) return false;
  if (draft.sizeBytes + next.sizeBytes > JOINED_BYTES_MAX || draft.count + next.count > batchEventsMax) return false;
  if (!isDense(draft.batch.sequences, draft.count, next.batch.sequences)) return false;
  draft.parts.push(...next.parts);
  draft.count += next.count;
  draft.sizeBytes += next.sizeBytes;
  return true;
}

function isDense(before: Sequences, count: number, after: Sequences): boolean {
  if (!("first" in before) || !("first" in after)) return false;
  const [term, position, index] = before.first;
  const [nextTerm, nextPosition, nextIndex] = after.first;
  return nextTerm === term && nextPosition === position + count && nextIndex === index;
}

/** What the partition is given. */
export function finishDraft({ requestId, batch, parts, count, sizeBytes }: Draft): AppendItem {
  if (parts.length === 1 || !("first" in batch.sequences)) return { requestId, batch };
  const { first } = batch.sequences;
  return { requestId, batch: { ...batch, sequences: { first, count }, events: joinEvents(parts, count, sizeBytes) } };
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

/** Whether an append follows what its chain was sent before, all of which is expected to be written (D1). */
export const continues = (
  tail: { readonly sequence: AppendFrame["previousSequence"] } | undefined,
  frame: AppendFrame,
) => tail !== undefined && isSame(tail.sequence, frame.previousSequence);

const isSame = (left: AppendFrame["previousSequence"], right: AppendFrame["previousSequence"]): boolean =>
  left === null || right === null
    ? left === right
    : left[0] === right[0] && left[1] === right[1] && left[2] === right[2];
