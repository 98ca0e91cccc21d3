/**
 * A table of keyed state as plainly as it can be: a list of keys in the order of their puts, which is copied to go back. It
 * knows nothing of slots, batches or cleaning. Also the calls of a step, and their answers, as texts that tests compare.
 */
import * as fc from "fast-check";
import {
  type KeyedState,
  STATE_LIMITS,
  type StateLimits,
  type StateValue,
} from "../../../../actors/pipeline/keyed_state.ts";
import { decodeSlice, encodeEvent } from "../../../../protocols/values/event_codec.ts";

interface NaiveKey {
  readonly key: string;
  readonly value: StateValue;
  readonly sizeBytes: number;
  readonly timeMs: number;
}

class Full extends Error {
  readonly code = "STATE_FULL";
}

export class NaiveState implements KeyedState {
  readonly limits: StateLimits;
  /** The key that was put last is the last one. */
  keys: readonly NaiveKey[] = [];
  timeMs = Number.NEGATIVE_INFINITY;

  constructor(limits: StateLimits) {
    this.limits = limits;
  }

  get size(): number {
    return this.keys.length;
  }

  at(timeMs: number): void {
    this.timeMs = Math.max(this.timeMs, timeMs);
  }

  get(key: string): StateValue | undefined {
    this.#meet(key);
    return this.keys.find((one) => one.key === key)?.value;
  }

  put(key: string, value: StateValue): void {
    const keyBytes = Buffer.byteLength(key);
    const bytes = encodeEvent(value);
    const sizeBytes = encodeEvent(key).length + bytes.length;
    const isTooLarge = keyBytes > STATE_LIMITS.keyBytesMax || bytes.length > STATE_LIMITS.valueBytesMax;
    if (isTooLarge || sizeBytes > this.limits.bytesMax) throw new Full();
    for (const { key: oldest } of this.keys.slice(0, 2)) this.#meet(oldest);
    this.#meet(key);
    const others = this.keys.filter((one) => one.key !== key);
    const room = (kept: readonly NaiveKey[]) =>
      kept.length < this.limits.keysMax &&
      kept.reduce((sum, one) => sum + one.sizeBytes, sizeBytes) <= this.limits.bytesMax;
    let kept = others;
    while (!room(kept)) {
      const [oldest] = kept;
      if (oldest === undefined || (this.limits.whenFull === "refuse" && !this.#isExpired(oldest))) throw new Full();
      this.keys = this.keys.filter((one) => one !== oldest);
      kept = kept.slice(1);
    }
    this.keys = [...kept, { key, value: decodeSlice(bytes), sizeBytes, timeMs: this.timeMs }];
  }

  remove(key: string): void {
    this.keys = this.keys.filter((one) => one.key !== key);
  }

  *scan(from = "", to?: string): Iterable<readonly [string, StateValue]> {
    const within = (key: string) => key >= from && (to === undefined || key < to);
    const names = this.keys.map(({ key }) => key).filter(within);
    for (const key of names.sort()) {
      const value = this.get(key);
      if (value !== undefined) yield [key, value];
    }
  }

  #isExpired({ timeMs }: NaiveKey): boolean {
    const { timeToLiveMs } = this.limits;
    return timeToLiveMs !== undefined && this.timeMs - timeMs > timeToLiveMs;
  }

  #meet(key: string): void {
    this.keys = this.keys.filter((one) => one.key !== key || !this.#isExpired(one));
  }
}

/** One call of a step, on one of its tables. */
export type StateCall =
  | { readonly kind: "at"; readonly afterMs: number }
  | { readonly kind: "get" | "remove"; readonly key: string }
  | { readonly kind: "put"; readonly key: string; readonly value: StateValue }
  | { readonly kind: "scan"; readonly from: string | undefined; readonly to: string | undefined };

/** Makes the call. Answers everything that the step sees, as a text. */
export function answerOf(state: KeyedState, call: StateCall, nowMs: number): string {
  const seen = (value: unknown) => (value === undefined ? "" : Buffer.from(encodeEvent(value)).toString("hex"));
  switch (call.kind) {
    case "at":
      state.at(nowMs);
      return `size ${state.size}`;
    case "get":
      return seen(state.get(call.key));
    case "remove":
      state.remove(call.key);
      return `size ${state.size}`;
    case "put":
      try {
        state.put(call.key, call.value);
        return `size ${state.size}`;
      } catch (error) {
        return (error as { code: string }).code;
      }
    case "scan":
      return Array.from(state.scan(call.from, call.to), ([key, value]) => `${key}=${seen(value)}`).join(" ");
  }
}

export const stateKey: fc.Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(..."abcdefghij") },
  {
    weight: 2,
    arbitrary: fc.constantFrom("", "é", "\u{1f600}", "\uffff", "constructor", "k".repeat(40), "k".repeat(300)),
  },
  { weight: 1, arbitrary: fc.constant("k".repeat(1_025)) },
);

const stateValue: fc.Arbitrary<StateValue> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -70_000, max: 70_000 }) },
  { weight: 2, arbitrary: fc.record({ count: fc.nat(300), last: fc.string({ maxLength: 5 }) }) },
  { weight: 2, arbitrary: fc.nat(60).map((length) => "v".repeat(length)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<StateValue>(
      ...[null, true, false, -0, 0.5, 2 ** 53 - 1, -(2 ** 40), 2 ** 70, 3n, 2n ** 60n],
      ...[new Date(1_700_000_000_123), Uint8Array.of(1, 0, 255), [], {}, [1, [{ deep: null }]]],
    ),
  },
);

export const stateCall: fc.Arbitrary<StateCall> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("put" as const), key: stateKey, value: stateValue }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("get" as const, "remove" as const), key: stateKey }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("at" as const), afterMs: fc.integer({ min: -3, max: 6 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("scan" as const),
      from: fc.option(stateKey, { nil: undefined }),
      to: fc.option(stateKey, { nil: undefined }),
    }),
  },
);

export const stateLimits: fc.Arbitrary<StateLimits> = fc
  .record({
    keysMax: fc.constantFrom(1, 3, 6, 1_000),
    bytesMax: fc.constantFrom(40, 120, 10_000),
    whenFull: fc.constantFrom("refuse" as const, "forget_oldest" as const),
    timeToLiveMs: fc.constantFrom(undefined, 0, 5, 20),
  })
  .map(({ timeToLiveMs, ...limits }) => (timeToLiveMs === undefined ? limits : { ...limits, timeToLiveMs }));
