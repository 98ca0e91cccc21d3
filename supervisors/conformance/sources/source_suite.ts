/**
 * Checks one kind of source behind the actor that runs every source, over a real log: each event of the place is stored
 * once or is a dead letter, whatever dies, freezes, waits or goes away, and the place learns what is stored. A kind takes
 * part by a harness, which knows the contract alone.
 */
import assert from "node:assert/strict";
import { type ConformanceCase, test } from "../conformance_case.ts";
import { type CrashPoint, CrashPoints, EFFECTS } from "./crash_points.ts";
import type { SourceHarness, SourcePlace, TestedSource } from "./source_harness.ts";
import { type LifeOptions, type SourceLife, startLife } from "./source_life.ts";
import { SourceNode } from "./source_node.ts";

/** The bound of a wait, in ms of the real clock, as a place may be a real server. */
const WAIT_MAX_MS = 20_000;
/** A stop may take 1.5 s for sent events and 0.25 s for what was given up (source O4), and as long again on a busy machine. */
const STOP_MAX_MS = 3_500;

async function until(isDone: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + WAIT_MAX_MS; performance.now() < endMs; ) {
    if (await isDone()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`Cannot go on as it must come about in ${WAIT_MAX_MS} ms: ${what}`);
}

const numbers = (from: number, count: number): readonly number[] => Array.from({ length: count }, (_, at) => from + at);

class Trial {
  readonly node = new SourceNode();
  readonly place: SourcePlace;
  readonly #definition: TestedSource;
  readonly #lives: SourceLife[] = [];
  readonly #put: number[] = [];

  constructor(definition: TestedSource, place: SourcePlace) {
    this.#definition = definition;
    this.place = place;
  }

  async start(points = new CrashPoints(), more: LifeOptions = {}): Promise<SourceLife> {
    const { options, shard } = this.place;
    const life = await startLife(this.node, this.#definition, options, { ...more, shard, points });
    this.#lives.push(life);
    return life;
  }

  async put(count: number): Promise<void> {
    const added = numbers(this.#put.length, count);
    this.#put.push(...added);
    await this.place.put(added);
  }

  async stored(): Promise<readonly number[]> {
    return (await this.node.stored()).map(({ event }) => this.place.numberOf(event));
  }

  async isAllStored(): Promise<boolean> {
    const stored = new Set(await this.stored());
    return this.#put.every((one) => stored.has(one));
  }

  async untilAllStored(): Promise<void> {
    await until(() => this.isAllStored(), "all events are stored");
  }

  /** Ends all lives, and judges the log: everything is there once. */
  async judge(about: string): Promise<void> {
    await this.untilAllStored().catch(async (error: Error) => {
      const missing = this.#put.filter((one) => !new Set(stored).has(one));
      throw new Error(`${about}: ${error.message}; missing ${missing}; ends ${this.#lives.map(({ ends }) => ends)}`);
    });
    const { unacknowledged } = this.place;
    if (unacknowledged !== undefined) {
      await until(async () => (await unacknowledged.call(this.place)) === 0, `${about}: everything is acknowledged`);
    }
    const stored = await this.stored();
    assert.deepEqual(
      [...stored].sort((left, right) => left - right),
      this.#put,
      about,
    );
  }

  async end(): Promise<void> {
    for (const life of this.#lives) life.points.thaw(); // so that each can end in order
    await Promise.all(this.#lives.map((life) => life.stop()));
    await this.place.close();
  }
}

const PORTION = 12;

/** Every effect of the first three of its kind. */
const CRASH_POINTS: readonly CrashPoint[] = EFFECTS.flatMap((effect) =>
  [1, 2, 3].flatMap((nth) => (["before", "after"] as const).map((when) => ({ effect, when, nth }))),
);

/** The cases of one kind of source. Each opens places of its own. */
export const sourceCases = (harness: SourceHarness): readonly ConformanceCase[] => [
  deaths(harness),
  frozenLives(harness),
  ...stops(harness),
  ...troubles(harness),
];

const trial = (harness: SourceHarness, name: string, run: (trial: Trial) => Promise<void>): ConformanceCase =>
  test(`${harness.name}: ${name}`, () => onTrial(harness, run));

async function onTrial<Value>(harness: SourceHarness, run: (trial: Trial) => Promise<Value>): Promise<Value> {
  const one = new Trial(harness.definition, await harness.open());
  try {
    return await run(one);
  } finally {
    await one.end();
  }
}

/** @param run answers whether the life came to the point */
const atEachPoint = (
  harness: SourceHarness,
  name: string,
  run: (trial: Trial, point: CrashPoint, about: string) => Promise<boolean>,
): ConformanceCase =>
  test(`${harness.name}: ${name}`, async () => {
    const reached = new Set<string>();
    for (const point of CRASH_POINTS) {
      const about = `${point.when} ${point.effect} ${point.nth}`;
      if (await onTrial(harness, (one) => run(one, point, about))) reached.add(point.effect);
    }
    for (const effect of ["open", "read", "send", "acked", "store"]) assert.ok(reached.has(effect), effect);
  });

/** Puts portions until the life is down. Answers false where the effect does not come so often. */
async function untilDown(one: Trial, life: SourceLife): Promise<boolean> {
  let isDown = false;
  void life.points.down.then(() => {
    isDown = true;
  });
  for (let portion = 0; portion < 4 && !isDown; portion += 1) {
    await one.put(PORTION);
    await until(async () => isDown || (await one.isAllStored()), "the life is down, or everything is stored");
  }
  return isDown;
}

/** source I2 and I3: an item that is read again is known again. */
const deaths = (harness: SourceHarness): ConformanceCase =>
  atEachPoint(
    harness,
    "each event is stored once over a death before or after each effect",
    async (one, point, about) => {
      await one.put(PORTION);
      const isDown = await untilDown(one, await one.start(new CrashPoints(point)));
      await one.start();
      await one.put(PORTION);
      await one.judge(about);
      return isDown;
    },
  );

/** source I1: two nodes may take themselves for the owner, and the earlier one wakes up late. */
const frozenLives = (harness: SourceHarness): ConformanceCase =>
  atEachPoint(
    harness,
    "each event is stored once where a frozen life goes on beside its successor",
    async (one, point, about) => {
      await one.put(PORTION);
      const frozen = await one.start(new CrashPoints(point));
      const isDown = await untilDown(one, frozen);
      const next = await one.start();
      await one.put(PORTION);
      await until(async () => (await one.isAllStored()) || next.ends.length > 0, about);
      frozen.points.thaw();
      await one.put(PORTION);
      await until(async () => (await one.isAllStored()) || next.ends.length > 0, about);
      await frozen.stop();
      await next.stop();
      await one.start();
      await one.put(PORTION);
      await one.judge(about);
      return isDown;
    },
  );

const stops = (harness: SourceHarness): readonly ConformanceCase[] => [
  trial(harness, "a stop ends in time though the log answers nothing, and the next life goes on", async (one) => {
    await one.put(PORTION);
    const slow = await one.start(new CrashPoints({ effect: "acked", when: "before", nth: 1 }));
    await slow.points.down;
    const startedMs = performance.now();
    await slow.stop();
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < STOP_MAX_MS, `${tookMs} ms`);
    await one.start();
    await one.judge("after a stop");
  }),
  trial(harness, "a life that was stopped in order stores and acknowledges all before its end", async (one) => {
    const first = await one.start();
    await one.put(PORTION);
    await one.untilAllStored();
    await first.stop();
    assert.equal(first.ends.length, 0);
    await one.start();
    await one.put(PORTION);
    await one.judge("after a stop in order");
  }),
];

const troubles = (harness: SourceHarness): readonly ConformanceCase[] => [
  trial(harness, "what is no event is a dead letter, and the events around it are stored", async (one) => {
    const { putMalformed } = one.place;
    if (putMalformed === undefined) return;
    await one.put(PORTION);
    await putMalformed.call(one.place);
    await one.put(PORTION);
    await one.start();
    await one.judge("around a malformed item");
    await until(async () => (await one.node.stored("rejected")).length === 1, "the dead letter is stored");
  }),
  trial(harness, "reading goes on by itself after the place was away", async (one) => {
    const { goAway } = one.place;
    if (goAway === undefined) return;
    await one.put(PORTION);
    const life = await one.start();
    await one.untilAllStored();
    const comeBack = await goAway.call(one.place);
    await until(() => life.troubles.at(-1) !== undefined || life.ends.length > 0, "the source tells its trouble");
    await comeBack();
    if (life.ends.length > 0) await one.start(); // as its supervisor does
    await one.put(PORTION);
    await one.judge("after the place was away");
  }),
];
