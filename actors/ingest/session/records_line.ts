/**
 * Who waits for room for a large record, and who holds room that others wait for (B4 of records_budget.ts). Leaves how much room
 * there is to the budget.
 *   Q1. Room goes to whoever has waited longest.
 *   Q2. Of those that hold room, the one to which records were sent longest ago gives way first, and none before its time.
 */

interface Waiting {
  /** Keeps room for it; false where there is none. */
  reserve(leastBytes: number): boolean;
  giveWay(): void;
}

interface Held<Who> {
  readonly who: Who;
  readonly sentAtMs: number;
}

export class RecordsLine<Who extends Waiting> {
  /** With the bytes that each waits for, in order of coming. */
  readonly #waiting = new Map<Who, number>();
  /** Room whose records were sent and have not left, in order of sending. */
  readonly #held = new Map<object, Held<Who>>();
  /** Told to give way, and not yet gone. */
  readonly #leaving = new Set<Who>();
  #isServing = false;

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  has(who: Who): boolean {
    return this.#waiting.has(who);
  }

  /** Keeps the place of one that waits already. */
  join(who: Who, leastBytes: number): void {
    this.#waiting.set(who, leastBytes);
    this.serve();
  }

  leave(who: Who): void {
    this.#leaving.delete(who);
    if (this.#waiting.delete(who)) this.serve();
  }

  hold(room: object, who: Who, sentAtMs: number): void {
    this.#held.set(room, { who, sentAtMs });
  }

  given(room: object): void {
    this.#held.delete(room);
  }

  /** Room may have become free: the first in line has it, as far as it goes (Q1). */
  serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    for (const [who, leastBytes] of this.#waiting) {
      if (!who.reserve(leastBytes)) break;
      this.#waiting.delete(who);
    }
    this.#isServing = false;
  }

  /** The one that was sent records longest ago gives way, unless it was after `sentBeforeMs` (Q2). */
  giveWay(sentBeforeMs: number): void {
    for (const { who, sentAtMs } of this.#held.values()) {
      if (sentAtMs > sentBeforeMs) return;
      if (this.#leaving.has(who)) continue;
      this.#leaving.add(who);
      who.giveWay();
      return;
    }
  }
}
