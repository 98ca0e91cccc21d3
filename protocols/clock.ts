/** Time and chance, as the clients take them: injected, so that tests and simulations own both. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** In [0, 1). */
  random(): number;
  setTimer(delayMs: number, onTime: () => void): { cancel(): void };
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  random: () => Math.random(),
  setTimer(delayMs, onTime) {
    const timer = setTimeout(onTime, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Exponential backoff for try n (from 0), before jitter. */
export const backoffMs = (tries: number, firstMs: number, maxMs: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(tries, 30));
