import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KeyedState, StateLimits } from "../../../../actors/pipeline/keyed_state.ts";
import { type ChannelLimits, PipelineState } from "../../../../actors/pipeline/state/pipeline_state.ts";
import { offset } from "../../../../protocols/position.ts";
import { answerOf, NaiveState, type StateCall, stateCall, stateLimits } from "./naive_state.ts";
import { EAGER_LIMITS, StoredChannel } from "./stored_channel.ts";

const NAMES = ["counts", "windows"] as const;
const START_MS = 1_700_000_000_000;

type Step =
  | { readonly kind: "call"; readonly table: 0 | 1; readonly call: StateCall }
  | { readonly kind: "store"; readonly isTrimmed: boolean }
  | { readonly kind: "encode" | "rollback" | "crash" }
  /** The newest stored calls are lost with the log's tail. */
  | { readonly kind: "lose"; readonly calls: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant("call" as const),
      table: fc.constantFrom(0 as const, 1 as const),
      call: stateCall,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("store" as const), isTrimmed: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("encode" as const, "rollback" as const, "crash" as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), calls: fc.integer({ min: 1, max: 4 }) }) },
);

interface Stored {
  readonly keys: readonly NaiveState["keys"][];
  readonly timesMs: readonly number[];
  /** Bytes of the channel and of live keys. */
  readonly sizes: readonly number[];
}

/** The state of a pipeline of two tables beside plain tables. Each stored call is remembered with its channel. */
class Pair {
  state = new PipelineState(EAGER_LIMITS);
  tables: readonly KeyedState[] = [];
  readonly naive: readonly NaiveState[];
  readonly channel: StoredChannel[] = [new StoredChannel()];
  readonly stored: Stored[] = [];
  nowMs = START_MS;
  readonly limits: readonly StateLimits[];

  constructor(limits: readonly StateLimits[]) {
    this.limits = limits;
    this.naive = limits.map((one) => new NaiveState(one));
    this.state.loaded();
    this.#open();
    this.#remember();
  }

  #open(): void {
    this.tables = this.limits.map((limits, at) => this.state.table(NAMES[at] as string, limits));
  }

  #remember(): void {
    this.stored.push({
      keys: this.naive.map(({ keys }) => keys),
      timesMs: this.naive.map(({ timeMs }) => timeMs),
      sizes: [this.state.channelBytes, this.state.liveBytes],
    });
  }

  #goBack(): void {
    const last = this.stored.at(-1);
    for (const [at, naive] of this.naive.entries()) {
      naive.keys = last?.keys[at] ?? [];
      naive.timeMs = last?.timesMs[at] ?? Number.NEGATIVE_INFINITY;
    }
  }

  run(step: Step): void {
    switch (step.kind) {
      case "call": {
        if (step.call.kind === "at") this.nowMs += step.call.afterMs;
        const [table, naive] = [this.tables[step.table], this.naive[step.table]] as [KeyedState, NaiveState];
        assert.is(answerOf(table, step.call, this.nowMs), answerOf(naive, step.call, this.nowMs));
        return;
      }
      case "store": {
        const channel = (this.channel.at(-1) as StoredChannel).copy();
        channel.store(this.state, step.isTrimmed);
        this.channel.push(channel);
        this.#remember();
        return;
      }
      case "encode":
        this.state.changes();
        this.state.rollback();
        this.#goBack();
        return;
      case "rollback":
        this.state.rollback();
        this.#goBack();
        return;
      case "lose": {
        const left = Math.max(1, this.channel.length - step.calls);
        this.channel.length = left;
        this.stored.length = left;
        this.#restore();
        return;
      }
      case "crash":
        this.#restore();
        return;
    }
  }

  #restore(): void {
    this.state = (this.channel.at(-1) as StoredChannel).restore(EAGER_LIMITS);
    assert.equal([this.state.channelBytes, this.state.liveBytes], this.stored.at(-1)?.sizes);
    this.#open();
    this.#goBack();
  }

  compare(): void {
    for (const [at, table] of this.tables.entries()) assert.is(table.size, this.naive[at]?.size);
  }

  /** Every key, and the order in which keys are forgotten: each put of a new key drops the oldest one. */
  compareAll(): void {
    for (const [at, table] of this.tables.entries()) {
      const all: StateCall = { kind: "scan", from: undefined, to: undefined };
      const naive = this.naive[at] as NaiveState;
      assert.is(answerOf(table, all, this.nowMs), answerOf(naive, all, this.nowMs));
      for (let n = 0; n < 8; n++) {
        const put: StateCall = { kind: "put", key: `fresh ${n}`, value: n };
        assert.is(answerOf(table, put, this.nowMs), answerOf(naive, put, this.nowMs));
        assert.is(answerOf(table, all, this.nowMs), answerOf(naive, all, this.nowMs));
      }
    }
  }
}

// keyed K1, keyed K4, state table T1, state table T2, table keys U1
test("Y2, Y4: random calls, cuts, rollbacks, crashes and lost tails give the answers of a plain list", () => {
  fc.assert(
    fc.property(
      fc.tuple(stateLimits, stateLimits),
      fc.array(step, { minLength: 10, maxLength: 80 }),
      (limits, steps) => {
        const pair = new Pair(limits);
        for (const one of steps) {
          pair.run(one);
          pair.compare();
        }
        pair.compareAll();
      },
    ),
    { numRuns: 1_500 },
  );
});

test("Y2: keys are forgotten in the order of their puts after several restores", () => {
  const limits: StateLimits = { ...LIMITS, keysMax: 3, whenFull: "forget_oldest" };
  const { state, table, channel } = opened(limits);
  for (let n = 0; n < 50; n++) table.put("a", n);
  channel.store(state);
  for (const key of ["b", "c", "d"]) {
    const again = channel.restore();
    again.table("counts", limits).put(key, 1);
    channel.store(again);
  }
  assert.equal(
    Array.from(restored(channel, limits).scan(), ([key]) => key),
    ["b", "c", "d"],
  );
});

const LIMITS: StateLimits = { keysMax: 10_000, bytesMax: 1 << 24, whenFull: "refuse" };

/** A restored state with one table, and its channel. */
function opened(limits: StateLimits = LIMITS, channelLimits?: ChannelLimits) {
  const state = new PipelineState(channelLimits);
  state.loaded();
  return { state, table: state.table("counts", limits), channel: new StoredChannel() };
}

const restored = (channel: StoredChannel, limits: StateLimits = LIMITS): KeyedState =>
  channel.restore(EAGER_LIMITS).table("counts", limits);

// keyed K2. Each workload overwrites as many bytes as it holds, many times over.
test("Y3: the channel stays below three times the live bytes, whatever is overwritten, and a call costs twice its changes", () => {
  const workloads: Record<string, (turn: number) => readonly (readonly [key: string, bytes: number])[]> = {
    "every key in turn": (turn) => Array.from({ length: 5 }, (_, n) => [`k${(turn * 5 + n) % 300}`, 20]),
    "one hot key beside 299 cold ones": (turn) => [["k0", 20 + (turn % 2)]],
    "few hot keys beside cold large ones": (turn) => [[`k${turn % 9}`, turn % 9 === 8 ? 900 : 30]],
    "random keys": (turn) => Array.from({ length: 7 }, (_, n) => [`k${((turn * 7 + n) * 7_919) % 300}`, 40]),
    "keys from the newest to the oldest": (turn) => [[`k${299 - (turn % 300)}`, 20]],
  };
  for (const [name, puts] of Object.entries(workloads)) {
    const { state, table, channel } = opened(LIMITS, EAGER_LIMITS);
    const fill = name.includes("large") ? 900 : 20;
    for (let n = 0; n < 300; n++) {
      table.put(`k${n}`, "v".repeat(fill));
      if (n % 30 === 29) channel.store(state);
    }
    for (let turn = 0; turn < 6_000; turn++) {
      let changedBytes = 0;
      for (const [key, bytes] of puts(turn)) {
        table.put(key, "v".repeat(bytes));
        changedBytes += bytes + key.length + 40;
      }
      const live = state.liveBytes;
      const written = channel.store(state);
      assert.ok(channel.sizeBytes <= 3 * live + 1_000, `${name}, turn ${turn}: ${channel.sizeBytes} for ${live}`);
      // The oldest key may take more than a call's share: then the shares of some calls are saved up for it.
      assert.ok(written <= 2 * changedBytes + 300 + 1_000, `${name}, turn ${turn}: ${written} for ${changedBytes}`);
    }
    assert.is(restored(channel).size, 300, name);
  }
});

test("Y3: an idle state that has shrunk is cleaned call by call, until nothing is left to do", () => {
  const { state, table, channel } = opened(LIMITS, { ...EAGER_LIMITS, cleanedBytesMin: 1_024 });
  for (let n = 0; n < 2_000; n++) {
    table.put(`k${n}`, "v".repeat(500));
    if (n % 100 === 99) channel.store(state);
  }
  for (let n = 0; n < 2_000; n++) if (n % 4 !== 0) table.put(`k${n}`, "");
  channel.store(state);
  const before = channel.sizeBytes;
  const sizes: number[] = [];
  for (let size = channel.store(state); size > 0; size = channel.store(state)) sizes.push(size);
  assert.ok(sizes.length > 50 && sizes.length < 300, `${sizes.length} calls`);
  assert.ok(Math.max(...sizes) < 1_800, `${Math.max(...sizes)}`);
  assert.ok(channel.sizeBytes < before * 0.7, `${channel.sizeBytes} of ${before}`);
  assert.ok(channel.sizeBytes <= 2 * state.liveBytes + 1_500, `${channel.sizeBytes} for ${state.liveBytes}`);
  const again = restored(channel);
  assert.equal([again.size, again.get("k4"), again.get("k5")], [2_000, "v".repeat(500), ""]);
});

test("Y3: a key larger than a call's share is written again once the shares of several calls are saved up", () => {
  const { state, table, channel } = opened(LIMITS, EAGER_LIMITS);
  table.put("large", "v".repeat(50_000));
  channel.store(state);
  const sizes: number[] = [];
  for (let turn = 0; turn < 3_000; turn++) {
    table.put("small", "v".repeat(turn % 50));
    sizes.push(channel.store(state));
  }
  const large = sizes.flatMap((size, turn) => (size > 50_000 ? [turn] : []));
  assert.ok(large.length >= 1 && large.length <= 6, large.join(" "));
  assert.ok(channel.sizeBytes < 3 * state.liveBytes + 1_000);
  assert.is(restored(channel).get("large"), "v".repeat(50_000));
});

test("trims are told once they are worth a call, and never reach into the newest batch", () => {
  const { state, table } = opened();
  const trims: number[] = [];
  let endOffset = 0;
  for (let turn = 0; turn < 2_000; turn++) {
    table.put("only", "v".repeat(900));
    const { count } = state.changes() as { count: number };
    endOffset += count;
    const before = state.stored(offset(endOffset));
    if (before === undefined) continue;
    trims.push(before);
    assert.ok(before <= endOffset - count);
  }
  assert.ok(trims.length > 20 && trims.length < 40, `${trims.length} trims of 2 MB in parts of 64 KiB`);
  assert.equal(
    trims,
    [...new Set(trims)].sort((left, right) => left - right),
  );
});

// channel ledger H1
test("the time of an emptied state outlives a trim of everything before it, so that no expired key would live again", () => {
  const limits: StateLimits = { ...LIMITS, timeToLiveMs: 10 };
  const { state, table, channel } = opened(limits, EAGER_LIMITS);
  table.at(START_MS + 100);
  table.put("a", 1);
  channel.store(state);
  table.remove("a");
  channel.store(state);
  for (let n = 0; n < 3; n++) channel.store(state);
  const again = restored(channel, limits);
  again.at(START_MS);
  again.put("late", 1);
  again.at(START_MS + 105);
  assert.is(again.get("late"), 1, "put at the restored time, 100, not at 0");
});

test("a turn that only moves the time is stored where keys can expire, and nowhere else", () => {
  for (const [limits, isStored] of [
    [{ ...LIMITS, timeToLiveMs: 10 }, true],
    [LIMITS, false],
  ] as const) {
    const { state, table } = opened(limits);
    table.at(START_MS);
    assert.is(state.changes() !== undefined, isStored);
  }
});

test("Y1, U3: changes can be encoded again, and no table takes a change until the caller has told the outcome", () => {
  const { state, table, channel } = opened();
  table.put("a", 1);
  const [first, second] = [state.changes(), state.changes()];
  assert.equal(Buffer.from(first?.events ?? []), Buffer.from(second?.events ?? []));
  for (const change of [() => table.put("b", 1), () => table.remove("a"), () => table.at(START_MS)]) {
    assert.throws(change, /its last changes must be stored or rolled back/);
  }
  assert.is(table.get("a"), 1);
  channel.store(state);
  assert.is(state.changes(), undefined, "nothing is left");
  table.put("b", 2);
  assert.ok(state.changedBytes > 0);
  state.changes();
  state.rollback();
  assert.equal([table.get("a"), table.get("b"), state.changedBytes], [1, undefined, 0]);
  assert.throws(() => state.stored(offset(9)), /there are none/);
  table.put("b", 3);
  channel.store(state);
  assert.is(restored(channel).get("b"), 3);
});

test("the bytes of the next batch are known beforehand, whatever was put, overwritten and removed", () => {
  const { state, table, channel } = opened();
  const expectAbout = (events: number) => {
    const { changedBytes } = state;
    const written = channel.store(state);
    assert.ok(Math.abs(changedBytes - events) < 200, `${changedBytes} for ${events}`);
    assert.ok(Math.abs(written - events) < 300, `${written} for ${events}`);
    assert.is(state.changedBytes, 0);
  };
  table.put("a", "v".repeat(9_000));
  table.put("b", "v".repeat(5_000));
  table.put("a", "v".repeat(1_000));
  expectAbout(6_000);
  table.remove("a");
  table.put("c", "v".repeat(3_000));
  table.remove("c");
  table.put("c", "v".repeat(2_000));
  expectAbout(2_000);
  table.put("c", "v".repeat(7_000));
  table.remove("c");
  expectAbout(0);
});

test("a failed encoding of a value changes nothing (E25)", () => {
  const { state, table } = opened();
  table.put("a", 1);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  for (const value of [Symbol("none"), 2n ** 70n, cycle]) assert.throws(() => table.put("a", value));
  assert.equal([table.get("a"), table.size, state.changes()?.count], [1, 1, 2]);
});

test("a state is used only after its batches were loaded, and loads none afterwards", () => {
  const state = new PipelineState();
  assert.throws(() => state.changes(), /must be loaded first/);
  state.loaded();
  assert.throws(() => state.loaded(), /loaded once/);
  assert.throws(() => state.load({ events: new Uint8Array(), firstOffset: offset(0), count: 0 }), /loaded once/);
});

test("a pipeline has at most 64 tables, and tables that no step names are kept", () => {
  const { state, table, channel } = opened();
  table.put("a", 1);
  channel.store(state);
  const again = channel.restore(EAGER_LIMITS);
  const other = again.table("windows", LIMITS);
  for (let n = 0; n < 500; n++) {
    other.put("w", n);
    channel.store(again);
  }
  assert.ok(channel.batches.length < 10);
  assert.is(restored(channel).get("a"), 1);
  for (let n = 0; n < 62; n++) again.table(`t${n}`, LIMITS);
  assert.throws(() => again.table("one too many", LIMITS), /at most 64 tables/);
});

test.run();
