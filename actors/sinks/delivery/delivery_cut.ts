/**
 * Cuts the records read ahead into batches, and batches into requests. Pure; part of the delivery machine.
 *
 * A request holds whole records of the input, in order, up to `recordsPerRequest` outputs. A record with more outputs
 * goes alone, in several requests. So the cut follows from its first record, the records themselves and its end. Each
 * cut begins behind the end of a request, and D13 stores the end: every later try cuts alike.
 */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import type { SinkBatch, SinkRecord } from "../sink.ts";
import { tripleKey, tripleOf } from "./delivery_batch.ts";
import {
  CUT_RECORDS_MAX,
  type DeadLetterDraft,
  type DeliveryItem,
  type DeliveryState,
  type Hand,
  type RequestCut,
} from "./delivery_messages.ts";
import { forgetCut } from "./delivery_place.ts";

/** Takes the next batch in hand: the items of the stored cut, or else as many as the limits allow. */
export function cutHand(state: DeliveryState, nowMs: number): void {
  const items = state.buffer.splice(0, countOf(state));
  const last = items.at(-1);
  if (last === undefined) return;
  for (const { sizeBytes } of items) state.bufferBytes -= sizeBytes;
  state.bufferedSinceMs = nowMs; // the wait of the records left begins anew, with their batch
  state.lingerTimerId = undefined;
  const { records, drafts } = unsettled(items, state);
  const recordsPerRequest = state.cut?.recordsPerRequest ?? state.limits.recordsPerRequest ?? 1;
  const takenBeyond = [...state.taken.values()];
  const fresh = { rejections: 0, takenCount: 0 };
  state.hand = { items, records, end: last.position, recordsPerRequest, drafts, takenBeyond, ...fresh };
}

function countOf(state: DeliveryState): number {
  const { cut, buffer } = state;
  const end = cut?.end;
  if (end === undefined) return countWithin(state, buffer.length);
  const beyond = buffer.findIndex(({ position }) => comparePositions(position, end) > 0);
  const covered = beyond < 0 ? buffer.length : beyond;
  if (covered === 0) forgetCut(state); // The log has lost the records that were cut.
  // With several records a request, the last request stays the same only if the batch ends at the same record.
  return covered > 0 && cut?.recordsPerRequest !== 1 ? covered : countWithin(state, covered || buffer.length);
}

/** Whether more must be read before a batch is cut, as the stored cut reaches beyond the records read so far (D13). */
export function isCutUnread({ cut, buffer, hasEnded, interruption }: DeliveryState): boolean {
  if (cut?.end === undefined || cut.recordsPerRequest === 1 || hasEnded || interruption !== undefined) return false;
  const last = buffer.at(-1);
  return last === undefined || comparePositions(last.position, cut.end) < 0;
}

/** Whether the batch's cut is stored, so that its requests may be sent (D13). */
export function isCutStored({ cut, limits }: DeliveryState, hand: Hand): boolean {
  if (limits.recordsPerRequest === undefined) return true;
  if (hand.records.length === 0 && hand.takenBeyond.length === 0) return true;
  if (cut === undefined || cut.recordsPerRequest !== hand.recordsPerRequest) return false;
  if (!sameTriples(cut.taken, hand.takenBeyond)) return false;
  if (cut.end === undefined) return (cut.recordsMax ?? CUT_RECORDS_MAX) >= limits.recordsMax;
  const isWithin = comparePositions(hand.end, cut.end);
  return hand.recordsPerRequest === 1 ? isWithin <= 0 : isWithin === 0;
}

/** A sink that posts each record by itself stores a cut without an end, once for all batches. */
export function cutOf({ limits }: DeliveryState, { end, recordsPerRequest, takenBeyond }: Hand): RequestCut {
  const isForAll = limits.recordsPerRequest === 1 && recordsPerRequest === 1 && takenBeyond.length === 0;
  if (!isForAll) return { end, recordsPerRequest, taken: takenBeyond };
  const all = { end: undefined, recordsPerRequest, taken: takenBeyond };
  return limits.recordsMax > CUT_RECORDS_MAX ? { ...all, recordsMax: limits.recordsMax } : all;
}

/** The cut in force after an opening. Records up to `reach` may have gone one by one: then they still do. */
export function cutInForce(
  stored: RequestCut | undefined,
  reach: Position | undefined,
  recordsPerRequest: number | undefined,
): RequestCut | undefined {
  if (recordsPerRequest === undefined) return undefined;
  if (stored === undefined || stored.end !== undefined || recordsPerRequest === 1) return stored;
  return reach === undefined ? undefined : { ...stored, end: reach };
}

export function toSinkBatch(state: DeliveryState, hand: Hand): SinkBatch {
  const batch = { predecessor: state.position, end: hand.end, records: hand.records };
  return hand.recordsPerRequest === 1 ? batch : { ...batch, requests: requestsOf(hand, state.limits.targetOf) };
}

type TargetOf = DeliveryState["limits"]["targetOf"];

function requestsOf({ items, records, recordsPerRequest }: Hand, targetOf: TargetOf): number[] {
  const left = new Set(records.map((record) => tripleKey(tripleOf(record))));
  const requests: number[] = [];
  for (const outputs of requestOutputs(items, recordsPerRequest, targetOf)) {
    const count = outputs.reduce((sum, output) => sum + (left.has(tripleKey(tripleOf(output))) ? 1 : 0), 0);
    if (count > 0) requests.push(count);
  }
  return requests;
}

/** The outputs of each request, settled ones included. A request's key names one epoch, so it holds one, and one target. */
function requestOutputs(items: readonly DeliveryItem[], size: number, targetOf: TargetOf): SinkRecord[][] {
  const requests: SinkRecord[][] = [];
  let open: SinkRecord[] = [];
  const isApart = (left: SinkRecord | undefined, right: SinkRecord) =>
    left !== undefined &&
    (left.position.epoch !== right.position.epoch || (targetOf !== undefined && targetOf(left) !== targetOf(right)));
  for (const { outputs } of items) {
    const [first] = outputs;
    if (first === undefined) continue;
    const isWhole = outputs.length <= size && !outputs.some((output) => isApart(first, output));
    if (isApart(open[0], first) || !isWhole || open.length + outputs.length > size) {
      requests.push(open);
      open = [];
    }
    if (isWhole) {
      open.push(...outputs);
      continue;
    }
    for (const output of outputs) {
      if (isApart(open[0], output) || open.length === size) {
        requests.push(open);
        open = [];
      }
      open.push(output);
    }
    requests.push(open);
    open = [];
  }
  requests.push(open);
  return requests;
}

function countWithin({ limits, buffer }: DeliveryState, countMax: number): number {
  let count = 0;
  let sizeBytes = 0;
  let recordCount = 0;
  for (const item of buffer) {
    recordCount += Math.max(1, item.outputs.length);
    const isFull = recordCount > limits.recordsMax || sizeBytes + item.sizeBytes > limits.bytesMax;
    if (count >= countMax || (count > 0 && isFull)) break;
    count += 1;
    sizeBytes += item.sizeBytes;
  }
  return count;
}

/** What is to be written and set aside. Makes no keys in the usual case, where no record is settled. */
function unsettled(items: readonly DeliveryItem[], { setAside, taken }: DeliveryState) {
  const records: SinkRecord[] = [];
  const drafts: DeadLetterDraft[] = [];
  const isAnySettled = setAside.size + taken.size > 0;
  const isSettled = (sequence: Sequence) => setAside.has(tripleKey(sequence)) || taken.has(tripleKey(sequence));
  for (const { position, outputs, failure } of items) {
    for (const record of outputs) if (!isAnySettled || !isSettled(tripleOf(record))) records.push(record);
    if (failure === undefined) continue;
    const triple: Sequence = [position.epoch, position.offset, 0];
    if (!isSettled(triple)) drafts.push({ ...failure, triple });
  }
  return { records, drafts };
}

function sameTriples(left: readonly Sequence[], right: readonly Sequence[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((one, at) => compareSequences(one, right[at]) === 0);
}
