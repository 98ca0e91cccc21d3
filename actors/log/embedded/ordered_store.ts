/**
 * What the embedded log needs from a store: ordered keys, atomic commits, and news of their flushes. Keys are strings,
 * ordered by their UTF-8 bytes. memory_store.ts and lmdb_store.ts implement it.
 */
import { InvariantError } from "../../../protocols/errors.ts";
import type { StoreState } from "../log.ts";

/** `undefined` removes the key. */
export type Writes = ReadonlyMap<string, Uint8Array | undefined>;

export interface Commit {
  /** Resolves once reads see all of the commit. Where it rejects, the outcome is unknown: all of it, or nothing. */
  readonly committed: Promise<void>;
  /** Resolves once this commit and all before it survive a loss of power. Called after `committed` has resolved. */
  flushed(): Promise<void>;
}

export interface OrderedStore {
  /** Names this life of the store (log L2). */
  readonly identity: string;
  get(key: string): Uint8Array | undefined;
  /** Pairs from `from` (inclusive) to `to` (exclusive), in order. */
  range(from: string, to: string): Iterable<readonly [key: string, value: Uint8Array]>;
  commit(writes: Writes): Commit;
  /** Turns an engine's error into a `HeadraceError`, and changes the store's state where the error tells of its health. */
  failure(error: unknown): Error;
  state(): StoreState;
  onStateChange(listener: (state: StoreState) => void): void;
  /** Tries to bring the store back where it is away. Rejects while it cannot be written. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** What `read` returns. Its error becomes the store's, or `InvariantError` for a key that the store cannot hold. */
export function guarded<Value>(store: OrderedStore, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    // The caller's fault, and no reason to call the store unavailable.
    if (!(error instanceof RangeError)) throw store.failure(error);
    const must = `Cannot read as the key must be one that the store can hold: ${error.message}`;
    throw new InvariantError(must, { cause: error });
  }
}

/** The values of all keys that begin with `prefix`, which ends in NUL, by the rest of their keys. */
export function* valuesBelow(store: OrderedStore, prefix: string): Iterable<readonly [string, Uint8Array]> {
  for (const [key, value] of store.range(prefix, rangeEnd(prefix))) yield [key.slice(prefix.length), value];
}

/** The end of the range of all keys that begin with `prefix`, which ends in NUL. */
export const rangeEnd = (prefix: string): string => `${prefix.slice(0, -1)}\x01`;
