/**
 * The contract of a step's keyed state: values by key, which live in memory beside the partition's owner. What changed is
 * stored in the log call that stores the outputs and the progress (E29).
 *
 *   K1. What `get` and `scan` answer, and what a bound forgets or refuses, follows from the calls alone: never from the
 *       cut of records into batches, from a crash, or from a clock.
 *   K2. A stored change costs its own bytes, whatever the size of the state. What was overwritten is cleaned out of the
 *       log bit by bit: the log holds at most about three times the bytes of the state.
 *   K3. A value is plain data as events hold it. A value answered by `get` must not be changed in place: `put` a new one.
 *   K4. A key whose last `put` is older than the time to live is as good as removed, and is removed when it is met.
 */

/** Plain data as events hold it: null, booleans, numbers, big integers, texts, bytes, times, lists and maps of these. */
export type StateValue = unknown;

export interface KeyedState {
  /** Number of keys, expired ones included until they are met. */
  readonly size: number;
  /** Moves the state's time forward, in event time, ms since 1970. Called for each record before its first access (K4). */
  at(timeMs: number): void;
  get(key: string): StateValue | undefined;
  /**
   * Throws `RejectedError` `STATE_FULL` where the bound refuses, or where a key or value exceeds its own bound.
   *
   * @param value not undefined
   */
  put(key: string, value: StateValue): void;
  remove(key: string): void;
  /** Keys from `from` on, and before `to`, ascending by UTF-16 code units. `put` and `remove` during a scan are allowed. */
  scan(from?: string, to?: string): Iterable<readonly [key: string, value: StateValue]>;
}

/** The bounds of one step's state in one partition. */
export interface StateLimits {
  readonly keysMax: number;
  /** Bytes of keys and values as MessagePack. */
  readonly bytesMax: number;
  /** `forget_oldest` drops the keys whose last `put` is the oldest; `refuse` rejects the record that would exceed a bound. */
  readonly whenFull: "refuse" | "forget_oldest";
  /** How long a key lives after its last `put`, in ms of event time. Absent: without end. */
  readonly timeToLiveMs?: number;
}

export const STATE_LIMITS: StateLimits & { readonly keyBytesMax: number; readonly valueBytesMax: number } = {
  keysMax: 1_000_000,
  bytesMax: 268_435_456,
  whenFull: "refuse",
  /** Of one key and of one value. */
  keyBytesMax: 1_024,
  valueBytesMax: 1_048_576,
};
