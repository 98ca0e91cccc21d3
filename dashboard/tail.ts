/**
 * Follows the end of a stream. Where records come faster than the page reads, it skips some, shows their number, and
 * goes on near the end.
 */
import type { ConsumedRecord, Consumer, SubscribeFrom } from "../protocols/mod.ts";

/** Records behind the end from which the page skips some. */
const BEHIND_MAX = 2_000;
/** Records before the end at which the page goes on after a skip. */
const KEPT_AT_SKIP = 50;
const WINDOW_BYTES = 262_144;

export interface TailRecord extends ConsumedRecord {
  readonly stream: string;
  readonly partition: number;
}

export interface Tail {
  readonly stream: string;
  readonly channel: "records" | "rejected";
  readonly starts: readonly { readonly partition: number; readonly from: SubscribeFrom }[];
  readonly signal: AbortSignal;
  onRecords(records: readonly TailRecord[]): void;
  onSkipped(count: number): void;
}

/** Follows until the signal aborts. Throws the node's refusal. */
export async function followTail(consumer: Pick<Consumer, "subscribe">, tail: Tail): Promise<void> {
  const next = new Map<number, SubscribeFrom>(tail.starts.map(({ partition, from }) => [partition, from]));
  while (!tail.signal.aborted) await readUntilBehind(consumer, tail, next);
}

async function readUntilBehind(
  consumer: Pick<Consumer, "subscribe">,
  tail: Tail,
  next: Map<number, SubscribeFrom>,
): Promise<void> {
  const { stream, channel, signal } = tail;
  const partitions = [...next].map(([partition, from]) => ({ partition, from }));
  const items = consumer.subscribe({ stream, channel, partitions, windowBytes: WINDOW_BYTES, signal });
  for await (const item of items) {
    if (item.kind !== "records") continue;
    const { partition, records, endOffset } = item;
    const last = records.at(-1);
    tail.onRecords(records.map((record) => ({ ...record, stream, partition })));
    if (last === undefined) continue;
    next.set(partition, last.position);
    const behind = endOffset - last.position.offset - 1;
    if (behind <= BEHIND_MAX) continue;
    next.set(partition, { offset: endOffset - KEPT_AT_SKIP });
    tail.onSkipped(behind - KEPT_AT_SKIP);
    return;
  }
}
