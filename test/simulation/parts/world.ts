/**
 * Time, chance and the order of events in a simulated run: one seed gives one history. Events happen one at a time, at their
 * virtual time, and after each one every promise that can settle does so. While it runs, the world replaces the globals of
 * time and chance, so that code without a clock of its own is deterministic too.
 */
import { type SeededRandom, seededRandom } from "../../support/seeded_random.ts";
import { Recording } from "./recording.ts";

export interface RunOptions {
  /** Default: all faults of the seed. */
  readonly schedule?: Schedule | undefined;
  /** Every event of the run is a line of the outcome's trace. */
  readonly isTraced?: boolean;
  /** Sends and reads are kept as operations of the outcome's history. */
  readonly isRecorded?: boolean;
}

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  run: (() => unknown) | undefined;
}

const TRACE_LINES_MAX = 100_000;
const STEPS_PER_TURN = 64;
const START_MS = 1_700_000_000_000;

/**
 * Which faults of a seed happen, by their numbers in the order in which they are due; absent: all of them. A run is the same as
 * the seed's up to the first fault that is left out. What chance brings from then on, `salt` decides.
 */
export interface Schedule {
  readonly only: ReadonlySet<number>;
  readonly salt: number;
}

export class World {
  readonly seed: number;
  readonly random: SeededRandom;
  #draws: SeededRandom;
  #isSalted = false;
  readonly counts = new Map<string, number>();
  readonly problems: string[] = [];
  readonly trace: string[] = [];
  /** Whether faults may happen. */
  isChaos = true;
  steps = 0;
  faults = 0;
  /** Faults that were due, whether they happened or not. */
  dueFaults = 0;
  readonly schedule: Schedule | undefined;
  readonly history: Recording | undefined;
  /** Difference between the clocks and the true time, in ms (E24). */
  skewMs = 0;
  readonly isTraced: boolean;
  #nowMs = START_MS;
  #order = 0;
  readonly #heap: Scheduled[] = [];

  constructor(seed: number, { schedule, isTraced = false, isRecorded = false }: RunOptions = {}) {
    this.seed = seed;
    this.schedule = schedule;
    this.isTraced = isTraced;
    this.history = isRecorded ? new Recording(() => this.#nowMs - START_MS) : undefined;
    this.#draws = seededRandom(seed * 2_654_435_761);
    const next = () => this.#draws.next();
    this.random = { next, below: (limit) => Math.floor(next() * limit), chance: (probability) => next() < probability };
  }

  /** The true time in ms, which no jump of a clock changes. */
  get trueMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#nowMs + this.skewMs);
  }

  after(delayMs: number, run: () => unknown): { cancel(): void } {
    const scheduled: Scheduled = { atMs: this.#nowMs + delayMs, order: this.#order++, run };
    push(this.#heap, scheduled);
    return {
      cancel: () => {
        scheduled.run = undefined;
      },
    };
  }

  at(atMs: number, run: () => unknown): void {
    this.after(Math.max(0, atMs - this.#nowMs), run);
  }

  say(line: string): void {
    if (!this.isTraced) return;
    this.trace.push(`${((this.#nowMs - START_MS) / 1_000).toFixed(3).padStart(9)} s  ${line}`);
    if (this.trace.length > TRACE_LINES_MAX) this.trace.shift();
  }

  problem(text: string): void {
    this.say(`PROBLEM ${text}`);
    if (this.problems.length < 20) this.problems.push(text);
  }

  /** Draws whether a fault happens now, and counts it where it does. */
  fault(kind: string, probability: number): boolean {
    if (!this.isChaos || !this.random.chance(probability) || !this.isDue()) return false;
    this.noteFault(kind);
    return true;
  }

  /** A fault is due: whether it happens is the schedule's to say. */
  isDue(): boolean {
    const at = this.dueFaults++;
    if (this.schedule === undefined || this.schedule.only.has(at)) return true;
    if (!this.#isSalted) this.#draws = seededRandom((this.seed + this.schedule.salt) * 2_654_435_761);
    this.#isSalted = true;
    return false;
  }

  /** A run of a schedule may lack faults that a whole seed must have had. */
  hasFaults(atLeast: number): boolean {
    return this.schedule !== undefined || this.faults >= atLeast;
  }

  noteFault(kind: string): void {
    this.faults += 1;
    this.count(`fault: ${kind}`);
    this.say(`fault: ${kind}`);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  countOf(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  /** Runs events, one after the other, until `isOver`. Resolves with false where no event is left before that. */
  run(isOver: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const settled = Promise.resolve();
      const go = () => {
        if (isOver()) return resolve(true);
        if (!this.#happen()) return resolve(false);
        // A turn of the event loop now and then, at whose end unhandled rejections are found.
        if (this.steps % STEPS_PER_TURN === 0) setImmediate(go);
        else settled.then(goOn);
      };
      // One tick runs all promises that can settle, except those that another tick queued.
      const goOn = () => process.nextTick(go);
      go();
    });
  }

  /** Runs the next event, and everything that follows from it at once. */
  #happen(): boolean {
    let next = pop(this.#heap);
    while (next !== undefined && next.run === undefined) next = pop(this.#heap);
    if (next?.run === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    this.steps += 1;
    try {
      const running = next.run();
      if (running instanceof Promise) running.catch(this.#onThrown);
    } catch (error) {
      this.#onThrown(error);
    }
    return true;
  }

  readonly #onThrown = (error: unknown): void =>
    this.problem(`an event threw: ${error instanceof Error ? error.stack : String(error)}`);
}

/** Runs with the world's clock and chance in place of the process's, and always puts those back. */
export async function inPlaceOfGlobals<Value>(world: World, run: () => Promise<Value>): Promise<Value> {
  const own = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  const { now } = Date;
  const { random } = Math;
  const { stackTraceLimit } = Error;
  // A run makes thousands of errors, so their stacks are kept in traced runs alone.
  if (!world.isTraced) Error.stackTraceLimit = 0;
  const onUnhandled = (error: unknown) =>
    world.problem(`a promise was rejected and nobody looked: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("unhandledRejection", onUnhandled);
  const substitute = (callback: () => void, delayMs = 0) => {
    const timer = world.after(delayMs, callback);
    return Object.assign(timer, { unref: () => timer, ref: () => timer });
  };
  Object.assign(globalThis, {
    setTimeout: substitute,
    clearTimeout: (timer: { cancel?(): void } | undefined) => timer?.cancel?.(),
  });
  Date.now = () => world.wallMs();
  Math.random = () => world.random.next();
  try {
    return await run();
  } finally {
    await new Promise((resolve) => setImmediate(resolve));
    Object.assign(globalThis, own);
    Date.now = now;
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
    process.off("unhandledRejection", onUnhandled);
  }
}

const isBefore = (left: Scheduled, right: Scheduled): boolean =>
  left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);

function push(heap: Scheduled[], scheduled: Scheduled): void {
  let at = heap.push(scheduled) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(scheduled, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = scheduled;
}

function pop(heap: Scheduled[]): Scheduled | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (last === undefined || first === last) return first;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}

export const anyOf = <Value>(random: SeededRandom, values: readonly Value[]): Value | undefined =>
  values[random.below(values.length)];
