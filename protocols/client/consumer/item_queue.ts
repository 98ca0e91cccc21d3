/** The items of a subscription on their way to a `for await` loop. */
import type { ConsumedRecord } from "./read_records.ts";

/** An item of a subscription: records, or a break in the log of one partition. */
export type ConsumedItem =
  | {
      readonly kind: "records";
      readonly stream: string;
      readonly partition: number;
      /** Records in offset order. May be empty. */
      readonly records: readonly ConsumedRecord[];
      /** One past the newest committed offset when the node sent this. */
      readonly endOffset: number;
    }
  /** Retention removed records that were not read. Reading goes on at `firstOffset`. */
  | { readonly kind: "trimmed"; readonly stream: string; readonly partition: number; readonly firstOffset: number }
  /** Records from `divergence` on, which may have been read, no longer exist. Reading goes on there (E9). */
  | { readonly kind: "truncated"; readonly stream: string; readonly partition: number; readonly divergence: number };

/** Hands items to a loop. An item counts as consumed once the loop asks for the next one. */
export class ItemQueue implements AsyncIterableIterator<ConsumedItem> {
  private readonly items: { readonly read: () => ConsumedItem; readonly sizeBytes: number }[] = [];
  private readonly waiting: { resolve(result: IteratorResult<ConsumedItem>): void; reject(error: unknown): void }[] =
    [];
  private inHandBytes = 0;
  private ended: { readonly error: Error | undefined } | undefined;
  private readonly onConsumed: (sizeBytes: number) => void;
  private readonly onLeft: () => void;

  constructor(onConsumed: (sizeBytes: number) => void, onLeft: () => void) {
    this.onConsumed = onConsumed;
    this.onLeft = onLeft;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(read: () => ConsumedItem, sizeBytes: number): void {
    this.items.push({ read, sizeBytes });
    const waiter = this.waiting.shift();
    if (waiter !== undefined) this.hand(waiter);
  }

  end(error: Error | undefined): void {
    this.ended ??= { error };
    for (const waiter of this.waiting.splice(0)) this.finish(waiter);
  }

  next(): Promise<IteratorResult<ConsumedItem>> {
    if (this.inHandBytes > 0) this.onConsumed(this.inHandBytes);
    this.inHandBytes = 0;
    return new Promise((resolve, reject) => {
      if (this.items.length > 0) this.hand({ resolve, reject });
      else if (this.ended !== undefined) this.finish({ resolve, reject });
      else this.waiting.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<ConsumedItem>> {
    this.items.length = 0;
    this.onLeft();
    return Promise.resolve({ done: true, value: undefined });
  }

  private hand(waiter: (typeof this.waiting)[number]): void {
    const item = this.items.shift();
    if (item === undefined) return;
    this.inHandBytes = item.sizeBytes;
    try {
      waiter.resolve({ done: false, value: item.read() });
    } catch (error) {
      waiter.reject(error);
    }
  }

  private finish(waiter: (typeof this.waiting)[number]): void {
    if (this.ended?.error === undefined) waiter.resolve({ done: true, value: undefined });
    else waiter.reject(this.ended.error);
  }
}
