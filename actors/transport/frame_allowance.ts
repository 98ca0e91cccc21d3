/**
 * Bounds the node's time that one connection may use by frames that need no credit, with a token bucket (the leaky bucket
 * as a meter of ITU-T I.371). Decides how long the connection has to wait. The listener does not read it meanwhile.
 */

export const FRAME_ALLOWANCE = {
  /** Cost that a connection may cause in the long run. A frame that is answered at once costs 1, about 10 us of the node. */
  costPerSecond: 2_000,
  /** Cost that a connection may cause at once. A producer that opens a thousand partitions stays below it. */
  costMax: 8_192,
} as const;

/** The allowance of one connection: full at first, refilled by the clock that `charge` is given. */
export class FrameAllowance {
  #left: number = FRAME_ALLOWANCE.costMax;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Takes `cost` off. Returns the ms for which the connection must not be read; 0 where the allowance is not used up. */
  charge(cost: number, nowMs: number): number {
    const { costPerSecond, costMax } = FRAME_ALLOWANCE;
    const gained = (Math.max(0, nowMs - this.#atMs) * costPerSecond) / 1_000;
    this.#left = Math.min(costMax, this.#left + gained) - cost;
    this.#atMs = nowMs;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1_000) / costPerSecond);
  }
}
