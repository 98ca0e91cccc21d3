/**
 * Lets reads take turns with everything else that a node does. A read of a large batch takes some milliseconds of the
 * processor, and hundreds of subscribers may ask for theirs at once: new connections and appends would wait for all of them.
 */

/** Reads in one turn of the event loop; a read that has begun is finished. */
const TURN_MS = 1;

export class ReadTurns {
  readonly #waiting: (() => void)[] = [];
  #spentMs = 0;
  #isTurnKnown = false;

  /** Resolves when the read may begin: at once, where this turn has time left. */
  begin(): Promise<void> | undefined {
    if (!this.#isTurnKnown) this.#nextTurn();
    if (this.#waiting.length === 0 && this.#spentMs < TURN_MS) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A read has ended, after so long; where time is left, the next one begins. */
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
