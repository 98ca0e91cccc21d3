/** Describes the batch in hand, and computes the delays of retries. Pure; part of the delivery machine. */
import { backoffMs, shortenedMs } from "../../../protocols/clock.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { SinkRecord } from "../sink.ts";
import type { DeadLetterDraft, DeliveredBatch, DeliveryLimits, Hand } from "./delivery_messages.ts";

export const tripleKey = ([term, at, index]: Sequence): string => `${term}/${at}/${index}`;

export const tripleOf = (record: SinkRecord): Sequence => [record.position.epoch, record.position.offset, record.index];

/** The trace contexts of the batch in hand, each once. With `letters`, only those of the items that `letters` name. */
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

/** The first letters of the batch that one append may hold, at least one. */
export function lettersWithin({ drafts, items }: Hand, { lettersMax, lettersBytesMax }: DeliveryLimits) {
  const sizes = new Map(items.map(({ position, sizeBytes }) => [`${position.epoch}/${position.offset}`, sizeBytes]));
  let sizeBytes = 0;
  const at = drafts.findIndex(({ triple: [term, offset] }, index) => {
    sizeBytes += sizes.get(`${term}/${offset}`) ?? 0;
    return index >= lettersMax || (index > 0 && sizeBytes > lettersBytesMax);
  });
  return at < 0 ? drafts : drafts.slice(0, at);
}

export const describeHand = (hand: Hand): DeliveredBatch => ({
  end: hand.end,
  inputs: hand.items.length,
  records: hand.records.length + hand.takenCount,
  oldestAppendedAtMs: hand.items[0]?.appendedAtMs,
});

/** Doubles from `retryFirstMs` up to `retryMaxMs`, less a random share of at most one half. Never below `afterMs`. */
export function retryDelayMs(
  limits: DeliveryLimits,
  failures: number,
  afterMs: number | undefined,
  random: number,
): number {
  const fullMs = backoffMs(failures - 1, limits.retryFirstMs, limits.retryMaxMs);
  return Math.round(Math.max(afterMs ?? 0, shortenedMs(fullMs, random)));
}
