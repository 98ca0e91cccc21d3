/** Time and randomness of the clients: given to them, so that tests and simulations decide both. */
export interface Clock {
  /** The time, in ms since 1970. */
  nowMs(): number;
  /** A random number in [0, 1). */
  random(): number;
  /** Calls `onTime` once after `delayMs`, unless it is cancelled before. */
  setTimer(delayMs: number, onTime: () => void): { cancel(): void };
}

/** The clock, the timers and the randomness of the runtime. */
export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  random: () => Math.random(),
  setTimer(delayMs, onTime) {
    const timer = setTimeout(onTime, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after `delayMs`, or as soon as `signal` aborts. */
export const pause = (delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, delayMs);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
    if (signal?.aborted === true) done();
  });

/** The delay in ms before try `tries` (from 0), before jitter: it doubles from `firstMs` to `maxMs`. */
export const backoffMs = (tries: number, firstMs: number, maxMs: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(tries, 30));

/** A delay in ms less a random share of at most one half, so that many that failed together do not come back together. */
export const shortenedMs = (delayMs: number, random: number): number => delayMs * (1 - random / 2);

/** A delay in ms plus a random share of at most one half: for a delay that another side named as the least. */
export const lengthenedMs = (delayMs: number, random: number): number => delayMs * (1 + random / 2);
