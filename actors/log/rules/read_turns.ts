/**
 * Spreads reads over turns of the event loop. A read of a large batch takes some milliseconds of the processor, and hundreds
 * of subscribers may read at once. Without turns, new connections and appends would wait for all of these reads.
 */

/** Time for reads in one turn of the event loop. A read that has begun is finished even so. */
const TURN_MS = 1;

/** The caller awaits `begin` before each read, and tells `spent` after it. */
export class ReadTurns {
  readonly #waiting: (() => void)[] = [];
  #spentMs = 0;
  #isTurnKnown = false;

  /** Resolves when the read may begin. Returns undefined where this turn has time left, so that the read begins at once. */
  begin(): Promise<void> | undefined {
    if (!this.#isTurnKnown) this.#nextTurn();
    if (this.#waiting.length === 0 && this.#spentMs < TURN_MS) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A read has ended after `tookMs`. Where this turn has time left, the next read begins. */
  spent(tookMs: number): void {
    this.#spentMs += tookMs;
    if (this.#spentMs < TURN_MS) this.#waiting.shift()?.();
  }

  #nextTurn(): void {
    this.#isTurnKnown = true;
    setImmediate(() => {
      this.#isTurnKnown = false;
      this.#spentMs = 0;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#nextTurn();
      next();
    });
  }
}
