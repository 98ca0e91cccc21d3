/** Cutting batches from what was read ahead, and the arithmetic of retries. Pure; part of the delivery machine. */
import type { Sequence } from "../../protocols/sequence.ts";
import type {
  DeadLetterDraft,
  DeliveredBatch,
  DeliveryItem,
  DeliveryLimits,
  DeliveryState,
  Hand,
} from "./delivery_messages.ts";
import type { SinkBatch, SinkRecord } from "./sink.ts";

export const tripleKey = ([term, at, index]: Sequence): string => `${term}/${at}/${index}`;

export const tripleOf = (record: SinkRecord): Sequence => [record.position.epoch, record.position.offset, record.index];

/** Takes the next batch in hand: as many items as the limits allow, one at least. */
export function cutHand(state: DeliveryState): void {
  const { recordsMax, bytesMax } = state.limits;
  let count = 0;
  let sizeBytes = 0;
  let recordCount = 0;
  for (const item of state.buffer) {
    recordCount += Math.max(1, item.outputs.length);
    if (count > 0 && (recordCount > recordsMax || sizeBytes + item.sizeBytes > bytesMax)) break;
    count += 1;
    sizeBytes += item.sizeBytes;
  }
  const items = state.buffer.splice(0, count);
  const last = items.at(-1);
  if (last === undefined) return;
  state.bufferBytes -= sizeBytes;
  const { records, drafts } = unsettled(items, state.setAside);
  state.hand = { items, records, end: last.position, rejections: 0, drafts };
}

/** What is still to be written or set aside. Most of the time nothing is set aside, and no key is made for any record. */
function unsettled(items: readonly DeliveryItem[], setAside: ReadonlyMap<string, Sequence>) {
  const records: SinkRecord[] = [];
  const drafts: DeadLetterDraft[] = [];
  const isSettled = (sequence: Sequence) => setAside.has(tripleKey(sequence));
  for (const { position, outputs, failure } of items) {
    for (const record of outputs) if (setAside.size === 0 || !isSettled(tripleOf(record))) records.push(record);
    if (failure === undefined) continue;
    const triple: Sequence = [position.epoch, position.offset, 0];
    if (!isSettled(triple)) drafts.push({ ...failure, triple });
  }
  return { records, drafts };
}

export function toSinkBatch(state: DeliveryState, hand: Hand): SinkBatch {
  const traceparent = hand.items.find((item) => item.traceparent !== undefined)?.traceparent;
  const batch = { predecessor: state.position, end: hand.end, records: hand.records };
  return traceparent === undefined ? batch : { ...batch, traceparent };
}

/** The trace contexts of what is in hand, each once; of the items that `letters` name, where it is given. */
export function tracesInHand(
  hand: Hand | undefined,
  letters?: readonly DeadLetterDraft[],
): { readonly traceparents?: readonly string[] } {
  const named = letters === undefined ? undefined : new Set(letters.map(({ triple: [term, at] }) => `${term}/${at}`));
  const traceparents = new Set<string>();
  for (const { position, traceparent } of hand?.items ?? []) {
    if (traceparent === undefined) continue;
    if (named === undefined || named.has(`${position.epoch}/${position.offset}`)) traceparents.add(traceparent);
  }
  return traceparents.size === 0 ? {} : { traceparents: [...traceparents] };
}

export const describeHand = (hand: Hand): DeliveredBatch => ({
  end: hand.end,
  inputs: hand.items.length,
  records: hand.records.length,
  oldestAppendedAtMs: hand.items[0]?.appendedAtMs,
});

/** Exponential from `retryFirstMs`, at most `retryMaxMs`, of which up to one half is taken off by chance. */
export function retryDelayMs(
  limits: DeliveryLimits,
  failures: number,
  afterMs: number | undefined,
  random: number,
): number {
  const fullMs = Math.min(limits.retryMaxMs, limits.retryFirstMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(Math.max(afterMs ?? 0, fullMs * (1 - random / 2)));
}
