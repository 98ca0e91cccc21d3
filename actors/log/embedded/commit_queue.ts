/**
 * Group commit for a store: whatever is written while a commit is under way goes into the next one, of all partitions
 * together. Decides what shares a commit and who waits for which; leaves bytes to the store.
 *
 *   Q1. One commit at a time, in the order of the calls; the writes of one call are never split.
 *   Q2. A commit that fails takes with it everything queued behind it, for that was decided on what did not come to be.
 *   Q3. A call that wants its writes on disk is answered after the flush of its commit, and of all before it (E10).
 */
import type { OrderedStore } from "./ordered_store.ts";

interface Waiter {
  readonly isFlushed: boolean;
  resolve(): void;
  reject(error: Error): void;
}

export class CommitQueue {
  readonly #store: OrderedStore;
  readonly #onFailure: () => void;
  #writes = new Map<string, Uint8Array | undefined>();
  #waiters: Waiter[] = [];
  #isRunning = false;

  /** `onFailure` is called before anybody is told of a failed commit. */
  constructor(store: OrderedStore, onFailure: () => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  /** Queues the writes; resolves once they, and all before them, are committed or, where asked for, flushed. */
  write(writes: Iterable<readonly [string, Uint8Array | undefined]>, isFlushed: boolean): Promise<void> {
    for (const [key, value] of writes) this.#writes.set(key, value);
    const done = new Promise<void>((resolve, reject) => this.#waiters.push({ isFlushed, resolve, reject }));
    if (!this.#isRunning) {
      this.#isRunning = true;
      queueMicrotask(() => void this.#run());
    }
    return done;
  }

  /** Rejects everything that is queued and not under way: the store it was decided for is gone. */
  abandon(reason: Error): void {
    const waiters = this.#waiters;
    this.#writes = new Map();
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(reason);
  }

  async #run(): Promise<void> {
    while (this.#waiters.length > 0) {
      const writes = this.#writes;
      const waiters = this.#waiters;
      this.#writes = new Map();
      this.#waiters = [];
      try {
        const commit = this.#store.commit(writes);
        await commit.committed;
        for (const waiter of waiters) if (!waiter.isFlushed) waiter.resolve();
        const flushed = waiters.filter(({ isFlushed }) => isFlushed);
        if (flushed.length > 0) void this.#flush(commit.flushed(), flushed);
      } catch (error) {
        this.#fail(error, waiters);
      }
    }
    this.#isRunning = false;
  }

  /** Q3. The next commit goes on meanwhile. */
  async #flush(flushed: Promise<void>, waiters: readonly Waiter[]): Promise<void> {
    try {
      await flushed;
      for (const waiter of waiters) waiter.resolve();
    } catch (error) {
      this.#fail(error, waiters);
    }
  }

  #fail(error: unknown, waiters: readonly Waiter[]): void {
    const failure = this.#store.failure(error);
    const behind = this.#waiters;
    this.#writes = new Map();
    this.#waiters = [];
    this.#onFailure();
    for (const waiter of [...waiters, ...behind]) waiter.reject(failure);
  }
}
