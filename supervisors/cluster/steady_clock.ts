/**
 * The time that a member and a coordinator decide by: the machine's clock, but for its being set back. What is due then comes
 * when it would have, and not after the hour that the clock was set back by (E24). Set forward it does the same as the machine
 * having slept: what waits is due.
 */
export class SteadyClock {
  #aheadMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs as the machine's clock tells it */
  at(nowMs: number): number {
    if (nowMs + this.#aheadMs < this.#lastMs) this.#aheadMs = this.#lastMs - nowMs;
    this.#lastMs = nowMs + this.#aheadMs;
    return this.#lastMs;
  }
}
