/** The real world: the machine's clock, timers, randomness and console. */
import type { KernelWorld } from "./actor.ts";

/** A world may have a finer clock to time turns by. Without one, `nowMs` is used. */
export interface TimedWorld extends KernelWorld {
  /** Monotonic, in ms with fractions. Only differences between two values mean something. */
  stopwatchMs?(): number;
}

export function realWorld(): TimedWorld {
  return {
    nowMs: () => Date.now(),
    stopwatchMs: () => performance.now(),
    random: () => Math.random(),
    newId: () => crypto.randomUUID(),
    setTimer: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
    onUnhandled: (path, error) => console.error(`actor ${path} failed and nobody handled it:`, error),
  };
}
