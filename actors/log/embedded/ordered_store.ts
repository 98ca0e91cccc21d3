/**
 * What the embedded log needs of a store: ordered keys, atomic commits, and to be told when they are on disk. Keys are
 * strings ordered by their UTF-8 bytes. `memory_store` and `lmdb_store` keep it.
 */
import type { StoreState } from "../log.ts";

/** `undefined` removes the key. */
export type Writes = ReadonlyMap<string, Uint8Array | undefined>;

export interface Commit {
  /** Resolves once all of it is visible to reads; rejects with nothing of it written. */
  readonly committed: Promise<void>;
  /** Resolves once all of it, and all before it, survives the loss of power. Called after `committed` has resolved. */
  flushed(): Promise<void>;
}

export interface OrderedStore {
  /** Tells this life of the store from every other (L2). */
  readonly identity: string;
  get(key: string): Uint8Array | undefined;
  /** Pairs from `from` (inclusive) to `to` (exclusive), in order. */
  range(from: string, to: string): Iterable<readonly [key: string, value: Uint8Array]>;
  commit(writes: Writes): Commit;
  /** Turns what the engine throws into an error of ours, and knows what it says about the store's health. */
  failure(error: unknown): Error;
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;
  /** Rejects while the store can not be written; tries to bring it back. */
  probe(): Promise<void>;
  close(): Promise<void>;
}
