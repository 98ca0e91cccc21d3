/**
 * Group commit for a store: writes of all partitions that arrive while a commit is under way share the next one. Decides
 * which writes share a commit and which calls wait for it; leaves bytes to the store.
 *
 *   Q1. Commits run one at a time, in the order of the calls. The writes of one call share a commit.
 *   Q2. A commit that fails also fails all calls queued behind it, because they were decided on its effect.
 *   Q3. A call that asks for a flush is answered after the flush of its commit, which covers all before it (E10).
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

  /** @param onFailure called after a commit failed, before its calls are rejected */
  constructor(store: OrderedStore, onFailure: () => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  /** Queues the writes. Resolves once they, and all before them, are committed or, with `isFlushed`, flushed. */
  write(writes: Iterable<readonly [string, Uint8Array | undefined]>, isFlushed: boolean): Promise<void> {
    for (const [key, value] of writes) this.#writes.set(key, value);
    const done = new Promise<void>((resolve, reject) => this.#waiters.push({ isFlushed, resolve, reject }));
    if (!this.#isRunning) {
      this.#isRunning = true;
      queueMicrotask(() => void this.#run());
    }
    return done;
  }

  /** Rejects all calls that are queued and not under way: the life of the store that they were decided for has ended. */
  abandon(reason: Error): void {
    for (const waiter of this.#take().waiters) waiter.reject(reason);
  }

  #take() {
    const taken = { writes: this.#writes, waiters: this.#waiters };
    this.#writes = new Map();
    this.#waiters = [];
    return taken;
  }

  async #run(): Promise<void> {
    while (this.#waiters.length > 0) {
      const { writes, waiters } = this.#take();
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

  /** Q3. The next commit runs meanwhile. */
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
    const behind = this.#take().waiters;
    this.#onFailure();
    for (const waiter of [...waiters, ...behind]) waiter.reject(failure);
  }
}
