/**
 * Measures the keyed state of a pipeline: (1) a million keys are restored from their channel; (2) of 100,000 keys 10 change
 * a turn, beside a snapshot of all of them, as pipelines stored their state before; (3) memory for each key; (4) calls.
 *
 *   node --import tsx bench/state.bench.ts [rounds] [keys to restore]
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { KeyedState, StateLimits } from "../actors/pipeline/keyed_state.ts";
import { PipelineState } from "../actors/pipeline/state/pipeline_state.ts";
import { type Offset, offset } from "../protocols/position.ts";
import { encodeEvents } from "../protocols/values/event_codec.ts";
import { type SeededRandom, seededRandom } from "../test/support/seeded_random.ts";
import { median, medians, record } from "./support/results.ts";

const [rounds = "3", keys = "1000000"] = process.argv.slice(2);
const RESTORED_KEYS = Number(keys);
const TURN_KEYS = 100_000;
const CHANGED_A_TURN = 10;
const TURNS = 2_000;
const SNAPSHOTS = 5;
const PUTS_A_BATCH = 5_000;
const LIMITS: StateLimits = { keysMax: 2_000_000, bytesMax: 1 << 30, whenFull: "refuse" };
const KINDS = {
  number: (n: number): unknown => n,
  map: (n: number): unknown => ({ count: n, sum: n * 1.37, last: `s-${n % 997}` }),
};

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const usedBytes = (): number => {
  for (let n = 0; n < 3; n++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

interface Batch {
  readonly events: Uint8Array;
  readonly firstOffset: Offset;
  readonly count: number;
}

/** A state with its channel in memory. */
class Stored {
  readonly state = new PipelineState();
  readonly batches: Batch[] = [];
  endOffset = 0;
  writtenBytes = 0;

  store(isKept: boolean): void {
    const { events, count } = this.state.changes() as { events: Uint8Array; count: number };
    if (isKept) this.batches.push({ events: new Uint8Array(events), firstOffset: offset(this.endOffset), count });
    this.endOffset += count;
    this.writtenBytes += events.length;
    this.state.stored(offset(this.endOffset));
  }
}

function filled(keyCount: number, makeValue: (n: number) => unknown): Stored {
  const stored = new Stored();
  stored.state.loaded();
  const table = stored.state.table("counts", LIMITS);
  for (let n = 0; n < keyCount; n++) {
    table.at(1_700_000_000_000 + n);
    table.put(`sensor-${n}`, makeValue(n));
    if (n % PUTS_A_BATCH === PUTS_A_BATCH - 1 || n === keyCount - 1) stored.store(true);
  }
  return stored;
}

function restore(batches: readonly Batch[]) {
  const before = usedBytes();
  const startedAt = performance.now();
  const state = new PipelineState();
  for (const batch of batches) state.load(batch);
  state.loaded();
  const ms = performance.now() - startedAt;
  const table = state.table("counts", LIMITS);
  return { ms, bytesPerKey: (usedBytes() - before) / table.size, table };
}

/** Milliseconds of `changes` and `stored` for one turn, and of its puts. */
function turns(stored: Stored, random: SeededRandom) {
  const table = stored.state.table("counts", LIMITS);
  stored.writtenBytes = 0;
  let storeMs = 0;
  let putMs = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    const startedAt = performance.now();
    for (let n = 0; n < CHANGED_A_TURN; n++) {
      const key = random.below(TURN_KEYS);
      table.at(1_700_001_000_000 + turn);
      table.put(`sensor-${key}`, KINDS.map(key + turn));
    }
    const putAt = performance.now();
    stored.store(false);
    storeMs += performance.now() - putAt;
    putMs += putAt - startedAt;
  }
  return { storeMs: storeMs / TURNS, putMs: putMs / TURNS / CHANGED_A_TURN };
}

/** Milliseconds of one snapshot of all keys. */
function snapshotMs(): number {
  const all = Array.from({ length: TURN_KEYS }, (_, n) => [`sensor-${n}`, KINDS.map(n)]);
  const startedAt = performance.now();
  for (let n = 0; n < SNAPSHOTS; n++) encodeEvents([{ all }], { asRecords: false });
  return (performance.now() - startedAt) / SNAPSHOTS;
}

/** Microseconds of one call. */
function microseconds(count: number, run: (n: number) => unknown): number {
  const startedAt = performance.now();
  for (let n = 0; n < count; n++) run(n);
  return ((performance.now() - startedAt) / count) * 1_000;
}

function scanned(table: KeyedState): number {
  let count = 0;
  for (const _ of table.scan("sensor-5", "sensor-6")) count += 1;
  return count;
}

const runs: Record<string, number[]> = {};
const note = (name: string, value: number) => {
  runs[name] ??= [];
  runs[name].push(Math.round(value * 10_000) / 10_000);
};
const channels = { number: filled(RESTORED_KEYS, KINDS.number).batches, map: filled(RESTORED_KEYS, KINDS.map).batches };
const turning = filled(TURN_KEYS, KINDS.map);
const random = seededRandom(7);
for (let round = 0; round < Number(rounds); round++) {
  for (const kind of ["number", "map"] as const) {
    const { ms, bytesPerKey, table } = restore(channels[kind]);
    note(`restore of ${kind}s, ms`, ms);
    note(`memory for a ${kind}, bytes a key`, bytesPerKey);
    if (kind === "number") continue;
    note(
      "get, us",
      microseconds(200_000, (n) => table.get(`sensor-${n}`)),
    );
    note("first scan, which sorts all keys, ms", microseconds(1, () => scanned(table)) / 1_000);
    note("scan, us a key", microseconds(1, () => scanned(table)) / scanned(table));
  }
  const { storeMs, putMs } = turns(turning, random);
  note("10 of 100,000 keys changed and stored, ms", storeMs);
  note("put, us", putMs * 1_000);
  note("bytes written a turn", turning.writtenBytes / TURNS);
  note("snapshot of 100,000 keys, ms", snapshotMs());
}
const middle = medians(runs);
for (const [name, value] of Object.entries(middle)) console.log(`${String(value).padStart(12)}  ${name}`);
const ofTurn = median(runs["10 of 100,000 keys changed and stored, ms"] ?? []);

record({
  name: "state",
  command: `node --import tsx bench/state.bench.ts ${rounds} ${keys}`,
  workload: `${RESTORED_KEYS} keys restored from batches of ${PUTS_A_BATCH}; ${TURNS} turns of ${CHANGED_A_TURN} random keys of ${TURN_KEYS}`,
  runs,
  median: middle,
  ratios: { "snapshot / changes of a turn": median(runs["snapshot of 100,000 keys, ms"] ?? []) / ofTurn },
});
