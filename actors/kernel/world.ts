/** The real world: the machine's clock, timers, randomness and console. */
import type { KernelWorld } from "./actor.ts";

/** A world may bring a finer clock to time steps by; without one `nowMs` serves. */
export interface TimedWorld extends KernelWorld {
  /** Monotonic, with fractions; only differences mean something. */
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
