/**
 * How much of a node's time one connection may ask for by frames that no credit bounds: a token bucket (the leaky bucket as a
 * meter of ITU-T I.371). Decides how long a connection has to wait; leaves the waiting to the listener, which does not read it
 * meanwhile.
 */

export const FRAME_ALLOWANCE = {
  /** Cost that a connection may cause for good; a frame that is answered at once costs 1, some ten microseconds. */
  costPerSecond: 2_000,
  /** Cost that it may cause at once: a producer that opens a thousand partitions waits for nothing. */
  costMax: 8_192,
} as const;

export class FrameAllowance {
  #left: number = FRAME_ALLOWANCE.costMax;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Takes `cost` off, and answers for how many ms nothing more may be read; 0 where something is left. */
  charge(cost: number, nowMs: number): number {
    const { costPerSecond, costMax } = FRAME_ALLOWANCE;
    const gained = (Math.max(0, nowMs - this.#atMs) * costPerSecond) / 1_000;
    this.#left = Math.min(costMax, this.#left + gained) - cost;
    this.#atMs = nowMs;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1_000) / costPerSecond);
  }
}
