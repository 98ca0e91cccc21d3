/**
 * The clock that a member and a coordinator decide by: the machine's clock, but never going back. If the machine's clock is set
 * back by an hour, timers still come due when they would have (E24). If it is set forward, timers come due early, as after
 * a sleep of the machine.
 */
export class SteadyClock {
  #aheadMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** The steady time. @param nowMs the machine's clock, ms since 1970 */
  at(nowMs: number): number {
    if (nowMs + this.#aheadMs < this.#lastMs) this.#aheadMs = this.#lastMs - nowMs;
    this.#lastMs = nowMs + this.#aheadMs;
    return this.#lastMs;
  }
}
