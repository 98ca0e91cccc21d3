/**
 * Follows the end of a stream. A page shows what is new: where records come faster than it reads, it leaves some out,
 * says how many, and goes on near the end.
 */
import type { ConsumedRecord, Consumer, SubscribeFrom } from "../protocols/mod.ts";

/** Records behind the end at which the page gives up on reading them all. */
const BEHIND_MAX = 2_000;
/** Where it goes on: so many before the end. */
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

/** Ends when the signal aborts; throws what the node refuses. */
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
