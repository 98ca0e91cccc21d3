/**
 * A world for tests: a clock that moves only when the test says so, timers in its order, seeded randomness, and the
 * errors that were not handled.
 */
import type { KernelWorld } from "../../../actors/kernel/actor.ts";

export interface FakeWorld extends KernelWorld {
  /** Moves the clock, calling each timer at its time. */
  advance(ms: number): void;
  readonly timersWaiting: number;
  readonly crashes: readonly { readonly path: string; readonly error: unknown }[];
  readonly unhandled: readonly { readonly path: string; readonly error: unknown }[];
}

export function fakeWorld(seed = 1): FakeWorld {
  let now = 1_000_000;
  let randomState = seed >>> 0;
  let ids = 0;
  let order = 0;
  const timers = new Set<{ readonly atMs: number; readonly order: number; readonly callback: () => void }>();
  const crashes: { path: string; error: unknown }[] = [];
  const unhandled: { path: string; error: unknown }[] = [];
  const nextDue = (untilMs: number) =>
    [...timers].filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
  return {
    nowMs: () => now,
    random: () => {
      randomState = (Math.imul(randomState, 1_664_525) + 1_013_904_223) >>> 0;
      return randomState / 2 ** 32;
    },
    newId: () => `id-${++ids}`,
    setTimer: (delayMs, callback) => {
      const timer = { atMs: now + delayMs, order: ++order, callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    onCrash: (path, error) => void crashes.push({ path, error }),
    onUnhandled: (path, error) => void unhandled.push({ path, error }),
    advance: (ms) => {
      const untilMs = now + ms;
      for (let due = nextDue(untilMs); due !== undefined; due = nextDue(untilMs)) {
        timers.delete(due);
        now = due.atMs;
        due.callback();
      }
      now = untilMs;
    },
    get timersWaiting() {
      return timers.size;
    },
    crashes,
    unhandled,
  };
}
