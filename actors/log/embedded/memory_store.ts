/**
 * An ordered store in memory, for simulation: deterministic, and able to fail as a disk does. Commits that were not flushed
 * can be lost, calls can fail before or after their effect, and the store can be away or come back empty.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";
import type { Commit, OrderedStore, Writes } from "./ordered_store.ts";

/** When a commit fails: before its effect, or after it (the answer is lost). */
export type FailureTiming = "before" | "after";

/** Up to this many keys of a commit are inserted one by one; more are merged in one pass over all keys, which is faster. */
const PLACED_ONE_BY_ONE_MAX = 16;

export class MemoryStore implements OrderedStore {
  #life = 1;
  readonly #values = new Map<string, Uint8Array>();
  /** The keys of `#values`, ascending. */
  #keys: string[] = [];
  /** Keys of unflushed writes, each with its value before, so that an unflushed tail can be taken back. */
  #unflushed: { readonly key: string; readonly before: Uint8Array | undefined }[] = [];
  #failures: FailureTiming[] = [];
  #isAway = false;
  #isFlushHeld = false;
  readonly #listeners: ((state: StoreState) => void)[] = [];

  get identity(): string {
    return `memory-${this.#life}`;
  }

  get(key: string): Uint8Array | undefined {
    this.#checkPresent();
    return this.#values.get(key);
  }

  *range(from: string, to: string): Iterable<readonly [string, Uint8Array]> {
    this.#checkPresent();
    const keys = this.#keys;
    for (let at = placeOf(keys, from); at < keys.length; at++) {
      const key = keys[at] as string;
      if (key >= to) return;
      yield [key, this.#values.get(key) as Uint8Array];
    }
  }

  commit(writes: Writes): Commit {
    const life = this.#life;
    return { committed: this.#commit(writes), flushed: () => this.#flush(life) };
  }

  async #commit(writes: Writes): Promise<void> {
    this.#checkPresent();
    const failure = this.#failures.shift();
    if (failure !== "before") this.#write(writes);
    if (failure !== undefined)
      throw new UnavailableError("STORE_UNAVAILABLE", `Cannot commit as told to fail ${failure}`);
  }

  async #flush(life: number): Promise<void> {
    this.#checkPresent();
    if (life !== this.#life) throw new UnavailableError("STORE_UNAVAILABLE", "Cannot flush as the store was restarted");
    if (this.#isFlushHeld) throw new UnavailableError("STORE_UNAVAILABLE", "Cannot flush as flushes are held back");
    this.#unflushed = [];
  }

  #write(writes: Writes): void {
    const placed: string[] = [];
    for (const [key, value] of writes) {
      const before = this.#set(key, value);
      this.#unflushed.push({ key, before });
      if ((before === undefined) !== (value === undefined)) placed.push(key);
    }
    this.#place(placed);
  }

  /** Sets or removes a value and returns the one before. The caller places keys that came or went. */
  #set(key: string, value: Uint8Array | undefined): Uint8Array | undefined {
    const before = this.#values.get(key);
    if (value !== undefined) this.#values.set(key, value);
    else this.#values.delete(key);
    return before;
  }

  /** Inserts the keys that came into `#keys` and removes those that went. */
  #place(changed: readonly string[]): void {
    if (changed.length > PLACED_ONE_BY_ONE_MAX) {
      const came = changed.filter((key) => this.#values.has(key)).sort();
      const hasLost = came.length < changed.length;
      const stayed = hasLost ? this.#keys.filter((key) => this.#values.has(key)) : this.#keys;
      this.#keys = [...stayed, ...came].sort(); // merges two ascending runs in one pass
      return;
    }
    for (const key of changed) {
      const at = placeOf(this.#keys, key);
      if (this.#values.has(key)) this.#keys.splice(at, 0, key);
      else this.#keys.splice(at, 1);
    }
  }

  failure(error: unknown): Error {
    return error instanceof Error ? error : new Error(String(error));
  }

  state(): StoreState {
    if (!this.#isAway) return { kind: "ready" };
    return { kind: "unavailable", code: "STORE_UNAVAILABLE", reason: "The store is away" };
  }

  onStateChange(listener: (state: StoreState) => void): void {
    this.#listeners.push(listener);
  }

  async probe(): Promise<void> {
    this.#checkPresent();
  }

  async close(): Promise<void> {
    this.#isAway = true;
  }

  #checkPresent(): void {
    if (this.#isAway) throw new UnavailableError("STORE_UNAVAILABLE", "Cannot reach the store as it is away");
  }

  // Faults, for the simulator.

  /** Makes the next commits fail, one for each timing. */
  failNext(timings: readonly FailureTiming[]): void {
    this.#failures.push(...timings);
  }

  /** While the store is away every call rejects with `UnavailableError`. */
  setAway(isAway: boolean): void {
    if (isAway === this.#isAway) return;
    this.#isAway = isAway;
    for (const listener of this.#listeners) listener(this.state());
  }

  /** While flushes are held they fail, so that no append of tier `fsync` is acknowledged. */
  setFlushHeld(isHeld: boolean): void {
    this.#isFlushHeld = isHeld;
  }

  flushNow(): void {
    this.#unflushed = [];
  }

  /** Begins the store's next life, without the given part of its data. */
  restart(loss: "nothing" | "unflushed" | "everything"): void {
    this.#life += 1;
    if (loss === "unflushed") {
      for (const { key, before } of this.#unflushed.toReversed()) this.#set(key, before);
      this.#keys = [...this.#values.keys()].sort();
    }
    if (loss === "everything") {
      this.#values.clear();
      this.#keys = [];
    }
    this.#unflushed = [];
    this.#failures = [];
    this.#isFlushHeld = false;
    this.setAway(false);
  }
}

/** The index of `key` in the ascending `keys`, or the index at which it would be inserted. */
function placeOf(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
